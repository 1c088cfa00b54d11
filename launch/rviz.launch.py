"""RViz with the views of this package; without RViz or a screen a line says so."""

import os
import tempfile

from launch.actions import LogInfo, OpaqueFunction
from launch.launch_description_entity import LaunchDescriptionEntity
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from wam_ros.core.embodiment import load_embodiment
from wam_ros.ros.launching.arguments import RVIZ, require_rviz, why_not_rviz
from wam_ros.ros.launching.processes import declared, process, values_of
from wam_ros.ros.launching.rviz import config_for


def written(config: str) -> str:
    """A file of its own for every start: RViz asks to save when it is closed, and what is saved
    then must not replace the shipped one.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".rviz", prefix="wam_", delete=False) as file:
        file.write(config)
    return file.name


def launch_setup(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """RViz fixed to the robot's base, its relative topics in our namespace."""
    values = values_of(RVIZ, context)
    require_rviz(values)
    if missing := why_not_rviz(os.environ):
        return [LogInfo(msg=f"{missing}: going on without it; view:=true opens a web view")]
    robot = load_embodiment(values["embodiment"])
    prefix = values["tf_prefix"]
    config = values["rviz_config_file"] or written(config_for(robot, prefix))
    frame = prefix + robot.base_frame
    return [
        Node(
            package="rviz2",
            executable="rviz2",
            name="rviz",
            namespace=values["namespace"],
            arguments=["-d", config, "-f", frame],
            parameters=[{"use_sim_time": values["use_sim_time"] == "true"}],
            exec_name="rviz2",
            **process("rviz2", context),
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    return LaunchDescription([*declared(RVIZ), OpaqueFunction(function=launch_setup)])
