"""Joints that are commanded, that follow, and that stand; their limits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from wam_ros.bridge.gate import load_gate_limits
from wam_ros.core.embodiment import Load
from wam_ros.core.errors import WamError
from wam_ros.robot.joints import load_joints
from wam_ros.robot.model import load_safety_model
from wam_ros.robot.obstacles import Obstacle

from .chain import JOINTS, LIMIT, TOOL, chain, joint, link

# the whole arm on a lift, and a head beside it that follows nothing
LIFT = '<link name="floor"/>' + joint(
    "lift",
    "floor",
    "base",
    "0 0 1",
    "prismatic",
    '<limit lower="0" upper="0.4" velocity="0.1" effort="500"/>',
)
HEAD = link("head") + joint("pan", "base", "head", "0 0 1")


def on_a_lift(folder, **keys):
    return dataclasses.replace(chain(folder, more=LIFT + HEAD, **keys), base_frame="floor")


def test_every_joint_that_is_not_spoken_for_is_named_at_once_with_the_line_to_paste(tmp_path):
    with pytest.raises(WamError) as caught:
        load_safety_model(on_a_lift(tmp_path))
    assert "joints 'lift', 'pan' move but are not in joint_names" in str(caught.value)
    assert "`parked: {lift: 0, pan: 0}`" in str(caught.value)
    assert load_safety_model(on_a_lift(tmp_path, parked={"lift": 0, "pan": 0}))


def test_a_parked_joint_counts_for_distance_and_weight_where_it_stands(tmp_path):
    low, high = (
        load_safety_model(on_a_lift(tmp_path, parked={"lift": lift, "pan": 0.0}))
        for lift in (0.0, 0.3)
    )
    q = np.zeros((1, 3))
    assert high.tool_motion(q, q)[0][0, 2] - low.tool_motion(q, q)[0][0, 2] == pytest.approx(0.3)
    assert high.pin.nq == 3
    for model in (low, high):
        model.set_obstacles({"lid": Obstacle("box", (4.0, 4.0, 0.1), (0.0, 0.0, 3.0))})
    pair = low.pairs.names.index(("l3", "lid"))
    assert low.distances(q[0])[pair] - high.distances(q[0])[pair] == pytest.approx(0.3, abs=1e-5)


def test_what_stands_between_two_joints_weighs_on_the_first(tmp_path):
    """The elbow is parked straight or bent: the shoulder bears the forearm where it is."""
    text = chain(tmp_path).urdf_path.read_text()
    arms = []
    for bend in (0.0, np.pi / 2):
        robot = chain(tmp_path, parked={"j2": bend})
        robot = dataclasses.replace(
            robot,
            joint_names=("j1", "j3"),
            home=(0.0, 0.5),
            max_acceleration=(10.0,) * 2,
            max_jerk=(100.0,) * 2,
        )
        arms.append(load_safety_model(robot))
    assert text == robot.urdf_path.read_text()
    zero = np.zeros((1, 2))
    bent = arms[1].torque(zero, zero, zero)[0]
    assert arms[0].torque(zero, zero, zero)[0, 1] == pytest.approx(0.0, abs=1e-9)
    assert abs(bent[1]) == pytest.approx(9.81 * 0.1, rel=1e-6), "l3 hangs out level"


def test_a_follower_of_a_parked_joint_stands_where_it_leads_it(tmp_path):
    follower = link("tail") + joint(
        "wag",
        "base",
        "tail",
        "0 0 1",
        more=LIMIT + '<mimic joint="pan" multiplier="-2" offset="0.1"/>',
    )
    robot = chain(tmp_path, more=LIFT + HEAD + follower, parked={"lift": 0.0, "pan": 0.4})
    joints = load_joints(dataclasses.replace(robot, base_frame="floor"))
    assert joints.parked == pytest.approx({"lift": 0.0, "pan": 0.4, "wag": -0.7})


@pytest.mark.parametrize(
    ("parked", "words"),
    [
        (
            {"lift": 0.9, "pan": 0},
            "parked joint 'lift' stands at 0.9 m, beyond its limits 0 to 0.4",
        ),
        ({"lfit": 0.1, "pan": 0}, "unknown parked joint 'lfit'. Did you mean 'lift'"),
    ],
)
def test_a_parked_joint_that_makes_no_sense_is_refused_by_name(tmp_path, parked, words):
    with pytest.raises(WamError, match=words):
        load_safety_model(on_a_lift(tmp_path, parked=parked))


FINGER = '<limit lower="0" upper="0.04" velocity="0.2" effort="40"/>'


def gripper(folder, mirror: str):
    """The chain with two sliding fingers, of which the second mirrors the first."""
    fingers = link("left", "") + link("right", "")
    fingers += joint("open", "l3", "left", "0 1 0", "prismatic", FINGER)
    fingers += joint("mirror", "l3", "right", "0 1 0", "prismatic", mirror)
    robot = chain(folder, more=fingers, home=(0.0, 0.5, 0.5))
    return dataclasses.replace(
        robot,
        joint_names=("j1", "j2", "j3", "open"),
        gripper_joints=("open",),
        home=(0.0, 0.5, 0.5, 0.02),
        max_acceleration=(10.0,) * 4,
        max_jerk=(100.0,) * 4,
    )


def test_limits_that_a_follower_copied_from_its_leader_do_not_count(tmp_path):
    model = load_safety_model(gripper(tmp_path, FINGER + '<mimic joint="open" multiplier="-1"/>'))
    assert (model.limits.lower[3], model.limits.upper[3]) == (0.0, 0.04)
    assert [w for w in model.warnings if "limits of 'mirror' (0 to 0.04) leave nothing" in w]
    assert sorted(model.full_q(np.array([[0, 0, 0, 0.03]]))[0, 3:]) == [-0.03, 0.03]


@pytest.mark.parametrize("limit", ["", '<limit effort="0" velocity="0"/>'])
def test_a_follower_needs_no_limits_and_is_bounded_by_those_of_its_leader(tmp_path, limit):
    model = load_safety_model(gripper(tmp_path, limit + '<mimic joint="open" multiplier="2"/>'))
    assert model.limits.upper[3] == 0.04
    joint_id = model.pin.getJointId("mirror")
    index = model.pin.joints[joint_id].idx_q
    assert model.pin.upperPositionLimit[index] == pytest.approx(0.08), "for how far it may reach"


def test_a_joint_that_turns_without_end_is_not_told_to_add_position_limits(tmp_path):
    bare = joint("j1", "base", "l1", "0 0 1", "continuous", "")
    with pytest.raises(WamError, match="joint 'j1' has no <limit>; add <limit velocity effort>"):
        load_safety_model(chain(tmp_path, {"j1": bare}))
    told = joint("j1", "base", "l1", "0 0 1", "continuous", '<limit velocity="2" effort="9"/>')
    assert load_safety_model(chain(tmp_path, {"j1": told})).endless.tolist() == [True, False, False]


def test_limits_of_acceleration_and_jerk_of_urdf_1_2_count_instead_of_the_yaml(tmp_path):
    more = LIMIT.replace("/>", ' acceleration="5" deceleration="3" jerk="70"/>')
    robot = chain(tmp_path, {"j2": joint("j2", "l1", "l2", more=more)})
    limits = load_safety_model(robot).limits
    assert limits.acceleration.tolist() == [10.0, 3.0, 10.0], "a stop may not ask for more"
    assert limits.jerk.tolist() == [1000.0, 70.0, 1000.0]
    gate = load_gate_limits(robot, 0.02, 0.005)
    assert gate.acceleration.tolist() == [10.0, 3.0, 10.0]
    with pytest.raises(WamError, match="the jerk limit of j1, j3 is told neither here nor as"):
        load_safety_model(dataclasses.replace(robot, max_jerk=()))
    every = {n: j.replace(LIMIT, more) for n, j in JOINTS.items()}
    told = dataclasses.replace(chain(tmp_path, every), max_jerk=(), max_acceleration=())
    assert load_safety_model(told).limits.jerk.tolist() == [70.0] * 3


UNKNOWN = LIMIT.replace('velocity="2" effort="80"', 'velocity="0" effort="0"')


def test_what_an_exporter_did_not_know_is_told_beside_it(tmp_path):
    parts = {n: j.replace(LIMIT, UNKNOWN) for n, j in JOINTS.items()}
    with pytest.raises(WamError) as caught:
        load_safety_model(chain(tmp_path, parts))
    assert str(caught.value).splitlines()[1:] == [
        f'  - joints j1, j2, j3: {key}="0" must be positive, or tell `{key}_limit: {{j1: ..., j2: '
        "..., j3: ...}`"
        for key in ("velocity", "effort")
    ]
    told = {"velocity_limit": {"j1": 1.0, "j2": 1.5, "j3": 2.0}}
    told |= {"effort_limit": {"j1": 10.0, "j2": 40.0, "j3": 20.0}}
    limits = load_safety_model(chain(tmp_path, parts, **told)).limits
    assert limits.velocity.tolist() == [1.0, 1.5, 2.0]
    assert limits.effort.tolist() == [10.0, 40.0, 20.0]


def test_a_velocity_limit_of_the_yaml_only_ever_slows(tmp_path):
    robot = chain(tmp_path, velocity_limit={"j1": 1.0, "j2": 9.0})
    assert load_joints(robot).limits.velocity.tolist() == [1.0, 2.0, 2.0]
    bare = joint("j3", "l2", "l3", more=LIMIT.replace('velocity="2"', ""))
    with pytest.raises(
        WamError, match=r"joint 'j3' has no velocity .* `velocity_limit: {j3: \.\.\.}`"
    ):
        load_joints(chain(tmp_path, {"j3": bare}))
    told = chain(tmp_path, {"j3": bare}, velocity_limit={"j3": 3.0})
    assert load_joints(told).limits.velocity.tolist() == [2.0, 2.0, 3.0]


def test_limits_in_degrees_are_refused_by_joint(tmp_path):
    degrees = LIMIT.replace("2.5", "170")
    with pytest.raises(WamError, match="joint 'j3' turns by 340 rad .* are these degrees"):
        load_safety_model(chain(tmp_path, {"j3": joint("j3", "l2", "l3", more=degrees)}))
    slide = joint("j3", "l2", "l3", kind="prismatic", more=degrees)
    fast = joint("j3", "l2", "l3", more=LIMIT.replace('velocity="2"', 'velocity="120"'))
    assert load_safety_model(chain(tmp_path, {"j3": fast})).warnings == [
        "joint 'j3' may turn at 120 rad/s: are these degrees?"
    ]
    assert load_joints(chain(tmp_path, {"j3": slide})).limits.upper[2] == 170


def test_a_home_beyond_the_limits_is_refused_by_joint(tmp_path):
    with pytest.raises(WamError, match="home of joint 'j1' is 30 rad, beyond its limits"):
        load_safety_model(chain(tmp_path, home=(30.0, 0.5, 0.5)))
    with pytest.raises(
        WamError, match=r"limits -2.5 to 2.5 \(2 pi apart from -0.283, which is ins"
    ):
        load_safety_model(chain(tmp_path, home=(6.0, 0.5, 0.5)))


WEAK = {"j2": joint("j2", "l1", "l2", more=LIMIT.replace('effort="80"', 'effort="1"'))}


def test_a_home_that_needs_more_effort_than_there_is_is_told_at_load(tmp_path):
    with pytest.raises(WamError, match=r"home needs 2\.\d Nm of j2, allowed 0\.9: if a spring"):
        load_safety_model(chain(tmp_path, WEAK))
    model = load_safety_model(chain(tmp_path, WEAK, effort_limit={"j2": 40.0}))
    assert model.limits.effort.tolist() == [80.0, 40.0, 80.0]


def test_a_spring_carries_the_robots_own_weight_and_nothing_else(tmp_path):
    stiff, sprung = (
        load_safety_model(chain(tmp_path, robot, **keys))
        for robot, keys in (({}, {}), (WEAK, {"supported_by_spring": ("j2",)}))
    )
    rng = np.random.default_rng(0)
    q, dq, ddq = rng.uniform(-1, 1, (3, 5, 3))
    zero = np.zeros((5, 3))
    weight = stiff.torque(q, zero, zero) * [0, 1, 0]
    assert np.allclose(sprung.torque(q, dq, ddq), stiff.torque(q, dq, ddq) - weight)
    held = {"cup": Load("tool", 2.0, (0.0, 0.0, 0.1))}
    for model in (stiff, sprung):
        model.carry(held)
    assert np.allclose(sprung.torque(q, dq, ddq), stiff.torque(q, dq, ddq) - weight), (
        "what is held weighs on it all the same"
    )


def test_all_of_it_moves_with_the_tool(tmp_path):
    """Whatever stands, the tool's velocity is the derivative of its position."""
    model = load_safety_model(on_a_lift(tmp_path, parked={"lift": 0.2, "pan": 0.3}))
    q, dq = np.array([[0.2, 0.4, -0.3]]), np.array([[1.0, -0.5, 0.7]])
    position, velocity = model.tool_motion(q, dq)
    ahead, _ = model.tool_motion(q + 1e-6 * dq, dq)
    assert np.allclose((ahead - position) / 1e-6, velocity, atol=1e-5)
    assert TOOL in model.embodiment.urdf_path.read_text()


