"""What can be known of the launch files without the launch tool."""

import ast

import pytest
import yaml

pytest.importorskip("rclpy")

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.resources import share_dir
from wam_ros.ros.launching.arguments import ARGUMENTS

ROOT = share_dir()
FILES = sorted((ROOT / "launch").glob("*.launch.py"))
USUAL = {
    "use_sim_time",
    "namespace",
    "tf_prefix",
    "robot_ip",
    "use_mock_hardware",
    "controllers_file",
    "launch_rviz",
    "rviz_config_file",
    "params_file",
    "log_level",
    "autostart",
}
OURS = {
    "embodiment",
    "model",
    "checkpoint",
    "instruction",
    "sim",
    "task",
    "real_time",
    "dry_run",
    "imagination",
    "record",
    "teleop",
    "view",
    "controller",
    "robot_state_publisher",
    "discovery",
}


def test_bringup_has_the_arguments_that_users_of_arms_know_and_ours():
    assert set(ARGUMENTS) == USUAL | OURS


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_argument_has_a_default_that_is_a_choice_and_a_sentence(name):
    argument = ARGUMENTS[name]
    assert argument.doc.endswith(".")
    assert not argument.choices or argument.default in argument.choices


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_process_ends_with_the_launch_that_started_it(path):
    """By the words that `process` puts in front of its command."""
    for call in (c for c in ast.walk(ast.parse(path.read_text())) if isinstance(c, ast.Call)):
        if getattr(call.func, "id", "") in ("Node", "LifecycleNode", "ExecuteProcess"):
            spread = [k.value for k in call.keywords if k.arg is None]
            assert any(getattr(v.func, "id", "") == "process" for v in spread), call.lineno


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_every_launch_file_offers_what_the_tool_calls(path):
    names = {s.name for s in ast.parse(path.read_text()).body if isinstance(s, ast.FunctionDef)}
    assert {"generate_launch_description", "launch_setup"} <= names


def test_the_mock_controllers_move_the_joints_of_the_default_robot():
    config = yaml.safe_load((ROOT / "config" / "ros2_controllers.yaml").read_text())
    settings = config["/**/joint_trajectory_controller"]["ros__parameters"]
    assert tuple(settings["joints"]) == load_embodiment("panda").joint_names
    assert settings["interpolate_from_desired_state"] is True
