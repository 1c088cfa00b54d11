"""A chunk that begins elsewhere is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from testing.tools import START, at_rest, make_chunk
from wam_ros.core.types import Decision, Reason
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.params import SafetyParams

from .conftest import judge


def test_a_jump_is_refused_with_joint_and_size(panda, home, good):
    q = good.positions + np.r_[0, 0, 0, 0, 1.2, 0, 0, 0]
    verdict = judge(panda, home, dataclasses.replace(good, positions=q))
    assert verdict.reasons == Reason.DISCONTINUITY
    assert verdict.first.joint == "panda_joint5"
    assert verdict.first.measured == pytest.approx(1.2)
    assert verdict.first.unit == "rad"


def test_a_chunk_that_counts_a_turn_more_is_told_so(robots):
    model = robots("ur5e")
    start = np.array(model.embodiment.home) - 3.0 * np.eye(6)[5]
    path = np.tile(start + 2 * np.pi * np.eye(6)[5], (8, 1))
    chunk = make_chunk(model.joint_names, path, age=0)
    verdict = SafetyFilter(model).filter(chunk, at_rest(start), START)
    assert verdict.reasons == Reason.DISCONTINUITY
    assert "wrist_3_joint would jump 6.283 rad to step 0" in verdict.sentence
    assert "(2 pi apart: one of the two counts turns that the other does not)" in verdict.sentence


def jumping(home: np.ndarray, jump: np.ndarray, names, age_ms: float):
    """A chunk that stands `jump` (8,) beside home; each step is due 100 ms after the last."""
    return make_chunk(names, np.tile(home + jump, (8, 1)), age=round(age_ms * 1e6))


def test_a_step_may_lie_as_much_farther_as_its_joint_gets_until_it_is_due(panda, home):
    names, params = panda.model.joint_names, panda.params
    reach = panda.model.limits.velocity[0] * params.velocity_fraction * 0.1
    for age_ms, farther in ((0, reach), (50, reach / 2), (99, reach / 100)):
        for share, refused in ((0.99, False), (1.01, True)):
            jump = share * (params.seam_rad + farther) * np.eye(8)[0]
            verdict = panda.filter(jumping(home, jump, names, age_ms), at_rest(home), START)
            assert (verdict.reasons == Reason.DISCONTINUITY) == refused, (age_ms, share)


def test_of_several_joints_the_one_farthest_beyond_what_it_may_is_named(panda, home):
    jump = 0.6 * np.eye(8)[2] - 0.9 * np.eye(8)[5]
    verdict = judge(panda, home, jumping(home, jump, panda.model.joint_names, 50))
    assert verdict.first.joint == "panda_joint6"
    assert verdict.first.measured == pytest.approx(0.9)


def test_a_gripper_may_jump_from_open_to_closed(panda, home):
    strict = SafetyFilter(panda.model, SafetyParams(seam_m=0.001))
    closed = jumping(home, -home[7] * np.eye(8)[7], panda.model.joint_names, 99)
    verdict = strict.filter(closed, at_rest(home), START)
    assert verdict.decision != Decision.REJECT
    assert not verdict.reasons & Reason.DISCONTINUITY
