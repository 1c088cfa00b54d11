"""What the launch files can be told: every argument with its default, its choices and what would be
wrong with a value.

All of it is judged before the first process starts. A launch that fails in the middle would leave
running what it has started, behind a returned prompt. Whoever launches need not have torch,
MuJoCo or pinocchio: the nodes have.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from rclpy.exceptions import InvalidNamespaceException
from rclpy.validate_namespace import validate_namespace

from wam_ros.core.drivers import JOINTS, shown_on
from wam_ros.core.embodiment import TOPIC, Embodiment, load_embodiment
from wam_ros.core.errors import UnknownNameError, WamError, require_known
from wam_ros.core.resources import DESCRIPTIONS
from wam_ros.models import SCRIPT, model_for, read_description, require_instruction
from wam_ros.robot.joints import load_joints
from wam_ros.ros.bridge_node.outputs import GRIPPERS
from wam_ros.ros.controllers import CONTROLLERS
from wam_ros.ros.environment import DISCOVERY
from wam_ros.ros.inference_node.parameters import InferenceParams
from wam_ros.ros.launching.parameter_files import (
    node_of,
    read_sections,
    require_parameters,
)
from wam_ros.ros.sim_node.controller_server import KINDS as SIMULATED
from wam_ros.sim.names import require_task
from wam_ros.sim.robots import require_simulated, task_for

if TYPE_CHECKING:
    from wam_ros.embodiments.stand_in import StandIn

Values = Mapping[str, str]
BOOL = ("true", "false")


@dataclass(frozen=True)
class Argument:
    """One argument of a launch file."""

    default: str
    doc: str
    choices: tuple[str, ...] = ()  # empty: any text, which `require_*` judges


@dataclass(frozen=True)
class MockController:
    """A kind of controller on mock hardware."""

    name: str  # in config/ros2_controllers.yaml
    package: str  # that it comes with


ARGUMENTS = {
    "embodiment": Argument(
        "panda",
        "Robot: a name in config/embodiments or the path of a YAML file; of a URDF or xacro file "
        "what is guessed is kept beside it.",
    ),
    "model": Argument(
        "",
        "Model: a name in config/models or the path of a YAML file; ws://HOST:PORT asks a server "
        "that describes itself, CONTRACT@ws://HOST:PORT any other by a name in config/wires or a "
        "path; empty: config/inference.yaml's, or with a simulated robot that it does not know, "
        "`reach`: a script, no model.",
    ),
    "checkpoint": Argument(
        "",
        "Weights: a .safetensors file or a released model's folder; empty: those of the model.",
    ),
    "instruction": Argument(
        "", "What to do, in plain language. Without an instruction nothing moves."
    ),
    "sim": Argument(
        "true", "Start a simulated arm with cameras instead of waiting for a real one.", BOOL
    ),
    "task": Argument(
        "",
        "With sim:=true, what there is to do: pick_block, reach, or one of LIBERO's such as "
        "libero_object/0; empty: config/sim.yaml's, or where a script moves the arm, reach.",
    ),
    "real_time": Argument(
        "false",
        "With sim:=true: the world keeps real time; false: it waits for the loop, by /clock.",
        BOOL,
    ),
    "dry_run": Argument(
        "auto",
        "Compute and show everything, move nothing. auto: false only in simulation.",
        ("auto", *BOOL),
    ),
    "imagination": Argument(
        "full",
        "Which imagined frames are decoded and published.",
        ("off", "keyframes", "full"),
    ),
    "teleop": Argument(
        "",
        "Topic of a person's joint commands, which take the model's place; empty: the model. "
        "config/teleop.yaml says of which type they are.",
    ),
    "record": Argument(
        "",
        "Folder for takes, each a recording (MCAP) of the loop; one begins at once; empty: none.",
    ),
    "view": Argument("false", "Serve the view for a web browser.", BOOL),
    "namespace": Argument("", "Namespace of every node and topic."),
    "tf_prefix": Argument(
        "", "Put in front of every frame of the robot, e.g. left/ (RViz wants the slash)."
    ),
    "robot_state_publisher": Argument(
        "true",
        "With sim:=false: publish the robot's description and frames; false where its driver does.",
        BOOL,
    ),
    "robot_ip": Argument(
        "", "Address of the robot, handed to its description; its own driver connects to it."
    ),
    "controller": Argument("", "Kind of controller that moves the arm; empty: the embodiment's."),
    "use_mock_hardware": Argument(
        "false", "With sim:=false: run ros2_control with mock hardware (no cameras).", BOOL
    ),
    "controllers_file": Argument(
        "", "Controllers of the mock hardware; empty: config/ros2_controllers.yaml."
    ),
    "params_file": Argument("", "Parameters that replace those of config/*.yaml; empty: none."),
    "use_sim_time": Argument("false", "Take the time from /clock.", BOOL),
    "discovery": Argument(
        "auto",
        "How far nodes look for each other. auto: this machine only, unless the environment says "
        "otherwise; subnet: also a robot's driver on another machine.",
        DISCOVERY,
    ),
    "launch_rviz": Argument("true", "Open RViz when it is installed.", BOOL),
    "rviz_config_file": Argument("", "Configuration of RViz; empty: config/rviz/wam.rviz."),
    "log_level": Argument(
        "info", "Log level of every node.", ("debug", "info", "warn", "error", "fatal")
    ),
    "autostart": Argument(
        "true",
        "Configure and activate the nodes by themselves; false: wait for `ros2 lifecycle`.",
        BOOL,
    ),
}
# Those of the launch files that `bringup` includes.
ROBOT = (
    *("embodiment", "namespace", "tf_prefix", "robot_state_publisher", "robot_ip", "sim"),
    *("use_mock_hardware", "controller", "controllers_file", "use_sim_time"),
)
RVIZ = ("embodiment", "namespace", "tf_prefix", "rviz_config_file", "use_sim_time")
LAUNCH_OWN = ("launch-prefix", "launch-prefix-filter")  # what `ros2 launch` itself is told

MOCK = {
    "joint_trajectory": MockController(
        "joint_trajectory_controller", "joint_trajectory_controller"
    ),
    "follow_joint_trajectory": MockController(
        "joint_trajectory_controller", "joint_trajectory_controller"
    ),
    "forward_position": MockController("forward_position_controller", "forward_command_controller"),
    "forward_velocity": MockController("forward_velocity_controller", "forward_command_controller"),
}


def described(values: Values) -> tuple[dict[str, str], str]:
    """The values with a YAML file where a URDF or xacro file stands, and what is to be said of it.

    A real arm whose file was only just guessed stays still: somebody has to look at it first.

    Raises:
        WamError: nothing can be made of the description.
    """
    found = dict(values)
    if not values["embodiment"].endswith(DESCRIPTIONS):
        return found, ""
    from wam_ros.embodiments.stand_in import stand_in  # with pinocchio: only where it is needed

    kept: list[StandIn] = []
    _judge(values, "embodiment", lambda: kept.append(stand_in(values["embodiment"])))
    found["embodiment"] = kept[0].embodiment
    if not kept[0].guessed:
        return found, f"robot: {kept[0].embodiment}"
    words = f"what was guessed of the robot is in {kept[0].embodiment}: look at it, and edit it"
    if values["sim"] == "true":
        return found, words
    found["dry_run"] = "true"
    return found, f"{words}; this once nothing moves, whatever dry_run says"


def require_bringup(values: Values) -> None:
    """Judge the arguments of bringup.launch.py and of what it includes.

    Raises:
        WamError: naming the argument, the value and the choices.
    """
    require_robot({name: values[name] for name in ROBOT})
    require_rviz({name: values[name] for name in RVIZ}, values["launch_rviz"] == "true")
    _require_choices(values)
    robot = load_embodiment(values["embodiment"])
    _judge(values, "sim", lambda: _require_sim(values, robot))
    _judge(values, "task", lambda: _require_task(values, robot))
    if values["real_time"] == "true" and values["sim"] == "false":
        raise WamError("real_time:=true: only a simulated world need be told; leave it out")
    path = Path(values["params_file"])
    _judge(values, "params_file", lambda: require_parameters(path))
    told = _told_to_model(path) if values["params_file"] else {}
    in_file = any("model" in said for said in told.values())
    model = model_of(values, robot) or ("" if in_file else InferenceParams().model)
    _judge({"model": model}, "model", lambda: _require_model(model, robot))
    _judge(values, "checkpoint", lambda: _require_there(values["checkpoint"]))
    followed = "" if values["teleop"] else model  # a person understands anything
    _judge(values, "instruction", lambda: _require_instruction(values["instruction"], followed))
    _judge(values, "params_file", lambda: _require_understood(told, model))
    _judge(values, "teleop", lambda: _require_teleop(values))
    _judge(values, "record", lambda: _require_recorder(values["record"]))


def require_robot(values: Values) -> None:
    """Judge the arguments of robot.launch.py.

    Raises:
        WamError: naming the argument, the value and the choices.
    """
    _require_common(values)
    _judge(values, "robot_ip", lambda: _require_address(values["robot_ip"]))
    robot = load_embodiment(values["embodiment"])
    kinds = [kind for kind in CONTROLLERS if kind not in GRIPPERS]
    _judge(values, "controller", lambda: _require_among(values["controller"], kinds))
    _judge(
        values, "controllers_file", lambda: list(read_sections(Path(values["controllers_file"])))
    )
    if values["use_mock_hardware"] == "true":
        _judge(values, "use_mock_hardware", lambda: _require_mock(values, robot))


def require_rviz(values: Values, opens: bool = True) -> None:
    """Judge the arguments of rviz.launch.py.

    Args:
        values: of its arguments.
        opens: whether RViz is wanted.

    Raises:
        WamError: naming the argument and the value.
    """
    _require_common(values)
    _judge(values, "rviz_config_file", lambda: _require_file(values["rviz_config_file"]))
    prefix = values["tf_prefix"]
    # RViz puts a slash between the prefix and the link; a configuration of one's own says its own
    ours = opens and not values["rviz_config_file"] and not why_not_rviz(os.environ)
    if ours and prefix and not prefix.endswith("/"):
        raise WamError(f"tf_prefix:={prefix}: RViz wants '{prefix}/', or launch_rviz:=false")


def require_names(asked: Iterable[str]) -> None:
    """Refuse a `name:=value` on the command line of bringup.launch.py whose name is no argument:
    `ros2 launch` would leave it out without a word.
    """
    for word in asked:
        name, found, _ = word.partition(":=")
        if found and name not in (*ARGUMENTS, *LAUNCH_OWN):
            raise UnknownNameError("launch argument", name, ARGUMENTS)


def why_not_rviz(environment: Mapping[str, str]) -> str:
    """Why RViz cannot be opened here, '' when it can."""
    if not has_package("rviz2"):
        return "RViz is not installed (package rviz2)"
    if os.name == "posix" and not {"DISPLAY", "WAYLAND_DISPLAY"} & {*environment}:
        return "no screen for RViz (DISPLAY is not set)"
    return ""


def opens_rviz(values: Values, environment: Mapping[str, str]) -> bool:
    """Whether bringup.launch.py will open RViz."""
    return values["launch_rviz"] == "true" and not why_not_rviz(environment)


def has_package(name: str) -> bool:
    """Whether a ROS package is installed."""
    try:
        get_package_prefix(name)
    except PackageNotFoundError:
        return False
    return True


def controller_of(values: Values) -> str:
    """The kind of controller that is asked for."""
    return values["controller"] or load_embodiment(values["embodiment"]).controller


def model_of(values: Values, robot: Embodiment) -> str:
    """The model that is asked for; a script where nothing is said of it and the robot is simulated
    and known to no shipped one. '' leaves it to the parameters of the node.
    """
    said = values["model"] or values["params_file"] or values["sim"] == "false"
    return values["model"] if said or model_for(robot) != SCRIPT else SCRIPT


def _judge(values: Values, name: str, judge: Callable[[], object]) -> None:
    """Let what is wrong with an argument begin with its name; an empty one is as if not given."""
    if not values[name]:
        return
    try:
        judge()
    except WamError as error:
        raise WamError(f"{name}:={values[name]}: {error}") from error


def _require_common(values: Values) -> None:
    _require_choices(values)
    _judge(values, "namespace", lambda: _require_namespace(values["namespace"]))
    _judge(values, "tf_prefix", lambda: _require_frame(values["tf_prefix"]))
    if not values["embodiment"]:
        raise WamError("embodiment:= is empty: name a robot in config/embodiments, or a YAML file")
    _judge(values, "embodiment", lambda: load_joints(load_embodiment(values["embodiment"])))


def _require_choices(values: Values) -> None:
    for name, value in values.items():
        if choices := ARGUMENTS[name].choices:
            _require_among(value, choices, name)


def _require_among(value: str, choices: Iterable[str], kind: str = "value") -> None:
    require_known(kind, value, choices)


def _require_namespace(value: str) -> None:
    try:
        validate_namespace(f"/{value.strip('/')}")
    except InvalidNamespaceException as error:
        words = str(error).partition("\n")[0].rstrip(": ")
        raise WamError(f"{words}; letters, digits, _ and / make a namespace") from error


def _require_frame(value: str) -> None:
    if not re.fullmatch(r"[A-Za-z_][\w.-]*(/[\w.-]+)*/?", value, re.ASCII):
        raise WamError("a frame begins with a letter and has letters, digits, _ . - and / only")


def _require_address(value: str) -> None:
    if not re.fullmatch(r"[\w.:%-]+", value, re.ASCII):
        raise WamError("an address is digits and dots, or a host's name")


def _require_file(value: str) -> None:
    if not Path(value).is_file():
        raise WamError("this file does not exist")


def _require_there(value: str) -> None:
    if not Path(value).exists():
        raise WamError("neither a file nor a folder is there")


def _require_sim(values: Values, robot: Embodiment) -> None:
    if values["sim"] == "false":
        return
    try:
        require_simulated(robot)
    except WamError as error:
        raise WamError(f"{error}; add sim:=false for a real arm") from error
    if values["use_sim_time"] == "true":
        raise WamError(
            "the simulated arm sees to the time of all nodes itself, by /clock unless "
            "real_time:=true: leave use_sim_time out"
        )
    if (kind := controller_of(values)) not in SIMULATED:
        raise UnknownNameError("controller of the simulated arm", kind, SIMULATED)


def _require_task(values: Values, robot: Embodiment) -> None:
    if values["sim"] == "false":
        raise WamError("only a simulated world has tasks; leave it out")
    require_task(task_for(robot, values["task"]), robot)


def _require_model(model: str, robot: Embodiment) -> None:
    trained = read_description(model).get("embodiment", robot.name)
    if trained != robot.name:
        raise WamError(f"it was trained for '{trained}', not for '{robot.name}'")


def _told_to_model(path: Path) -> dict[str, dict[str, Any]]:
    """What a file of parameters says to the node of the model, by section."""
    return {s: said for s, said in read_sections(path) if node_of(s) == "inference_node"}


def _require_understood(told: Mapping[str, dict[str, Any]], model: str) -> None:
    for section, said in told.items():
        if said.get("instruction"):
            try:
                _require_instruction(said["instruction"], said.get("model") or model)
            except WamError as error:
                raise WamError(f"{section}: instruction: {error}") from error


def _require_instruction(value: str, model: str) -> None:
    most = InferenceParams().max_characters
    if not value.strip():
        raise WamError("an instruction of blanks; leave it out to give one later")
    if len(value) > most:
        raise WamError(f"{len(value)} characters, at most {most} are read")
    if model:
        require_instruction(model, value)


def _require_mock(values: Values, robot: Embodiment) -> None:
    if values["sim"] == "true":
        raise WamError("and sim:=true are two robots: add sim:=false")
    kind = values["controller"] or robot.controller
    if robot.controllers and not values["controller"]:
        raise WamError(
            f"'{robot.name}' has {len(robot.controllers)} controllers, mock hardware one: add "
            f"controller:={kind}"
        )
    if shown_on(robot) != JOINTS:
        raise WamError(
            f"the drivers of '{robot.name}' have topics or numbers of their own (`driver`, "
            f"`joint_states`), mock hardware tells rad and m on {JOINTS}: leave them out"
        )
    if kind not in MOCK:
        raise WamError(f"controller '{kind}' has no mock hardware; choices: {', '.join(MOCK)}")
    if not has_package("robot_state_publisher"):
        raise WamError("needs robot_state_publisher: install ros-$ROS_DISTRO-robot-state-publisher")
    for package in ("controller_manager", "joint_state_broadcaster", MOCK[kind].package):
        if not has_package(package):
            raise WamError(
                "needs ros2_control: install ros-$ROS_DISTRO-ros2-control and "
                f"ros-$ROS_DISTRO-ros2-controllers ({package} is missing)"
            )


def _require_teleop(values: Values) -> None:
    if not TOPIC.fullmatch(values["teleop"]):
        raise WamError("a topic has letters, digits, _ and / only")
    for name in ("model", "checkpoint"):
        if values[name]:
            raise WamError(f"a person takes the model's place: leave {name} out")


def _require_recorder(value: str) -> None:
    folder = Path(value).absolute()
    if (folder / "metadata.yaml").exists():
        raise WamError("this is a recording itself: name a folder for takes")
    above = next(p for p in (folder, *folder.parents) if p.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise WamError(f"'{above}' is no folder that can be written to")
