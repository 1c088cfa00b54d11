"""A joint that turns without end goes on from where it is, whatever turn a policy counts from."""

from __future__ import annotations

import numpy as np
import pytest

from testing.tools import START, at_rest, make_chunk, pendulum
from wam_ros.core.types import Decision
from wam_ros.robot.model import load_safety_model
from wam_ros.safety.filter import SafetyFilter

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
