"""The judges of what the filter emits can see: every fault that they look for is found where it
is.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

pytest.importorskip("mujoco")

from testing.hostile import random_pose
from testing.proof import offences
from testing.properties import START, Case, Robot
from testing.tools import at_rest, make_chunk
from wam_ros.safety.checks import CHECKS
from wam_ros.safety.filter import SafetyFilter


def without(robot: Robot, *names: str) -> SafetyFilter:
    return SafetyFilter(
        robot.model, robot.filters[0].params, tuple(n for n in CHECKS if n not in names)
    )


def all_faults(robot: Robot, used: SafetyFilter, seeds: range) -> str:
    """Words for everything that the judges find when `used` takes the place of the filter."""
    kept, robot.filters = robot.filters, (used, used)
    words = []
    try:
        for seed in seeds:
            for _, case in robot.chain(seed):
                words += robot.faults(used, case)
    finally:
        robot.filters = kept
    return "\n".join(words)


def test_the_judges_see_bodies_that_come_too_near(judged):
    robot = judged("panda")
    assert "too near (second engine)" in all_faults(
        robot, without(robot, "self_collision", "environment"), range(40)
    )


@pytest.mark.parametrize(
    ("narrow", "seen"),
    [
        ({"velocity_fraction": 0.05}, " velocity "),
        ({"acceleration_fraction": 0.05}, " acceleration "),
        ({"jerk_fraction": 0.05}, " jerk "),
        ({"torque_fraction": 0.05}, " effort "),
        ({"position_margin_rad": 1.0}, "leaves its range"),
    ],
)
def test_the_judges_see_what_is_beyond_a_limit(judged, narrow, seen):
    robot = judged("panda")
    params = dataclasses.replace(robot.filters[0].params, **narrow)
    words = [
        w
        for _, case in itertools.islice(robot.emitted(range(100)), 40)
        for w in offences(robot.model, params, case.verdict.trajectory, case.start, distances=False)
    ]
    assert seen in "\n".join(words)


def test_the_judges_see_too_much_torque(judged):
    robot = judged("so101")
    model = robot.model
    weak = dataclasses.replace(model.limits, effort=model.limits.effort * 0.05)
    kept, model.limits = model.limits, weak
    try:
        assert "effort (second engine)" in all_faults(robot, without(robot, "torque"), range(5))
    finally:
        model.limits = kept


def test_the_judges_see_a_tool_outside_or_too_fast(judged):
    robot = judged("panda")
    free = SafetyFilter(
        robot.model,
        robot.filters[1].params,
        tuple(n for n in CHECKS if n not in ("workspace", "tcp_speed")),
    )
    words = all_faults(robot, free, range(40))
    assert "m outside" in words
    assert "m/s, allowed 0.3 m/s" in words


def test_another_order_of_joints_is_noticed_where_it_matters(judged):
    """The judge of the joint order can see: permuting the values alone changes the answer."""
    robot = judged("panda")
    home = np.array(robot.model.embodiment.home)
    q = home + np.outer(np.arange(1, 9), np.r_[0.02, np.zeros(7)])
    used = robot.filters[0]
    case = Case(make_chunk(robot.model.joint_names, q), at_rest(home), START, None, None)
    case.verdict = used.filter(case.chunk, case.start, START)
    assert robot.deeper_faults(used, case, np.random.default_rng(0)) == []
    wrong = dataclasses.replace(case.chunk, positions=case.chunk.positions[:, ::-1])
    case.verdict = used.filter(wrong, case.start, START)
    assert robot.deeper_faults(used, case, np.random.default_rng(0)) != []


def test_a_weak_motor_is_noticed_in_the_replay(judged):
    robot = judged("so101")
    _, case = next(robot.emitted(range(3, 60)))
    used = robot.filters[0]
    q0 = random_pose(robot.model, np.random.default_rng(3))
    rate = robot.model.limits.velocity * 0.06
    chunk = make_chunk(
        robot.model.joint_names,
        q0 + np.outer(np.arange(1, 9), rate * 0.1),
        age=0,
        now=case.start_ns,
    )
    verdict = used.filter(chunk, at_rest(q0), case.start_ns)
    _, strong = robot.engine.replay(verdict.trajectory)
    _, weak = robot.engine.replay(verdict.trajectory, strength=0.02)
    assert strong < 1.0 <= weak
