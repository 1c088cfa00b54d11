"""`forward_command_controller` with the position interface: one position per joint and tick.

It has neither limits nor a timeout, and its parameter `joints` says the order: nothing is sent
before that is known. A message of another length makes it fail and be deactivated. When the stream
ends it holds the last positions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from std_msgs.msg import Float64MultiArray

from wam_ros.core.types import KinematicState
from wam_ros.ros import qos
from wam_ros.ros.controllers.base import LIMITS, Output, Setting
from wam_ros.ros.fields import doubles


class ForwardPositionOutput(Output):
    """Publishes the commanded positions in the controller's order of joints."""

    NAME = "forward_position_controller"
    STREAMS = True
    INTERFACE = "position"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.blocked = f"{self.name} has not told the order of its joints yet"
        self._order: np.ndarray | None = None
        self._publisher = self.node.create_publisher(
            Float64MultiArray, f"{self.name}/commands", qos.STREAM
        )

    def settings(self) -> tuple[Setting, ...]:
        """The interface decides what the numbers mean."""
        wanted = self.INTERFACE
        words = f"interface_name is not '{wanted}': the numbers sent would mean something else"
        return (Setting("interface_name", lambda name: name == wanted, words), LIMITS)

    def on_joints(self, joints: list[str]) -> None:
        """The order of the numbers in a message."""
        super().on_joints(joints)
        self._order = (
            None if self.blocked else np.array([self.joint_names.index(n) for n in joints])
        )

    def values(self, commanded: KinematicState, measured: np.ndarray | None) -> np.ndarray:
        """(J,) what is sent, in our order."""
        return self.numbers.positions(commanded.q[self.columns])

    def stream(self, now_ns: int, commanded: KinematicState, measured: np.ndarray | None) -> None:
        """Publish one command."""
        if self._order is not None:
            self.publish(self.values(commanded, measured))

    def publish(self, values: np.ndarray) -> None:
        """Publish numbers that are in our order."""
        if self._order is not None and np.isfinite(values).all():
            self._publisher.publish(Float64MultiArray(data=doubles(values[self._order])))
