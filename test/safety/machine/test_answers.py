"""What an operator is told: the state, why it is that, and what to do next."""

from __future__ import annotations

import pytest

from testing.rig import Rig
from wam_ros.core.types import Reason, SafetyState
from wam_ros.core.words import STATES
from wam_ros.safety.machine.answers import state_in_words

S = SafetyState


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (S.DISABLED, "disabled"),
        (S.SHADOW, "waiting for the joint state"),
        (S.HOLD, "held: a cause; arm to move"),
        (S.ARMED, "armed, waiting for a chunk: a cause"),
        (S.FAULT, "fault: a cause; reset, then arm"),
        (S.ESTOP, "emergency stop: a cause; reset, then arm"),
    ],
)
def test_a_state_is_told_with_its_cause_and_the_way_out(panda, home, state, words):
    rig = Rig(panda, home).held()
    rig.machine.brakes.settle(state, Reason.WATCHDOG, "a cause")
    assert state_in_words(rig.machine.brakes, False, rig.now) == words


def test_an_arm_that_may_not_stand_is_not_called_held(panda, home):
    rig = Rig(panda, home).held()
    rig.machine.brakes.settle(S.HOLD, Reason.WATCHDOG, "a cause")
    for why in ({"doubt": "it moves"}, {"released": "it moves"}):
        words = state_in_words(rig.machine.brakes, False, rig.now, **why)
        assert words == "not held: a cause; arm to move; it moves"
    said = state_in_words(rig.machine.brakes, False, rig.now, released="a cause")
    assert said == "not held: a cause; arm to move", "said once"


def test_without_a_cause_there_is_no_colon(panda, home):
    rig = Rig(panda, home).held()
    rig.machine.brakes.settle(S.HOLD, Reason.NONE, "")
    assert state_in_words(rig.machine.brakes, False, rig.now) == "held; arm to move"


def test_a_dry_run_says_that_nothing_is_emitted(panda, home):
    rig = Rig(panda, home, dry_run=True).held()
    assert rig.state == S.SHADOW
    assert state_in_words(rig.machine.brakes, True, rig.now) == "dry run, nothing is emitted"


def test_armed_it_says_how_long_the_plan_still_lasts(panda, home):
    rig = Rig(panda, home).moving()
    left = (rig.machine.brakes.accepted_ns - rig.now) / 1e9
    words = state_in_words(rig.machine.brakes, False, rig.now)
    assert words == f"armed, {left:.2f} s of plan left"
    assert 0 < left < 1


def test_there_are_words_for_every_state(panda, home):
    rig = Rig(panda, home).held()
    said = set()
    for state in set(S) - {S.UNKNOWN}:
        rig.machine.brakes.state = state
        said.add(state_in_words(rig.machine.brakes, False, rig.now))
    assert len(said) == len(S) - 1


@pytest.mark.parametrize("state", [S.DISABLED, S.HOLD, S.BRAKING, S.FAULT, S.ESTOP])
def test_who_asks_for_what_a_state_refuses_is_told_what_it_is_called(panda, home, state):
    rig = Rig(panda, home).brought_to(state)
    refused = [rig.machine.hand_over(b"b" * 16, rig.now)]
    if STATES[state].unarmed:
        refused.append(rig.machine.arm(True, rig.now))
    for answer in refused:
        assert not answer.ok
        assert f": {STATES[state].label}" in answer.message
