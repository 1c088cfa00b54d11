"""One safety node commands; two that speak at once are named."""

import pytest

from wam_ros.bridge.masters import LONGEST, MOST, Masters
from wam_ros.core.types import NS


@pytest.fixture
def masters():
    return Masters(0.3)


def test_one_that_speaks_is_followed(masters):
    assert all(masters.hear("a", k * NS) for k in range(5))
    assert masters.why_not_one == ""


def test_the_first_stays_the_one_and_both_are_named(masters):
    for k in range(5):
        assert masters.hear("a", k * NS // 10)
        assert not masters.hear("b", k * NS // 10 + 1)
    assert masters.why_not_one == "2 safety nodes speak at once: a, b; end all but one"


def test_who_was_silent_for_longer_than_the_patience_is_gone_and_its_successor_followed(masters):
    masters.hear("a", 0)
    assert not masters.hear("b", round(0.3 * NS))
    assert masters.hear("b", round(0.31 * NS))
    assert masters.why_not_one == ""


def test_who_comes_back_to_its_place_is_one_too_many(masters):
    masters.hear("a", 0)
    masters.hear("b", NS)
    assert not masters.hear("a", NS + 1)
    assert masters.why_not_one


def test_any_number_of_any_names_is_bounded(masters):
    for k in range(1000):
        masters.hear(f"{k}" + "x" * 10_000, k)
    assert len(masters.why_not_one) < MOST * (LONGEST + 2) + 100
    assert masters.hear("0" + "x" * 10_000, 1001)


def test_messages_without_a_name_are_of_one_sender(masters):
    assert masters.hear("", 0) and masters.hear("", 1)
    assert masters.why_not_one == ""
    assert not masters.hear("a", 2)
