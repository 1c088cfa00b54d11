"""One time scale for all joints before anything is cut: as slow as it must be, no slower, and what
no time scale helps is dropped from the end.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.hostile import random_path
from testing.tools import at_rest
from wam_ros.core.types import Reason
from wam_ros.safety.checks import load_checks
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.retime import Plan, make_plan, step_samples
from wam_ros.safety.motion.waypoints import Seam, Waypoints
from wam_ros.safety.params import SafetyParams

PARAMS = SafetyParams()


@pytest.fixture(scope="module")
def checks():
    return scalable()


def scalable():
    return [c for c in load_checks().motion.values() if c.power > 0]


def seam_of(q, home, bounds) -> Seam:
    """Steps (n, 8), the first of them due in 50 ms."""
    return Seam(
        way=Waypoints(0.05, 0.1, q),
        first_due=0,
        start=at_rest(home),
        joints=bounds.joints,
        params=bounds.params,
        clamped=None,
    )


def planned(model, home, q, checks, least_scale: float = 1.0, **params) -> Plan:
    """What becomes of steps (n, 8), the first of them due in 50 ms."""
    bounds = make_bounds(model, SafetyParams(**params), at_rest(home))
    return make_plan(seam_of(q, home, bounds), bounds, checks, least_scale)


def turning(home, *rates: float) -> np.ndarray:
    """(n, 8) steps of the first joint, rad each."""
    return home + np.outer(np.cumsum(rates), np.eye(8)[0])


def test_what_is_slow_enough_keeps_its_pace_and_all_its_steps(model, home, checks):
    plan = planned(model, home, turning(home, *[0.01] * 8), checks)
    assert (plan.scale, plan.n_steps, plan.reasons) == (1.0, 8, Reason.NONE)
    assert plan.slowed is None
    assert plan.cut is None


def test_what_is_too_fast_is_slowed_as_much_as_needed_and_not_much_more(model, home, checks):
    plan = planned(model, home, turning(home, 0.05, 0.1, *[0.25] * 8), checks)
    assert plan.n_steps == 10
    assert plan.slowed.reason == Reason.VELOCITY
    assert plan.slowed.joint == "panda_joint1"
    fastest = np.abs(plan.motion.dq).max()
    allowed = model.limits.velocity[0] * PARAMS.velocity_fraction
    assert 0.9 * allowed < fastest <= allowed


def test_it_begins_with_the_scale_that_is_asked_for(model, home, checks):
    q = turning(home, *[0.01] * 8)
    slow = planned(model, home, q, checks, least_scale=2.0)
    assert slow.scale == 2.0
    assert len(slow.motion) == pytest.approx(2 * len(planned(model, home, q, checks).motion), abs=2)


def test_what_would_be_slowed_too_much_loses_its_last_steps_and_says_by_which(model, home, checks):
    q = turning(home, 0.02, 0.06, 0.1, 0.14, 0.18, 0.22, 0.24, 0.24)
    whole = planned(model, home, q, checks)
    assert whole.n_steps == 8
    assert whole.scale > 1.05
    tight = planned(model, home, q, checks, max_time_scale=1.05)
    assert 3 <= tight.n_steps < 8
    assert (tight.cut.reason, tight.cut.joint) == (Reason.VELOCITY, "panda_joint1")
    assert tight.cut.step >= tight.n_steps
    assert tight.scale == 1.0, "and what is left is not slowed for what is gone"
    assert tight.slowed is None


@pytest.mark.parametrize("step", [1, 2, 3, 6])
def test_a_step_that_no_time_scale_could_reach_ends_the_chunk_before_it(model, home, checks, step):
    rates = [0.01] * 8
    rates[step] = 30.0
    plan = planned(model, home, turning(home, *rates), checks)
    assert plan.n_steps == step
    assert (plan.cut.reason, plan.cut.joint, plan.cut.step) == (
        Reason.VELOCITY,
        "panda_joint1",
        step,
    )
    assert plan.cut.measured == pytest.approx(300.0)
    assert plan.motion is not None
    assert plan.scale == 1.0, "and does not slow the others"


def test_a_turn_that_no_time_scale_could_follow_ends_the_chunk_before_it(model, home, checks):
    """There and back again within two steps: fast enough, but too sharp."""
    q = turning(home, 0.01, 0.1, 0.19, -0.19, 0.0)
    plan = planned(model, home, q, checks, max_time_scale=1.0)
    assert plan.n_steps <= 3
    assert planned(model, home, q, checks).n_steps == 5
    alone = planned(model, home, q, [], max_time_scale=1.0)
    assert (alone.n_steps, alone.cut.reason, alone.cut.step) == (3, Reason.ACCELERATION, 3)
    assert alone.cut.measured == pytest.approx(0.38 / 0.1**2)
    assert alone.cut.unit == "rad/s^2"


def test_where_not_even_the_first_step_can_be_there_is_no_motion(model, home, checks):
    plan = planned(model, home, turning(home, 3.0, *[0.0] * 3), checks, max_time_scale=1.0)
    assert plan.motion is None
    assert plan.n_steps == 0
    assert plan.cut.step == 0
    assert plan.cut.joint == "panda_joint1"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_what_is_planned_is_inside_every_limit_and_no_slower_than_allowed(model, home, seed):
    checks = scalable()
    q = random_path(model, np.random.default_rng(seed), home, 8)
    bounds = make_bounds(model, PARAMS, at_rest(home))
    plan = make_plan(seam_of(q, home, bounds), bounds, checks)
    assert 1.0 <= plan.scale <= PARAMS.max_time_scale
    assert 0 <= plan.n_steps <= 8
    assert (plan.n_steps == 8) == (plan.cut is None)
    if plan.motion is not None:
        assert len(plan.samples) == plan.n_steps
        for check in checks:
            assert not check.look(plan.motion, bounds).bad.any()


def test_what_slowing_does_not_help_ends_the_motion_at_its_first_sample(model, home):
    """The fingers leave their range at the sixth step; all before it may be executed."""
    q = np.tile(home, (8, 1))
    q[5:, 7] = 0.05
    plan = planned(model, home, q, list(load_checks().motion.values()))
    assert plan.motion is not None
    assert plan.samples[3] < plan.end < len(plan.motion)
    assert (plan.cut.reason, plan.cut.joint) == (Reason.POSITION, "panda_finger_joint1")
    free = planned(model, home, np.tile(home, (8, 1)), list(load_checks().motion.values()))
    assert free.end == len(free.motion)


def test_a_step_belongs_to_the_sample_at_or_after_it_and_one_already_due_to_the_first():
    way = Waypoints(-0.1, 0.1, np.zeros((4, 1)))
    assert list(step_samples(way, 4, 1.0, 0.01)) == [0, 0, 10, 20]
    assert list(step_samples(way, 3, 1.5, 0.01)) == [0, 0, 15]
    odd = Waypoints(0.011, 0.1, np.zeros((2, 1)))
    assert list(step_samples(odd, 2, 1.0, 0.01)) == [2, 12]
