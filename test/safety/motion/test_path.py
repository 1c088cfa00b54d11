"""Paths begin in the commanded state, meet the steps and stay inside what they promise."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.motions import DT
from testing.tools import at_rest
from wam_ros.core.types import KinematicState
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.path import make_motion
from wam_ros.safety.motion.waypoints import Waypoints
from wam_ros.safety.params import SafetyParams


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), age=st.floats(-0.1, 0.6), scale=st.floats(1, 3))
def test_a_path_begins_in_the_commanded_state_to_the_last_bit(model, home, seed, age, scale):
    rng = np.random.default_rng(seed)
    start = KinematicState(home, rng.normal(size=8) * 0.1, rng.normal(size=8))
    way = Waypoints(0.1 - age, 0.1, home + rng.normal(size=(8, 8)) * 0.05)
    motion = make_motion(way, start, make_bounds(model, SafetyParams(), start), scale)
    assert np.array_equal(motion.q[0], start.q)
    assert np.array_equal(motion.dq[0], start.dq)
    assert np.array_equal(motion.ddq[0], start.ddq)
    assert (len(motion) - 1) * DT >= (way.times()[-1]) * scale - 1e-6


def smooth(t: np.ndarray, home: np.ndarray) -> np.ndarray:
    return home + np.outer(np.sin(0.8 * t), [0.2, 0.1, 0.1, -0.1, 0.1, 0.1, 0.1, 0.0])


def test_a_calm_chunk_is_met_exactly_at_its_steps(model, home):
    t = np.arange(1, 9) * 0.1 - 0.05
    start = KinematicState(
        smooth(np.zeros(1), home)[0],
        0.8 * np.array([0.2, 0.1, 0.1, -0.1, 0.1, 0.1, 0.1, 0]),
        np.zeros(8),
    )
    motion = make_motion(
        Waypoints(t[0], 0.1, smooth(t, home)), start, make_bounds(model, SafetyParams(), start), 1.0
    )
    after = [k for k in range(8) if t[k] > 0.3]
    rows = np.round(t[after] / DT).astype(int)
    assert np.allclose(motion.q[rows], smooth(t[after], home), atol=1e-9)


def test_a_stream_that_agrees_leaves_no_trace(model, home):
    """Chunks cut from one smooth path and taken at odd instants: what comes out is that path."""
    bounds = make_bounds(model, SafetyParams(), at_rest(home))
    now, state = 0.3, None
    for _ in range(12):
        anchor = np.floor(now * 10) / 10 - 0.1
        t = anchor + 0.1 * np.arange(1, 9)
        if state is None:
            state = KinematicState(*(_derivative(smooth, now, home, d) for d in range(3)))
        motion = make_motion(Waypoints(t[0] - now, 0.1, smooth(t, home)), state, bounds, 1.0)
        row = 10
        state = motion[row]
        now += row * DT
        assert (
            np.abs(motion.q[: row + 1] - smooth(now - 0.1 + np.arange(row + 1) * DT, home)).max()
            < 2e-4
        )
        assert np.abs(state.ddq - _derivative(smooth, now, home, 2)).max() < 0.05


def _derivative(f, t: float, home: np.ndarray, order: int) -> np.ndarray:
    h = 1e-3
    a, b, c = f(np.array([t - h, t, t + h]), home)
    return (b, (c - a) / (2 * h), (a - 2 * b + c) / h**2)[order]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_beside_a_limit_no_path_of_steps_inside_leaves_it(model, home, seed):
    """Fingers that are commanded between almost open and open, with noise, never open too far."""
    rng = np.random.default_rng(seed)
    way = Waypoints(rng.uniform(-0.3, 0.1), 0.1, np.tile(home, (8, 1)))
    way.q[:, 7] = rng.uniform(0.036, 0.04, 8)
    start = at_rest(np.r_[home[:7], rng.choice([0.04, 0.038])])
    motion = make_motion(way, start, make_bounds(model, SafetyParams(), start), 1.0)
    assert motion.bezier[..., 7].max() <= 0.04 + 1e-9


def test_a_slower_path_meets_the_same_steps_later(model, home):
    t = np.arange(1, 9) * 0.1
    way = Waypoints(t[0], 0.1, smooth(t, home))
    start = at_rest(home)
    bounds = make_bounds(model, SafetyParams(), start)
    motion = make_motion(way, start, bounds, 2.0)
    rows = np.round(2 * t[4:] / DT).astype(int)
    assert np.allclose(motion.q[rows], way.q[4:], atol=1e-3)
