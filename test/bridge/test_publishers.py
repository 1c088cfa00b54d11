"""The messages of one publisher count, whatever others say of themselves."""

import pytest

from wam_ros.bridge.publishers import GHOST_NS, MOST, Endpoint, OnlyPublisher
from wam_ros.core.types import NS

SAFETY = Endpoint(b"a" * 16, "/safety_node")
COPY = Endpoint(b"b" * 16, "/safety_node")


@pytest.fixture
def only():
    """Of `/safe_trajectory`; the safety node is believed."""
    only = OnlyPublisher("/safe_trajectory")
    look(only, [SAFETY])
    assert only.why_not_believed(1, None) == ""
    return only


def look(only, endpoints, steady_ns=0, resting=True, silent=False, died=False):
    only.look(endpoints, steady_ns, resting=resting, silent=silent or died, died=died)


def test_before_anybody_is_known_nobody_is_believed():
    only = OnlyPublisher("/safe_trajectory")
    assert "has no publisher that is known yet" in only.why_not_believed(1, None)
    look(only, [])
    assert only.why_not_believed(1, None)


@pytest.mark.parametrize("resting", [True, False])
def test_beside_another_publisher_nobody_is_believed_and_both_are_named(only, resting):
    look(only, [SAFETY, COPY], resting=resting)
    words = only.why_not_believed(2, None)
    assert "/safe_trajectory has 2 publishers, one alone may speak there" in words
    assert SAFETY.gid.hex() in words and COPY.gid.hex() in words
    look(only, [SAFETY])
    assert only.why_not_believed(3, None) == ""


def test_two_that_were_there_before_are_both_not_believed():
    only = OnlyPublisher("/safe_trajectory")
    look(only, [SAFETY, COPY], silent=True)
    assert "2 publishers" in only.why_not_believed(1, None)


def test_a_message_that_does_not_continue_the_numbers_is_of_somebody_else(only):
    assert only.why_not_believed(5, None) == "", "lost ones are left out"
    for number in (1, 5):
        assert f"is number {number} after 5" in only.why_not_believed(number, None)
    assert only.why_not_believed(None, None) == "", "a middleware that does not number them"


def test_where_the_endpoint_of_a_message_is_told_it_must_be_that_which_is_followed(only):
    assert only.why_not_believed(2, SAFETY.gid) == ""
    assert COPY.gid.hex() in only.why_not_believed(3, COPY.gid)


def test_a_successor_is_followed_at_rest_only_and_from_its_first_number(only):
    look(only, [COPY], resting=False)
    assert "another publisher than the motion under way" in only.why_not_believed(2, None)
    look(only, [COPY])
    assert only.why_not_believed(1, None) == ""


def test_one_that_died_unnoticed_is_succeeded_and_if_it_stays_it_did_not_die(only):
    look(only, [SAFETY, COPY], silent=True)
    assert only.dispute and not only.contested, "it may only have been held up"
    look(only, [SAFETY, COPY], died=True, resting=False)
    assert only.dispute, "in motion"
    look(only, [SAFETY, COPY], died=True)
    assert only.dispute == ""
    assert only.why_not_believed(1, None) == ""
    look(only, [SAFETY, COPY], GHOST_NS - 1)
    assert only.dispute == ""
    look(only, [SAFETY, COPY], GHOST_NS)
    assert only.dispute and only.contested


def test_who_came_while_the_other_lived_never_succeeds_it_by_drowning_it_out(only):
    look(only, [SAFETY, COPY])
    assert only.contested
    for k in range(100):  # nobody is believed, so nobody is heard
        look(only, [SAFETY, COPY], k * NS, died=True)
        assert only.why_not_believed(10 + k, None)
    assert only.contested


def test_one_that_was_only_held_up_is_not_succeeded(only):
    look(only, [SAFETY, COPY], silent=True)
    assert only.why_not_believed(2, None)
    look(only, [SAFETY, COPY], died=True)
    assert only.dispute and only.contested


def test_one_that_died_and_is_gone_may_not_come_again_beside_its_successor(only):
    look(only, [SAFETY, COPY], died=True)
    look(only, [COPY], NS)
    look(only, [COPY, SAFETY], 2 * NS)
    assert only.dispute


def test_any_number_of_them_is_named_in_bounded_words(only):
    look(only, [Endpoint(bytes([k] * 16), "/n" * 20) for k in range(200)])
    assert "200 publishers" in only.dispute
    assert len(only.dispute) < 150 + MOST * 90
