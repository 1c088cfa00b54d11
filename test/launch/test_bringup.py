"""The launch description as the launch tool sees it; needs `launch` and `launch_ros`, which have no
wheels.
"""

import os
import sys

import pytest
import yaml

pytest.importorskip(
    "launch_ros",
    reason="launch and launch_ros are not installed (they come with ROS, not from PyPI)",
)

import itertools

from launch.actions import (
    ExecuteProcess,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import LifecycleNode, Node

from launch import LaunchContext, LaunchDescription, LaunchService
from testing.ros_prefix import install
from testing.shipped import shipped
from testing.wrong_arguments import WRONG, each
from wam_ros.core.errors import WamError
from wam_ros.core.resources import share_dir
from wam_ros.ros.environment import PROFILE_VARIABLES, profile_variable
from wam_ros.ros.launching.arguments import ARGUMENTS
from wam_ros.ros.launching.rviz import shipped_config

DISCOVERY_VARIABLES = ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY")
NODES = [
    *("camera_node", "inference_node", "safety_node", "bridge_node"),
    *("task_node", "sim_node", "teleop_node", "recorder_node", "view_node"),
]
EXTERNAL = {
    "robot_state_publisher": ["robot_state_publisher"],
    "controller_manager": ["ros2_control_node", "spawner"],
    "rviz2": ["rviz2"],
}


@pytest.fixture
def prefix(tmp_path, monkeypatch):
    """A ROS prefix that holds this package's executables and nothing else."""
    install(tmp_path, "wam_ros", NODES)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    for name in (*PROFILE_VARIABLES, "FASTDDS_BUILTIN_TRANSPORTS", *DISCOVERY_VARIABLES):
        # remembered, so that what the launch sets is gone after the test
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path


class Bringup:
    """The launch description visited with some arguments, its processes not started."""

    def __init__(self, **arguments):
        self.context = LaunchContext(argv=[f"{n}:={v}" for n, v in arguments.items()])
        path = share_dir() / "launch" / "bringup.launch.py"
        description = PythonLaunchDescriptionSource(str(path)).get_launch_description(self.context)
        self.declared = {a.name: a for a in description.get_launch_arguments()}
        unknown = set(arguments) - set(self.declared)
        assert not unknown, f"no such launch arguments: {unknown}"
        self.context.launch_configurations.update(arguments)
        self.entities = []
        self._prepared = []
        self._visit(description.entities)

    def _visit(self, entities):
        for entity in entities or []:
            if isinstance(entity, Node | ExecuteProcess | LogInfo):
                self.entities.append(entity)
                continue
            if isinstance(entity, SetEnvironmentVariable | IncludeLaunchDescription):
                self.entities.append(entity)
            self._visit(entity.visit(self.context))

    def nodes(self):
        return {self._executable(n): n for n in self.entities if isinstance(n, Node)}

    def _executable(self, node):
        value = node.node_executable
        return value if isinstance(value, str) else "".join(s.perform(self.context) for s in value)

    def said(self):
        logs = [e for e in self.entities if isinstance(e, LogInfo)]
        return "\n".join("".join(part.perform(self.context) for part in log.msg) for log in logs)

    def command(self, executable):
        node = self.nodes()[executable]
        if node not in self._prepared:
            self._prepared.append(node)
            self.context._set_is_shutdown(True)  # then the command line is prepared and not started
            Node.execute(node, self.context)
        return node.process_description.final_cmd

    def parameters(self, executable):
        """What the node would get: the files of its command line, later ones winning."""
        command = self.command(executable)
        found = {}
        for flag, value in itertools.pairwise(command):
            if flag == "--params-file":
                with open(value) as file:
                    for section in yaml.safe_load(file).values():
                        found.update(section["ros__parameters"])
        return found


def test_the_default_is_the_simulated_loop_that_waits_for_an_instruction(prefix):
    b = Bringup()
    assert set(b.nodes()) == {
        "sim_node",
        "camera_node",
        "inference_node",
        "safety_node",
        "bridge_node",
    }
    assert all(isinstance(n, LifecycleNode) for n in b.nodes().values())
    safety = b.parameters("safety_node")
    assert safety["dry_run"] is False
    assert safety["arm_on_start"] is False
    assert "nothing moves" in b.said()
    assert all(b.parameters(n)["autostart"] is True for n in b.nodes())


def test_with_an_instruction_the_simulated_arm_arms_itself(prefix):
    b = Bringup(instruction="pick up the red block")
    assert b.parameters("inference_node")["instruction"] == "pick up the red block"
    assert b.parameters("safety_node")["arm_on_start"] is True


def test_a_task_of_libero_tells_the_filter_what_the_arm_stands_at(prefix):
    b = Bringup(embodiment="libero_panda", task="libero_spatial/3", view="true")
    assert {b.parameters(n)["world"] for n in ("safety_node", "view_node")} == {"libero_table"}
    assert not Bringup().parameters("safety_node").get("world")


def test_a_real_arm_is_a_dry_run_and_never_arms_itself(prefix):
    b = Bringup(sim="false", instruction="pick up the red block")
    assert "sim_node" not in b.nodes()
    assert b.parameters("safety_node")["dry_run"] is True
    assert b.parameters("safety_node")["arm_on_start"] is False
    b = Bringup(sim="false", dry_run="false", instruction="pick up the red block")
    assert b.parameters("safety_node")["dry_run"] is False
    assert b.parameters("safety_node")["arm_on_start"] is False


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_robot_can_be_launched_with_a_model_of_its_own(prefix, name):
    model = prefix / "mine.yaml"
    tiny = (share_dir() / "config" / "models" / "tiny.yaml").read_text()
    model.write_text(tiny.replace("embodiment: panda", f"embodiment: {name}"))
    b = Bringup(embodiment=name, sim="false", model=str(model))
    assert set(b.nodes()) == {"camera_node", "inference_node", "safety_node", "bridge_node"}
    assert all(
        b.parameters(n)["embodiment"] == name for n in ("camera_node", "safety_node", "bridge_node")
    )


@pytest.mark.parametrize(("name", "wrong"), each(), ids=lambda v: str(getattr(v, "value", v))[:30])
def test_a_wrong_value_of_any_argument_is_refused_before_the_first_process(
    prefix, monkeypatch, name, wrong
):
    """By the real launch service, whose nodes would leave a mark if they were started."""
    mark = prefix / "started"
    for executable in NODES:
        (prefix / "lib" / "wam_ros" / executable).write_text(f"#!/bin/sh\ntouch {mark}\n")
    for package in wrong.packages:
        install(prefix, package, EXTERNAL.get(package, ()), f"#!/bin/sh\ntouch {mark}\n")
    path = share_dir() / "launch" / "bringup.launch.py"
    given = {**wrong.others, name: wrong.value}
    service = LaunchService(argv=[f"{n}:={v}" for n, v in given.items()])
    service.include_launch_description(
        LaunchDescription(
            [
                IncludeLaunchDescription(
                    PythonLaunchDescriptionSource(str(path)), launch_arguments=given.items()
                )
            ]
        )
    )
    monkeypatch.setenv("DISPLAY", ":0")
    assert service.run() == 1
    assert not mark.exists()
    with pytest.raises(Exception, match=wrong.words):
        Bringup(**given)


def test_every_argument_there_is_has_a_wrong_value(prefix):
    assert set(WRONG) == set(Bringup().declared)


def test_a_name_that_is_no_argument_is_refused_where_this_file_is_what_is_launched(
    prefix, monkeypatch
):
    path = share_dir() / "launch" / "bringup.launch.py"
    description = PythonLaunchDescriptionSource(str(path)).get_launch_description(LaunchContext())
    (setup,) = (e for e in description.entities if isinstance(e, OpaqueFunction))
    context = LaunchContext(argv=["dryrun:=true"])
    for name, argument in ARGUMENTS.items():
        context.launch_configurations[name] = argument.default
    monkeypatch.setattr(sys, "argv", ["ros2", "launch", "my_cell", "my_cell.launch.py"])
    assert setup.visit(context), "another launch file has arguments of its own"
    monkeypatch.setattr(sys, "argv", ["ros2", "launch", "wam_ros", "bringup.launch.py"])
    with pytest.raises(WamError, match="'dryrun'. Did you mean 'dry_run'"):
        setup.visit(context)


def test_namespace_reaches_every_node_and_its_logger(prefix):
    b = Bringup(namespace="cell/left", log_level="debug")
    for name in b.nodes():
        command = b.command(name)
        assert "__ns:=/cell/left" in command or "__ns:=cell/left" in command
        assert f"cell.left.{name}:=debug" in command


def test_the_users_parameters_come_last(prefix, tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("/**:\n  ros__parameters:\n    embodiment: other\n")
    assert Bringup(params_file=str(mine)).parameters("bridge_node")["embodiment"] == "other"


def test_camera_images_get_a_transport_unless_the_user_chose_one(prefix, monkeypatch):
    Bringup()
    assert os.environ.pop(profile_variable()).endswith("config/fastdds.xml")
    monkeypatch.setenv("FASTDDS_BUILTIN_TRANSPORTS", "UDPv4")
    Bringup()
    assert not {*PROFILE_VARIABLES} & {*os.environ}


def test_nodes_are_looked_for_on_this_machine_only_unless_said_otherwise(prefix, monkeypatch):
    assert "this machine only" not in Bringup().said(), "a simulated arm has no driver"
    assert os.environ.pop("ROS_AUTOMATIC_DISCOVERY_RANGE") == "LOCALHOST"
    assert "add discovery:=subnet" in Bringup(sim="false").said()
    monkeypatch.setenv("ROS_LOCALHOST_ONLY", "1")
    assert "this machine only" not in Bringup(sim="false", discovery="subnet").said()
    assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SUBNET"
    assert "ROS_LOCALHOST_ONLY" not in os.environ
    Bringup()
    assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SUBNET", "of the environment"


def test_every_node_has_an_enclave_of_its_full_name(prefix):
    b = Bringup(namespace="cell/left")
    for name in b.nodes():
        command = b.command(name)
        assert command[command.index("--enclave") + 1] == f"/cell/left/{name}"


def test_without_rviz_or_a_screen_a_line_says_so(prefix, monkeypatch):
    assert "RViz is not installed" in Bringup().said()
    install(prefix, "rviz2", ["rviz2"])
    assert "no screen" in Bringup().said()
    monkeypatch.setenv("DISPLAY", ":0")
    assert not {"rviz2", "view_node"} & {*Bringup(launch_rviz="false").nodes()}
    assert Bringup().parameters("view_node")["port"] == 0, "it draws for RViz, without a page"
    assert "port" not in Bringup(view="true").parameters("view_node")
    command = Bringup(namespace="left").command("rviz2")
    assert command[command.index("-d") + 1] != str(shipped_config()), "saving must not replace it"
    b = Bringup(tf_prefix="left/", namespace="left")
    command = b.command("rviz2")
    assert command[command.index("-f") + 1] == "left/panda_link0"
    with open(command[command.index("-d") + 1]) as config:
        (robot,) = (
            d
            for d in yaml.safe_load(config)["Visualization Manager"]["Displays"]
            if "TF Prefix" in d
        )
    assert robot["TF Prefix"] == "left", "RViz puts the slash"
    for name in ("safety_node", "sim_node", "view_node"):
        assert b.parameters(name)["tf_prefix"] == "left/"


def test_frames_are_published_where_the_package_is_installed(prefix):
    assert "robot_state_publisher is not installed" in Bringup().said()
    install(prefix, "robot_state_publisher", ["robot_state_publisher"])
    b = Bringup(tf_prefix="left_")
    parameters = b.parameters("robot_state_publisher")
    assert parameters["frame_prefix"] == "left_"
    assert "<robot" in parameters["robot_description"]


def test_a_driver_that_publishes_its_robot_is_not_talked_over(prefix):
    install(prefix, "robot_state_publisher", ["robot_state_publisher"])
    install(prefix, "controller_manager", EXTERNAL["controller_manager"])
    for package in ("joint_state_broadcaster", "joint_trajectory_controller"):
        install(prefix, package, [])
    assert "robot_state_publisher" in Bringup(sim="false").nodes()
    assert (
        "robot_state_publisher" not in Bringup(sim="false", robot_state_publisher="false").nodes()
    )
    assert "robot_state_publisher" in Bringup(robot_state_publisher="false").nodes(), (
        "the simulated arm has no driver"
    )
    mock = Bringup(sim="false", use_mock_hardware="true", robot_state_publisher="false")
    assert "robot_state_publisher" in mock.nodes(), "ros2_control takes the description from it"


def test_mock_hardware_needs_ros2_control_and_brings_its_controllers(prefix):
    install(prefix, "robot_state_publisher", ["robot_state_publisher"])
    install(prefix, "controller_manager", EXTERNAL["controller_manager"])
    install(prefix, "joint_state_broadcaster", [])
    install(prefix, "forward_command_controller", [])
    with pytest.raises(WamError, match="joint_trajectory_controller is missing"):
        Bringup(use_mock_hardware="true", sim="false")
    install(prefix, "joint_trajectory_controller", [])
    b = Bringup(use_mock_hardware="true", sim="false", use_sim_time="true")
    assert "joint_trajectory_controller" in b.command("spawner")
    assert b.parameters("ros2_control_node")["use_sim_time"] is True
    description = b.parameters("robot_state_publisher")["robot_description"]
    assert description.count('<command_interface name="position"/>') == 8
    assert description.count('<command_interface name="velocity"/>') == 8
    assert "forward_position_controller" not in b.command("spawner")
    for kind, name in (
        ("forward_velocity", "forward_velocity_controller"),
        ("follow_joint_trajectory", "joint_trajec"),
    ):
        b = Bringup(use_mock_hardware="true", sim="false", controller=kind)
        assert b.parameters("bridge_node")["controller"] == kind
        assert any(word.startswith(name) for word in b.command("spawner"))


def test_a_controller_that_cannot_be_spawned_ends_the_launch_and_one_that_is_spawned_does_not(
    prefix,
):
    for package in ("robot_state_publisher", "controller_manager"):
        install(prefix, package, EXTERNAL[package])
    for package in ("joint_state_broadcaster", "joint_trajectory_controller"):
        install(prefix, package)
    b = Bringup(use_mock_hardware="true", sim="false")
    on_exit = b.nodes()["spawner"]._ExecuteLocal__on_exit
    assert on_exit(ended("spawner-3", 0), b.context) is None
    with pytest.raises(RuntimeError, match="spawner-3 ended with exit code 1"):
        on_exit(ended("spawner-3", 1), b.context)
    on_exit = b.nodes()["ros2_control_node"]._ExecuteLocal__on_exit
    assert isinstance(on_exit(ended("ros2_control_node-2", 0), b.context), Shutdown)


def ended(name, code):
    return ProcessExited(action=None, name=name, cmd=[], cwd=None, env=None, pid=1, returncode=code)


def test_recording_and_the_view_are_asked_for(prefix):
    assert not {"recorder_node", "view_node"} & {*Bringup(launch_rviz="false").nodes()}
    folder = str(prefix / "takes")
    b = Bringup(record=folder, view="true", namespace="left")
    assert {"recorder_node", "view_node"} <= {*b.nodes()}
    assert b.parameters("recorder_node")["folder"] == folder
    on_exit = b.nodes()["recorder_node"]._ExecuteLocal__on_exit
    b.entities = [on_exit(ended("recorder_node-1", 2), b.context)]
    assert "recorder_node-1 ended: nothing more is recorded" in b.said()
    b.context._set_is_shutdown(True)
    assert on_exit(ended("recorder_node-1", 0), b.context) is None


def test_a_person_takes_the_place_of_the_model(prefix):
    assert "teleop_node" not in Bringup().nodes()
    b = Bringup(teleop="leader/joint_states", instruction="wave")
    assert "inference_node" not in b.nodes()
    told = b.parameters("teleop_node")
    assert (told["topic"], told["instruction"]) == ("leader/joint_states", "wave")


def test_every_node_of_the_loop_but_the_view_ends_the_launch_when_it_ends(prefix):
    b = Bringup(view="true")
    ending = {name for name, node in b.nodes().items() if node._ExecuteLocal__on_exit is not None}
    assert ending == {"sim_node", "camera_node", "inference_node", "safety_node", "bridge_node"}


def test_a_node_that_fails_makes_the_launch_fail_and_one_asked_to_end_does_not(
    prefix,
):
    b = Bringup()
    on_exit = b.nodes()["camera_node"]._ExecuteLocal__on_exit
    for code in (1, -9):
        with pytest.raises(RuntimeError, match=f"camera_node-2 ended with exit code {code}"):
            on_exit(ended("camera_node-2", code), b.context)
    assert isinstance(on_exit(ended("camera_node-2", 0), b.context), Shutdown)
    b.context._set_is_shutdown(True)
    assert on_exit(ended("camera_node-2", 1), b.context) is None


def test_python_of_the_checkout_is_not_hidden_by_the_launch_folder():
    assert sys.modules["launch"].__file__ is not None
