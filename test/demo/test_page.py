"""`wam demo` with its page in a real browser: what a person at a robot does first."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("torch")
pytest.importorskip("mujoco")
pytest.importorskip("aiohttp")

from testing.chromium import Chromium, find_chromium
from testing.peers import free_port

pytestmark = [
    pytest.mark.long,
    pytest.mark.ros,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium"),
]
MODE = "document.getElementById('mode').textContent"
NEWEST = "wam.timeline.samples.at(-1).n"


@pytest.fixture
def link(tmp_path):
    """The link that a running demo prints."""
    log = (tmp_path / "demo.txt").open("w+")
    words = [sys.executable, "-m", "wam_ros.cli", "demo", "--port", str(free_port())]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    demo = subprocess.Popen(words, stdout=log, stderr=log, env=environment, start_new_session=True)
    end = time.monotonic() + 180
    while not (found := re.search(r"http\S+token=\S+", (tmp_path / "demo.txt").read_text())):
        assert time.monotonic() < end
        assert demo.poll() is None, (tmp_path / "demo.txt").read_text()
        time.sleep(0.1)
    yield found[0]
    demo.send_signal(signal.SIGINT)
    demo.wait(60)


@pytest.fixture
def tab(link):
    browser = Chromium()
    yield browser.tab(link)
    browser.close()


def hold(tab, action):
    """Both steps."""
    tab.click(f"#{action}")
    tab.until("document.getElementById('hold')")
    tab.mouse("mousePressed", "#hold")
    tab.until("document.getElementById('question').hidden")


def place(tab):
    """Joints that the page draws, ten moments after those that it has drawn."""
    number = tab.evaluate(NEWEST)
    tab.until(f"{NEWEST} > {number + 10}")
    return tab.evaluate("wam.frames.moment.q")


def test_the_space_bar_stops_the_arm_and_a_reset_by_two_steps_lets_it_go_on(tab):
    tab.until(f"window.wam && {MODE} === 'armed'", 120)
    tab.press(" ", "Space")
    tab.until(f"{MODE} === 'emergency stop'")
    tab.until("wam.frames.moment.lines.some(([, s]) => /emergency stop/.test(s))")
    end = time.monotonic() + 60  # a simulator on a busy machine is seconds behind
    stood = place(tab)
    while (now := place(tab)) != pytest.approx(stood, abs=1e-3):
        assert time.monotonic() < end, "the arm still moves"
        stood = now
    assert tab.evaluate(MODE) == "emergency stop"
    hold(tab, "reset")
    tab.until(f"{MODE} !== 'emergency stop'")
    assert tab.errors == []


def test_another_instruction_is_followed(tab):
    tab.until(f"window.wam && {MODE} === 'armed'", 120)
    task = "document.getElementById('task').textContent"
    wanted = "take the blue cube" if "blue" not in tab.evaluate(task) else "take the red cube"
    tab.evaluate("(document.getElementById('instruction').value = '', 0)")
    tab.click("#instruction")
    tab.type(wanted)
    tab.press("Enter")
    tab.until(f"{task} === {wanted!r}", 60)
    tab.until("wam.frames.moment.columns.some((c) => c.kind === 'imagined')", 60)
