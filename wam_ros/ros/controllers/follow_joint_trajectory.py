"""`joint_trajectory_controller` by its action: it answers, watches tolerances, says what went
wrong.

A new goal replaces the running one, which then ends as aborted; that is no failure. A goal is never
cancelled: the controller would hold the measured joints at once instead of following the proven
stop.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from rclpy.action import ActionClient

from wam_ros.core.types import NS, SafeTrajectory
from wam_ros.ros.controllers.base import Output, Setting, messages
from wam_ros.ros.controllers.joint_trajectory import SETTINGS, on_cancel, points_message
from wam_ros.ros.fields import ns_to_duration

SUCCEEDED = 4  # GoalStatus.STATUS_SUCCEEDED
CODES = {
    0: "ended by the controller",
    -1: "invalid goal",
    -2: "invalid joints",
    -3: "old header timestamp",
    -4: "path tolerance violated",
    -5: "goal tolerance violated",
}


class FollowJointTrajectoryOutput(Output):
    """Sends each trajectory as a goal and listens to what becomes of the newest one."""

    NAME = "joint_trajectory_controller"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._action = messages(
            "follow_joint_trajectory", "control_msgs", "action"
        ).FollowJointTrajectory
        self._tolerance = messages("follow_joint_trajectory", "control_msgs", "msg").JointTolerance
        self._goals = f"{self.name}/follow_joint_trajectory"
        self._client = ActionClient(self.node, self._action, self._goals)
        self._newest = 0

    def settings(self) -> tuple[Setting, ...]:
        """As for the topic."""
        return (*SETTINGS, *on_cancel(self.joint_names))

    def send(self, trajectory: SafeTrajectory) -> None:
        """Send a goal; its answer comes by callback."""
        goal = self._action.Goal(
            trajectory=points_message(self.part(trajectory), self.options.points)
        )
        goal.path_tolerance = self._tolerances(self.options.path_tolerance)
        goal.goal_tolerance = self._tolerances(self.options.goal_tolerance)
        goal.goal_time_tolerance = ns_to_duration(round(self.options.goal_time_s * NS))
        self._newest += 1
        number = self._newest
        self._client.send_goal_async(goal).add_done_callback(
            lambda future: self._on_answer(number, future)
        )

    def _tolerances(self, position: float) -> list[Any]:
        if not position:
            return []
        each = np.abs(self.numbers.rates(np.full(len(self.joint_names), position)))
        return [
            self._tolerance(name=n, position=float(p))
            for n, p in zip(self.joint_names, each, strict=True)
        ]

    def _on_answer(self, number: int, future: Any) -> None:
        handle = future.result()
        if not handle.accepted:
            if number == self._newest:
                self.fail("the goal was refused")
            return
        handle.get_result_async().add_done_callback(
            lambda result: self._on_result(number, result.result())
        )

    def _on_result(self, number: int, answer: Any) -> None:
        if number != self._newest or answer.status == SUCCEEDED:
            return
        code = answer.result.error_code
        words = answer.result.error_string or "no reason given"
        self.fail(f"the goal ended as {CODES.get(code, code)}: {words}")

    def close(self) -> None:
        """The node does not know action clients."""
        self._client.destroy()

    def listeners(self) -> int:
        """1 while the action is offered."""
        return int(self._client.server_is_ready())
