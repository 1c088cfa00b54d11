"""What a person at the page waits for, in a real browser: until it is there, and from the stop
until the simulated arm rests.

    python -m benchmark.browser [--loads 5] [--stops 6] [--real-time] [--json browser.json]

The demo with all its processes and headless Chromium, which draws in software. A page is there when
it is connected, shows a moment and has drawn the arm. The stop is clicked, or its space bar
pressed, while the arm moves: what counts is the time until safety says that it stops, and from then
until the arm rests, beside what safety promised in that moment, both by the loop's clock.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from testing.chromium import Chromium, Tab
from testing.peers import free_port
from wam_ros.core.errors import WamError
from wam_ros.core.files import require_writable, write_json
from wam_ros.core.types import NS
from wam_ros.demo.domain import hold_domain

LINK = re.compile(r"http\S+token=\S+")
PATIENCE_S = 120.0
RESTS = 0.01  # rad/s or m/s: a joint that is slower
MOVES = 0.05
SETTLED_S = 0.5  # of rest, by the loop's clock, that was no passage through zero
THERE = "document.body?.dataset.connected && window.wam?.space && wam.frames?.moment"
DRAWN = (
    "(async () => { await wam.space.ready; await new Promise(requestAnimationFrame);"
    " return performance.now(); })()"
)
MODE = "document.getElementById('mode').textContent"


@contextlib.contextmanager
def demo(domain: int, *words: str) -> Iterator[str]:
    """A demo that runs in a ROS domain until somebody ends it; the link of its page.

    Raises:
        WamError: it ended before its page was open.
    """
    argv = [sys.executable, "-m", "wam_ros.cli", "demo", "--port", str(free_port())]
    argv += ["--domain-id", str(domain), *words]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    running = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env, text=True
    )
    assert running.stdout is not None
    try:
        said = ""
        for line in running.stdout:
            said += line
            if link := LINK.search(line):
                break
        else:
            raise WamError(f"the demo ended before its page was open: {said[-400:]}")
        # what nobody reads would hold the demo up
        threading.Thread(target=running.stdout.read, daemon=True).start()
        yield link[0]
    finally:
        running.terminate()
        running.wait()


class Ear:
    """Hears in a domain what safety says and how the joints move, in a thread of its own."""

    def __init__(self, domain: int) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node
        from sensor_msgs.msg import JointState

        from wam_ros.msg import SafetyReport
        from wam_ros.ros import qos

        self.context = rclpy.Context()
        rclpy.init(args=[], context=self.context, domain_id=domain)
        self.node = Node("browser_benchmark", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self._estop = SafetyReport.STATE_ESTOP
        self.speed = 0.0  # the fastest joint's
        self.stopped: tuple[float, float, float] | None = None  # heard at, stamp, promise [s]
        self.last_moved_s = 0.0  # stamp
        self.now_s = 0.0  # stamp of the newest joints
        self.node.create_subscription(SafetyReport, "safety_report", self._on_report, qos.STATUS)
        self.node.create_subscription(JointState, "joint_states", self._on_joints, qos.JOINTS)
        self._thread = threading.Thread(target=self.executor.spin, daemon=True)
        self._thread.start()

    def _on_report(self, told: Any) -> None:
        if told.state == self._estop and self.stopped is None:
            self.stopped = (time.monotonic(), seconds(told.header.stamp), told.stop_time_s)

    def _on_joints(self, told: Any) -> None:
        self.now_s = seconds(told.header.stamp)
        self.speed = max(map(abs, told.velocity), default=0.0)
        if self.speed > RESTS:
            self.last_moved_s = self.now_s

    def close(self) -> None:
        """Leave ROS."""
        import rclpy

        self.executor.shutdown(timeout_sec=0.5)
        self._thread.join(5.0)
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def seconds(stamp: Any) -> float:
    """Of a ROS stamp."""
    return stamp.sec + stamp.nanosec / NS


def until(holds: Any, what: str) -> None:
    """Wait for what a thread is told.

    Raises:
        WamError: it never was.
    """
    end = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > end:
            raise WamError(f"{what} did not happen in {PATIENCE_S:g} s")
        time.sleep(0.005)


def load(browser: Chromium, link: str) -> tuple[float, float]:
    """Seconds from asking for a page until the browser calls it loaded, and until it is there."""
    tab = browser.tab()
    tab.go(link)
    tab.until(THERE, PATIENCE_S)
    there_ms = tab.evaluate(DRAWN)
    loaded_ms = tab.evaluate(
        "performance.getEntriesByType('navigation')[0].loadEventEnd || performance.now()"
    )
    tab.close()
    return loaded_ms / 1e3, there_ms / 1e3


def stop(tab: Tab, ear: Ear, space_bar: bool) -> dict[str, float]:
    """One stop of a moving arm, and the way back to where it may move."""
    tab.until(f"{MODE} === 'armed'", PATIENCE_S)
    until(lambda: ear.speed > MOVES, "a motion")
    ear.stopped = None
    began_s = time.monotonic()
    if space_bar:
        tab.press(" ", "Space")
    else:
        tab.click("#stop")
    until(lambda: ear.stopped is not None, "a stop")
    assert ear.stopped is not None
    heard_s, stamp_s, promised_s = ear.stopped
    until(lambda: ear.now_s > max(ear.last_moved_s, stamp_s) + SETTLED_S, "rest")
    rest_s = max(ear.last_moved_s - stamp_s, 0.0)
    # the demo arms it again by itself
    tab.click("#reset")
    tab.until("document.getElementById('hold')")
    tab.mouse("mousePressed", "#hold")
    tab.until("document.getElementById('question').hidden")
    tab.mouse("mouseReleased", "#reset")
    tab.until(f"{MODE} !== 'emergency stop'")
    return {"told_s": heard_s - began_s, "rest_s": rest_s, "promised_s": promised_s}


def main() -> None:
    """Load, stop, print; write JSON when asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--loads", type=int, default=5)
    parser.add_argument("--stops", type=int, default=6)
    parser.add_argument("--real-time", action="store_true")
    parser.add_argument("--json", default="")
    args = parser.parse_args()
    require_writable("--json", args.json)
    domain = hold_domain()
    with demo(domain, *(["--real-time"] if args.real_time else [])) as link:
        browser, ear = Chromium(), Ear(domain)
        try:
            loads = [load(browser, link) for _ in range(args.loads)]
            tab = browser.tab(link)
            tab.until(THERE, PATIENCE_S)
            stops = [stop(tab, ear, space_bar=bool(k % 2)) for k in range(args.stops)]
        finally:
            ear.close()
            browser.close()
    table = Table("", "median s", "most s")
    rows = {
        "page loaded": [loaded for loaded, _ in loads],
        "page there, arm drawn": [there for _, there in loads],
        "stop pressed to safety's word": [s["told_s"] for s in stops],
        "from there to rest": [s["rest_s"] for s in stops],
        "as promised": [s["promised_s"] for s in stops],
        "rest later than promised by": [s["rest_s"] - s["promised_s"] for s in stops],
    }
    for name, values in rows.items():
        table.add_row(name, f"{np.median(values):.3f}", f"{max(values):.3f}")
    Console().print(table)
    if args.json:
        write_json(args.json, {"loads": loads, "stops": stops})


if __name__ == "__main__":
    try:
        main()
    except WamError as error:
        raise SystemExit(str(error)) from error
