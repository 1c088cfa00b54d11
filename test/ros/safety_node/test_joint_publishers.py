"""Joint states that cannot be read, or of two publishers that contradict each other: told with
their names, and nothing moves.
"""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("pinocchio")
pytest.importorskip("wam_ros.sim.world")

from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool

from wam_ros.core import types
from wam_ros.core.types import SafetyState
from wam_ros.msg import SafetyReport
from wam_ros.nodes.safety_node import SafetyNode
from wam_ros.ros import convert, qos

from .test_safety_node import PANDA, Cell

pytestmark = pytest.mark.ros


class Other:
    """A second publisher of joint states, which says zeros when called, or what `arm` shows; about
    each 30 ms, or at each call.
    """

    def __init__(self, arena, arm=None, dense=False):
        self._arena = arena
        self._arm = arm
        self._node = Node("second_driver", context=arena.context, enable_rosout=False)
        arena.nodes.append(self._node)
        self._last_ns = 0
        self._dense = dense
        self._pub = self._node.create_publisher(JointState, "joint_states", qos.JOINTS)

    def __call__(self):
        if self._dense or self._arena.now_ns() - self._last_ns > 30_000_000:
            self._say()

    def _say(self):
        self._last_ns = self._arena.now_ns()
        zeros = np.zeros(8)
        q = zeros if self._arm is None else self._arm.state.positions
        state = types.JointState(self._arena.now_ns(), PANDA.joint_names, q, zeros, zeros)
        self._pub.publish(convert.joint_state_to_msg(state))


def test_a_second_publisher_of_joint_states_is_a_fault_of_an_armed_arm_and_both_are_named(
    arena, arm
):
    cell = Cell(arena, arm, joint_timeout_s=3.0)  # a busy machine is no fault here
    cell.arm_it()
    other = Other(arena)

    def told():
        return [r for r in cell.reports if "contradict each other" in r.sentence]

    arena.until(lambda: any(r.state == SafetyState.FAULT for r in told()), other)
    arena.until(lambda: "published by /second_driver, /sim_node" in told()[-1].sentence, other)


@pytest.mark.parametrize("agrees", [False, True])
def test_a_second_publisher_that_drowns_the_first_is_a_fault_and_both_are_named(arena, arm, agrees):
    """Of its many messages few of the driver's own are heard."""
    cell = Cell(arena, arm, joint_timeout_s=3.0)
    cell.arm_it()
    other = Other(arena, arm if agrees else None, dense=True)
    arena.until(lambda: cell.state == SafetyState.FAULT, other)
    named = "published by /second_driver, /sim_node"
    arena.until(lambda: named in cell.reports[-1].sentence, other)


def test_before_arming_two_publishers_that_contradict_each_other_are_named_and_it_is_refused(
    arena, arm
):
    cell = Cell(arena, arm, joint_timeout_s=3.0)
    cell.until_state(SafetyState.HOLD)
    other = Other(arena)
    arena.until(lambda: "contradict each other" in cell.reports[-1].sentence, other)
    arena.until(lambda: "/sim_node" in cell.reports[-1].sentence, other)
    client = arena.observer.create_client(SetBool, "safety_node/arm")
    arena.until(client.service_is_ready, other)
    future = client.call_async(SetBool.Request(data=True))
    arena.until(future.done, other)
    assert not future.result().success
    assert "contradict each other" in future.result().message
    assert "/second_driver, /sim_node" in future.result().message


def test_a_second_publisher_that_agrees_with_the_first_is_named_and_stops_the_arm_all_the_same(
    arena, arm
):
    """One that repeats what it heard would hide that the driver is gone."""
    cell = Cell(arena, arm, joint_timeout_s=3.0)
    cell.arm_it()
    other = Other(arena, arm)
    arena.until(lambda: cell.state == SafetyState.FAULT, other)
    words = "come mixed, one alone may say them"
    arena.until(lambda: words in cell.reports[-1].sentence, other)
    arena.until(lambda: "by /second_driver, /sim_node" in cell.reports[-1].sentence, other)


def test_who_publishes_the_joints_of_something_else_beside_them_disturbs_nobody(arena, arm):
    cell = Cell(arena, arm, joint_timeout_s=3.0)
    cell.arm_it()
    wheels = arena.observer.create_publisher(JointState, "joint_states", qos.JOINTS)

    def turn():
        msg = JointState(name=["left_wheel", "right_wheel"], position=[0.0, 0.0])
        msg.header.stamp = arena.observer.get_clock().now().to_msg()
        wheels.publish(msg)

    before = len(cell.reports)
    arena.until(lambda: len(cell.reports) > before + 15, turn)
    assert {r.state for r in cell.reports[before:]} == {SafetyState.ARMED}


def test_joints_of_other_names_are_told_in_the_report_and_when_arming(arena):
    reports = arena.listen(SafetyReport, "safety_report", qos.STATUS)
    arena.add(SafetyNode)
    publisher = arena.observer.create_publisher(JointState, "joint_states", qos.JOINTS)
    names = [f"left_{name}" for name in PANDA.joint_names]

    def say():
        msg = JointState(name=names, position=list(PANDA.home))
        msg.header.stamp = arena.observer.get_clock().now().to_msg()
        publisher.publish(msg)

    arena.until(lambda: reports and "it has left_panda_joint1" in reports[-1].sentence, say)
    answer = arena.call(SetBool, "safety_node/arm", data=True)
    assert not answer.success
    assert "it has left_panda_joint1" in answer.message
