"""A description is read as its maker wrote it; everything that is wrong with it is told at once."""

from __future__ import annotations

import numpy as np
import pinocchio as pin
import pytest

from testing.tools import load_urdf, one_robot
from wam_ros.core.errors import WamError
from wam_ros.robot.model import load_safety_model

from .chain import INERTIAL, JOINTS, LIMIT, ROD, TOOL, chain, joint, link, mesh

ZERO = '<axis xyz="0 0 0"/>'


def fixed(name: str, child: str, more: str = "", parent: str = "l3") -> str:
    return (
        f'<joint name="{name}" type="fixed"><parent link="{parent}"/><child link="{child}"/>{more}'
        "</joint>"
    )


def test_a_fixed_joint_needs_no_axis_whatever_is_written_there(tmp_path):
    tool = '<link name="tool"/>' + fixed("jt", "tool", ZERO)
    assert load_safety_model(chain(tmp_path, {"tool": tool})).joint_names == ("j1", "j2", "j3")
    with pytest.raises(WamError, match="joint 'j2': its axis is zero"):
        load_safety_model(chain(tmp_path, {"j2": joint("j2", "l1", "l2", "0 0 0")}))


def test_a_link_and_a_joint_may_have_one_name(tmp_path):
    parts = {
        "tool": '<link name="tool"/>' + fixed("tool", "tool", '<origin xyz="0 0 0.3"/>'),
        "j2": joint("l2", "l1", "l2"),
    }
    text = chain(tmp_path, parts).urdf_path.read_text()
    names = ("j1", "l2", "j3")
    model = load_safety_model(one_robot(tmp_path, text, names, "base", "tool", home=(0, 0.5, 0.5)))
    zero = np.zeros((1, 3))
    assert model.tool_motion(zero, zero)[0][0] == pytest.approx([0, 0, 1.2])


def test_quaternions_and_capsules_of_urdf_1_1_are_read(tmp_path):
    half = np.sqrt(0.5)
    for quaternion, rpy in (((half, 0, 0, half), (np.pi / 2, 0, 0)), ((0, half, 0, half), None)):
        words = " ".join(str(v) for v in quaternion)
        body = (
            f'<collision><origin xyz="0.1 0 0.15" quat_xyzw="{words}"/><geometry><capsule '
            'radius="0.03" length="0.2"/></geometry></collision>'
        )
        model = load_safety_model(chain(tmp_path, {"l3": link("l3", body)}))
        (found,) = [b for b in model.bodies if b.name == "l3#0"]
        turn = pin.Quaternion(np.array(quaternion, dtype=float)).matrix()
        assert np.allclose(found.placement.rotation, turn, atol=1e-9)
        assert rpy is None or np.allclose(found.placement.rotation, pin.rpy.rpyToMatrix(*rpy))
        assert (found.geometry.radius, found.geometry.halfLength) == (0.03, 0.1)


@pytest.mark.parametrize("seed", range(20))
def test_any_quaternion_is_the_same_turn_as_roll_pitch_and_yaw(tmp_path, seed):
    xyzw = np.random.default_rng(seed).normal(size=4)
    xyzw /= np.linalg.norm(xyzw)
    if seed < 2:  # where roll and yaw turn about one axis
        xyzw = np.array([0.5, (-1) ** seed * 0.5, 0.5, 0.5])
    words = " ".join(f"{v:.17g}" for v in xyzw)
    tool = '<link name="tool"/>' + fixed("jt", "tool", f'<origin quat_xyzw="{words}"/>')
    urdf = load_urdf(chain(tmp_path, {"tool": tool}).urdf_path)
    (origin,) = [j.find("origin") for j in urdf.root.findall("joint") if j.get("name") == "jt"]
    rpy = [float(v) for v in origin.get("rpy").split()]
    assert np.allclose(pin.rpy.rpyToMatrix(*rpy), pin.Quaternion(xyzw).matrix(), atol=1e-9)


def test_a_quaternion_that_is_none_is_refused_by_link(tmp_path):
    body = ROD.replace('xyz="0 0 0.15"', 'quat_xyzw="0 0 0 2"')
    with pytest.raises(WamError, match="link 'l3': quat_xyzw=.* is not a unit quaternion"):
        load_safety_model(chain(tmp_path, {"l3": link("l3", body)}))


