"""What docs/your_robot.md tells a person to type does what it says there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")

import yaml
from sensor_msgs.msg import JointState as JointStateMsg

from wam_ros import cli
from wam_ros.core import types
from wam_ros.core.admission import Admission
from wam_ros.core.embodiment import load_embodiment
from wam_ros.msg import Observation, SafetyReport
from wam_ros.nodes.safety_node import SafetyNode
from wam_ros.ros import convert, qos
from wam_ros.ros.bridge_node.parameters import BridgeParams
from wam_ros.ros.controllers.base import ControllerParams
from wam_ros.ros.params import check_value
from wam_ros.ros.safety_node.parameters import SafetyNodeParams
from wam_ros.safety.params import SafetyParams

from .conftest import DOMAIN

pytestmark = pytest.mark.ros
TEXT = (Path(__file__).resolve().parents[2] / "docs" / "your_robot.md").read_text()
MAKE_FILE, ASK, ASK_SLOWLY = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
POLICY = """
import numpy
ask_your_policy = lambda frames, q: q + numpy.linspace(0.01, 0.08, 8)[:, None] * [1, 0, 0, 0, 0, 0]
"""
THINK = """
import time
ask_quickly = ask_your_policy
ask_your_policy = lambda *seen: (time.sleep(2.2), ask_quickly(*seen))[1]
"""
SLOW = POLICY + THINK + re.sub(r"def answer.*?(?=rclpy.init)", ASK_SLOWLY, ASK, flags=re.DOTALL)
ROBOT = load_embodiment("so101")


def test_the_motion_in_a_file_passes_and_is_slowed_as_the_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, "-c", MAKE_FILE], check=True)
    commands = re.findall(r"^wam (safety filter .*)$", TEXT, re.MULTILINE)
    for command, answer in zip(commands, ("pass", "slowed"), strict=True):
        assert cli.main(command.replace("--picture worst.png", "").split()) == 0
        assert answer in capsys.readouterr().out


@pytest.mark.parametrize("policy", [POLICY + ASK, SLOW], ids=["quick", "thinks for seconds"])
def test_a_process_of_ones_own_is_judged_like_any_model(arena, tmp_path, policy):
    (tmp_path / "policy.py").write_text(policy)
    environment = {
        **os.environ,
        "ROS_DOMAIN_ID": str(DOMAIN),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    arena.processes["policy"] = subprocess.Popen(
        [sys.executable, str(tmp_path / "policy.py")], env=environment
    )
    arena.add(SafetyNode, embodiment="so101", dry_run=True)
    reports = arena.listen(SafetyReport, "safety_report", qos.STATUS)
    joints = arena.observer.create_publisher(JointStateMsg, "joint_states", qos.JOINTS)
    seen = arena.observer.create_publisher(Observation, "observation", qos.OBSERVATION)
    frames = np.zeros((2, 64, 64, 3), np.uint8)

    def live():
        now_ns, zero = arena.now_ns(), np.zeros(len(ROBOT.joint_names))
        state = types.JointState(now_ns, ROBOT.joint_names, np.array(ROBOT.home), zero, zero)
        joints.publish(convert.joint_state_to_msg(state))
        observation = types.Observation(now_ns, ROBOT.view_names, frames, (now_ns, now_ns), state)
        seen.publish(convert.observation_to_msg(observation))

    arena.until(
        lambda: any(r.decision == types.Decision.PASS and r.steps_accepted == 8 for r in reports),
        each=live,
    )


def test_every_parameter_on_the_page_is_one_and_within_its_bounds():
    classes = {
        "bridge_node": (BridgeParams, Admission, ControllerParams),
        "safety_node": (SafetyNodeParams, Admission, SafetyParams),
    }
    blocks = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        for node, section in yaml.safe_load(block).items():
            for name, value in section["ros__parameters"].items():
                cls = next(
                    c for c in classes[node.removeprefix("/**/")] if name in c.__dataclass_fields__
                )
                check_value(cls, name, value)
