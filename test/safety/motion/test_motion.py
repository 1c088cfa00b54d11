"""Bounds between samples hold; paths begin in the commanded state and stay inside what they
promise.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import BPoly

from testing.tools import at_rest, pendulum, tool_pose
from wam_ros.core.types import Commanded, Reason
from wam_ros.robot.model import load_safety_model
from wam_ros.robot.obstacles import Obstacle
from wam_ros.safety.checks import environment, self_collision, tcp_speed, workspace
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.clearance import prove_clearance
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.motion.path import Waypoints, make_motion
from wam_ros.safety.motion.stopper import Stopper
from wam_ros.safety.params import SafetyParams

DT = 0.01


def random_motion(seed: int, n: int = 6, joints: int = 3) -> Motion:
    rng = np.random.default_rng(seed)
    return Motion(0.05, *(rng.normal(size=(n, joints)) * s for s in (1.0, 5.0, 50.0)))


def dense(motion: Motion, order: int) -> np.ndarray:
    """(N - 1, 50, A) values inside every interval, by another library."""
    t = np.arange(len(motion)) * motion.dt
    curve = BPoly.from_derivatives(t, np.stack((motion.q, motion.dq, motion.ddq), axis=1))
    inner = t[:-1, None] + np.linspace(1e-9, 1 - 1e-9, 50) * motion.dt
    return curve(inner, order) if order else curve(inner)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.integers(0, 3))
def test_no_instant_is_beyond_the_peak_of_its_interval(seed, order):
    motion = random_motion(seed)
    found = np.abs(dense(motion, order)).max(axis=1)
    most = motion.peaks[order - 1] if order else np.abs(motion.bezier).max(axis=0)
    assert (found <= most * (1 + 1e-6) + 1e-9).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_no_joint_travels_farther_than_its_bound(seed):
    motion = random_motion(seed)
    path = np.abs(np.diff(dense(motion, 0), axis=1)).sum(axis=1)
    assert (path <= np.diff(motion.travelled, axis=0) + 1e-9).all()


def test_a_position_inside_an_interval_is_the_quintic(model):
    motion = random_motion(3)
    assert np.allclose(motion.at(2, 0.5), dense(motion, 0)[2, 24:26].mean(axis=0), atol=1e-3)


def test_pieces_are_not_joined(model):
    motion = Motion(DT, *np.zeros((3, 6, 2)), starts=(0, 4))
    assert list(motion.inside) == [True, True, True, False, True]
    assert motion.piece_ends() == [(0, 3), (4, 5)]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), age=st.floats(-0.1, 0.6), scale=st.floats(1, 3))
def test_a_path_begins_in_the_commanded_state_to_the_last_bit(model, home, seed, age, scale):
    rng = np.random.default_rng(seed)
    start = Commanded(home, rng.normal(size=8) * 0.1, rng.normal(size=8))
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
    start = Commanded(
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
            state = Commanded(*(_derivative(smooth, now, home, d) for d in range(3)))
        motion = make_motion(Waypoints(t[0] - now, 0.1, smooth(t, home)), state, bounds, 1.0)
        row = 10
        state = Commanded(motion.q[row], motion.dq[row], motion.ddq[row])
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


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_no_tool_is_faster_between_samples_than_what_is_measured(model, home, seed):
    motion = random_motion(seed, joints=8)
    bounds = make_bounds(model, SafetyParams(tcp_speed=0.01), at_rest(home))
    measure = tcp_speed.CHECK.look(motion, bounds)
    q, dq = (dense(motion, order).reshape(-1, 8) for order in (0, 1))
    speed = np.linalg.norm(model.tool_motion(q, dq)[1], axis=1).reshape(len(motion) - 1, -1)
    assert (speed.max(axis=1) <= measure.measured[1:] + 1e-9).all()


def test_a_steady_turn_is_as_fast_as_it_is_and_a_jump_within_an_interval_is_not_slow(model, home):
    bounds = make_bounds(model, SafetyParams(tcp_speed=0.1), at_rest(home))
    radius = np.linalg.norm(tool_pose(model, home).translation[:2])
    turn = np.eye(8)[0] * 0.01  # rad per sample
    q = home + np.outer(np.arange(5), turn)
    steady = Motion(DT, q, np.tile(turn / DT, (5, 1)), 0 * q)
    assert tcp_speed.CHECK.look(steady, bounds).measured == pytest.approx(
        0.01 / DT * radius, rel=1e-3
    )
    jump = Motion(DT, q[:2], 0 * q[:2], 0 * q[:2])
    # in the middle of the quintic
    assert tcp_speed.CHECK.look(jump, bounds).measured[1] >= 15 / 8 * 0.01 / DT * radius


def test_a_slower_path_meets_the_same_steps_later(model, home):
    t = np.arange(1, 9) * 0.1
    way = Waypoints(t[0], 0.1, smooth(t, home))
    start = at_rest(home)
    bounds = make_bounds(model, SafetyParams(), start)
    motion = make_motion(way, start, bounds, 2.0)
    rows = np.round(2 * t[4:] / DT).astype(int)
    assert np.allclose(motion.q[rows], way.q[4:], atol=1e-3)


@pytest.mark.parametrize("synchronised", [True, False])
def test_a_stop_takes_the_time_of_its_limits(model, home, synchronised):
    params = SafetyParams()
    start = Commanded(home, np.eye(8)[0] * 1.0, np.zeros(8))
    bounds = make_bounds(model, params, start)
    rows = Stopper(8).stop(start, bounds, synchronised)
    a = bounds.joints.acceleration[0] * params.stop_fraction
    assert (rows.shape[1] - 1) * DT == pytest.approx(1.0 / a + params.stop_jerk_s, abs=DT)
    assert np.all(rows[1:, -1] == 0)
    assert rows[0, -1, 0] - home[0] == pytest.approx((1.0 / a + params.stop_jerk_s) / 2, abs=1e-3)


def test_there_is_no_stop_from_a_state_that_is_not_finite(model, home):
    bounds = make_bounds(model, SafetyParams(), at_rest(home))
    assert Stopper(8).stop(Commanded(home, home * np.nan, home * 0), bounds) is None


def test_stops_planned_together_are_those_planned_alone(model, home):
    bounds = make_bounds(model, SafetyParams(), at_rest(home))
    states = np.random.default_rng(0).normal(size=(4, 3, 8)) * 0.2
    states[2, 1, 3] = np.nan
    rows, counts = Stopper(8).stops(states, bounds)
    assert [count > 0 for count in counts] == [True, True, False, True]
    for k, end in enumerate(counts.cumsum()):
        alone = Stopper(8).stop(Commanded(*states[k]), bounds)
        assert (alone is None) if k == 2 else np.array_equal(alone, rows[:, end - counts[k] : end])


def swing(model, home, dt: float = 0.1) -> Motion:
    """A fast turn about the base, of which only the ends are samples."""
    far = home + np.r_[1.0, np.zeros(7)]
    return Motion(dt, np.stack((home, far)), np.zeros((2, 8)), np.zeros((2, 8)))


def test_a_plate_between_two_free_samples_is_found(model, home):
    """Thin enough to stand between the samples; every sample is far from it."""
    middle = tool_pose(model, home + np.r_[0.5, np.zeros(7)]).translation
    plate = Obstacle(
        "box", (0.3, 0.004, 0.3), tuple(middle), (np.cos(0.25), 0.0, 0.0, np.sin(0.25)), 0.002
    )
    bare = load_safety_model(model.embodiment, "empty")
    motion = swing(bare, home)
    assert not environment.CHECK.look(
        motion, make_bounds(bare, SafetyParams(), at_rest(home))
    ).bad.any()
    bare.set_obstacles({"plate": plate})
    assert all(bare.distances(q).min() > 0.02 for q in motion.q)
    measure = environment.CHECK.look(motion, make_bounds(bare, SafetyParams(), at_rest(home)))
    assert measure.bad[1]
    assert measure.reason == Reason.ENV_COLLISION


def test_a_ball_on_the_arc_is_found_wherever_it_lies(tmp_path):
    """One link whose reach is nearly what its body really moves; sampled finely, its march must not
    jump the ball.
    """
    arm = load_safety_model(pendulum(tmp_path))
    q = np.linspace(0, 1, 101)[:, None]
    motion = Motion(DT, q, np.full_like(q, 1.0), np.zeros_like(q))
    for angle in np.linspace(0.3, 0.9, 13):
        place = 0.5 * np.array([np.cos(angle), 0.0, -np.sin(angle)])
        arm.set_obstacles({"ball": Obstacle("sphere", (0.01,), tuple(place), clearance=0.002)})
        measure = environment.CHECK.look(
            motion, make_bounds(arm, SafetyParams(), at_rest(np.zeros(1)))
        )
        touch = angle - 2 * np.arcsin(0.062 / 2 / 0.5)
        assert int(measure.bad.argmax()) == pytest.approx(touch * 100, abs=1.5)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_what_is_called_clear_is_clear_at_every_instant(balls, seed):
    """Random fast motion among many small balls, looked at a hundred times finer."""
    rng = np.random.default_rng(seed)
    q0 = balls.random_q(1, seed)[0]
    if balls.distances(q0).min() < 0.01:
        return
    ends = np.stack((q0, q0 + rng.normal(size=8) * np.where(balls.sliding, 0.005, 0.15)))
    motion = Motion(0.1, ends, rng.normal(size=(2, 8)) * 0.05, np.zeros((2, 8)))
    bounds = make_bounds(balls, SafetyParams(), at_rest(q0))
    clear = not (
        environment.CHECK.look(motion, bounds).bad.any()
        or self_collision.CHECK.look(motion, bounds).bad.any()
    )
    least = np.min([balls.distances(motion.at(0, u)) for u in np.linspace(0, 1, 101)], axis=0)
    truly = bool((least >= np.where(balls.pairs.world, balls.pairs.clearance, 0.005)).all())
    assert truly or not clear
    if (least >= bounds.distances.clearance + 0.01).all():
        assert clear, "and what is clear by a centimetre is called so"


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_what_a_proof_tells_of_other_samples_is_never_more_than_the_distance_there(balls, seed):
    """The stops rely on it: where it proves them clear, nothing is computed again."""
    rng = np.random.default_rng(seed)
    q = (
        np.cumsum(rng.normal(size=(12, 8)) * np.where(balls.sliding, 1e-4, 0.01), axis=0)
        + balls.random_q(1, seed)[0]
    )
    motion = Motion(0.1, q, rng.normal(size=(12, 8)) * 0.05, rng.normal(size=(12, 8)) * 0.1)
    bounds = make_bounds(balls, SafetyParams(), at_rest(q[0]))
    prove_clearance(motion, bounds.distances)
    samples = rng.integers(0, 12, 5)
    least, truly = (
        bounds.distances.proofs[0].least_at(samples),
        np.array([balls.distances(q[s]) for s in samples]).T,
    )
    assert least.shape == truly.shape
    assert (least <= truly + 1e-4).all(), "but for the error of a computed distance"
    assert np.isfinite(least).all()


@pytest.fixture(scope="module")
def balls(model):
    crowd = load_safety_model(model.embodiment, "empty")
    rng = np.random.default_rng(4)
    places = rng.uniform((-0.6, -0.6, 0.1), (0.8, 0.6, 1.1), (25, 3))
    crowd.set_obstacles(
        {f"ball{k}": Obstacle("sphere", (0.02,), tuple(p)) for k, p in enumerate(places)}
    )
    return crowd


def test_the_workspace_is_kept_between_samples_too(model, home):
    """The tool leaves a box on the outside of its arc although both samples are inside."""
    a, b = (tool_pose(model, home + np.r_[s, np.zeros(7)]).translation for s in (-0.5, 0.5))
    box = (-1.0, -1.0, -1.0, max(a[0], b[0]) + 0.01, 1.0, 1.0)
    start = home + np.r_[-0.5, np.zeros(7)]
    motion = Motion(
        0.1, np.stack((start, home + np.r_[0.5, np.zeros(7)])), np.zeros((2, 8)), np.zeros((2, 8))
    )
    bounds = make_bounds(model, SafetyParams(workspace=box), at_rest(start))
    assert workspace.CHECK.look(motion, bounds).bad[1]
    wide = make_bounds(
        model, SafetyParams(workspace=(-1.0, -1.0, -1.0, 1.0, 1.0, 1.0)), at_rest(start)
    )
    slow = Motion(0.1, motion.q[:1].repeat(2, axis=0), motion.dq, motion.ddq)
    assert not workspace.CHECK.look(slow, wide).bad.any()
