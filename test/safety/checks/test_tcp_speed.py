"""No tool is faster than it may be, between samples either."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.motions import DT, dense, random_motion
from testing.tools import START, at_rest, make_chunk, moving, one_joint, steps, tool_pose
from wam_ros.core.types import Decision, Reason
from wam_ros.safety.checks import tcp_speed
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.params import SafetyParams


def test_the_tool_keeps_its_speed_limit_by_slowing(panda, home):
    slow = SafetyFilter(panda.model, SafetyParams(tcp_speed=0.25))
    rate = one_joint(0, 0.1)  # 1 rad/s at 0.46 m
    chunk = make_chunk(panda.model.joint_names, steps(home, rate, first=-1.1))
    verdict = slow.filter(chunk, moving(home, 0.3 * rate), START)
    assert verdict.decision == Decision.SCALED
    assert verdict.reasons == Reason.TCP_SPEED
    trajectory = verdict.trajectory
    _, velocity = panda.model.tool_motion(trajectory.q, trajectory.dq)
    assert np.linalg.norm(velocity, axis=1).max() <= 0.25


def test_the_speed_of_every_tool_counts(robots):
    model = robots("bimanual")
    home = np.array(model.embodiment.home)
    slow = SafetyFilter(model, SafetyParams(tcp_speed=0.2))
    for joint in (0, 7):
        chunk = make_chunk(model.joint_names, steps(home, 0.08 * np.eye(len(home))[joint]), age=0)
        verdict = slow.filter(chunk, at_rest(home), START)
        assert verdict.reasons & Reason.TCP_SPEED
        t = verdict.trajectory
        for tool in (0, 1):
            assert np.linalg.norm(model.tool_motion(t.q, t.dq, tool)[1], axis=1).max() <= 0.2


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
    steady = Motion(q, np.tile(turn / DT, (5, 1)), 0 * q, dt=DT)
    assert tcp_speed.CHECK.look(steady, bounds).measured == pytest.approx(
        0.01 / DT * radius, rel=1e-3
    )
    jump = Motion(q[:2], 0 * q[:2], 0 * q[:2], dt=DT)
    # in the middle of the quintic
    assert tcp_speed.CHECK.look(jump, bounds).measured[1] >= 15 / 8 * 0.01 / DT * radius
