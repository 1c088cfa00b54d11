"""Every state, decision and reason has words of its own, in one place."""

import string

import pytest

from wam_ros.core.types import Decision, Forwarding, Reason, SafetyState
from wam_ros.core.words import (
    BRIDGE,
    DECISIONS,
    REASONS,
    STATES,
    describe_reasons,
    describe_state,
)

GIVEN = {
    "scale": 1.5,
    "accepted": 3,
    "total": 8,
    "why": "a cause",
    "slowed": "",
    "stop_s": 0.4,
    "end": "stops",
}


@pytest.mark.parametrize(
    ("table", "members"),
    [
        (STATES, set(SafetyState)),
        (DECISIONS, set(Decision)),
        (REASONS, set(Reason) - {Reason.NONE}),
        (BRIDGE, set(Forwarding)),
    ],
)
def test_every_member_has_words_and_no_two_the_same(table, members):
    assert set(table) == members
    assert len(set(table.values())) == len(members)


@pytest.mark.parametrize("decision", Decision)
def test_what_a_decision_puts_in_its_words_is_what_is_known_of_an_answer(decision):
    words = DECISIONS[decision]
    for text in words:
        fields = {name for _, name, _, _ in string.Formatter().parse(text) if name}
        assert fields <= GIVEN.keys()
        assert "{" not in text.format(**GIVEN)
    assert ("why" in words.sentence) == (decision not in (Decision.UNKNOWN, Decision.PASS))


def test_a_state_that_a_person_must_leave_says_how_and_why_it_is_that():
    assert describe_state(SafetyState.FAULT, "a cause") == "fault: a cause; reset, then arm"
    assert describe_state(SafetyState.HOLD) == "held; arm to move"
    assert describe_state(SafetyState.BRAKING, "a cause") == "braking: a cause"


@pytest.mark.parametrize("table", [STATES, BRIDGE])
def test_a_label_is_short_and_is_that_of_one_state(table):
    labels = [words.label for words in table.values()]
    assert len(set(labels)) == len(labels)
    assert all(len(label.split()) <= 4 for label in labels)
    assert {s for s, w in BRIDGE.items() if not w.label} == {Forwarding.FORWARDING}


def test_who_wants_to_arm_is_told_in_every_state_from_which_that_is_refused():
    refused = {s for s, words in STATES.items() if words.unarmed}
    assert refused == set(SafetyState) - {SafetyState.UNKNOWN, SafetyState.HOLD, SafetyState.ARMED}


def test_reasons_are_told_lowest_bit_first_and_none_is_empty():
    both = Reason.ESTOP | Reason.VELOCITY
    assert describe_reasons(both) == "velocity, emergency stop"
    assert describe_reasons(Reason.NONE) == ""
