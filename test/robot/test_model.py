"""The robot is read strictly, and what is computed from it agrees with closed forms."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.tools import BODY, JOINT, LIMIT, at_rest, one_robot, pendulum, tool_pose
from wam_ros.core.embodiment import Load, load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.robot.model import load_safety_model
from wam_ros.robot.obstacles import Obstacle

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
                patch.setattr(model, "_pool", None)
                alone = model.torque(q, dq, ddq)
            assert np.array_equal(model.torque(q, dq, ddq), alone)


@pytest.mark.parametrize("loss", ["damping", "friction"])
def test_a_negative_loss_that_would_hide_effort_is_refused_by_joint(tmp_path, loss):
    with pytest.raises(
        WamError, match=f"'hinge': {loss}=\"-3\" in <dynamics> must not be negative"
    ):
        load_safety_model(pendulum(tmp_path, joint=LIMIT + f'<dynamics {loss}="-3"/>'))


def test_damping_of_the_joint_costs_effort(tmp_path):
    model = load_safety_model(
        pendulum(tmp_path, joint=LIMIT + '<dynamics damping="3" friction="0"/>')
    )
    q, v = np.zeros((1, 1)), np.full((1, 1), 0.5)
    assert (model.torque(q, v, 0 * q) - model.torque(q, 0 * q, 0 * q))[0, 0] == pytest.approx(1.5)


def test_payload_adds_its_weight(tmp_path):
    robot = dataclasses.replace(
        pendulum(tmp_path), loads={"block": Load("arm", 3.0, (1.0, 0.0, 0.0))}
    )
    loaded = load_safety_model(robot)
    assert loaded.torque(np.zeros((1, 1)), np.zeros((1, 1)), np.zeros((1, 1)))[
        0, 0
    ] == pytest.approx(-G * (1.0 + 3.0))


def test_both_fingers_follow_the_commanded_one(model, home):
    for opening in (0.0, 0.013, 0.04):
        full = model.full_q(np.r_[home[:7], opening][None])[0]
        assert full[7] == full[8] == opening
    moved = model.distances(np.r_[home[:7], 0.0])
    left = model.pairs.names.index(("panda_leftfinger", "table"))
    right = model.pairs.names.index(("panda_rightfinger", "table"))
    assert moved[left] == pytest.approx(moved[right], abs=1e-6)


def test_a_continuous_joint_turns_on_and_on(tmp_path):
    unlimited = '<limit effort="50" velocity="2"/>'
    model = load_safety_model(pendulum(tmp_path, joint=unlimited, kind="continuous"))
    q = np.array([[0.3], [0.3 + 2 * np.pi]])
    tau = model.torque(q, 0 * q, 0 * q)
    assert tau[0] == pytest.approx(tau[1])
    assert model.limits.upper[0] == np.inf


@pytest.mark.parametrize(
    ("limit", "word"),
    [
        ("", "no <limit>"),
        ('<limit lower="-1" upper="1" effort="5"/>', "no velocity limit"),
        ('<limit lower="-1" upper="1" velocity="5"/>', "no effort limit"),
        ('<limit upper="1" effort="5" velocity="5"/>', "no lower limit"),
        ('<limit lower="-1" upper="1" effort="0" velocity="5"/>', "effort"),
        ('<limit lower="-1" upper="1" effort="5" velocity="nan"/>', "velocity"),
        ('<limit lower="-1" upper="inf" effort="5" velocity="1"/>', "upper"),
        ('<limit lower="1" upper="-1" effort="5" velocity="1"/>', "not below"),
        ('<limit lower="one" upper="2" effort="5" velocity="1"/>', "not a number"),
    ],
)
def test_a_joint_without_a_limit_is_refused_by_name(tmp_path, limit, word):
    embodiment = pendulum(tmp_path, joint=limit or " ")
    with pytest.raises(WamError, match="hinge.*" + word):
        load_safety_model(embodiment)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("<inertial>", "<unknown>", "no inertia"),
        ('mass value="2"', 'mass value="0"', "value"),
        ('ixx="0.01"', 'ixx="nan"', "ixx"),
        ('izz="0.01"', "", "izz"),
    ],
)
def test_a_link_without_inertia_is_refused_by_name(tmp_path, old, new, word):
    body = (
        BODY.format(name="arm", x=0.5)
        .replace(old, new)
        .replace("</inertial>", "</" + (new if "<" in new else "<inertial>")[1:])
    )
    with pytest.raises(WamError, match="'arm'.*" + word):
        load_safety_model(pendulum(tmp_path, body=body))


def test_a_joint_of_unknown_kind_is_refused(tmp_path):
    with pytest.raises(WamError, match=r"hinge.*floating"):
        load_safety_model(pendulum(tmp_path, kind="floating"))


def test_a_mesh_that_is_missing_is_refused_by_name(tmp_path):
    body = BODY.format(name="arm", x=0.5).replace(
        '<sphere radius="0.05"/>', '<mesh filename="gone.stl"/>'
    )
    with pytest.raises(WamError, match=r"gone\.stl"):
        load_safety_model(pendulum(tmp_path, body=body))


def test_a_mesh_becomes_its_convex_hull(tmp_path):
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.05
    lines = [f"v {x} {y} {z}" for x, y, z in corners]
    faces = [
        "f 1 2 4",
        "f 1 4 3",
        "f 5 8 6",
        "f 5 7 8",
        "f 1 6 2",
        "f 1 5 6",
        "f 3 4 8",
        "f 3 8 7",
        "f 1 3 7",
        "f 1 7 5",
    ]
    (tmp_path / "cube.obj").write_text("\n".join([*lines, *faces, "f 2 6 8", "f 2 8 4"]))
    body = BODY.format(name="arm", x=0.5).replace(
        '<sphere radius="0.05"/>', '<mesh filename="cube.obj"/>'
    )
    model = load_safety_model(pendulum(tmp_path, body=body))
    model.set_obstacles({"wall": Obstacle("box", (0.1, 1.0, 1.0), (0.8, 0.0, 0.0))})
    assert model.distances(np.zeros(1))[0] == pytest.approx(0.8 - 0.05 - 0.55, abs=1e-6)


def test_a_moving_joint_that_nobody_commands_is_refused(tmp_path):
    embodiment = dataclasses.replace(pendulum(tmp_path), joint_names=("other",))
    with pytest.raises(WamError, match="other"):
        load_safety_model(embodiment)


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


def test_two_arms_watch_each_other(tmp_path):
    """Two pendulums that fold towards each other: their bodies meet, and both joints count."""
    joint = JOINT.format(
        name="{0}",
        kind="revolute",
        parent="base",
        child="{1}",
        more="{2}" + '<axis xyz="0 1 0"/>' + LIMIT,
    )
    urdf = (
        '<robot name="pair"><link name="base"/>'
        + BODY.format(name="left", x=0.5)
        + BODY.format(name="right", x=0.5)
        + joint.format("a", "left", '<origin xyz="-0.4 0 0"/>')
        + joint.format("b", "right", '<origin xyz="0.4 0 0" rpy="0 0 3.14159265"/>')
        + "</robot>"
    )
    pair = load_safety_model(
        one_robot(tmp_path, urdf, ("a", "b"), "base", "left", home=(-0.5, 1.0))
    )
    assert pair.pairs.names == (("left", "right"),)
    assert pair.pairs.reach[0] == pytest.approx([0.55, 0.55])
    assert pair.distances(np.zeros(2))[0] == pytest.approx(0.2 - 0.1, abs=1e-6)


def test_neighbours_and_the_fingers_of_a_hand_are_not_watched(model):
    watched = {frozenset(p) for p in model.pairs.names}
    for pair in (
        ("panda_link1", "panda_link2"),
        ("panda_hand", "panda_leftfinger"),
        ("panda_link7", "panda_hand"),
    ):
        assert frozenset(pair) not in watched
    assert frozenset(("panda_leftfinger", "panda_rightfinger")) not in watched
    assert frozenset(("panda_link0", "panda_hand")) in watched
    assert sum(model.pairs.world) == 11, "every moving body against the table"


def test_an_srdf_decides_the_pairs(tmp_path, model):
    (tmp_path / "panda.srdf").write_text(
        '<robot name="panda"><disable_collisions link1="panda_link3" link2="panda_link1" '
        'reason="Never"/></robot>'
    )
    told = load_safety_model(
        dataclasses.replace(model.embodiment, srdf=str(tmp_path / "panda.srdf"))
    )
    watched = {frozenset(p) for p in told.pairs.names}
    assert frozenset(("panda_link1", "panda_link3")) not in watched
    assert frozenset(("panda_link1", "panda_link4")) in watched, (
        "what it does not name stays watched"
    )


def test_pairs_are_the_same_every_time(model):
    assert load_safety_model(model.embodiment).pairs.names == model.pairs.names


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.floats(-3, 0.3))
def test_no_distance_changes_faster_than_the_reach_says(model, seed, size):
    rng = np.random.default_rng(seed)
    q = model.random_q(1, seed)[0]
    step = rng.normal(size=len(q)) * np.where(model.sliding, 0.02, 1.0) * 10**size
    step = np.where(model.sliding, np.clip(q + step, 0, 0.04) - q, step)
    change = np.abs(model.distances(q + step) - model.distances(q))
    assert (change <= model.pairs.reach @ np.abs(step) + 1e-5).all()


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


def test_obstacles_stand_where_they_are_put(model, home):
    tool = tool_pose(model, home).translation
    others = load_safety_model(model.embodiment, "empty")
    others.set_obstacles({"ball": Obstacle("sphere", (0.05,), tuple(tool - [0, 0, 0.3]))})
    pair = others.pairs.names.index(("panda_leftfinger", "ball"))
    gap = others.distances(home)[pair]
    lowest = tool[2] - (0.0584 + 0.0538 - 0.1034)  # the finger ends 8.8 mm below the tool frame
    assert gap == pytest.approx(lowest - (tool[2] - 0.3) - 0.05, abs=4e-3)


def test_a_robot_that_overlaps_at_home_is_refused(tmp_path, model):
    (tmp_path / "w.yaml").write_text(
        "obstacles: {block: {shape: box, size: [1, 1, 1], position: [0.4, 0, 0.3]}}"
    )
    with pytest.raises(WamError, match=r"block.*overlap at home"):
        load_safety_model(model.embodiment, str(tmp_path / "w.yaml"))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{shape: ball, size: [1], position: [0, 0, 0]}", "sphere"),
        ("{shape: box, size: [1, 1], position: [0, 0, 0]}", "3 positive sizes"),
        ("{shape: box, size: [1, 1, -1], position: [0, 0, 0]}", "3 positive sizes"),
        ("{shape: box, size: [1, 1, 1], position: [0, 0, .nan]}", "finite"),
        (
            "{shape: box, size: [1, 1, 1], position: [0, 0, 0], orientation: [1, 1, 0, 0]}",
            "quaternion",
        ),
        ("{shape: box, size: [1, 1, 1], position: [0, 0, 0], margin: 1}", "clearance"),
        ("{shape: mesh, size: [1, 1, 1], position: [0, 0, 0], mesh: gone.stl}", "gone.stl"),
    ],
)
def test_a_world_that_makes_no_sense_is_refused(tmp_path, model, text, word):
    (tmp_path / "w.yaml").write_text(f"obstacles: {{thing: {text}}}")
    with pytest.raises(WamError, match=word):
        load_safety_model(model.embodiment, str(tmp_path / "w.yaml"))


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
