from dataclasses import replace

import pytest

from wam_ros.core.task import TaskEnd, TaskState
from wam_ros.core.types import (
    BridgeState,
    ChunkingMode,
    Decision,
    Forwarding,
    Reason,
    SafetyReport,
    SafetyState,
    WamStatus,
)
from wam_ros.core.words import describe_state
from wam_ros.view.words import (
    describe_bridge,
    describe_decision,
    describe_safety,
    describe_status,
    describe_task,
)


@pytest.mark.parametrize("state", SafetyState)
def test_a_state_without_a_sentence_is_told_in_its_own_words(state):
    assert describe_safety(SafetyReport(0, 0, state, Decision.UNKNOWN)) == describe_state(state)


def test_the_sentence_of_the_report_is_passed_on():
    report = SafetyReport(
        0, 0, SafetyState.FAULT, Decision.REJECT, sentence="joint_states are 0.4 s old"
    )
    assert describe_safety(report).endswith("joint_states are 0.4 s old")


def test_what_is_said_of_the_state_itself_is_not_said_twice():
    report = SafetyReport(
        0, 0, SafetyState.ARMED, Decision.UNKNOWN, sentence="armed, 0.52 s of plan left"
    )
    assert describe_safety(report) == "armed, 0.52 s of plan left"


def test_decisions_say_what_and_why():
    cut = SafetyReport(
        0,
        1,
        SafetyState.ARMED,
        Decision.TRUNCATED,
        Reason.ENV_COLLISION,
        steps_accepted=3,
        steps_total=8,
    )
    assert describe_decision(cut) == "truncated, 3 of 8 steps (collision with what stands around)"
    assert describe_decision(
        SafetyReport(0, 1, SafetyState.ARMED, Decision.SCALED, scale=1.25)
    ) == ("scaled, 1.25 times slower")


def test_an_error_of_the_model_is_shown_instead_of_numbers():
    status = WamStatus(
        0, bytes(16), "tiny", "", ChunkingMode.REPLACE, latency_last_s=0.062, latency_p95_s=0.08
    )
    assert describe_status(status, 9.6) == "tiny: 9.6 chunks/s, latency 62 ms (p95 80 ms)"
    broken = WamStatus(0, bytes(16), "tiny", "", ChunkingMode.REPLACE, error="no camera")
    assert describe_status(broken, 9.6) == "tiny: no camera"


def test_the_bridge_says_its_state_and_its_newest_refusal_once():
    paused = BridgeState(Forwarding.PAUSED, "the bridge is paused")
    assert describe_bridge(paused) == "the bridge is paused"
    assert describe_bridge(BridgeState(Forwarding.FORWARDING, "forwarding", "it came late")) == (
        "forwarding (last refusal: it came late)"
    )
    held = BridgeState(Forwarding.HELD_BACK, "no controller listens", "no controller listens")
    assert describe_bridge(held) == "held back: no controller listens"


def test_a_task_says_how_far_it_is_what_follows_and_how_it_ended():
    first = TaskState(running=True, instruction="take it", then=("drop it",), progress=0.4)
    assert describe_task(replace(first, sentence="it moves")) == (
        "take it, 40% likely to be done soon: it moves; then drop it"
    )
    blind = TaskState(running=True, instruction="take it", sentence="")
    assert describe_task(blind) == "take it: running"
    over = TaskState(reason=TaskEnd.STUCK, sentence="the arm has not moved for 3 s")
    assert describe_task(over) == "stuck: the arm has not moved for 3 s"
    assert describe_task(TaskState()) == "no task yet"


def test_silence_is_said():
    assert "nothing heard" in describe_safety(None)
    assert "nothing heard" in describe_bridge(None)
    assert "nothing heard" in describe_status(None, 0.0)
