"""The robot's frames, and ros2_control with mock hardware when asked for."""

import re
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription
from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.resources import share_dir

ARGUMENTS = {
    "embodiment": ("panda", "Robot: a name in config/embodiments or the path of a YAML file."),
    "namespace": ("", "Namespace of the nodes."),
    "tf_prefix": ("", "In front of every frame of the robot."),
    "robot_state_publisher": (
        "true",
        "Publish the description and frames of a real arm; false where its driver does.",
    ),
    "robot_ip": ("", "Address of the robot; replaces $(robot_ip) in its description."),
    "sim": ("true", "The simulated arm runs; no hardware is touched."),
    "use_mock_hardware": ("false", "Run ros2_control with mock hardware."),
    "controller": ("", "Kind of controller that moves the arm; empty: the embodiment's."),
    "controllers_file": (
        "",
        "Controllers of the mock hardware; empty: config/ros2_controllers.yaml.",
    ),
    "use_sim_time": ("false", "Take the time from /clock."),
}

# Kinds of controller, the ones of config/ros2_controllers.yaml that understand them, and the
# packages of those.
CONTROLLERS = {
    "joint_trajectory": ("joint_trajectory_controller", "joint_trajectory_controller"),
    "follow_joint_trajectory": ("joint_trajectory_controller", "joint_trajectory_controller"),
    "forward_position": ("forward_position_controller", "forward_command_controller"),
    "forward_velocity": ("forward_velocity_controller", "forward_command_controller"),
}
INTERFACES = (
    '<command_interface name="position"/><command_interface name="velocity"/>'
    '<state_interface name="position"><param name="initial_value">{q}</param>'
)
JOINT = (
    f'<joint name="{{name}}">{INTERFACES}</state_interface><state_interface '
    'name="velocity"/></joint>'
)
MOCK = (
    '<ros2_control name="mock" '
    'type="system"><hardware><plugin>mock_components/GenericSystem</plugin>'
    '<param name="calculate_dynamics">true</param></hardware>{joints}</ros2_control></robot>'
)


def has_package(name: str) -> bool:
    """Whether a ROS package is installed."""
    try:
        get_package_prefix(name)
    except PackageNotFoundError:
        return False
    return True


def describe(embodiment: Embodiment, robot_ip: str, mock: bool) -> str:
    """The URDF as text, with mock hardware for every commanded joint when asked for."""
    text = Path(embodiment.urdf_path).read_text(encoding="utf-8").replace("$(robot_ip)", robot_ip)
    if not mock:
        return text
    joints = "".join(
        JOINT.format(name=name, q=q)
        for name, q in zip(embodiment.joint_names, embodiment.home, strict=True)
    )
    return re.sub(r"</robot>\s*$", lambda _: MOCK.format(joints=joints), text)


def mock_hardware(values: dict[str, str]) -> list[LaunchDescriptionEntity]:
    """Controller manager with mock hardware and the two controllers the loop speaks to.

    It takes the description from the topic of robot_state_publisher, the only place where Jazzy and
    Kilted look.
    """
    kind = values["controller"] or load_embodiment(values["embodiment"]).controller
    if kind not in CONTROLLERS:
        raise RuntimeError(
            f"controller '{kind}' has no mock hardware; choices: {', '.join(CONTROLLERS)}"
        )
    if not has_package("robot_state_publisher"):
        words = "robot_state_publisher: install ros-$ROS_DISTRO-robot-state-publisher"
        raise RuntimeError(f"use_mock_hardware:=true needs {words}")
    for package in ("controller_manager", "joint_state_broadcaster", CONTROLLERS[kind][1]):
        if not has_package(package):
            words = (
                "ros2_control: install ros-$ROS_DISTRO-ros2-control and "
                "ros-$ROS_DISTRO-ros2-controllers"
            )
            raise RuntimeError(f"use_mock_hardware:=true needs {words} ({package} is missing)")
    controllers = values["controllers_file"] or str(
        share_dir() / "config" / "ros2_controllers.yaml"
    )
    if not Path(controllers).is_file():
        raise RuntimeError(f"controllers_file '{controllers}' does not exist")
    manager = Node(
        package="controller_manager",
        executable="ros2_control_node",
        namespace=values["namespace"],
        parameters=[controllers, {"use_sim_time": values["use_sim_time"] == "true"}],
        output="screen",
    )
    names = ["joint_state_broadcaster", CONTROLLERS[kind][0]]
    spawner = Node(
        package="controller_manager",
        executable="spawner",
        namespace=values["namespace"],
        arguments=[*names, "--param-file", controllers],
        output="screen",
    )
    return [manager, spawner]


def launch_setup(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Nodes for the argument values."""
    values = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    mock = values["use_mock_hardware"] == "true"
    sim = values["sim"] == "true"
    if mock and sim:
        raise RuntimeError("use_mock_hardware:=true and sim:=true are two robots: add sim:=false")
    if not (mock or sim) and values["robot_state_publisher"] == "false":
        return []
    text = describe(load_embodiment(values["embodiment"]), values["robot_ip"], mock)
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
                output="screen",
            )
        )
    else:
        entities.append(LogInfo(msg="robot_state_publisher is not installed: no frames for RViz"))
    return entities + (mock_hardware(values) if mock else [])


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    arguments = [
        DeclareLaunchArgument(n, default_value=d, description=t) for n, (d, t) in ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=launch_setup)])
