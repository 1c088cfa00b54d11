"""Processes over DDS. Whatever dies or hangs: the arm is at rest when the last report said, and
somebody says why.

Every node is the real one; only the network of the inference node is a policy that swings the arm
(`swing_node.py`).
"""

import contextlib
import signal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mujoco")

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from std_srvs.srv import SetBool, Trigger

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import NS, SafetyState
from wam_ros.msg import SafetyReport
from wam_ros.robot.joints import load_joints
from wam_ros.ros import convert, qos

from .conftest import Arena, Arm

pytestmark = pytest.mark.ros
PANDA = load_embodiment("panda")
# rad/s or m/s
LIMITS = load_joints(PANDA).limits.velocity
LAG_S = 0.4  # of the simulated servo behind its command, and of a busy machine
PATIENCE_S = 1.0  # for silence: longer than a busy machine holds a process up
SWING = Path(__file__).with_name("swing_node.py")
OWN = {  # parameters
    "sim_node": {"camera_hz": 10.0},
    "safety_node": {
        "arm_on_start": True,
        "joint_timeout_s": PATIENCE_S,
        "tracking_rad": 0.4,
        "bridge_tolerance_s": 1.0,
        "heartbeat_s": PATIENCE_S,
    },
    "bridge_node": {"heartbeat_s": PATIENCE_S},
    "camera_node": {},
    "inference_node": {"instruction": "swing"},
}


class Loop:
    """Every part in a process of its own, and what the topics say."""

    def __init__(self, arena):
        self.answer, self.pressed = "", 0  # newest one; reports when the emergency stop was pressed
        self._read = []
        self.arena, self.arm = arena, Arm(arena, PANDA.joint_names)
        self._reports = arena.listen(SafetyReport, "safety_report", qos.STATUS)
        self._diagnostics = arena.listen(DiagnosticArray, "/diagnostics", qos.STATUS)
        for name in OWN:
            self.start(name)

    def start(self, name):
        self.arena.spawn(name, SWING if name == "inference_node" else None, **OWN[name])

    @property
    def reports(self):
        """All so far, each converted once: the conditions that are waited for ask at every spin."""
        self._read += map(convert.report_from_msg, self._reports[len(self._read) :])
        return self._read

    @property
    def state(self):
        return convert.report_from_msg(self._reports[-1]).state if self._reports else None

    def until_moving(self):
        """Everything lives and the arm swings; a fault of a busy machine is reset."""
        try:
            self.arena.until(lambda: self.recover() and self.arm.moving(), seconds=60.0)
        except AssertionError as error:
            raise AssertionError(
                f"it does not move: {self.answer}; {self.reports[-1].sentence}"
            ) from error

    def recover(self):
        """Whether it is armed for the model that runs now; a step on the way there if not."""
        if self.state in (SafetyState.FAULT, SafetyState.ESTOP):
            self.answer = self.arena.call(Trigger, "safety_node/reset").message
        elif self.state == SafetyState.HOLD:
            self.answer = self.arena.call(SetBool, "safety_node/arm", data=True).message
            if "~/pause" in self.answer:  # an arm that was held up did not follow
                self.arena.call(SetBool, "bridge_node/pause", data=False)
        # of a model that was started anew
        elif any("another session" in r.sentence for r in self.reports[-3:]):
            self.answer = self.arena.call(SetBool, "safety_node/arm", data=False).message
        return self.state == SafetyState.ARMED

    def hit(self, name, number):
        """Send a signal to a process while the arm moves; the arm rests by the time that was told.
        Returns when.
        """
        self.until_moving()
        hit_ns, before = self.arena.now_ns(), len(self._reports)
        self.arena.processes[name].send_signal(number)
        self.arm.until_rest(seconds=20.0)
        q, t = self.arm.path()
        # of motion, not of rest since
        told = [r for r in self.reports[max(0, before - 20) :] if r.stop_time_s > 0]
        by_s = max(r.stamp_ns / NS + r.stop_time_s for r in told)
        moved = t[1:][np.abs(np.diff(q, axis=0)).max(axis=1) > 3e-4]
        assert moved.max() < by_s + LAG_S
        return hit_ns

    @contextlib.contextmanager
    def hung(self, name):
        """Within, a process stands still; the other tests share the loop."""
        self.arena.processes[name].send_signal(signal.SIGSTOP)
        try:
            yield self.arena.now_ns()
        finally:
            self.arena.processes[name].send_signal(signal.SIGCONT)

    def require_no_leap(self, since_ns):
        """No joint state is farther from the one before than the joints can move in between."""
        q, t = self.arm.path()
        late = t[1:] > since_ns / NS
        assert late.any()
        fastest = np.abs(np.diff(q, axis=0) / np.diff(t)[:, None])[late].max(axis=0)
        assert (fastest <= LIMITS * 1.05).all(), fastest / LIMITS

    def estop(self):
        """Press it: it latches, whatever the state, and nothing can be armed."""
        self.pressed = len(self.reports)
        assert self.arena.call(Trigger, "safety_node/estop").success
        assert not self.arena.call(SetBool, "safety_node/arm", data=True).success

    def until_estop(self):
        self.arena.until(
            lambda: self.state == SafetyState.ESTOP and "pressed" in self.reports[-1].sentence
        )

    def until_state(self, state):
        self.arena.until(lambda: self.state == state)

    def transition(self, number):
        """Lead the safety node through its lifecycle."""
        request = Transition(id=number)
        assert self.arena.call(ChangeState, "safety_node/change_state", transition=request).success

    def until_said(self, words, since_ns):
        """Report or bridge name the cause."""

        def said():
            heard = [r.sentence for r in self.reports if r.stamp_ns > since_ns]
            told = [d for d in self._diagnostics if convert.time_to_ns(d.header.stamp) > since_ns]
            heard += [s.message for d in told for s in d.status]
            return any(words in sentence for sentence in heard)

        try:
            self.arena.until(said)
        except AssertionError as error:
            heard = dict.fromkeys(
                f"{r.state.name}: {r.sentence}" for r in self.reports if r.stamp_ns > since_ns
            )
            raise AssertionError(f"nobody said {words!r}, but {list(heard)[:20]}") from error


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    with Arena(tmp_path_factory.mktemp("loop")) as arena:
        yield Loop(arena)


