"""What the target arm speaks: one file per kind of controller, each with its own message type.

A controller is a subclass of `base.Output`. Their rules are those of ros2_controllers 4.42 (Jazzy)
and 5.17 (Kilted).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import numpy as np
from rclpy.node import Node

from wam_ros.core.errors import require_known
from wam_ros.ros.controllers.base import ControllerParams, Output

CONTROLLERS = {
    "joint_trajectory": "joint_trajectory:JointTrajectoryOutput",
    "follow_joint_trajectory": "follow_joint_trajectory:FollowJointTrajectoryOutput",
    "forward_position": "forward_position:ForwardPositionOutput",
    "forward_velocity": "forward_velocity:ForwardVelocityOutput",
    "servo": "servo:ServoOutput",
    "gripper_command": "gripper_command:GripperCommandOutput",
    "parallel_gripper_command": "parallel_gripper_command:ParallelGripperCommandOutput",
}


def make_controller(
    kind: str,
    node: Node,
    joint_names: Sequence[str],
    columns: np.ndarray | None = None,
    name: str = "",
    options: ControllerParams | None = None,
) -> Output:
    """Make a controller output by kind; see `Output` for the arguments.

    Raises:
        WamError: unknown kind (lists the choices), or its messages are not installed.
    """
    found = CONTROLLERS[require_known("controller", kind, CONTROLLERS)]
    module, _, attribute = found.partition(":")
    columns = np.arange(len(joint_names)) if columns is None else columns
    make = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    return make(node, joint_names, columns, name, options or ControllerParams())
