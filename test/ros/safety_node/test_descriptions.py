"""Which of the two texts is missing that MoveIt is built from."""

import pytest

pytest.importorskip("rclpy")
from std_msgs.msg import String

from wam_ros.ros import qos
from wam_ros.ros.safety_node import descriptions
from wam_ros.ros.safety_node.descriptions import why_no_description

pytestmark = [pytest.mark.ros, pytest.mark.untimed]


@pytest.fixture(autouse=True)
def soon(monkeypatch, arena):
    """Do not wait for what never comes; look in the arena's domain."""
    monkeypatch.setattr(descriptions, "AWAIT_S", 0.2)
    monkeypatch.setattr(descriptions, "AT_LEAST_S", 0.2)
    monkeypatch.setenv("ROS_DOMAIN_ID", str(arena.context.get_domain_id()))


def given(tmp_path, **texts):
    file = tmp_path / "mine.yaml"
    lines = [f"    {name}: '{text}'" for name, text in texts.items()]
    file.write_text("\n".join(["/**/safety_moveit:", "  ros__parameters:", *lines, ""]))
    return [str(file)]


def test_both_are_named_with_their_topics():
    words = why_no_description("safety_moveit", "/cell", [])
    assert "robot_description did not come on /cell/robot_description (robot_state_pub" in words
    assert "robot_description_semantic did not come on /cell/robot_description_semantic" in words


def test_what_a_parameter_file_gives_is_not_missing(tmp_path):
    files = given(tmp_path, robot_description="<robot/>")
    words = why_no_description("safety_moveit", "/cell", files)
    assert words.startswith("robot_description_semantic did not come")
    files = given(tmp_path, robot_description="<robot/>", robot_description_semantic="<robot/>")
    assert why_no_description("safety_moveit", "/cell", files) == ""


def test_what_is_latched_on_its_topic_is_not_missing(tmp_path, arena, monkeypatch):
    monkeypatch.setattr(descriptions, "AT_LEAST_S", 20.0)
    latched = arena.observer.create_publisher(String, "/robot_description", qos.LATCHED)
    latched.publish(String(data="<robot/>"))
    files = given(tmp_path, robot_description_semantic="<robot/>")
    assert why_no_description("safety_moveit", "", files) == ""
