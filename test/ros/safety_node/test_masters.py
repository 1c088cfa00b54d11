"""Somebody launches a second safety node: the arm stops, both are named, and neither can be
armed.
"""

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("pinocchio")
pytest.importorskip("wam_ros.sim.world")

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.lifecycle import TransitionCallbackReturn
from std_srvs.srv import SetBool

from wam_ros.core.types import SafetyState
from wam_ros.nodes.safety_node import SafetyNode
from wam_ros.ros import qos

from .test_safety_node import Cell

pytestmark = [pytest.mark.ros, pytest.mark.untimed]


def configure_another(arena):
    """Another safety node, not active yet, for the same arm."""
    node = SafetyNode(context=arena.context, cli_args=["--ros-args", "-r", "__node:=second_safety"])
    arena.nodes.append(node)
    arena.executor.add_node(node)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    return node


def test_a_second_safety_node_stops_the_arm_and_neither_can_be_armed_until_a_person_says_so(
    arena, arm
):
    cell = Cell(arena, arm, joint_timeout_s=3.0)  # a busy machine is no fault here
    told = arena.listen(DiagnosticArray, "/diagnostics", qos.STATUS)

    def arming(name):
        return arena.call(SetBool, f"{name}/arm", data=True)

    def named():
        return [s.message for d in told for s in d.status if "one alone may speak" in s.message]

    cell.arm_it()
    feed = cell.feed()
    arena.until(arm.moving, feed)
    assert not named()
    second = configure_another(arena)
    arena.until(named, feed)
    assert "/safety_node (" in named()[0] and "/second_safety (" in named()[0]
    arena.until(arm.at_rest, feed)
    assert second.trigger_activate() == TransitionCallbackReturn.SUCCESS
    for name in ("safety_node", "second_safety"):
        arena.until(
            lambda name=name: "has 2 publishers, one alone may speak" in arming(name).message,
            feed,
        )
    arena.spin(0.5, feed)
    assert arm.at_rest()

    second.trigger_deactivate()
    arena.nodes.remove(second)
    arena.executor.remove_node(second)
    second.destroy_node()
    arena.spin(0.5, feed)
    assert "`~/pause` with false" in arming("safety_node").message

    def goes_on():
        """A person says so; once more where the last words of the other were still under way."""
        assert arena.call(SetBool, "bridge_node/pause", data=False).success
        arena.spin(0.5, feed)
        return cell.state == SafetyState.ARMED or arming("safety_node").success

    arena.until(goes_on, feed)
    arena.until(arm.moving, feed)
