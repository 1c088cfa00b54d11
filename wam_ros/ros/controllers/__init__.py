"""What the target arm speaks: one file per kind of controller, each with its own message type.

A controller is a class with `__init__(self, node, topic)`, where topic '' means its usual one, and
`send(self, trajectory: SafeTrajectory)`; it publishes and nothing else.
"""

from __future__ import annotations

import importlib
from typing import Protocol

from rclpy.node import Node

from wam_ros.core.errors import require_known
from wam_ros.core.types import SafeTrajectory

CONTROLLERS = {
    "joint_trajectory": "wam_ros.ros.controllers.joint_trajectory:JointTrajectoryOutput",
}


class Controller(Protocol):
    """Hands trajectories to one controller of the arm."""

    def send(self, trajectory: SafeTrajectory) -> None:
        """Publish a trajectory that begins now and ends at rest."""

    def listeners(self) -> int:
        """How many subscribers there are."""


def make_controller(name: str, node: Node, topic: str = "") -> Controller:
    """Make a controller output by name.

    Raises:
        WamError: unknown name; lists the choices.
    """
    module, _, attribute = CONTROLLERS[require_known("controller", name, CONTROLLERS)].partition(":")
    return getattr(importlib.import_module(module), attribute)(node, topic)
