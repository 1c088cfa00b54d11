"""What the pictures for RViz cost the node that draws them.

    python -m benchmark.rviz [--seconds 30] [--json docs/results/rviz.json]

`view_node` runs in a process of its own, without a page. This process says what a loop says (two
views, ten observations, chunks and futures a second, a hundred joint states) and listens as RViz
does. Rows: processor time of the node, all of its threads, in percent of one core, with nobody
listening, with a listener of each kind, and with all of them as RViz has them; how often each kind
was heard, and what it adds to nobody. The first row is a node of the same base that does nothing.

Processor time, not the time on the clock: other work beside it changes it little.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from wam_ros.core.files import write_json

DOMAIN = "93"
LOOP_HZ = 10
JOINTS_HZ = 100
WARM_S = 5.0  # until who listens has been found, and everything was drawn once
EMPTY = """
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.running import run_node
run_node(lambda: WamNode("empty"))
"""


class Loop:
    """The topics of a loop, and ears."""

    def __init__(self) -> None:
        import rclpy
        from rclpy.node import Node
        from sensor_msgs.msg import CameraInfo, JointState
        from trajectory_msgs.msg import JointTrajectory

        from wam_ros import msg
        from wam_ros.core.embodiment import load_embodiment
        from wam_ros.ros import qos

        self._rclpy = rclpy
        rclpy.init()
        self._node = Node("loop")
        self._robot = load_embodiment("panda")
        make = self._node.create_publisher
        self._observation = make(msg.Observation, "observation", qos.OBSERVATION)
        self._future = make(msg.ImaginedFuture, "imagined_future", qos.OBSERVATION)
        self._status = make(msg.WamStatus, "wam_status", qos.STATUS)
        self._report = make(msg.SafetyReport, "safety_report", qos.STATUS)
        self._trajectory = make(JointTrajectory, "safe_trajectory", qos.TRAJECTORY)
        self._joints = make(JointState, "joint_states", qos.JOINTS)
        self._infos = [make(CameraInfo, c.info_topic, qos.IMAGE) for c in self._robot.cameras]
        self._heard: list[Any] = []
        self._seq = 0
        self._due_s = time.monotonic()

    def listen(self, topics: dict[str, type], profile: Any) -> Callable[[], list[int]]:
        """Hear topics; gives how many messages of each came since the last call."""
        heard: list[list[object]] = []
        for topic, kind in topics.items():
            heard.append([])
            # as RViz, which does not turn a board into a list of Python's
            self._heard.append(
                self._node.create_subscription(kind, topic, heard[-1].append, profile, raw=True)
            )

        def count() -> list[int]:
            found = [len(messages) for messages in heard]
            for messages in heard:
                messages.clear()
            return found

        return count

    def leave(self) -> None:
        """Hear no more."""
        for heard in self._heard:
            self._node.destroy_subscription(heard)
        self._heard.clear()

    def run(self, seconds: float) -> float:
        """Say what a loop says for so long; gives how long that was, s."""
        began_s = time.monotonic()
        while (now_s := time.monotonic()) - began_s < seconds:
            if now_s >= self._due_s:
                self._due_s += 1 / JOINTS_HZ
                self._say()
            self._rclpy.spin_once(self._node, timeout_sec=0.002)
        return now_s - began_s

    def _say(self) -> None:
        import numpy as np
        from sensor_msgs.msg import CameraInfo, JointState

        from wam_ros.core import types
        from wam_ros.core.types import NS
        from wam_ros.ros import convert

        robot = self._robot
        self._joints.publish(JointState(name=list(robot.joint_names), position=list(robot.home)))
        self._seq += 1
        if self._seq % (JOINTS_HZ // LOOP_HZ):
            return
        now_ns = self._node.get_clock().now().nanoseconds
        rng = np.random.default_rng(self._seq)
        frames = rng.integers(0, 256, (3, 2, robot.image_height, robot.image_width, 3), np.uint8)
        home = np.array(robot.home)
        joints = types.JointState(now_ns, robot.joint_names, home, 0 * home, 0 * home)
        views = robot.view_names
        observation = types.Observation(now_ns, views, frames[0], (now_ns,) * 2, joints)
        self._observation.publish(convert.observation_to_msg(observation))
        future = types.ImaginedFuture(
            chunk_seq=self._seq,
            view_names=views,
            frames=frames[1:],
            instants_ns=(now_ns + 4 * NS // LOOP_HZ, now_ns + 8 * NS // LOOP_HZ),
            joint_names=robot.joint_names,
            joint_path=np.tile(home, (8, 1)),
            surprise=float(rng.uniform(0, 0.01)),
        )
        self._future.publish(convert.imagined_to_msg(future))
        t = np.linspace(0, 1.7, 170)
        q = home + np.outer(t, rng.uniform(-0.4, 0.4, len(home)))
        plan = types.SafeTrajectory(
            q, 0 * q, 0 * q, start_ns=now_ns, joint_names=robot.joint_names, t=t
        )
        self._trajectory.publish(convert.trajectory_to_wire(plan))
        report = types.SafetyReport(
            now_ns,
            self._seq,
            types.SafetyState.ARMED,
            types.Decision.PASS,
            nearest_pair=("panda_link1", "panda_link3"),
            nearest_distance=float(rng.uniform(0.01, 0.2)),
        )
        self._report.publish(convert.report_to_msg(report))
        if self._seq % JOINTS_HZ == 0:
            for publisher in self._infos:
                k = [100.0, 0, 64, 0, 100.0, 64, 0, 0, 1]
                publisher.publish(CameraInfo(width=128, height=128, k=k))
        if self._seq % (JOINTS_HZ // 2) == 0:
            status = types.WamStatus(
                now_ns, bytes(16), "tiny", "pick up the red block", types.ChunkingMode.GUIDED
            )
            self._status.publish(convert.status_to_msg(status))


def measure(seconds: float) -> dict[str, dict[str, Any]]:
    """Rows by who listens."""
    from sensor_msgs.msg import Image
    from visualization_msgs.msg import MarkerArray

    from wam_ros.ros import qos

    pictures = {
        "board": ("imagination/board/image", Image),
        "ghosts and state": ("imagination/markers", MarkerArray),
        "imagined in space": ("imagination/frames", MarkerArray),
    }
    shown = {
        "nobody": {},
        **{name: {topic: kind} for name, (topic, kind) in pictures.items()},
        "all of it": dict(pictures.values()),
    }
    loop = Loop()
    found: dict[str, dict[str, Any]] = {}
    with running("-c", EMPTY) as process:
        loop.run(2 * WARM_S)
        found["an empty node"] = {"percent": percent(process, loop, seconds)[0], "hz": []}
    with running("-m", "wam_ros.nodes.view_node", "--ros-args", "-p", "port:=0") as process:
        loop.run(2 * WARM_S)
        for name, topics in shown.items():
            count = loop.listen(topics, qos.reliable(2))
            loop.run(WARM_S)
            count()
            cost, took_s = percent(process, loop, seconds)
            found[name] = {"percent": cost, "hz": [n / took_s for n in count()]}
            loop.leave()
    for row in found.values():
        row["adds"] = row["percent"] - found["nobody"]["percent"]
    return found


@contextlib.contextmanager
def running(*argv: str) -> Iterator[psutil.Process]:
    """A process of Python, until the end."""
    process = subprocess.Popen([sys.executable, *argv])
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def percent(process: psutil.Process, loop: Loop, seconds: float) -> tuple[float, float]:
    """Of one core, all threads, while the loop runs; and how long it ran, s."""
    began_s = sum(process.cpu_times()[:2])
    took_s = loop.run(seconds)
    return 100 * (sum(process.cpu_times()[:2]) - began_s) / took_s, took_s


def main() -> None:
    """Print the rows; write them as JSON when asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--json", default="")
    args = parser.parse_args()
    os.environ |= {"ROS_DOMAIN_ID": DOMAIN, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    found = measure(args.seconds)
    for name, row in found.items():
        hz = ", ".join(f"{value:.1f}" for value in row["hz"]) or "nothing"
        print(
            f"{name:<20} {row['percent']:5.2f} % of one core, {row['adds']:+5.2f} %: {hz} a second"
        )
    if args.json:
        write_json(args.json, found)


if __name__ == "__main__":
    main()
