"""A gripper by `control_msgs/ParallelGripperCommand`: `parallel_gripper_controller`, the one there
is since Kilted.
"""

from __future__ import annotations

from typing import Any

from wam_ros.ros.controllers.gripper_command import GripperCommandOutput


class ParallelGripperCommandOutput(GripperCommandOutput):
    """Sends the position of one joint as a joint state."""

    KIND = "parallel_gripper_command"
    ACTION = "ParallelGripperCommand"

    def goal(self, position: float) -> Any:
        """The goal message; effort counts only where the controller has `max_effort_interface`."""
        goal = self._action.Goal()
        goal.command.name = list(self.joint_names)
        goal.command.position = [position]
        goal.command.effort = [self.options.gripper_effort]
        return goal
