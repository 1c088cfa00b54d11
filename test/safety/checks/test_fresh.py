"""A chunk of another time, or from images of another time, is refused."""

from __future__ import annotations

import dataclasses

import pytest

from testing.tools import START
from wam_ros.core.types import Reason

from .conftest import judge


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"anchor_ns": START - 10 * 10**9}, Reason.STALE),
        ({"anchor_ns": START + 10**9}, Reason.FUTURE),
        ({"anchor_ns": START - 800_000_001}, Reason.STALE),
        ({"observation_ns": START - 10 * 10**9}, Reason.CAMERA_STALE),
        ({"observation_ns": START + 10 * 10**9}, Reason.CAMERA_STALE),
    ],
)
def test_a_chunk_of_another_time_is_refused(panda, home, good, change, reason):
    assert judge(panda, home, dataclasses.replace(good, **change)).reasons == reason
