"""Everything, by arguments: `ros2 launch wam_ros bringup.launch.py instruction:="pick up the red
block"`.

With `sim:=false` the nodes wait for a robot that runs `joint_trajectory_controller` and publishes
`joint_states` and camera images under the embodiment's names; then `dry_run` is true unless said
otherwise.
"""

import os
from pathlib import Path

from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.events.process import ProcessExited
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

from launch import LaunchContext, LaunchDescription
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.resources import share_dir
from wam_ros.ros.environment import transport_environment

BOOL = ["true", "false"]
LAUNCH_FOLDER = Path(__file__).parent
# on a busy machine it takes longer than launch's 5 s to let go of torch and of the simulation
LET_GO_S = "15"

# name: (default, choices or None, description)
ARGUMENTS: dict[str, tuple[str, list[str] | None, str]] = {
    "embodiment": (
        "panda",
        None,
        "Robot: a name in config/embodiments or the path of a YAML file.",
    ),
    "model": (
        "",
        None,
        "Model: a name in config/models or the path of a YAML file; empty: "
        "config/inference.yaml's.",
    ),
    "checkpoint": (
        "",
        None,
        "Weights: a .safetensors file or a released model's folder; empty: those of the model.",
    ),
    "instruction": (
        "",
        None,
        "What to do, in plain language. Without an instruction nothing moves.",
    ),
    "sim": ("true", BOOL, "Start a simulated arm with cameras instead of waiting for a real one."),
    "dry_run": (
        "auto",
        ["auto", *BOOL],
        "Compute and show everything, move nothing. auto: false only in simulation.",
    ),
    "imagination": (
        "full",
        ["off", "keyframes", "full"],
        "Which imagined frames are decoded and published.",
    ),
    "record": ("", None, "Folder for an MCAP bag of every topic of the loop; empty: none."),
    "view": ("false", BOOL, "Serve the view for a web browser."),
    "namespace": ("", None, "Namespace of every node and topic."),
    "tf_prefix": (
        "",
        None,
        "Put in front of every frame of the robot, e.g. left/ (RViz wants the slash).",
    ),
    "robot_state_publisher": (
        "true",
        BOOL,
        "With sim:=false: publish the robot's description and frames; false where its driver does.",
    ),
    "robot_ip": (
        "",
        None,
        "Address of the robot, handed to its description; its own driver connects to it.",
    ),
    "controller": ("", None, "Kind of controller that moves the arm; empty: the embodiment's."),
    "use_mock_hardware": (
        "false",
        BOOL,
        "With sim:=false: run ros2_control with mock hardware (no cameras).",
    ),
    "controllers_file": (
        "",
        None,
        "Controllers of the mock hardware; empty: config/ros2_controllers.yaml.",
    ),
    "params_file": ("", None, "Parameters that replace those of config/*.yaml; empty: none."),
    "use_sim_time": ("false", BOOL, "Take the time from /clock."),
    "launch_rviz": ("true", BOOL, "Open RViz when it is installed."),
    "rviz_config_file": ("", None, "Configuration of RViz; empty: config/rviz/wam.rviz."),
    "log_level": ("info", ["debug", "info", "warn", "error", "fatal"], "Log level of every node."),
    "autostart": (
        "true",
        BOOL,
        "Configure and activate the nodes by themselves; false: wait for `ros2 lifecycle`.",
    ),
}

RECORDED = [
    "observation",
    "action_chunk",
    "imagined_future",
    "wam_status",
    "safe_trajectory",
    "safety_report",
    "safety/markers",
    "safety/ghost_path",
    "commanded_state",
    "bridge_state",
    "joint_states",
    "episode",
    # What controllers are told by topic; a recorder waits for those that do not run.
    "joint_trajectory_controller/joint_trajectory",
    "forward_position_controller/commands",
    "forward_velocity_controller/commands",
    "servo_node/delta_joint_cmds",
]


def declare_arguments() -> list[DeclareLaunchArgument]:
    """Every argument with its default, choices and description."""
    return [
        DeclareLaunchArgument(name, default_value=default, description=text, choices=choices)
        for name, (default, choices, text) in ARGUMENTS.items()
    ]


