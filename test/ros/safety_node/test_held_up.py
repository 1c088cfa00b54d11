"""A safety node that was held up by a busy machine hears what waited before it judges the robot."""

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mujoco")

from wam_ros.core.types import SafetyState
from wam_ros.msg import SafetyReport
from wam_ros.nodes.bridge_node import BridgeNode
from wam_ros.nodes.safety_node import SafetyNode
from wam_ros.nodes.sim_node import SimNode
from wam_ros.ros import qos

pytestmark = pytest.mark.ros


def test_joint_states_that_wait_are_heard_before_the_robot_is_called_silent(arena):
    reports = arena.listen(SafetyReport, "safety_report", qos.STATUS)
    sim = arena.add(SimNode, camera_hz=0.5)
    arena.add(BridgeNode)
    safety = arena.add(SafetyNode, arm_on_start=True, joint_timeout_s=0.5)
    arena.until(lambda: reports and reports[-1].state == SafetyState.ARMED)
    for _ in range(3):
        arena.executor.remove_node(safety)
        arena.spin(0.8)
        arena.executor.add_node(safety)
        arena.spin(0.3)
    assert {r.state for r in reports[-6:]} == {SafetyState.ARMED}
    arena.executor.remove_node(sim)  # a robot that really falls silent
    arena.until(lambda: reports[-1].state == SafetyState.FAULT)
