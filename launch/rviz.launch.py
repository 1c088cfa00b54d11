"""RViz with the views of this package; without RViz or a screen a line says so."""

import os
import tempfile
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.resources import share_dir

ARGUMENTS = {
    "embodiment": ("panda", "Robot: a name in config/embodiments or the path of a YAML file."),
    "namespace": ("", "Namespace of the topics."),
    "tf_prefix": ("", "In front of every frame of the robot."),
    "rviz_config_file": ("", "Configuration; empty: config/rviz/wam.rviz."),
    "use_sim_time": ("false", "Take the time from /clock."),
}


def with_prefix(config: str, prefix: str) -> str:
    """A copy of a configuration whose robot has prefixed links; RViz puts a slash between the
    two.
    """
    if not prefix.endswith("/"):
        raise RuntimeError(f"tf_prefix '{prefix}': RViz wants '{prefix}/', or launch_rviz:=false")
    with tempfile.NamedTemporaryFile("w", suffix=".rviz", prefix="wam_", delete=False) as file:
        file.write(
            Path(config)
            .read_text(encoding="utf-8")
            .replace('TF Prefix: ""', f"TF Prefix: {prefix[:-1]}")
        )
    return file.name


def launch_setup(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """RViz fixed to the robot's base, its relative topics in our namespace."""
    values = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    config = values["rviz_config_file"] or str(share_dir() / "config" / "rviz" / "wam.rviz")
    if not Path(config).is_file():
        raise RuntimeError(f"rviz_config_file '{config}' does not exist")
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        return [
            LogInfo(
                msg="RViz is not installed (package rviz2): going on without it; view:=true "
                "opens a web view"
            )
        ]
    if os.name == "posix" and not {"DISPLAY", "WAYLAND_DISPLAY"} & {*os.environ}:
        return [
            LogInfo(
                msg="no screen for RViz (DISPLAY is not set): going on without it; view:=true "
                "opens a web view"
            )
        ]
    prefix = values["tf_prefix"]
    if prefix and not values["rviz_config_file"]:
        config = with_prefix(config, prefix)
    frame = prefix + load_embodiment(values["embodiment"]).base_frame
    return [
        Node(
            package="rviz2",
            executable="rviz2",
            name="rviz",
            namespace=values["namespace"],
            arguments=["-d", config, "-f", frame],
            parameters=[{"use_sim_time": values["use_sim_time"] == "true"}],
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    arguments = [
        DeclareLaunchArgument(n, default_value=d, description=t) for n, (d, t) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=launch_setup)])
