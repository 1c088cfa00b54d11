"""Chunks of one session come one after another."""

from __future__ import annotations

import dataclasses

import pytest

from testing.tools import START, at_rest
from wam_ros.core.types import Decision, Reason
from wam_ros.safety.message import Stream

from .conftest import judge


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (Stream(b"b" * 16, 0, 0), Reason.SESSION),
        (Stream(b"a" * 16, 3, 0), Reason.REORDER),
        (Stream(b"a" * 16, 2, 5), Reason.REORDER),
        (Stream(b"a" * 16, 2, 6), Reason.REORDER),
    ],
)
def test_a_chunk_out_of_order_is_refused(panda, home, good, stream, reason):
    assert judge(panda, home, good, stream=stream).reasons == reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seq": 2**64 - 1}, "sequence number 18446744073709551615 after 4 leaps by more than 100"),
        ({"seq": 105}, "sequence number 105 after 4 leaps by more than 100"),
        ({"epoch": 2**32 - 1}, "epoch 4294967295 after 2 leaps by more than 1000"),
        ({"epoch": 3, "seq": 2**64 - 1}, "sequence number 18446744073709551615 after 4"),
    ],
)
def test_a_number_that_leaps_is_refused_or_it_would_lock_out_all_that_follow(
    panda, home, good, changes, words
):
    stream = Stream(b"a" * 16, 2, 4, START)
    verdict = judge(panda, home, dataclasses.replace(good, **changes), stream=stream)
    assert verdict.reasons == Reason.REORDER
    assert words in verdict.sentence
    assert "arm again, at rest" in verdict.sentence


def test_numbers_that_were_lost_or_refused_for_a_while_are_no_leap(panda, home, good):
    for changes, taken_ns in (
        ({"seq": 104}, START),
        ({"seq": 60_004}, START - 60 * 10**9),
        ({"epoch": 1002}, START),
    ):
        stream = Stream(b"a" * 16, 2, 4, taken_ns)
        chunk = dataclasses.replace(good, **changes)
        verdict = panda.filter(chunk, at_rest(home), START, stream=stream)
        assert verdict.decision == Decision.PASS


@pytest.mark.parametrize("stream", [None, Stream(b"a" * 16, begun=False)])
@pytest.mark.parametrize("largest", [{"seq": 2**64 - 1}, {"epoch": 2**32 - 1}])
def test_a_first_chunk_leaves_room_to_count_on(panda, home, good, stream, largest):
    verdict = judge(panda, home, dataclasses.replace(good, **largest), stream=stream)
    assert verdict.reasons == Reason.REORDER
    assert "begin with 0" in verdict.sentence


def test_the_first_chunk_of_a_session_may_not_be_older_than_what_it_was_handed_over_for(
    panda, home, good
):
    chunk = dataclasses.replace(good, epoch=2)
    now = Stream(b"a" * 16, 2, begun=False)
    assert panda.filter(chunk, at_rest(home), START, stream=now).decision == Decision.PASS
    later = Stream(b"a" * 16, 3, begun=False)
    assert judge(panda, home, chunk, stream=later).reasons == Reason.REORDER


@pytest.mark.parametrize("stream", [None, Stream(b"a" * 16, 2, 4), Stream(b"a" * 16, 1, 99)])
def test_the_next_chunk_of_a_session_is_taken(panda, home, good, stream):
    assert panda.filter(good, at_rest(home), START, stream=stream).decision == Decision.PASS
