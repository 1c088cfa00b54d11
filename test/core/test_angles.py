"""Wrapped angles are the same poses: what is unwrapped differs by whole turns only."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wam_ros.core.angles import TURN, nearest_turn, unwrap_towards

ENDLESS = np.array([True, False])


def wrapped(q: np.ndarray) -> np.ndarray:
    return np.where(ENDLESS, (q + np.pi) % TURN - np.pi, q)


@given(
    start=st.floats(-40, 40),
    rate=st.floats(-2.9, 2.9),
    n=st.integers(1, 20),
    row=st.integers(0, 19),
)
def test_a_path_that_was_wrapped_is_the_path_again(start, rate, n, row):
    path = np.array([start, 0.3]) + np.outer(np.arange(n), [rate, 5.0])
    row = min(row, n - 1)
    found = unwrap_towards(wrapped(path), path[row] + [0.2, 9.0], ENDLESS, row)
    assert np.allclose(found, path, atol=1e-9)


@given(q=st.floats(-50, 50), reference=st.floats(-50, 50))
def test_the_nearest_turn_is_the_same_pose_and_at_most_half_a_turn_away(q, reference):
    found = nearest_turn(np.array([q, q]), np.array([reference, reference]), ENDLESS)
    assert abs(found[0] - reference) <= np.pi + 1e-9
    assert np.isclose(np.cos(found[0] - q), 1.0)
    assert found[1] == q


def test_a_joint_that_does_not_turn_without_end_is_left_alone():
    path = np.array([[3.1], [-3.1]])
    assert unwrap_towards(path, np.array([3.1]), np.array([False]), 0) is path
