"""Arms, grippers and tools are found in the tree of links."""

from __future__ import annotations

import re

import pytest

from testing.tools import load_urdf
from wam_ros.core.errors import WamError
from wam_ros.embodiments.tree import choose_arms, find_arms, find_base, find_tool, stuck_joints

from .body import ROD, arm, joint, link, write_body


@pytest.fixture
def body(tmp_path):
    return load_urdf(write_body(tmp_path))


def test_both_arms_are_found_with_their_grippers_and_tools_and_no_leg(body):
    left, right = find_arms(body)
    assert left.joints == tuple(f"left_arm_{k}" for k in range(1, 6))
    assert left.gripper == ("left_finger_open",), "what follows it is not commanded"
    assert (left.tool, right.tool) == ("left_tool0", "right_tool0")
    assert find_base(body) == "base_link"


def test_an_arm_is_chosen_by_how_its_parts_are_called(body):
    arms = find_arms(body)
    assert [a.tool for a in choose_arms(arms, ("right",))] == ["right_tool0"]
    assert choose_arms(arms, ()) == arms
    with pytest.raises(
        WamError, match="no arm is called 'middle'; found are: left_arm_1, left_arm_2"
    ):
        choose_arms(arms, ("middle",))
    with pytest.raises(WamError, match="no arm is called 'ight'"):
        choose_arms(arms, ("ight",))


def test_a_gripper_that_is_the_last_joint_in_the_row_is_one(tmp_path):
    row = arm("left", 0.3).split('<link name="left_finger_open_link"')[0]
    row += link("jaw") + joint("gripper", "left_arm_5_link", "jaw")
    (found,) = find_arms(load_urdf(write_body(tmp_path, row)))
    assert found.gripper == ("gripper",)
    assert len(found.joints) == 5


def test_a_last_slide_that_another_follows_is_a_gripper_whatever_it_is_called(tmp_path):
    row = arm("left", 0.3).split('<link name="left_finger_open_link"')[0]
    row += link("inner") + joint("carriage", "left_arm_5_link", "inner", kind="prismatic")
    (found,) = find_arms(load_urdf(write_body(tmp_path, row)))
    assert found.joints[-1] == "carriage", "by itself it may as well be a part of the arm"
    copies = '<mimic joint="carriage" multiplier="-1"/>'
    row += link("outer") + joint("other", "left_arm_5_link", "outer", kind="prismatic").replace(
        "</joint>", f"{copies}</joint>"
    )
    (found,) = find_arms(load_urdf(write_body(tmp_path, row)))
    assert found.gripper == ("carriage",)
    assert len(found.joints) == 5
    assert found.tool == "left_tool0"


def test_a_joint_with_no_way_to_go_is_part_of_no_arm(tmp_path):
    text = arm("left", 0.3)
    finger = text.index('<joint name="left_finger_open"')
    end = text.index("</joint>", finger)
    limits = re.sub('(lower|upper)="[^"]*"', r'\1="0"', text[finger:end])
    urdf = load_urdf(write_body(tmp_path, text[:finger] + limits + text[end:]))
    (found,) = find_arms(urdf)
    assert found.gripper == ()
    assert stuck_joints(urdf) == ["left_finger_open"]


def test_a_hand_of_many_joints_stands(tmp_path):
    hand = arm("left", 0.3)
    for k in range(3):
        hand += link(f"digit{k}") + joint(f"digit{k}", "left_arm_5_link", f"digit{k}")
    (found,) = find_arms(load_urdf(write_body(tmp_path, hand)))
    assert found.gripper == ()
    assert set(found.hand) == {"left_finger_open", "digit0", "digit1", "digit2"}


def test_a_trunk_of_as_many_joints_as_an_arm_is_none_and_carries_both(tmp_path):
    trunk = ""
    before = "torso"
    for k in range(4):
        trunk += link(f"column{k}") + joint(f"waist{k}", before, f"column{k}")
        before = f"column{k}"
    arms = (arm("left", 0.35) + arm("right", -0.35)).replace('"torso"', f'"{before}"')
    found = find_arms(load_urdf(write_body(tmp_path, trunk + arms)))
    assert [a.tool for a in found] == ["left_tool0", "right_tool0"]
    assert [len(a.joints) for a in found] == [5, 5]


def test_a_first_joint_that_carries_a_head_too_is_of_the_arm_and_a_lift_is_not(tmp_path):
    head = link("neck") + joint("pan", "left_arm_1_link", "neck")
    (found,) = find_arms(load_urdf(write_body(tmp_path, arm("left", 0.3) + head)))
    assert found.joints == tuple(f"left_arm_{k}" for k in range(1, 6)), "nor is the lift below it"


def test_an_arm_is_one_though_its_fingers_have_four_joints_each(tmp_path):
    hand = arm("left", 0.3)
    for digit in "abc":
        before = "left_arm_5_link"
        for k in range(4):
            hand += link(f"{digit}{k}") + joint(f"{digit}_{k}", before, f"{digit}{k}")
            before = f"{digit}{k}"
    (found,) = find_arms(load_urdf(write_body(tmp_path, hand)))
    assert found.joints == tuple(f"left_arm_{k}" for k in range(1, 6))
    assert len(found.hand) == 13


def test_without_an_arm_it_is_said_how_to_name_its_joints(tmp_path):
    urdf = load_urdf(write_body(tmp_path, link("wing") + joint("flap", "torso", "wing")))
    with pytest.raises(WamError, match="name its joints with --joint$"):
        choose_arms(find_arms(urdf), ())


def test_a_tool_without_a_usual_name_is_the_last_link(tmp_path):
    end = arm("left", 0.3).replace("left_tool0", "left_plate")
    urdf = load_urdf(write_body(tmp_path, end))
    assert find_tool(urdf, "left_arm_5_link") == "left_plate"
    assert ROD in urdf.path.read_text()
