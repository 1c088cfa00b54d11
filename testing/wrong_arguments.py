"""Every argument of the launch files wrong: how, beside which others, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from wam_ros.core.resources import share_dir

REAL = {"sim": "false"}
NO_PARAMETERS = str(share_dir() / "config" / "embodiments" / "panda.yaml")
NO_YAML = "/proc/self/status"
PARAMETERS = Path(__file__).with_name("wrong_parameters")
OF_FILES = {  # what is said of each file of that folder
    "name": "safety_node: unknown parameter of safety_node 'tcp_sped'",
    "margin": "safety_node: parameter 'tcp_speed' is 1000.0 m/s, must be within",
    "box": "safety_node: safety parameter workspace needs six numbers",
    "tick": "safety_node: parameter 'tick_hz' is 1.0 Hz, must be within",
    "sim": "sim_node: parameter 'camera_hz' is 1000.0 Hz, must be within",
    "controller": "sim_node: unknown controller 'joint_trajectori'. Did you mean",
    "camera": "camera_node: parameter 'max_age_s' is 100.0 s, must be within",
    "words": "inference_node: instruction: the model never learned 'banana'",
}


class Wrong(NamedTuple):
    """One argument with a wrong value."""

    value: str
    words: str  # a pattern that the refusal matches
    others: dict[str, str] = {}  # noqa: RUF012  # never changed
    packages: tuple[str, ...] = ()  # installed for it


CHOICES = r"Choices: |[Vv]alid options"  # ours, or the launch tool's own
WRONG = {
    "embodiment": [
        Wrong("pamda", "unknown embodiment 'pamda'. Did you mean 'panda'"),
        Wrong("/nowhere/arm.yaml", "/nowhere/arm.yaml' does not exist"),
        Wrong("", "embodiment:= is empty"),
    ],
    "model": [
        Wrong("tinny", "unknown model 'tinny'. Did you mean 'tiny'"),
        Wrong("ws://gpu-box:99999", "is no address"),
        Wrong("openpi_droid@ws://gpu-box:8000", "it was trained for 'droid', not for 'panda'"),
        Wrong("/nowhere/model.yaml", "/nowhere/model.yaml' does not exist"),
        Wrong("tiny", "trained for 'panda', not for 'so101'", {**REAL, "embodiment": "so101"}),
        Wrong("", "trained for 'panda', not for 'so101'", {**REAL, "embodiment": "so101"}),
    ],
    "checkpoint": [Wrong("/nowhere/weights.safetensors", "neither a file nor a folder")],
    "instruction": [
        Wrong("  ", "blanks"),
        Wrong("pick " * 100, "500 characters, at most 200"),
        Wrong("pick up the banana", "never learned 'banana'; known words: pick, up"),
        Wrong("pick up the block", "must name exactly one of red, green, blue"),
    ],
    "sim": [Wrong("maybe", CHOICES), Wrong("", CHOICES)],
    "task": [
        Wrong("pick_blocks", "Did you mean 'pick_block'"),
        Wrong("libero_object", "is a suite: one task of it is 'libero_object/0'"),
        Wrong("libero_object/10", "libero_object has tasks 0 to 9"),
        Wrong("libero_object/0", "is for embodiment 'libero_panda': 'panda' has view 'front'"),
        Wrong("reach", "only a simulated world has tasks", REAL),
    ],
    "dry_run": [Wrong("yes", CHOICES)],
    "imagination": [Wrong("wild", CHOICES)],
    "teleop": [
        Wrong("no topic", "letters, digits, _ and / only"),
        Wrong("leader/joint_states", "leave model out", {"model": "tiny"}),
    ],
    "record": [
        Wrong("/dev/null", "'/dev/null' is no folder that can be written to"),
        Wrong("/proc/self/takes", "'/proc/self' is no folder that can be written to"),
    ],
    "view": [Wrong("1", CHOICES)],
    "namespace": [
        Wrong("left arm", "must not contain characters other than"),
        Wrong("7", "token that starts with a number"),
    ],
    "tf_prefix": [
        Wrong("/left", "a frame begins with a letter"),
        Wrong("left arm/", "a frame begins with a letter"),
        Wrong("left", "RViz wants 'left/', or launch_rviz:=false", {}, ("rviz2",)),
    ],
    "robot_state_publisher": [Wrong("no", CHOICES)],
    "robot_ip": [Wrong('1.2.3.4"/>', "an address is"), Wrong("10.0.0.1 eth0", "an address is")],
    "controller": [
        Wrong("joint_trajectori", "Did you mean 'joint_trajectory'"),
        Wrong("gripper_command", "unknown value 'gripper_command'.*Choices: .*joint_trajectory"),
        Wrong("servo", "unknown controller of the simulated arm 'servo'"),
    ],
    "use_mock_hardware": [
        Wrong("mock", CHOICES),
        Wrong("true", "two robots: add sim:=false"),
        Wrong("true", "install ros-.ROS_DISTRO-robot-state-publisher", REAL),
        Wrong("true", "install ros-.ROS_DISTRO-ros2-control", REAL, ("robot_state_publisher",)),
        Wrong("true", "'servo' has no mock hardware", {**REAL, "controller": "servo"}),
    ],
    "controllers_file": [
        Wrong("/nowhere.yaml", "this file does not exist"),
        Wrong(NO_PARAMETERS, "expected sections like .*ros__parameters"),
    ],
    "params_file": [
        Wrong("/nowhere.yaml", "this file does not exist"),
        Wrong(NO_PARAMETERS, "expected sections like .*ros__parameters"),
        Wrong(NO_YAML, "cannot start any token"),
        *(Wrong(str(PARAMETERS / f"{name}.yaml"), words) for name, words in OF_FILES.items()),
    ],
    "use_sim_time": [Wrong("on", CHOICES), Wrong("true", "leave use_sim_time out")],
    "real_time": [Wrong("yes", CHOICES), Wrong("true", "only a simulated world", REAL)],
    "discovery": [Wrong("lan", CHOICES)],
    "launch_rviz": [Wrong("no", CHOICES)],
    "rviz_config_file": [
        Wrong("/nope.rviz", "this file does not exist"),
        Wrong("/nope.rviz", "this file does not exist", {"launch_rviz": "false"}),
    ],
    "log_level": [Wrong("loud", CHOICES)],
    "autostart": [Wrong("later", CHOICES)],
}


def each() -> list[tuple[str, Wrong]]:
    """(argument, what is wrong with it), every one there is."""
    return [(name, case) for name, cases in WRONG.items() for case in cases]
