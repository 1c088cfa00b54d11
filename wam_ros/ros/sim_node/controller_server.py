"""A simulated controller as the network sees it: its topic and its parameter service, under its own
name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from wam_ros.core.drivers import PLAIN, Numbers
from wam_ros.core.errors import WamError, require_known
from wam_ros.core.types import NS
from wam_ros.ros import convert, qos
from wam_ros.sim.forward_controller import ForwardController
from wam_ros.sim.trajectory_controller import TrajectoryController

KINDS = ("joint_trajectory", "forward_position", "forward_velocity")
SimController = TrajectoryController | ForwardController


def make_sim_controller(kind: str, joint_names: Any, q0: np.ndarray) -> SimController:
    """A simulated controller by kind.

    Raises:
        WamError: unknown kind; lists the choices.
    """
    require_known("controller", kind, KINDS)
    if kind == "joint_trajectory":
        return TrajectoryController(joint_names, q0)
    return ForwardController(joint_names, q0, kind.removeprefix("forward_"))


class ControllerServer:
    """Hands messages to a controller and answers how it is set.

    Args:
        node: that listens.
        kind: one of `KINDS`.
        controller: of that kind.
        now_ns: the controller's clock; None while it is inactive.
        name: of the controller; empty: its usual one.
        defer: calls what it is given when the controller's clock has come to the instant [ns,
            system clock] at which the message was sent: a simulation that is behind acts on nothing
            too early or too late.
        numbers: in which the joints that it is given are told.
    """

    def __init__(
        self,
        node: Node,
        kind: str,
        controller: SimController,
        now_ns: Callable[[], int | None],
        name: str = "",
        defer: Callable[[Callable[[], None], int], None] = lambda action, _sent_ns: action(),
        numbers: Callable[[Sequence[str]], Numbers] = lambda names: Numbers([PLAIN] * len(names)),
    ) -> None:
        self._node = node
        self._controller = controller
        self._now_ns = now_ns
        self._defer = defer
        self._numbers = numbers
        self.name = name or f"{kind}_controller"
        self.heard_ns = 0  # stamp of the newest trajectory that came
        self.parameters: dict[str, Any] = {"joints": list(controller.joint_names)}
        if isinstance(controller, TrajectoryController):
            self.parameters |= {
                "interpolate_from_desired_state": True,
                "interpolation_method": "splines",
                "allow_nonzero_velocity_at_trajectory_end": False,
                "cmd_timeout": 0.0,
            }
            message = JointTrajectory
            topic = "joint_trajectory"
            callback = self._on_trajectory
        else:
            self.parameters["interface_name"] = controller.interface
            message = Float64MultiArray
            topic = "commands"
            callback = self._on_command
        self._subscription = node.create_subscription(
            message, f"{self.name}/{topic}", self._deferred(callback), qos.COMMANDS
        )
        node.create_service(GetParameters, f"{self.name}/get_parameters", self._on_get)

    def hear(self) -> None:
        """Take every message that waits, instead of leaving that to the executor, which serves
        timers first.

        A simulation that was held up and then catches up would otherwise go beyond the instants of
        its commands.
        """
        handle = self._subscription.handle
        with handle:
            while (taken := handle.take_message(self._subscription.msg_type, False)) is not None:
                self._subscription.callback(*taken)

    def _deferred(self, callback: Callable[[Any], None]) -> Callable[[Any, dict[str, Any]], None]:
        def on_message(msg: Any, info: dict[str, Any]) -> None:
            if isinstance(msg, JointTrajectory):
                self.heard_ns = convert.time_to_ns(msg.header.stamp)
            if self._now_ns() is not None:
                self._defer(lambda: callback(msg), info.get("source_timestamp") or time.time_ns())

        return on_message

    def _on_trajectory(self, msg: JointTrajectory) -> None:
        now_ns = self._now_ns()
        if now_ns is None or not isinstance(self._controller, TrajectoryController):
            return
        try:
            start_ns, names, t, q, dq, ddq = read_trajectory(msg)
            if q.shape[1] == len(names):  # else the controller says so
                numbers = self._numbers(names)
                q = numbers.heard_positions(q)
                dq, ddq = (r if r is None else numbers.heard_rates(r) for r in (dq, ddq))
            error = self._controller.set_trajectory(
                start_ns=start_ns, joint_names=names, t=t, q=q, dq=dq, ddq=ddq, now_ns=now_ns
            )
        except WamError as problem:
            error = str(problem)
        self._say(error and f"trajectory refused: {error}")

    def _on_command(self, msg: Float64MultiArray) -> None:
        now_ns = self._now_ns()
        if now_ns is not None and isinstance(self._controller, ForwardController):
            values = np.array(msg.data)
            if len(values) == len(self._controller.joint_names):  # else the controller says so
                numbers = self._numbers(self._controller.joint_names)
                positions = self._controller.interface == "position"
                heard = numbers.heard_positions if positions else numbers.heard_rates
                values = heard(values)
            self._say(self._controller.command(values, now_ns))

    def _say(self, error: str) -> None:
        if error:
            self._node.get_logger().error(f"{self.name}: {error}", throttle_duration_sec=1.0)

    def _on_get(
        self, request: GetParameters.Request, response: GetParameters.Response
    ) -> GetParameters.Response:
        """As rclcpp answers: with nothing at all when one name is unknown."""
        if all(name in self.parameters for name in request.names):
            found = [Parameter(name, value=self.parameters[name]) for name in request.names]
            response.values = [p.get_parameter_value() for p in found]
        return response


def read_trajectory(msg: JointTrajectory) -> tuple:
    """(start_ns, joint_names, t, q, dq or None, ddq or None) of a message whose sizes are not
    trusted.

    Raises:
        WamError: the points differ in what they carry.
    """
    columns = {}
    for field in ("positions", "velocities", "accelerations"):
        rows = [getattr(point, field) for point in msg.points]
        sizes = {len(row) for row in rows}
        if len(sizes) > 1:
            raise WamError(f"points carry {field} of different sizes: {sorted(sizes)}")
        columns[field] = np.array(rows) if sizes - {0} else None
    if columns["positions"] is None:
        raise WamError("trajectory has no positions")
    if any(len(point.effort) for point in msg.points):
        raise WamError("efforts are not taken by a controller of positions")
    t = np.array([p.time_from_start.sec + p.time_from_start.nanosec / NS for p in msg.points])
    start_ns = convert.time_to_ns(msg.header.stamp)
    return (
        start_ns,
        tuple(msg.joint_names),
        t,
        columns["positions"],
        columns["velocities"],
        columns["accelerations"],
    )
