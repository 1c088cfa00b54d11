"""Processes over DDS. Whatever dies or hangs: the arm is at rest when the last report said, and somebody says why.

Arm, safety node and bridge are the real ones. What comes before them - eyes that see, a policy that sends chunks - are
two small processes, because what is looked at here is what their silence does.
"""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mujoco")

from diagnostic_msgs.msg import DiagnosticArray
from std_srvs.srv import SetBool, Trigger
from wam_ros.msg import SafetyReport

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import NS, SafetyState
from wam_ros.ros import convert, qos

from .conftest import DOMAIN, Arena, Arm

pytestmark = pytest.mark.ros
PANDA = load_embodiment("panda")
LAG_S = 0.4  # of the simulated servo behind its command, and of a busy machine
PATIENCE_S = 1.0  # for silence: longer than a busy machine holds a process up

POLICY = """
import numpy as np, rclpy
from sensor_msgs.msg import JointState
from wam_ros.core.types import ActionChunk
from wam_ros.ros import convert, qos
from wam_ros.msg import ActionChunk as Msg
rclpy.init()
node = rclpy.create_node("policy")
publisher = node.create_publisher(Msg, "action_chunk", qos.CHUNK)
names, seq = {names!r}, [0]
home = np.array({home!r})

def swing():
    now = node.get_clock().now().nanoseconds
    t = now / 1e9 + 0.1 * np.arange(1, 9)
    path = home + np.outer(np.sin(t), [0.3, 0.1, 0.2, 0, 0, 0, 0.2, 0])
    seq[0] += 1
    chunk = ActionChunk(now, 100_000_000, names, path, bytes(16), seq[0], observation_ns=now)
    publisher.publish(convert.chunk_to_msg(chunk))

node.create_timer(0.1, swing)
rclpy.spin(node)
"""
EYES = """
import rclpy
from wam_ros.msg import Observation
from wam_ros.ros import qos
rclpy.init()
node = rclpy.create_node("eyes")
publisher = node.create_publisher(Observation, "observation", qos.OBSERVATION)

def see():
    msg = Observation()
    msg.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(msg)

node.create_timer(0.1, see)
rclpy.spin(node)
"""


class Loop:
    """Every part in a process of its own, and what the topics say."""

    def __init__(self, arena):
        self.arena, self.arm = arena, Arm(arena, PANDA.joint_names)
        self._reports = arena.listen(SafetyReport, "safety_report", qos.STATUS)
        self._diagnostics = arena.listen(DiagnosticArray, "/diagnostics", qos.STATUS)
        for name in ("sim_node", "safety_node", "bridge_node", "policy", "eyes"):
            self.start(name)

    def start(self, name):
        if name in ("policy", "eyes"):
            code = POLICY.format(names=PANDA.joint_names, home=list(PANDA.home)) if name == "policy" else EYES
            env = {**os.environ, "ROS_DOMAIN_ID": str(DOMAIN), "PYTHONPATH": os.pathsep.join(sys.path)}
            self.arena.processes[name] = subprocess.Popen([sys.executable, "-c", code], env=env)
            return
        own = {
            "sim_node": {"camera_hz": 0.5},
            "safety_node": {"arm_on_start": True, "joint_timeout_s": PATIENCE_S, "tracking_rad": 0.4, "follow_s": 1.0},
            "bridge_node": {"heartbeat_s": PATIENCE_S},
        }
        self.arena.spawn(name, **own[name])

    @property
    def reports(self):
        return [convert.report_from_msg(m) for m in self._reports]

    @property
    def state(self):
        return convert.report_from_msg(self._reports[-1]).state if self._reports else None

    def until_moving(self):
        """Everything lives and the arm swings; a fault of a busy machine is reset."""
        self.arena.until(lambda: self.recover() and self.arm.moving(), seconds=60.0)

    def recover(self):
        """Whether it is armed; a step on the way there if not."""
        if self.state in (SafetyState.FAULT, SafetyState.ESTOP):
            self.arena.call(Trigger, "safety_node/reset")
        elif self.state == SafetyState.HOLD:
            self.arena.call(SetBool, "safety_node/arm", data=True)
        return self.state == SafetyState.ARMED

    def hit(self, name, number):
        """Send a signal to a process while the arm moves; the arm rests by the time that was told. Returns when."""
        self.until_moving()
        hit_ns, before = self.arena.now_ns(), len(self._reports)
        self.arena.processes[name].send_signal(number)
        self.arena.until(self.arm.at_rest, seconds=20.0)
        self.arena.spin(0.3)
        by_s = max(r.stamp_ns / NS + r.stop_time_s for r in self.reports[max(0, before - 20) :])
        q, t = self.arm.path()
        moved = t[1:][np.abs(np.diff(q, axis=0)).max(axis=1) > 3e-4]
        assert moved.max() < by_s + LAG_S
        return hit_ns

    def until_said(self, words, since_ns):
        """Report or bridge name the cause."""

        def said():
            heard = [r.sentence for r in self.reports if r.stamp_ns > since_ns]
            heard += [s.message for d in self._diagnostics for s in d.status]
            return any(words in sentence for sentence in heard)

        try:
            self.arena.until(said)
        except AssertionError as error:
            heard = dict.fromkeys(f"{r.state.name}: {r.sentence}" for r in self.reports if r.stamp_ns > since_ns)
            raise AssertionError(f"nobody said {words!r}, but {list(heard)[:20]}") from error


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    pytest.importorskip("rclpy")
    arena = Arena(tmp_path_factory.mktemp("loop"))
    yield Loop(arena)
    arena.close()


CAUSES = {
    "policy": "no new chunk",
    "eyes": "the newest observation is too old",
    "safety_node": "the safety node has been silent",
    "bridge_node": "the bridge does not say what it commands",
}


@pytest.mark.parametrize("name", CAUSES)
def test_a_process_that_hangs_leaves_the_arm_at_rest_and_it_goes_on_when_that_does(loop, name):
    try:
        since = loop.hit(name, signal.SIGSTOP)
        loop.until_said(CAUSES[name], since)
    finally:
        loop.arena.processes[name].send_signal(signal.SIGCONT)  # the other tests share the loop
    loop.until_moving()


def test_an_emergency_stop_in_every_state_latches_until_reset(loop):
    arena = loop.arena
    for state in ("moving", "stopping", "held", "armed"):
        if state == "moving":
            loop.until_moving()
        assert arena.call(Trigger, "safety_node/estop").success
        arena.until(lambda: loop.state == SafetyState.ESTOP)
        assert not arena.call(SetBool, "safety_node/arm", data=True).success
        if state == "moving":
            continue  # the next one falls into the stop of this one
        arena.until(loop.arm.at_rest, seconds=5.0)
        arena.until(lambda: arena.call(Trigger, "safety_node/reset").success)
        if state == "held":
            arena.until(lambda: arena.call(SetBool, "safety_node/arm", data=True).success)


@pytest.mark.parametrize("name", ["policy", "eyes", "safety_node"])
def test_a_process_that_dies_leaves_the_arm_at_rest_and_is_replaced(loop, name):
    try:
        since = loop.hit(name, signal.SIGKILL)
        loop.until_said(CAUSES[name], since)
    finally:
        loop.arena.processes[name].kill()
        loop.arena.processes[name].wait()
        loop.start(name)
    if name == "safety_node":
        loop.arena.until(lambda: loop.reports[-1].stamp_ns > since + NS, seconds=60.0)
    loop.until_moving()
