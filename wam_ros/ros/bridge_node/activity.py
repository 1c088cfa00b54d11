"""Which controllers the controller manager runs, as it tells itself.

A controller that was deactivated keeps its topic and its parameters and drops what it is sent
without a word.
"""

from __future__ import annotations

import importlib
from typing import Any

from lifecycle_msgs.msg import State
from rclpy.node import Node

from wam_ros.ros import qos

TOPIC = "controller_manager/activity"


class Activity:
    """Listens where `controller_manager_msgs` is installed, and else knows nothing of any
    controller.

    Args:
        node: that listens.
    """

    def __init__(self, node: Node) -> None:
        self._labels: dict[str, str] = {}  # of those that are not active
        try:
            kind = importlib.import_module("controller_manager_msgs.msg").ControllerManagerActivity
        except (ModuleNotFoundError, AttributeError):  # AttributeError: of before that message
            return
        node.create_subscription(kind, TOPIC, self._on_activity, qos.LATCHED)

    def _on_activity(self, msg: Any) -> None:
        self._labels = {
            c.name: c.state.label
            for c in msg.controllers
            if c.state.id != State.PRIMARY_STATE_ACTIVE
        }

    def why_not_active(self, name: str) -> str:
        """Why a controller moves nothing; empty while it is active or nothing is known of it."""
        label = self._labels.get(name.rpartition("/")[2])
        return (
            f"{name} is {label}; `ros2 control set_controller_state` makes it active"
            if label
            else ""
        )