def followers(folder, **mimic: tuple[str, float, float]):
    """Joints beside the chain, by name with whom they follow: (leader, factor, offset)."""
    more = ""
    for name, (leader, factor, offset) in mimic.items():
        tie = f'<mimic joint="{leader}" multiplier="{factor}" offset="{offset}"/>'
        more += link(f"link_{name}") + joint(name, "base", f"link_{name}", more=tie)
    return chain(folder, more=more)


def test_followers_of_followers_follow_the_joint_that_is_commanded(tmp_path):
    robot = followers(tmp_path, b=("j1", 2.0, 0.5), c=("b", -3.0, 0.1))
    found = load_joints(robot).source
    assert found["b"] == ("j1", 2.0, 0.5)
    # c = -3 b + 0.1 = -3 (2 a + 0.5) + 0.1
    assert found["c"] == ("j1", -6.0, pytest.approx(-1.4))


def test_who_follows_nobody_or_itself_is_refused_by_name(tmp_path):
    with pytest.raises(WamError, match="'b' follows 'gone', which does not move or exist"):
        load_joints(followers(tmp_path, b=("gone", 1.0, 0.0)))
    with pytest.raises(WamError, match="'b' is in a loop of mimic joints"):
        load_joints(followers(tmp_path, b=("c", 1.0, 0.0), c=("b", 1.0, 0.0)))


def test_who_commands_a_joint_that_cannot_be_is_told_which(tmp_path):
    robot = followers(tmp_path, b=("j1", 2.0, 0.0))
    with pytest.raises(WamError, match="'b' follows 'j1' and cannot be commanded itself"):
        load_joints(dataclasses.replace(robot, joint_names=("j1", "b", "j3")))
    with pytest.raises(WamError, match="unknown joint 'd'"):
        load_joints(dataclasses.replace(robot, joint_names=("j1", "d", "j3")))
