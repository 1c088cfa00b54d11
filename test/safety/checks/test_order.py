"""Chunks of one session come one after another."""

from __future__ import annotations

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


@pytest.mark.parametrize("stream", [None, Stream(b"a" * 16, 2, 4), Stream(b"a" * 16, 1, 99)])
def test_the_next_chunk_of_a_session_is_taken(panda, home, good, stream):
    assert panda.filter(good, at_rest(home), START, stream=stream).decision == Decision.PASS
