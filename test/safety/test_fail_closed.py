"""When in doubt, nothing moves: every rule of that kind, and for each what takes its guard away and
must be noticed.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from testing.rig import MS, TURN, Rig
from testing.tools import pendulum
from wam_ros.bridge.gate import Gate, load_gate_limits
from wam_ros.core.errors import WamError
from wam_ros.core.types import NS, Decision, JointState, Reason, SafetyState
from wam_ros.robot import urdf
from wam_ros.robot.model import load_safety_model
from wam_ros.safety import filter as filter_module
from wam_ros.safety.checks import finite, fresh, order, position, schema
from wam_ros.safety.checks.base import JointCheck, MessageCheck
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.finding import Measure
from wam_ros.safety.machine.inputs import Inputs
from wam_ros.safety.machine.machine import SafetyMachine
from wam_ros.safety.verdict import Verdict

Guard = Callable[[pytest.MonkeyPatch], None]
RULES: list = []


def rule(without: Guard) -> Callable:
    """A rule, and how to take away the guard that keeps it."""

    def keep(check: Callable) -> Callable:
        RULES.append(pytest.param(check, without, id=check.__name__))
        return check

    return keep


def gone(module: object, name: str, answer: object = None) -> Guard:
    """The guard `module.name` answers the same to everything."""
    return lambda patch: patch.setattr(module, name, lambda *_, **__: answer)


def blind(module: ModuleType) -> Guard:
    """The check refuses nothing."""
    return lambda patch: patch.setattr(module, "CHECK", MessageCheck(lambda _: None))


def refused(rig: Rig, reason: Reason, **changes: object) -> None:
    """A chunk with these changes is refused for this reason, and what moves goes on to its proven
    rest.
    """
    rig.moving()
    before, report = len(rig.emitted), rig.chunk(**changes).report
    assert report.decision == Decision.REJECT
    assert report.reasons & reason
    assert len(rig.emitted) == before
    rig.run(2.0)
    assert rig.at_rest


def path_of(rig: Rig) -> np.ndarray:
    return rig.home + np.outer(np.arange(1, 9), TURN)


@rule(blind(finite))
def a_number_that_is_none(rig, _):
    """A chunk with a value that is not finite is refused whole."""
    path = path_of(rig)
    path[5, 3] = np.nan
    refused(rig, Reason.NONFINITE, positions=path)


@rule(gone(schema, "_shape"))
def another_shape(rig, _):
    """A table that is not steps x joints is refused, not cut to fit."""
    refused(rig, Reason.SHAPE, positions=path_of(rig)[:, :7])


@rule(blind(schema))
def other_joints(rig, _):
    """A joint that is missing, foreign or named twice refuses the chunk; nothing is filled in."""
    names = rig.filter.model.joint_names
    refused(rig, Reason.SCHEMA, joint_names=(*names[:-1], "elbow"))


@rule(blind(order))
def another_session(rig, _):
    """Only the session that was armed may move the arm."""
    refused(rig, Reason.SESSION, session_id=bytes([7] * 16))


@rule(blind(order))
def going_back_in_the_order(rig, _):
    """A chunk that is not newer than the last one is refused."""
    refused(rig, Reason.REORDER, seq=1)


@rule(blind(fresh))
def a_stamp_of_the_future(rig, _):
    """A chunk anchored later than the tolerance is refused."""
    refused(rig, Reason.FUTURE, anchor_ns=rig.now + 700 * MS)


@rule(blind(fresh))
def a_stale_stamp(rig, _):
    """A chunk anchored too long ago is refused, even if its last steps are still due."""
    long_ago = rig.now - 3000 * MS
    refused(rig, Reason.STALE, anchor_ns=long_ago, step_period_ns=900 * MS)


@rule(gone(Inputs, "observation_stale", False))
def a_missing_camera(rig, _):
    """Once observations came, their absence stops the arm and refuses chunks until they come
    again.
    """
    rig.moving()
    rig.machine.on_observation(rig.now, rig.now)
    rig.run(1.05)
    rig.seq += 100
    assert rig.chunk().report.reasons & Reason.CAMERA_STALE
    rig.run(1.0)
    assert rig.at_rest


@rule(blind(finite))
def zeros_of_a_model_that_predicted_nothing(rig, _):
    """A step of exact zeros in every arm joint is what a missing key becomes: refused."""
    path = path_of(rig)
    path[6] = 0.0
    refused(rig, Reason.SCHEMA, positions=path)


@rule(
    lambda patch: patch.setattr(
        SafetyMachine, "estop", lambda self, now, cause="": self.arm(False, now)
    )
)
def an_emergency_stop_while_braking(rig, _):
    """Pressed while it already brakes, it latches: at rest nothing moves again before reset and
    arm.
    """
    rig.moving()
    rig.machine.arm(False, rig.now)
    assert rig.state == SafetyState.BRAKING
    rig.keep(rig.machine.estop(rig.now))
    rig.run(2.0)
    assert rig.at_rest
    assert rig.state == SafetyState.ESTOP
    assert not rig.machine.arm(True, rig.now).ok
    assert rig.chunk().report.decision == Decision.REJECT


@rule(gone(Gate, "why_not_heard", ""))
def a_safety_process_that_is_gone(rig, _):
    """When nothing is heard of the safety node any more, the bridge lets nothing pass and what
    passed ends at rest.
    """
    limits = load_gate_limits(rig.filter.model.embodiment, 0.05, 0.01)
    gate = Gate(limits)
    trajectory = rig.armed().chunk().trajectory
    start = trajectory.q[0]
    gate.on_joints(JointState(rig.now, limits.joint_names, start, 0 * start, 0 * start))
    gate.on_heartbeat(rig.now)
    assert gate.admit(trajectory, rig.now, rig.now)[1] == ""
    rest = gate.commanded(trajectory.start_ns + 60 * NS)
    assert not rest.dq.any() and not rest.ddq.any()
    gate.commanded(rig.now)
    late = rig.now + 400 * MS
    assert "silent" in gate.admit(trajectory, rig.now, late)[1]


@rule(
    lambda patch: patch.setattr(
        filter_module, "rejected", lambda f, n: Verdict(Decision.PASS, first=f, steps_total=n)
    )
)
def memory_that_ran_out(rig, patch):
    """Where there is no memory for the check of a chunk, the chunk is refused and the process
    lives.
    """
    rig.moving()

    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError("no memory left")

    patch.setattr(rig.filter, "_judge", exhausted)
    assert rig.chunk().report.decision == Decision.REJECT
    rig.run(2.0)
    assert rig.at_rest


@rule(gone(SafetyMachine, "_clock"))
def a_clock_that_was_set_back(rig, _):
    """Stamps of before mean nothing: the arm stops now and must be armed again."""
    rig.moving()
    rig.now -= 5 * NS
    rig.keep(rig.machine.tick(rig.now))
    assert rig.state == SafetyState.BRAKING
    rig.run(2.0)
    assert rig.at_rest
    assert rig.state == SafetyState.HOLD


def _generous(element, key: str, *_: object, **__: object) -> float:
    return float((element.get(key) if element is not None else None) or 1.0)


@rule(lambda patch: patch.setattr(urdf, "_number", _generous))
def a_robot_without_limits(rig, _, tmp_path):
    """A description that leaves a limit out is refused at load, by the name of the joint; nothing
    is assumed.
    """
    toy = pendulum(tmp_path, joint='<limit lower="-1" upper="1" effort="50"/>')
    with pytest.raises(WamError, match=r"hinge.*no velocity limit"):
        load_safety_model(toy)


def _no_measure(motion, joints) -> Measure:
    zero = np.zeros(len(motion))
    return Measure(
        reason=Reason.POSITION,
        ratio=zero,
        measured=zero,
        allowed=zero,
        subject=zero.astype(int),
        units=joints.units,
        joints=joints.names,
    )


@rule(lambda patch: patch.setattr(position, "CHECK", JointCheck(_no_measure, power=0)))
def a_gripper_out_of_range(rig, _):
    """Fingers told to open wider than they can are cut at the step before; no command ever leaves
    the range.
    """
    path = np.tile(rig.home, (8, 1))
    path[5:, 7] = 0.06
    report = rig.armed().chunk(path).report
    assert report.decision == Decision.TRUNCATED
    assert report.reasons & Reason.POSITION
    assert report.first_joint == "panda_finger_joint1"
    assert max(t.q[:, 7].max() for t in rig.emitted) <= 0.04


def run(check: Callable, panda: SafetyFilter, home, patch, tmp_path) -> None:
    extra = {"tmp_path": tmp_path} if "tmp_path" in check.__code__.co_varnames else {}
    check(Rig(panda, home), patch, **extra)


@pytest.mark.parametrize(("check", "without"), RULES)
def test_the_rule_holds(check, without, panda, home, monkeypatch, tmp_path):
    run(check, panda, home, monkeypatch, tmp_path)


@pytest.mark.parametrize(("check", "without"), RULES)
def test_the_rule_is_seen_broken_without_its_guard(
    check, without, panda, home, monkeypatch, tmp_path
):
    without(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        run(check, panda, home, monkeypatch, tmp_path)


def test_every_rule_says_what_it_is():
    assert len(RULES) == 15
    assert all(r.values[0].__doc__ for r in RULES)
