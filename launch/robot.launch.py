"""The robot's frames, and ros2_control with mock hardware when asked for."""

import re
from pathlib import Path

from launch.actions import LogInfo, OpaqueFunction
from launch.launch_description_entity import LaunchDescriptionEntity
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription
from wam_ros.core.drivers import shown_on
from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.resources import share_dir
from wam_ros.ros.launching.arguments import MOCK, ROBOT, controller_of, has_package, require_robot
from wam_ros.ros.launching.processes import (
    declared,
    end_if_failed,
    end_together,
    process,
    values_of,
)

INTERFACES = (
    '<command_interface name="position"/><command_interface name="velocity"/>'
    '<state_interface name="position"><param name="initial_value">{q}</param>'
)
JOINT = (
    f'<joint name="{{name}}">{INTERFACES}</state_interface><state_interface '
    'name="velocity"/></joint>'
)
HARDWARE = (
    '<ros2_control name="mock" '
    'type="system"><hardware><plugin>mock_components/GenericSystem</plugin>'
    '<param name="calculate_dynamics">true</param></hardware>{joints}</ros2_control></robot>'
)


def describe(embodiment: Embodiment, robot_ip: str, mock: bool) -> str:
    """The URDF as text, with mock hardware for every commanded joint when asked for."""
    text = Path(embodiment.urdf_path).read_text(encoding="utf-8").replace("$(robot_ip)", robot_ip)
    if not mock:
        return text
    joints = "".join(
        JOINT.format(name=name, q=q)
        for name, q in zip(embodiment.joint_names, embodiment.home, strict=True)
    )
    return re.sub(r"</robot>\s*$", lambda _: HARDWARE.format(joints=joints), text)


def mock_hardware(values: dict[str, str], context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Controller manager with mock hardware and the two controllers the loop speaks to.

    It takes the description from the topic of robot_state_publisher, the only place where Jazzy and
    Kilted look.
    """
    controllers = values["controllers_file"] or str(
        share_dir() / "config" / "ros2_controllers.yaml"
    )
    manager = Node(
        package="controller_manager",
        executable="ros2_control_node",
        namespace=values["namespace"],
        parameters=[controllers, {"use_sim_time": values["use_sim_time"] == "true"}],
        output="screen",
        exec_name="ros2_control_node",
        on_exit=end_together,
        **process("ros2_control_node", context),
    )
    names = ["joint_state_broadcaster", MOCK[controller_of(values)].name]
    spawner = Node(
        package="controller_manager",
        executable="spawner",
        namespace=values["namespace"],
        arguments=[*names, "--param-file", controllers],
        output="screen",
        exec_name="spawner",
        on_exit=end_if_failed,
        **process("spawner", context),
    )
    return [manager, spawner]


def launch_setup(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Nodes for the argument values."""
    values = values_of(ROBOT, context)
    require_robot(values)
    mock = values["use_mock_hardware"] == "true"
    sim = values["sim"] == "true"
    if not (mock or sim) and values["robot_state_publisher"] == "false":
        return []
    robot = load_embodiment(values["embodiment"])
    text = describe(robot, values["robot_ip"], mock)
    description = ParameterValue(text, value_type=str)
    entities: list[LaunchDescriptionEntity] = []
    if has_package("robot_state_publisher"):
        prefix = {
            "frame_prefix": values["tf_prefix"],
            "use_sim_time": values["use_sim_time"] == "true",
        }
        entities.append(
            Node(
                package="robot_state_publisher",
                executable="robot_state_publisher",
                namespace=values["namespace"],
                parameters=[{"robot_description": description, **prefix}],
                remappings=[("joint_states", shown_on(robot))],
                output="screen",
                exec_name="robot_state_publisher",
                **process("robot_state_publisher", context),
            )
        )
    else:
        entities.append(LogInfo(msg="robot_state_publisher is not installed: no frames for RViz"))
    return entities + (mock_hardware(values, context) if mock else [])


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    return LaunchDescription([*declared(ROBOT), OpaqueFunction(function=launch_setup)])
