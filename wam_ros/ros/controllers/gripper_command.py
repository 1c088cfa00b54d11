"""A gripper by `control_msgs/GripperCommand`: `gripper_controllers` up to Jazzy (removed in Kilted)
and vendors' own.

The goal is where the gripper rests at the end of the newest trajectory; it is sent when it changed.
A gripper that stalls has closed on something: that is no failure.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from rclpy.action import ActionClient

from wam_ros.core.errors import WamError
from wam_ros.core.types import SafeTrajectory
from wam_ros.ros.controllers.base import Output, Setting, messages


class GripperCommandOutput(Output):
    """Sends the position of one joint as a goal."""

    NAME = "gripper_controller"
    KIND = "gripper_command"
    ACTION = "GripperCommand"
    SETTINGS = (
        Setting(
            "allow_stalling",
            lambda on: on is True,
            "allow_stalling is off: closing on something is reported as a failure by the "
            "controller",
        ),
    )

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if len(self.joint_names) != 1:
            raise WamError(
                f"controller '{self.KIND}' drives one joint, found "
                f"{', '.join(self.joint_names) or 'none'}"
            )
        self._action = getattr(messages(self.KIND, "control_msgs", "action"), self.ACTION)
        self._goals = f"{self.name}/{self.options.gripper_action}"
        self._client = ActionClient(self.node, self._action, self._goals)
        self._sent: float | None = None
        self._newest = 0

    def goal(self, position: float) -> Any:
        """The goal message for a position of the gripper."""
        goal = self._action.Goal()
        goal.command.position = position
        goal.command.max_effort = self.options.gripper_effort
        return goal

    def on_joints(self, joints: list[str]) -> None:
        """The controller has one joint, named by another parameter."""

    def send(self, trajectory: SafeTrajectory) -> None:
        """Send the goal when it differs from the one before."""
        target = float(trajectory.q[-1, self.columns[0]])
        if self._sent is not None and abs(target - self._sent) < self.options.gripper_step:
            return
        self._sent = target
        self._newest += 1
        number = self._newest
        told = float(self.numbers.positions(np.array([target]))[0])
        future = self._client.send_goal_async(self.goal(told * self.options.gripper_scale))
        future.add_done_callback(lambda answer: self._on_answer(number, answer.result()))

    def _on_answer(self, number: int, handle: Any) -> None:
        if not handle.accepted and number == self._newest:
            self._sent = None  # ask again with the next trajectory
            self.fail("the gripper's goal was refused")

    def close(self) -> None:
        """The node does not know action clients."""
        self._client.destroy()

    def listeners(self) -> int:
        """1 while the action is offered."""
        return int(self._client.server_is_ready())