BROKEN = {
    "a cyclic tree": (
        {"more": joint("back", "l3", "l1")},
        ["link 'l1' hangs from more than one joint, the second is 'back'"],
    ),
    "a ring": (
        {"more": link("a") + link("b") + joint("x", "a", "b") + joint("y", "b", "a")},
        ["links a, b hang from each other in a loop"],
    ),
    "two roots": ({"more": link("loose")}, ["links base, loose hang from no joint"]),
    "a duplicate joint": (
        {"more": link("a") + joint("j1", "l3", "a")},
        ["joint 'j1' has no name of its own"],
    ),
    "a range of zero": (
        {"j2": JOINTS["j2"].replace('lower="-2.5" upper="2.5"', 'lower="0.5" upper="0.5"')},
        ["joint 'j2': lower limit 0.5 is not below upper limit 0.5"],
    ),
    "an absent package": (
        {
            "l2": link("l2", mesh("package://gone/a.stl")),
            "l3": link("l3", mesh("package://gone/a.stl")),
        },
        ["links l2, l3: package 'gone' is not found"],
    ),
    "no file": ({"l3": link("l3", mesh("gone.stl"))}, ["link 'l3': gone.stl cannot be read"]),
    "a collision body of nothing": (
        {"l3": link("l3", "<collision><geometry/></collision>")},
        ["link 'l3': a <collision> has 0 shapes"],
    ),
    "two shapes for one": (
        {"l3": link("l3", ROD.replace("</geometry>", '<sphere radius="1"/></geometry>'))},
        ["link 'l3': a <collision> has 2 shapes"],
    ),
    "two places": (
        {"j2": JOINTS["j2"].replace("<axis", '<origin xyz="0 0 3"/><axis')},
        ["joint 'j2': a <joint> has 2 <origin>; leave one"],
    ),
    "two turns for one": (
        {"j2": JOINTS["j2"].replace("<origin", '<origin rpy="1 0 0" quat_xyzw="0 0 0 1"')},
        ["joint 'j2': an <origin> has quat_xyzw and rpy; leave one"],
    ),
    "a number that only Python reads": (
        {"l3": link("l3", ROD.replace('length="0.2"', 'length="0_2"'))},
        ["link 'l3': length=\"0_2\" in <cylinder> must be 1 finite number"],
    ),
    "a drawing of nothing": (
        {"l3": link("l3", "<visual><geometry/></visual>")},
        ["link 'l3': what is drawn of it, nothing, is no one body that is known, or name"],
    ),
    "a drawing of no known kind": (
        {"l3": link("l3", '<visual><geometry><ellipsoid radii="1 1 1"/></geometry></visual>')},
        ["link 'l3': what is drawn of it, <ellipsoid>, is no one body that is known, or name"],
    ),
    "a body in millimetres": (
        {"l3": link("l3", ROD.replace('length="0.2"', 'length="200"'))},
        ["link 'l3': a <cylinder> of 200 m is larger than a robot"],
    ),
    "a mesh without a file": (
        {"l3": link("l3", "<collision><geometry><mesh/></geometry></collision>")},
        ["link 'l3': its <mesh> has no filename"],
    ),
    "a bad box": (
        {"l3": link("l3", "<collision><geometry><box/></geometry></collision>")},
        ["link 'l3': its <box> has no size"],
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_description_is_refused_in_one_line(tmp_path, kind):
    parts, words = BROKEN[kind]
    with pytest.raises(WamError, match=words[0]) as caught:
        load_safety_model(chain(tmp_path, parts))
    assert "\n" not in str(caught.value)


def test_what_is_wrong_beside_a_tree_that_is_none_is_told_with_it(tmp_path):
    parts = {
        "l3": link("l3", mesh("gone.stl")),
        "j2": joint("j2", "l1", "l2", more=LIMIT.replace("-2.5", "2.5")),
    }
    more = joint("back", "l3", "l1") + link("loose")
    with pytest.raises(WamError) as caught:
        load_safety_model(chain(tmp_path, parts, more))
    head, *listed = str(caught.value).split("\n")
    assert head.endswith("robot.urdf: 5 problems:")
    for words in (
        "link 'l1' hangs from more than one joint, the second is 'back'",
        "links base, loose hang from no joint",
        "link 'l3': gone.stl cannot be read",
        "joint 'j2': lower limit 2.5 is not below upper limit 2.5",
        "home of joint 'j2' is 0.5 rad, beyond its limits",
    ):
        assert any(line.startswith(f"  - {words}") for line in listed), words


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    parts = {
        "l1": link("l1", ROD, INERTIAL.replace('mass value="1"', 'mass value="-1"')),
        "l2": link("l2", ROD.replace('radius="0.04"', 'radius="-1"')),
        "l3": link("l3", mesh("gone.stl")),
        "j1": joint("j1", "base", "l1", more=LIMIT.replace('velocity="2"', "")),
        "j3": joint("j3", "l2", "l3", more=LIMIT.replace("-2.5", "-250")),
    }
    more = link("a") + joint("idle", "l3", "a")
    robot = chain(tmp_path, {**parts, "tool": TOOL}, more, home=(0.0, 9.0, 0.5))
    with pytest.raises(WamError) as caught:
        load_safety_model(robot)
    head, *listed = str(caught.value).split("\n")
    assert head.endswith("robot.urdf: 7 problems:")
    for words in (
        "link 'l1': its mass -1 kg must not be negative",
        "link 'l2': radius=",
        "link 'l3': gone.stl cannot be read",
        "joint 'j1' has no velocity limit",
        "joint 'j3' turns by 252.5 rad",
        "joint 'idle' moves but is not in joint_names",
        "home of joint 'j2' is 9 rad, beyond its limits -2.5 to 2.5",
    ):
        assert any(line.startswith(f"  - {words}") for line in listed), words