def end_together(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
    """When one node of the loop ends, all end: what the arm was last told brings it to rest.

    Raises:
        RuntimeError: it failed or was killed. The launch then ends all as well, and itself with
            exit code 1.
    """
    if context.is_shutdown:
        return None
    if event.returncode:
        raise RuntimeError(
            f"{event.process_name} ended with exit code {event.returncode} (see above)"
        )
    return Shutdown(reason=f"{event.process_name} ended")


def require_file(name: str, path: str) -> None:
    """Refuse a file that is not there: what a launch leaves out with a warning may be somebody's
    limits.

    Raises:
        RuntimeError: naming argument and path.
    """
    if path and not Path(path).is_file():
        raise RuntimeError(f"{name} '{path}' does not exist")


def wam_node(name: str, values: dict[str, str], parameters: dict[str, object]) -> LifecycleNode:
    """One node of this package: config file, then launch arguments, then the user's
    `params_file`.
    """
    sources: list[object] = []
    config = share_dir() / "config" / f"{name.removesuffix('_node')}.yaml"
    if config.is_file():
        sources.append(str(config))
    shared = {
        "use_sim_time": values["use_sim_time"] == "true",
        "autostart": values["autostart"] == "true",
    }
    sources.append({**shared, **parameters})
    if values["params_file"]:
        sources.append(values["params_file"])
    logger = ".".join(part for part in (*values["namespace"].split("/"), name) if part)
    return LifecycleNode(
        package="wam_ros",
        executable=name,
        name=name,
        namespace=values["namespace"],
        parameters=sources,
        arguments=["--ros-args", "--log-level", f"{logger}:={values['log_level']}"],
        output="screen",
        emulate_tty=True,
        sigterm_timeout=LET_GO_S,
        on_exit=None if name == "view_node" else end_together,
    )


def loop_nodes(values: dict[str, str]) -> list[LaunchDescriptionEntity]:
    """Camera, inference, safety and bridge; also the simulated arm and the view when asked for."""
    sim = values["sim"] == "true"
    dry_run = values["dry_run"] == "true" or (values["dry_run"] == "auto" and not sim)
    robot = {"embodiment": values["embodiment"]}
    model = {key: values[key] for key in ("model", "checkpoint", "instruction") if values[key]}
    # A real arm that is silent for 0.3 s is gone; a simulated one on a busy machine is only late,
    # and stands meanwhile.
    patience = {"joint_timeout_s": 2.0} if sim else {}
    # Only a simulated arm with something to do arms itself; a real one is armed by a person.
    arm = sim and not dry_run and bool(values["instruction"])
    output = {"controller": values["controller"]} if values["controller"] else {}
    frames = {"tf_prefix": values["tf_prefix"]} if values["tf_prefix"] else {}
    nodes: list[LaunchDescriptionEntity] = [
        wam_node("camera_node", values, robot),
        wam_node(
            "inference_node", values, {**robot, **model, "imagination": values["imagination"]}
        ),
        wam_node(
            "safety_node",
            values,
            {**robot, **patience, **frames, "dry_run": dry_run, "arm_on_start": arm},
        ),
        wam_node("bridge_node", values, {**robot, **output}),
    ]
    if sim:
        nodes.insert(0, wam_node("sim_node", values, {**robot, **output}))
    if values["view"] == "true":
        nodes.append(wam_node("view_node", values, robot))
    return nodes


def recorder(values: dict[str, str]) -> list[LaunchDescriptionEntity]:
    """`ros2 bag record` of the loop's topics into `record`."""
    if not values["record"]:
        return []
    prefix = f"/{values['namespace'].strip('/')}/" if values["namespace"] else "/"
    topics = [prefix + topic for topic in RECORDED]
    return [
        ExecuteProcess(
            cmd=[
                "ros2",
                "bag",
                "record",
                "--storage",
                "mcap",
                "--output",
                values["record"],
                "--topics",
                *topics,
            ],
            name="record",
            output="screen",
        )
    ]


def include(name: str, values: dict[str, str], keys: list[str]) -> IncludeLaunchDescription:
    """Another launch file of this folder with some of our arguments."""
    source = PythonLaunchDescriptionSource(str(LAUNCH_FOLDER / name))
    return IncludeLaunchDescription(source, launch_arguments=[(key, values[key]) for key in keys])


def launch_setup(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """What the argument values mean; an unknown embodiment fails here with the names there are."""
    values = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    load_embodiment(values["embodiment"])
    for name in ("params_file", "controllers_file"):
        require_file(name, values[name])
    robot_keys = [
        "embodiment",
        "namespace",
        "tf_prefix",
        "robot_state_publisher",
        "robot_ip",
        "sim",
    ]
    robot_keys += ["use_mock_hardware", "controller", "controllers_file"]
    entities: list[LaunchDescriptionEntity] = [
        SetEnvironmentVariable(name, value)
        for name, value in transport_environment(os.environ).items()
    ]
    entities.append(include("robot.launch.py", values, [*robot_keys, "use_sim_time"]))
    entities += loop_nodes(values)
    entities += recorder(values)
    if not values["instruction"]:
        entities.append(
            LogInfo(
                msg="no instruction given: nothing moves until inference_node/set_instruction is "
                "called"
            )
        )
    if values["launch_rviz"] == "true":
        rviz_keys = ["embodiment", "namespace", "tf_prefix", "rviz_config_file", "use_sim_time"]
        entities.append(include("rviz.launch.py", values, rviz_keys))
    return entities


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` runs."""
    return LaunchDescription([*declare_arguments(), OpaqueFunction(function=launch_setup)])
