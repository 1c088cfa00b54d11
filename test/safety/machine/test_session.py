"""Whose chunks are taken, how they are judged, and what follows when none comes."""

from __future__ import annotations

import numpy as np
import pytest

from testing.rig import LEAD_NS, Rig
from wam_ros.core.types import Decision, Reason, SafetyState
from wam_ros.safety.filter import SafetyFilter

S = SafetyState


def test_the_first_chunk_after_arming_names_the_session(rig):
    rig.armed()
    rig.chunk(session_id=b"a" * 16)
    rig.run(0.1)
    other = rig.chunk(session_id=b"b" * 16)
    assert other.report.reasons == Reason.SESSION
    assert other.trajectory is None
    assert rig.chunk(session_id=b"a" * 16).report.decision == Decision.PASS
    rig.machine.arm(False, rig.now)
    rig.run(0.5)
    assert rig.machine.arm(True, rig.now).ok
    assert rig.chunk(session_id=b"b" * 16).report.decision == Decision.PASS


def test_armed_again_at_rest_a_restarted_policy_is_followed_and_in_motion_the_answer_says_wait(rig):
    rig.armed()
    rig.chunk(session_id=b"a" * 16)
    rig.run(0.2)
    answer = rig.machine.arm(True, rig.now)
    assert not answer.ok
    assert "arm again once it stands" in answer.message
    refused = rig.chunk(session_id=b"b" * 16).report
    assert refused.reasons == Reason.SESSION
    assert "arm again, at rest, to take it" in refused.sentence
    rig.run(1.5)
    assert rig.state == S.ARMED
    assert rig.at_rest
    answer = rig.machine.arm(True, rig.now)
    assert answer.ok
    assert "armed anew" in answer.message
    assert rig.chunk(session_id=b"b" * 16).report.decision == Decision.PASS


def test_one_chunk_of_the_largest_numbers_does_not_lock_out_the_session(rig):
    for largest in ({"seq": 2**64 - 1}, {"epoch": 2**32 - 1}):
        rig.armed()
        assert rig.chunk(**largest).report.reasons == Reason.REORDER
        assert rig.chunk().report.decision == Decision.PASS, "as the first"
        assert rig.chunk(**largest).report.reasons == Reason.REORDER
        assert rig.chunk().report.decision == Decision.PASS, "as a later one"
        rig.machine.arm(False, rig.now)
        rig.run(1.0)


def test_handed_over_the_arm_stops_stays_armed_and_takes_that_session_only(rig):
    rig.moving()
    answer = rig.machine.hand_over(b"b" * 16, rig.now)
    assert answer.ok
    assert answer.trajectory is not None
    assert rig.state == S.BRAKING
    assert rig.machine.tick(rig.now).report.chunk_seq == 0
    assert rig.chunk(session_id=b"a" * 16).report.reasons == Reason.SESSION
    rig.run(0.5)
    assert rig.state == S.ARMED
    assert rig.at_rest
    assert rig.chunk(session_id=b"a" * 16).report.reasons == Reason.SESSION
    assert rig.chunk(session_id=b"b" * 16).report.decision == Decision.PASS
    assert rig.machine.hand_over(b"c" * 16, rig.now).ok
    rig.machine.arm(False, rig.now)
    rig.run(0.5)
    assert rig.state == S.HOLD, "whoever disarms meanwhile is obeyed"


def test_a_session_that_is_handed_over_to_itself_stops_and_its_older_epochs_are_void(rig):
    rig.moving()
    before = rig.machine.session.stream
    answer = rig.machine.hand_over(before.session_id, rig.now, before.epoch + 1)
    assert answer.ok and answer.trajectory is not None and "next instruction" in answer.message
    rig.run(0.5)
    assert rig.state == S.ARMED and rig.at_rest
    late = rig.chunk(session_id=before.session_id, epoch=before.epoch, seq=before.seq + 1)
    assert late.report.reasons == Reason.REORDER
    rig.run(0.3)
    assert rig.at_rest
    new = rig.chunk(session_id=before.session_id, epoch=before.epoch + 2, seq=before.seq + 2)
    assert new.report.decision == Decision.PASS
    leap = rig.machine.hand_over(before.session_id, rig.now, 2**32 - 1)
    assert not leap.ok and "no room to count on" in leap.message


@pytest.mark.parametrize("state", [S.DISABLED, S.HOLD, S.FAULT, S.ESTOP])
def test_an_arm_that_is_not_armed_is_not_handed_over(panda, home, state):
    rig = Rig(panda, home).brought_to(state)
    answer = rig.machine.hand_over(b"b" * 16, rig.now)
    assert not answer.ok
    assert "arm it first" in answer.message
    assert answer.trajectory is None
    assert rig.state == state


def test_a_stop_that_leads_to_a_fault_or_to_holding_is_not_handed_over(rig):
    rig.moving()
    rig.machine.arm(False, rig.now)
    assert rig.state == S.BRAKING
    assert not rig.machine.hand_over(b"b" * 16, rig.now).ok
    rig.run(0.5)
    assert rig.state == S.HOLD


def test_a_new_epoch_starts_its_own_count_and_the_old_one_is_over(rig):
    rig.armed()
    rig.chunk(epoch=3, seq=50)
    assert rig.chunk(epoch=3, seq=50).report.reasons == Reason.REORDER
    assert rig.chunk(epoch=4, seq=0).report.decision == Decision.PASS
    assert rig.chunk(epoch=3, seq=51).report.reasons == Reason.REORDER


def test_surprise_slows_then_stops_then_is_forgotten(panda, home):
    rig = Rig(panda, home, surprise_slow=0.1, surprise_stop=0.5).armed()
    rig.machine.on_surprise(float("nan"), rig.now)
    assert rig.chunk().report.decision == Decision.PASS
    rig.run(0.1)
    rig.machine.on_surprise(0.2, rig.now)
    slowed = rig.chunk().report
    assert slowed.decision == Decision.SCALED
    assert slowed.reasons & Reason.SURPRISE
    assert slowed.scale >= 2
    rig.machine.on_surprise(0.6, rig.now)
    assert rig.run(0.02)[-1].reasons & Reason.SURPRISE
    assert rig.chunk().report.reasons == Reason.SURPRISE
    rig.run(1.2)
    assert rig.at_rest
    assert rig.chunk().report.decision == Decision.PASS


def test_a_check_that_takes_too_long_is_refused_and_again_and_again_is_a_fault(panda, home):
    rig = Rig(panda, home).moving()
    clock = iter(np.arange(0, 1000, 2 * LEAD_NS / 1e9))
    rig.machine.session.filter = slow = SafetyFilter(panda.model, stopwatch=lambda: next(clock))
    for k in range(slow.params.overruns):
        output = rig.chunk()
        assert output.report.decision == Decision.REJECT
        assert output.report.reasons == Reason.OVERRUN
        assert (rig.state == S.BRAKING) == (k == slow.params.overruns - 1)
    rig.run(0.5)
    assert rig.state == S.FAULT


def test_armed_and_forgotten_it_holds(panda, home):
    rig = Rig(panda, home, idle_disarm_s=5.0).armed()
    rig.run(4.9, step_ms=100)
    assert rig.state == S.ARMED
    rig.run(0.5, step_ms=100)
    assert rig.state == S.HOLD
    assert not rig.machine.arm(False, rig.now).trajectory
