"""Steps lie on the clock of the trajectory, in the order of the model, inside its limits."""

from __future__ import annotations

import numpy as np
import pytest

from testing.tools import START, at_rest, make_chunk, pendulum
from wam_ros.core.types import Decision, Reason
from wam_ros.robot.model import load_safety_model
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.waypoints import SHORT_M, SHORT_RAD, make_seam
from wam_ros.safety.params import SafetyParams


@pytest.fixture
def seam(model, home):
    """What is made of steps (n, 8) [rad, m] under any names, so many ms old when it begins."""
    bounds = make_bounds(model, SafetyParams(), at_rest(home))

    def make(q, age_ms: float = 110, names=model.joint_names, **more):
        chunk = make_chunk(names, q, age=round(age_ms * 1e6), **more)
        return make_seam(chunk, START, at_rest(home), bounds)

    return make


def test_steps_lie_on_the_clock_of_the_trajectory(seam, home):
    way = seam(np.tile(home, (4, 1)), age_ms=250, period=0.1).way
    assert way.times() == pytest.approx([-0.15, -0.05, 0.05, 0.15])


@pytest.mark.parametrize(
    ("age_ms", "due"), [(0, 0), (99, 0), (100, 1), (101, 1), (250, 2), (-500, 0)]
)
def test_the_first_step_that_is_due_is_the_first_after_the_start(seam, home, age_ms, due):
    assert seam(np.tile(home, (4, 1)), age_ms=age_ms).first_due == due


def test_joints_come_in_the_order_of_the_model_whatever_their_own(seam, model, home):
    rng = np.random.default_rng(0)
    q = home + rng.uniform(-0.01, 0.01, (4, 8)) * np.r_[np.ones(7), 0]
    order = rng.permutation(8)
    names = tuple(model.joint_names[k] for k in order)
    other = seam(q[:, order], names=names, velocities=q[:, order])
    assert np.array_equal(other.way.q, seam(q).way.q)
    assert np.array_equal(other.way.dq, q)
    assert np.array_equal(other.start.q, home)


def test_a_chunk_without_velocities_has_none(seam, home):
    assert seam(np.tile(home, (4, 1))).way.dq is None


@pytest.mark.parametrize("joint", [0, 7])
@pytest.mark.parametrize("side", ["lower", "upper"])
def test_a_step_a_little_outside_is_moved_inside_and_the_farthest_is_told(
    seam, model, home, joint, side
):
    params = SafetyParams()
    sliding = model.sliding[joint]
    clamp, short = (params.clamp_m, SHORT_M) if sliding else (params.clamp_rad, SHORT_RAD)
    margin, out = params.margin(sliding), 1 if side == "upper" else -1
    limit = getattr(model.limits, side)[joint] - out * margin
    q = np.tile(home, (4, 1))
    q[1, joint] = limit + 0.5 * out * clamp
    q[3, joint] = limit + 0.9 * out * clamp
    found = seam(q)
    assert found.way.q[[1, 3], joint] == pytest.approx(limit - out * short)
    assert (found.clamped.reason, found.clamped.step) == (Reason.POSITION, 3)
    assert found.clamped.joint == model.joint_names[joint]
    assert found.clamped.measured == q[3, joint]
    assert "to its limit at step 3" in found.clamped.words


def test_a_step_far_outside_stays_where_it_is_for_the_check_of_positions(seam, home):
    q = np.tile(home, (4, 1))
    q[2, 0] = 3.1
    found = seam(q)
    assert found.way.q[2, 0] == 3.1
    assert found.clamped is None


def test_rounding_at_a_limit_is_not_told(seam, home):
    q = np.tile(home, (4, 1))
    q[:, 7] = 0.04
    assert seam(q).clamped is None


LIMIT = '<limit effort="50" velocity="2"/>'


@pytest.fixture
def endless(tmp_path):
    return SafetyFilter(load_safety_model(pendulum(tmp_path, joint=LIMIT, kind="continuous")))


@pytest.mark.parametrize("turns", [-3, 0, 5])
@pytest.mark.parametrize("age", [0, 250_000_000])
def test_a_chunk_that_wraps_is_the_same_motion_as_one_that_does_not(endless, turns, age):
    start = np.array([3.05 + 2 * np.pi * turns])
    plain = start + np.outer(np.arange(1, 9) - age / 1e8, [0.03])
    wrapped = (plain + np.pi) % (2 * np.pi) - np.pi
    assert np.abs(np.diff(wrapped, axis=0)).max() > 6
    answers = [
        endless.filter(make_chunk(("hinge",), q, age=age), at_rest(start), START)
        for q in (plain, wrapped)
    ]
    assert [a.decision for a in answers] == [Decision.PASS] * 2, answers[1].sentence
    assert np.allclose(answers[0].trajectory.q, answers[1].trajectory.q, atol=1e-9)


def test_a_jump_that_is_no_whole_turn_is_still_one(endless):
    q = np.array([3.0, 3.05, 3.1, -2.0])[:, None]
    verdict = endless.filter(make_chunk(("hinge",), q, age=0), at_rest([2.95]), START)
    assert verdict.decision != Decision.PASS
    assert verdict.steps_accepted < 4


def test_a_joint_with_limits_is_not_unwrapped(tmp_path):
    limited = '<limit lower="-4" upper="4" effort="50" velocity="2"/>'
    safety = SafetyFilter(load_safety_model(pendulum(tmp_path, joint=limited)))
    q = np.array([3.1, 3.13, -3.12, -3.1])[:, None]
    verdict = safety.filter(make_chunk(("hinge",), q, age=0), at_rest([3.07]), START)
    assert verdict.steps_accepted < 3
