"""config/ros2_controllers.yaml: complete, and nothing in it that the bridge would warn of."""

import pytest
import yaml

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.resources import share_dir
from wam_ros.ros.controllers.base import LIMITS
from wam_ros.ros.controllers.forward_position import ForwardPositionOutput
from wam_ros.ros.controllers.forward_velocity import ForwardVelocityOutput
from wam_ros.ros.controllers.joint_trajectory import SETTINGS, JointTrajectoryOutput

FILE = yaml.safe_load((share_dir() / "config" / "ros2_controllers.yaml").read_text())
PANDA = load_embodiment("panda")


def parameters(name):
    return FILE[f"/**/{name}"]["ros__parameters"]


def test_every_controller_of_the_manager_is_configured_and_the_other_way_round():
    manager = parameters("controller_manager")
    typed = {name for name, value in manager.items() if isinstance(value, dict)}
    assert typed | {"controller_manager"} == {key.removeprefix("/**/") for key in FILE}
    assert all(manager[name]["type"].count("/") == 1 for name in typed)


@pytest.mark.parametrize(
    "output", [JointTrajectoryOutput, ForwardPositionOutput, ForwardVelocityOutput]
)
def test_the_usual_controllers_command_the_arms_joints(output):
    assert parameters(output.NAME)["joints"] == list(PANDA.joint_names)


def test_it_is_set_as_the_bridge_wants_it():
    for setting in SETTINGS:
        assert setting.fits(
            parameters(setting.node or "joint_trajectory_controller")[setting.name]
        ), setting.advice
    assert LIMITS in SETTINGS
    for output in (ForwardPositionOutput, ForwardVelocityOutput):
        assert parameters(output.NAME)["interface_name"] == output.INTERFACE
