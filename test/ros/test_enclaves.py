"""The policy for SROS2 says of each node what the real one says, hears, answers and asks."""

import xml.etree.ElementTree as ET

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("torch")
pytest.importorskip("mujoco")

from testing.enclaves import POLICY, policy
from wam_ros.core.resources import share_dir


def allowed(group, rule):
    """{enclave: names it may}, of the shipped policy."""
    return {
        enclave.get("path").strip("/"): {
            e.text for e in enclave.iterfind(f"profiles/profile/{group}[@{rule}='ALLOW']/*")
        }
        for enclave in ET.parse(POLICY).getroot().iterfind("enclaves/enclave")
    }


def who(group, rule, name):
    return {node for node, names in allowed(group, rule).items() if name in names}


@pytest.mark.ros
def test_the_policy_is_what_the_nodes_are():
    assert policy() == POLICY.read_text(), "python -m testing.enclaves writes it anew"


def test_there_is_an_enclave_for_every_node_and_for_the_launch():
    nodes = {path.stem for path in (share_dir() / "wam_ros" / "nodes").glob("*_node.py")}
    assert set(allowed("topics", "publish")) == {*nodes, ""}


def test_who_may_move_the_arm_is_one_and_what_it_is_told_comes_from_one():
    command = "joint_trajectory_controller/joint_trajectory"
    assert who("topics", "publish", command) == {"bridge_node"}
    assert who("topics", "publish", "safe_trajectory") == {"safety_node"}
    assert who("topics", "publish", "safety_report") == {"safety_node"}
    assert who("topics", "publish", "joint_states") == {"sim_node"}
    speak = {"inference_node", "bridge_node", "teleop_node"}
    assert who("topics", "publish", "action_chunk") == speak
    assert who("services", "request", "safety_node/arm") == {"bridge_node", "view_node"}
    assert who("services", "request", "safety_node/reset") == {"view_node"}
