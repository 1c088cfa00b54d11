"""A value that is no number is refused with its place, and so is a row that nobody predicted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from wam_ros.core.types import Reason

from .conftest import judge


def with_value(chunk, step: int, joint: int, value: float):
    q = chunk.positions.copy()
    q[step, joint] = value
    return dataclasses.replace(chunk, positions=q)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_value_that_is_no_position_is_refused_with_its_place(panda, home, good, value):
    verdict = judge(panda, home, with_value(good, 3, 2, value))
    assert verdict.reasons == Reason.NONFINITE
    assert (verdict.first.joint, verdict.first.step) == ("panda_joint3", 3)


def test_a_velocity_that_is_no_number_is_refused_too(panda, home, good):
    fast = dataclasses.replace(good, velocities=np.full((8, 8), np.nan))
    assert judge(panda, home, fast).reasons == Reason.NONFINITE


def test_rows_of_exact_zeros_are_what_a_missing_key_becomes(panda, home, good):
    q = good.positions.copy()
    q[5, :7] = 0.0
    verdict = judge(panda, home, dataclasses.replace(good, positions=q))
    assert verdict.reasons == Reason.SCHEMA
    assert verdict.first.step == 5
