"""A second commander, controller or simulated arm on the same topics: named, nothing is armed, and
what moves a held arm all the same is a fault.
"""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("pinocchio")
pytest.importorskip("wam_ros.sim.world")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from test.ros.safety_node.test_safety_node import Cell
from wam_ros.core.types import SafeTrajectory, SafetyState
from wam_ros.nodes.sim_node import SimNode
from wam_ros.ros import convert, qos
from wam_ros.ros.controllers.joint_trajectory import TOPIC

pytestmark = [pytest.mark.ros, pytest.mark.untimed]


def test_who_moves_a_held_arm_by_its_controllers_topic_is_named_and_that_is_a_fault(arena, arm):
    cell = Cell(arena, arm, joint_timeout_s=3.0)
    cell.until_state(SafetyState.HOLD)
    arena.until(lambda: cell.reports[-1].sentence == "held; arm to move")
    stranger = Node("stranger", context=arena.context, enable_rosout=False)
    arena.nodes.append(stranger)
    publisher = stranger.create_publisher(JointTrajectory, TOPIC, qos.TRAJECTORY)
    arena.until(lambda: publisher.get_subscription_count() == 1)
    words = f"/{TOPIC} has 2 publishers, also /stranger"
    arena.until(lambda: words in arena.call(SetBool, "safety_node/arm", data=True).message)

    q = np.array([arm.state.positions, arm.state.positions + 0.4 * np.eye(8)[1]])
    before = len(cell.reports)
    towards = SafeTrajectory(
        q,
        0 * q,
        0 * q,
        start_ns=arena.now_ns(),
        joint_names=arm.joint_names,
        t=np.array([0.0, 2.0]),
    )
    publisher.publish(convert.trajectory_to_msg(towards))
    arena.until(lambda: cell.state == SafetyState.FAULT)
    told = [r.sentence for r in cell.reports[before:]]
    assert any(s.startswith("not held") and "panda_joint2 moves" in s for s in told)
    assert "panda_joint2 moved by 0.2" in cell.reports[-1].sentence
    assert "something else moves it" in cell.reports[-1].sentence
    assert not cell.safe, "nothing is sent that would leap where the joints are wrong"


def test_a_second_simulated_arm_stops_the_first_and_both_are_named(arena, arm):
    cell = Cell(arena, arm, joint_timeout_s=3.0, tracking_rad=3.0)
    said = arena.listen(DiagnosticStatus, "bridge_state", qos.LATCHED)
    cell.arm_it()
    feed = cell.feed()
    arena.until(arm.moving, feed)
    second = arena.add(SimNode, camera_hz=0.5)
    arena.until(lambda: cell.state in (SafetyState.HOLD, SafetyState.FAULT), feed)
    assert not arena.call(SetBool, "safety_node/arm", data=True).success
    arena.until(lambda: "published by /sim_node, /sim_node" in cell.reports[-1].sentence, feed)
    words = f"/{TOPIC} is played by 2 nodes, one alone may: /sim_node, /sim_node"
    arena.until(lambda: any(words in m.message for m in said), feed)
    arena.nodes.remove(second)
    second.destroy_node()
