"""Two who publish the joints of one arm are noticed: when they contradict each other, and when
they agree.
"""

from __future__ import annotations

import numpy as np
import pytest

from testing.rig import MS, Rig
from wam_ros.core.types import SafetyState

S = SafetyState


def interleave(rig: Rig, seconds: float, other, every: int = 1) -> None:
    """Let time pass while a second publisher says (8,) `other` behind every so many states."""
    for k in range(round(seconds * 100)):
        rig.now += 10 * MS
        rig.joints()
        if k % every == 0:
            rig.joints(other, stamp=rig.now + 1000)
        rig.keep(rig.machine.tick(rig.now))


@pytest.mark.parametrize("every", [1, 5, 12])
def test_a_second_publisher_that_begins_in_motion_is_a_fault_and_the_arm_stops(rig, every):
    rig.moving()
    interleave(rig, 0.6, np.zeros(8), every)
    assert rig.state == S.FAULT
    report = rig.machine.tick(rig.now).report
    assert "joint states contradict each other: panda_joint4 leaps by 2.2" in report.sentence
    rig.run(0.2)
    assert rig.at_rest
    interleave(rig, 0.6, np.zeros(8), every)
    assert "contradict" in rig.machine.reset(rig.now).message


def test_a_driver_that_wraps_a_joint_with_limits_is_told_by_its_turns(rig):
    rig.held()
    for k in range(8):
        rig.now += 10 * MS
        rig.joints(rig.home + np.eye(8)[6] * 2 * np.pi * (k % 2))
    words = rig.machine.tick(rig.now).report.sentence
    assert "panda_joint7 leaps by 6.283 rad in 0.010 s (2 pi apart: one of the two counts" in words


def test_contradicting_joint_states_are_told_with_their_publishers_and_nothing_is_armed(rig):
    rig.held()
    interleave(rig, 0.5, np.zeros(8))
    rig.machine.inputs.one_arm.publishers = "joint_states is published by /driver, /other"
    answer = rig.machine.arm(True, rig.now)
    assert not answer.ok
    assert "contradict each other" in answer.message
    assert "/driver, /other" in rig.machine.tick(rig.now).report.sentence
    rig.run(0.5)
    assert rig.machine.arm(True, rig.now).ok, "once the other one is gone"


def test_one_state_that_was_misread_and_an_arm_at_full_speed_do_not_contradict(rig):
    rig.moving()
    rig.now += 10 * MS
    rig.joints(rig.measured + 0.5)
    rig.run(0.1)
    assert rig.state == S.ARMED
    speed = rig.filter.model.limits.velocity
    for k in range(40):
        rig.now += 10 * MS
        rig.joints(rig.home + speed * 0.01 * k)
    assert rig.machine.inputs.one_arm.why_not_one == ""


def numbered(rig, numbers, step_ms=10):
    """Joint states of these numbers; the reports."""
    reports = []
    for number in numbers:
        rig.now += step_ms * MS
        rig.machine.inputs.one_arm.count(number, rig.now)
        rig.joints()
        reports.append(rig.machine.tick(rig.now).report)
    return reports


@pytest.mark.parametrize("step_ms", [10, 300])
def test_joint_states_of_two_publishers_that_agree_are_a_fault_of_an_armed_arm(rig, step_ms):
    rig.armed()
    rig.machine.inputs.one_arm.publishers = "joint_states is published by /a, /b"
    mixed = [n for k in range(6) for n in (1000 + k, 5 + k)]
    report = numbered(rig, mixed, step_ms)[-1]
    assert rig.state == S.FAULT
    assert "come mixed, one alone may say them; joint_states is published by /a, /b" in (
        report.sentence
    )
    numbered(rig, range(2000, 2000 + 11_000 // step_ms), step_ms)
    assert rig.machine.reset(rig.now).ok, "the other one is gone"


def test_a_driver_that_was_started_anew_or_loses_messages_or_numbers_none_is_one_publisher(rig):
    rig.armed()
    numbered(rig, [*range(100, 150), *range(1, 50), *range(60, 400, 7)])
    numbered(rig, [None] * 50)
    numbered(rig, [*range(1, 50)])
    assert rig.state == S.ARMED
