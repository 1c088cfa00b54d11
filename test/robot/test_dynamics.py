"""What the arm needs, weighs and reaches agrees with closed forms, and bounds on it hold."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.shipped import shipped
from testing.tools import BODY, JOINT, LIMIT, at_rest, one_robot, pendulum, tool_pose
from wam_ros.core.embodiment import Load, load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.robot.model import load_safety_model

G = 9.81


def test_a_pendulum_needs_its_weight_times_its_lever(tmp_path):
    model = load_safety_model(pendulum(tmp_path))
    q = np.array([[0.0], [0.7], [-1.2]])
    expected = -2.0 * G * 0.5 * np.cos(q)  # turning about y lowers a mass on +x
    assert np.allclose(model.torque(q, 0 * q, 0 * q), expected, atol=1e-9)


def test_acceleration_adds_its_inertia(tmp_path):
    model = load_safety_model(pendulum(tmp_path))
    q, one = np.zeros((1, 1)), np.ones((1, 1))
    difference = model.torque(q, 0 * q, one) - model.torque(q, 0 * q, 0 * q)
    assert difference[0, 0] == pytest.approx(0.01 + 2.0 * 0.5**2)


def test_efforts_computed_at_once_are_those_computed_one_by_one(monkeypatch, tmp_path):
    for robot in (load_embodiment("panda"), pendulum(tmp_path, kind="continuous")):
        model = load_safety_model(robot)
        q, dq, ddq = np.random.default_rng(0).uniform(-1, 1, (3, 9, len(model.joint_names)))
        for held in ({}, {"cup": Load(model.links[-1], 1.5, (0.0, 0.1, 0.2))}):
            model.carry(held)
            with monkeypatch.context() as patch:
                patch.setattr(model._efforts, "pool", None)
                alone = model.torque(q, dq, ddq)
            assert np.array_equal(model.torque(q, dq, ddq), alone)


def test_friction_costs_effort_and_helps_no_joint_to_hold_back_its_weight(tmp_path):
    rubbing = LIMIT + '<dynamics damping="0" friction="2"/>'
    model = load_safety_model(pendulum(tmp_path, joint=rubbing))
    q, one = np.zeros((1, 1)), np.ones((1, 1))
    weight = model.torque(q, 0 * q, 0 * q)[0, 0]
    # turning about y lowers a mass on +x
    assert weight < -2.0
    assert model.torque(q, -one, 0 * q)[0, 0] == pytest.approx(weight - 2.0)
    assert model.torque(q, one, 0 * q)[0, 0] == pytest.approx(weight)
    # and it is all that is needed where there is no weight
    hanging = np.full((1, 1), np.pi / 2)
    assert model.torque(hanging, one, 0 * q)[0, 0] == pytest.approx(2.0)


def test_damping_costs_effort_and_helps_no_joint_to_slow_or_to_hold_back_its_weight(tmp_path):
    damped = LIMIT + '<dynamics damping="3" friction="0"/>'
    model = load_safety_model(pendulum(tmp_path, joint=damped))
    q, half = np.zeros((1, 1)), np.full((1, 1), 0.5)
    weight = model.torque(q, 0 * q, 0 * q)[0, 0]
    assert model.torque(q, -half, 0 * q)[0, 0] == pytest.approx(weight - 1.5)
    assert model.torque(q, half, 0 * q)[0, 0] == pytest.approx(weight)
    hanging = np.full((1, 1), np.pi / 2)
    slowing = -40 * half
    free = -20 * (0.01 + 2.0 * 0.5**2)
    assert model.torque(hanging, half, slowing)[0, 0] == pytest.approx(free)
    assert model.torque(hanging, half, -slowing)[0, 0] == pytest.approx(1.5 - free)


def test_payload_adds_its_weight(tmp_path):
    robot = dataclasses.replace(
        pendulum(tmp_path), loads={"block": Load("arm", 3.0, (1.0, 0.0, 0.0))}
    )
    loaded = load_safety_model(robot)
    assert loaded.torque(np.zeros((1, 1)), np.zeros((1, 1)), np.zeros((1, 1)))[
        0, 0
    ] == pytest.approx(-G * (1.0 + 3.0))


def test_a_continuous_joint_turns_on_and_on(tmp_path):
    unlimited = '<limit effort="50" velocity="2"/>'
    model = load_safety_model(pendulum(tmp_path, joint=unlimited, kind="continuous"))
    q = np.array([[0.3], [0.3 + 2 * np.pi]])
    tau = model.torque(q, 0 * q, 0 * q)
    assert tau[0] == pytest.approx(tau[1])
    assert model.limits.upper[0] == np.inf


def test_followers_tighten_the_limits_of_their_leader(tmp_path):
    mimic = (
        '<axis xyz="0 1 0"/><limit lower="-0.5" upper="1" effort="5" velocity="1"/><mimic '
        'joint="a" multiplier="-2"/>'
    )
    urdf = (
        '<robot name="two"><link name="base"/>'
        + BODY.format(name="one", x=0.5)
        + BODY.format(name="two", x=0.5)
        + JOINT.format(
            name="a",
            kind="revolute",
            parent="base",
            child="one",
            more='<axis xyz="0 1 0"/>' + LIMIT,
        )
        + JOINT.format(name="b", kind="revolute", parent="one", child="two", more=mimic)
        + "</robot>"
    )
    model = load_safety_model(one_robot(tmp_path, urdf, ("a",), "base", "two"))
    assert np.array_equal(model.full_q(np.array([[0.1]])), [[0.1, -0.2]])
    limits = model.limits
    assert (limits.lower[0], limits.upper[0], limits.velocity[0]) == (-0.5, 0.25, 0.5)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_tool_moves_no_farther_than_its_reach_says(model, seed):
    a, b = model.random_q(2, seed)
    moved = np.linalg.norm(tool_pose(model, b).translation - tool_pose(model, a).translation)
    assert moved <= model.tool_reach[0] @ np.abs(b - a) + 1e-9


def test_tool_motion_is_the_derivative_of_the_tool_position(model, home):
    dq = np.linspace(-1, 1, 8)
    position, velocity = model.tool_motion(home[None], dq[None])
    ahead, _ = model.tool_motion((home + 1e-6 * dq)[None], dq[None])
    assert np.allclose((ahead - position) / 1e-6, velocity, atol=1e-5)


def test_joints_are_found_by_name(model):
    names = model.joint_names
    assert list(model.order(names[::-1])) == list(range(8))[::-1]
    for wrong in (
        names[:-1],
        (*names[:-1], names[0]),
        (*names[:-1], "elbow"),
        (*names, "elbow"),
        (),
    ):
        with pytest.raises(WamError):
            model.order(wrong)
    assert at_rest(np.zeros(8)).q.shape == (8,)


ROBOTS = shipped()


@pytest.mark.parametrize("name", ROBOTS)
def test_a_shipped_robot_holds_its_own_weight_everywhere_it_may_be(robots, name):
    model = robots(name)
    q = model.random_q(300, 1)
    tau = model.torque(q, 0 * q, 0 * q)
    assert (np.abs(tau) < 0.9 * model.limits.effort).all()


@pytest.mark.parametrize("name", ["panda", "so101", "bimanual"])
def test_no_entry_of_the_mass_matrix_passes_its_bound(name):
    model = load_safety_model(load_embodiment(name), "empty")
    q = model.random_q(200, seed=3)
    assert (model.inertia(q).max(axis=0) <= model.most_inertia * (1 + 1e-9)).all()


def test_what_is_held_counts_in_the_bound(model):
    before = model.most_inertia
    model.carry({"cup": Load("panda_hand_tcp", 2.0)})
    held, seen = model.most_inertia, model.inertia(model.random_q(50, seed=3)).max(axis=0)
    model.carry({})
    assert (held >= before).all()
    assert (seen <= held * (1 + 1e-9)).all()
    assert np.array_equal(model.most_inertia, before)