CAUSES = {
    "inference_node": "no new chunk",
    "camera_node": "the newest observation is too old",
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


def test_a_simulator_that_hangs_is_a_robot_that_fell_silent_and_does_not_leap_when_it_goes_on(loop):
    loop.until_moving()
    with loop.hung("sim_node") as since:
        loop.until_state(SafetyState.FAULT)
        loop.until_said("joint state", since)
    loop.arena.until(lambda: loop.arm.state.stamp_ns > since + NS)
    loop.arm.until_rest()
    loop.require_no_leap(since)
    loop.until_moving()


def test_an_emergency_stop_of_what_moves_stops_and_of_what_holds_latches(loop):
    arena = loop.arena

    def brakes():
        loop.until_moving()
        assert arena.call(SetBool, "safety_node/arm", data=False).success
        loop.estop()  # in the midst of braking
        loop.until_estop()
        states = [r.state for r in loop.reports]
        return states[states.index(SafetyState.ESTOP, loop.pressed) - 1] == SafetyState.BRAKING

    arena.until(brakes)
    loop.estop()  # again
    loop.until_estop()
    loop.arm.until_rest()
    arena.until(lambda: arena.call(Trigger, "safety_node/reset").success)
    loop.until_state(SafetyState.HOLD)
    loop.estop()
    loop.until_estop()
    loop.until_moving()
    loop.estop()
    loop.until_estop()
    loop.arm.until_rest()


def test_an_emergency_stop_of_what_is_at_fault_blind_or_disabled_latches_until_the_robot_is_seen(
    loop,
):
    arena = loop.arena
    loop.until_moving()
    with loop.hung("sim_node"):
        loop.until_state(SafetyState.FAULT)
        loop.estop()
        loop.until_estop()
        arena.until(lambda: "joint state" in arena.call(Trigger, "safety_node/reset").message)
    arena.until(lambda: arena.call(Trigger, "safety_node/reset").success)
    loop.until_state(SafetyState.HOLD)

    loop.transition(Transition.TRANSITION_DEACTIVATE)
    loop.estop()  # disabled
    loop.transition(Transition.TRANSITION_ACTIVATE)
    loop.until_estop()
    arena.until(lambda: arena.call(Trigger, "safety_node/reset").success)

    loop.transition(Transition.TRANSITION_DEACTIVATE)
    with loop.hung("sim_node") as since:
        arena.until(lambda: arena.now_ns() - since > 1.5 * PATIENCE_S * NS)
        loop.transition(Transition.TRANSITION_ACTIVATE)
        loop.until_state(SafetyState.SHADOW)
        loop.estop()
        loop.until_estop()
    loop.until_moving()


@pytest.mark.parametrize("name", ["inference_node", "camera_node", "bridge_node", "safety_node"])
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


# DDS takes 20 s to forget the publisher that was there before
@pytest.mark.long
def test_a_simulator_that_dies_fell_silent_and_its_successor_moves_from_where_it_stands(
    loop,
):
    loop.until_moving()
    since = loop.arena.now_ns()
    loop.arena.processes["sim_node"].kill()
    loop.arena.processes["sim_node"].wait()
    loop.until_state(SafetyState.FAULT)
    loop.until_said("joint state", since)
    began = loop.arena.now_ns()
    loop.start("sim_node")
    loop.arena.until(lambda: loop.arm.state.stamp_ns > began, seconds=60.0)
    first = loop.arm.state
    loop.until_moving()
    loop.require_no_leap(first.stamp_ns)
