"""Another process speaks in the name of the safety node: it moves nothing, and is named."""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("pinocchio")
pytest.importorskip("wam_ros.sim.world")

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from test.ros.safety_node.test_safety_node import Cell
from wam_ros.core.types import NS, SafeTrajectory, SafetyState
from wam_ros.msg import SafetyReport
from wam_ros.ros import convert, qos

pytestmark = [pytest.mark.ros, pytest.mark.untimed]


class Copy:
    """A node of its own that publishes as the safety node does, under its very name."""

    def __init__(self, arena, cell):
        self._arena, self._cell = arena, cell
        self.node = Node("safety_node", context=arena.context, enable_rosout=False)
        arena.nodes.append(self.node)
        self._pub = self.node.create_publisher(JointTrajectory, "safe_trajectory", qos.TRAJECTORY)
        arena.until(lambda: self._pub.get_subscription_count() == 2)

    def send(self):
        """From where the arm stands, smoothly by 0.3 rad: inside of all limits."""
        t = np.linspace(0, 2.0, 201)
        s, q0 = t / 2.0, self._cell.arm.state.positions
        towards = np.eye(8)[1] * 0.3
        shapes = (
            10 * s**3 - 15 * s**4 + 6 * s**5,
            (30 * s**2 - 60 * s**3 + 30 * s**4) / 2.0,
            (60 * s - 180 * s**2 + 120 * s**3) / 4.0,
        )
        q, dq, ddq = (np.outer(shape, towards) for shape in shapes)
        trajectory = SafeTrajectory(
            start_ns=self._arena.now_ns() + NS // 50,
            joint_names=self._cell.arm.joint_names,
            t=t,
            q=q0 + q,
            dq=dq,
            ddq=ddq,
        )
        sender = self._cell._reports[-1].header.frame_id
        self._pub.publish(convert.trajectory_to_wire(trajectory, sender))


def test_a_trajectory_under_the_safety_nodes_name_of_another_publisher_moves_nothing_and_is_named(
    arena, arm
):
    cell = Cell(arena, arm, joint_timeout_s=3.0)
    told = arena.listen(DiagnosticArray, "/diagnostics", qos.STATUS)
    cell.until_state(SafetyState.HOLD)
    q0 = arm.state.positions
    copy = Copy(arena, cell)
    last = [0]

    def attack():
        if arena.now_ns() - last[0] > NS // 20:
            last[0] = arena.now_ns()
            copy.send()

    arena.spin(2.0, attack)
    np.testing.assert_allclose(arm.state.positions, q0, atol=1e-3)
    words = [s.message for d in told for s in d.status if "one alone may speak" in s.message]
    assert words
    assert words[0].count("/safety_node (") == 2, "one name, two endpoints"
    refused = arena.call(SetBool, "safety_node/arm", data=True)
    assert not refused.success
    assert "one alone may speak" in refused.message

    arena.nodes.remove(copy.node)
    copy.node.destroy_node()
    assert arena.call(SetBool, "bridge_node/pause", data=False).success
    cell.arm_it()
    arena.until(arm.moving, cell.feed())


def test_reports_of_another_publisher_keep_no_gate_open(arena, arm):
    # on a busy machine the arm lags: it is not to be stopped for that
    cell = Cell(arena, arm, joint_timeout_s=3.0, tracking_rad=3.0)
    cell.arm_it()
    feed = cell.feed()
    arena.until(arm.moving, feed)
    other = Node("watcher", context=arena.context, enable_rosout=False)
    arena.nodes.append(other)
    publisher = other.create_publisher(SafetyReport, "safety_report", qos.STATUS)
    arena.until(lambda: publisher.get_subscription_count() >= 2, feed)

    told, before = cell._reports[-1], len(cell.reports)
    last = [0]

    def lie():
        """As often as a safety node reports: a flood would push its own reports out of the queue of
        whoever listens.
        """
        feed()
        if arena.now_ns() - last[0] > NS // 10:
            last[0] = arena.now_ns()
            publisher.publish(told)

    arena.until(lambda: any(r.state == SafetyState.HOLD for r in cell.reports[before:]), lie)
    arena.until(arm.at_rest, lie)

    def named():  # the report that holds may come before the one that says who it is
        words = " ".join(r.sentence for r in cell.reports[before:])
        return "/safety_report has 2 publishers" in words and "/watcher (" in words

    arena.until(named, lie)
