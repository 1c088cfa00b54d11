"""A held arm that something else moves is a fault with the joint's name; one that sags, is guided
by a hand that said so, or was put elsewhere by a simulator is none.
"""

from __future__ import annotations

import numpy as np
import pytest

from testing.rig import MS, Rig
from wam_ros.core.admission import SHIPPED
from wam_ros.core.types import NS, BridgeState, Forwarding, SafetyState
from wam_ros.safety.machine.bridge_watch import BridgeWatch, CommandEcho
from wam_ros.safety.params import SafetyParams

S = SafetyState
ALLOWED = SafetyParams().tracking_rad
ELBOW, FINGERS = np.eye(8)[3], np.eye(8)[7]


def push(rig, rate, seconds, step_ms=10):
    """Something moves the arm at `rate` (A,) rad/s or m/s; the reports meanwhile."""
    reports = []
    for _ in range(round(seconds * 1000 / step_ms)):
        rig.now += step_ms * MS
        rig.measured = rig.measured + rate * step_ms / 1000
        rig.joints(rig.measured, rate)
        reports.append(rig.machine.tick(rig.now).report)
    return reports


@pytest.fixture
def held(panda, home):
    """An arm that was armed, moved, disarmed, and is at rest since."""
    rig = Rig(panda, home).moving()
    rig.machine.arm(False, rig.now)
    rig.run(2.0)
    assert rig.state == S.HOLD
    rig.measured = rig.machine.commanded(rig.now).q
    rig.follow = False
    return rig


@pytest.mark.parametrize("was_armed", [False, True])
def test_a_held_arm_that_something_else_moves_is_a_fault_by_name_and_number(
    panda, home, held, was_armed
):
    rig = held if was_armed else Rig(panda, home).held()
    rig.follow = False
    rig.run(0.3)
    before = len(rig.emitted)
    reports = push(rig, 0.4 * ELBOW, 1.5)
    assert rig.state == S.FAULT
    words = reports[-1].sentence
    assert "panda_joint4 moved by 0.2" in words
    assert "allowed 0.200 rad" in words
    assert "held: something else moves it" in words
    first = next(k for k, r in enumerate(reports) if r.state == S.FAULT)
    assert first * 0.01 * 0.4 < ALLOWED + 0.03
    for k in (first - 1, first // 2):
        assert reports[k].sentence.startswith("not held"), reports[k].sentence
    assert len(rig.emitted) == before, "what cannot be right is not moved towards either"
    assert not rig.machine.arm(True, rig.now).ok
    assert "moves" in rig.machine.reset(rig.now).message


def test_the_fault_is_told_with_the_joint_state_that_shows_it_and_ends_by_a_reset_at_rest(held):
    output = None
    while output is None:
        held.now += 10 * MS
        held.measured = held.measured + 0.004 * ELBOW
        output = held.joints(held.measured, 0.4 * ELBOW)
    assert output.report.state == S.FAULT
    held.run(1.0)
    assert held.machine.reset(held.now).ok
    held.run(1.0)
    assert held.state == S.HOLD, "it stands where it was put"
    assert held.machine.arm(True, held.now).ok


def test_an_arm_that_sags_or_is_leant_on_is_no_fault(held):
    push(held, -0.02 * ELBOW, 5.0)
    for _ in range(5):
        push(held, 0.3 * ELBOW, 0.4)
        push(held, -0.3 * ELBOW, 0.4)
    assert held.state == S.HOLD


def test_fingers_that_somebody_opens_are_no_fault(held):
    push(held, 0.02 * FINGERS, 1.5)
    assert held.state == S.HOLD


def test_a_simulation_that_puts_the_arm_elsewhere_is_no_fault(held):
    held.run(0.5)
    held.measured = held.measured - 0.5 * ELBOW
    held.run(2.0)
    assert held.state == S.HOLD
    assert held.machine.tick(held.now).report.sentence.startswith("held")


def test_an_arm_that_was_moved_while_its_driver_was_silent_is_no_fault(held):
    held.run(1.0, joints=False)
    held.measured = held.measured - 0.4 * ELBOW
    held.run(1.0)
    assert held.state == S.HOLD


def test_an_arm_that_comes_to_rest_while_this_node_begins_is_no_fault_and_one_that_does_not_is(
    panda, home
):
    rig = Rig(panda, home)
    rig.follow = False
    rig.machine.enable(rig.now)
    push(rig, 0.4 * ELBOW, 1.5)
    assert rig.state == S.HOLD
    assert "not held" in rig.machine.tick(rig.now).report.sentence
    rig.run(1.0)
    assert rig.machine.tick(rig.now).report.sentence == "held; arm to move"
    rig = Rig(panda, home)
    rig.follow = False
    rig.machine.enable(rig.now)
    push(rig, 0.1 * ELBOW, 9.0)
    assert rig.state == S.FAULT


def test_a_bridge_that_is_paused_or_drives_no_controller_lets_others_move_the_arm(held):
    patience = np.full(8, 0.02)
    watch = BridgeWatch(held.machine, CommandEcho(patience, 0.15), wants_arm=False)
    words = "the bridge is paused; resume it"
    watch.hear(BridgeState(Forwarding.PAUSED, words, released=True), SHIPPED)
    reports = push(held, 0.4 * ELBOW, 1.0)
    assert held.state == S.HOLD
    assert all(r.sentence.startswith("not held") for r in reports[5:])
    held.run(0.5)
    sentence = held.machine.tick(held.now).report.sentence
    assert sentence == f"not held: disarmed; arm to move; {words}"
    watch.hear(BridgeState(Forwarding.FORWARDING, "forwarding"), SHIPPED)
    held.run(0.5)
    push(held, -0.4 * ELBOW, 1.0)
    assert held.state == S.FAULT


def test_a_motion_that_ends_late_is_not_taken_for_somebody_elses(panda, home):
    rig = Rig(panda, home).moving()
    rig.machine.arm(False, rig.now)
    late = [rig.machine.commanded(rig.now).q]
    while rig.state != S.HOLD or rig.now < rig.machine.brakes.playback.end_ns() + NS // 2:
        rig.now += 10 * MS
        late.append(rig.machine.commanded(rig.now).q)
        rig.joints(late[-8] if len(late) > 8 else late[0])
        rig.machine.tick(rig.now)
    rig.measured = late[-1]
    rig.follow = False
    rig.run(2.0)
    assert rig.state == S.HOLD


def test_a_simulation_that_tells_late_what_it_did_is_not_taken_for_somebody_else(panda, home):
    rig = Rig(panda, home, joint_timeout_s=2.0).moving()
    heard_ns = rig.now
    rig.machine.arm(False, rig.now)
    rig.run(1.9, joints=False)
    assert rig.state == S.HOLD
    end_ns = rig.machine.brakes.playback.end_ns()
    assert rig.now > end_ns + NS
    for stamp in range(heard_ns + 10 * MS, end_ns + 200 * MS, 10 * MS):
        there = rig.machine.commanded(stamp)
        rig.joints(there.q, there.dq, stamp=stamp)
        assert rig.machine.tick(rig.now).report.sentence.startswith("held")
    assert np.abs(there.q - home).max() > 0.05
