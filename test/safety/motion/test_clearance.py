"""What is called clear of bodies is clear at every instant, not only at samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.motions import DT
from testing.tools import at_rest, pendulum, tool_pose
from wam_ros.core.types import Reason
from wam_ros.robot.model import load_safety_model
from wam_ros.robot.obstacles import Obstacle
from wam_ros.safety.checks import environment, self_collision
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.clearance import prove_clearance
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.params import SafetyParams


def swing(model, home, dt: float = 0.1) -> Motion:
    """A fast turn about the base, of which only the ends are samples."""
    far = home + np.r_[1.0, np.zeros(7)]
    return Motion(np.stack((home, far)), np.zeros((2, 8)), np.zeros((2, 8)), dt=dt)


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
    motion = Motion(q, np.full_like(q, 1.0), np.zeros_like(q), dt=DT)
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
    motion = Motion(ends, rng.normal(size=(2, 8)) * 0.05, np.zeros((2, 8)), dt=0.1)
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
    motion = Motion(q, rng.normal(size=(12, 8)) * 0.05, rng.normal(size=(12, 8)) * 0.1, dt=0.1)
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
