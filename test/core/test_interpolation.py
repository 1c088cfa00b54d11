"""Curves meet their knots and stay what they are between them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_ros.core.interpolation import Curve, evaluate, segment_coefficients
from wam_ros.core.types import NS, MotionTable, SafeTrajectory

finite = st.floats(-10, 10)


@given(st.lists(finite, min_size=6, max_size=6), st.floats(0.01, 10), st.sampled_from([1, 3, 5]))
def test_a_segment_meets_both_knots_in_every_derivative_it_promises(values, duration, degree):
    q, dq, ddq = np.array(values).reshape(3, 2, 1)
    c = segment_coefficients(np.array([0.0, duration]), MotionTable(q, dq, ddq), degree)[0]
    near, far = evaluate(c, 0.0), evaluate(c, duration)
    for order, knot in enumerate((q, dq, ddq)[: (degree + 1) // 2]):
        tolerance = 1e-9 * max(1, duration**2) / min(1, duration**order)
        assert near[order][0] == pytest.approx(knot[0, 0], abs=tolerance)
        assert far[order][0] == pytest.approx(knot[1, 0], abs=tolerance)


@given(st.integers(0, 5), st.floats(0.05, 3))
def test_derivatives_agree_with_differences(power, s):
    c = np.zeros((6, 1))
    c[power] = 1.0
    h = 1e-5
    (before, *_), (_, slope, bend), (after, *_) = (evaluate(c, s + d) for d in (-h, 0.0, h))
    middle = evaluate(c, s)[0]
    assert slope[0] == pytest.approx((after[0] - before[0]) / (2 * h), rel=1e-6, abs=1e-6)
    assert bend[0] == pytest.approx(
        (after[0] - 2 * middle[0] + before[0]) / h**2, rel=1e-3, abs=1e-3
    )


def test_a_trajectory_is_held_at_both_ends_and_passes_its_samples():
    t = np.linspace(0, 1, 11)
    q = np.stack([np.sin(t), np.cos(t)], axis=1)
    dq = np.stack([np.cos(t), -np.sin(t)], axis=1)
    curve = Curve.from_trajectory(
        SafeTrajectory(start_ns=5 * NS, joint_names=("a", "b"), t=t, q=q, dq=dq, ddq=-q)
    )
    np.testing.assert_array_equal(curve.at(0).q, q[0])
    np.testing.assert_array_equal(curve.at(9 * NS).q, q[-1])
    np.testing.assert_allclose(
        curve.at(5 * NS + 300_000_000).arrays, (q[3], dq[3], -q[3]), atol=1e-12
    )
    np.testing.assert_allclose(
        curve.at(5 * NS + 350_000_000).q, [np.sin(0.35), np.cos(0.35)], atol=1e-9
    )
