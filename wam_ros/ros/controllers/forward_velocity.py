"""`forward_command_controller` with the velocity interface: one velocity per joint and tick.

It has no timeout: when this process dies in motion, the joints keep their last velocity until the driver notices. Use
it only with a driver that stops by itself, and prefer positions.
"""

from __future__ import annotations

import numpy as np

from wam_ros.ros.controllers.base import Output, Setting
from wam_ros.ros.controllers.forward_position import ForwardPositionOutput
from wam_ros.safety.bounds import Commanded

NO_TIMEOUT = Setting(
    "joints",
    lambda joints: False,
    "forward_command_controller has no timeout: if this process dies in motion the arm keeps its last velocity",
)


class ForwardVelocityOutput(ForwardPositionOutput):
    """Publishes the commanded velocities, drawn towards the commanded positions."""

    NAME = "forward_velocity_controller"
    INTERFACE = "velocity"
    _left_in_motion = False

    def settings(self) -> tuple[Setting, ...]:
        """There is always something to warn of."""
        return (*super().settings(), NO_TIMEOUT)

    def values(self, commanded: Commanded, measured: np.ndarray | None) -> np.ndarray:
        """(J,) velocities; without a measurement only those of the path."""
        return pulled(self, commanded, measured)

    def publish(self, values: np.ndarray) -> None:
        """Publish numbers that are in our order."""
        super().publish(values)
        self._left_in_motion = bool(np.any(values))

    def settle(self) -> None:
        """A controller that comes back, or that is activated again, goes on with what it was told last."""
        if self._left_in_motion:
            self.stop()

    def stop(self) -> None:
        """Zero velocity is the last word."""
        self.publish(np.zeros(len(self.joint_names)))


def pulled(output: Output, commanded: Commanded, measured: np.ndarray | None) -> np.ndarray:
    """(J,) velocity of the path plus what pulls the arm back to it, inside the limits of the joints."""
    behind = 0.0 if measured is None else commanded.q - measured
    wanted = (commanded.dq + output.options.velocity_gain * behind)[output.columns]
    return np.clip(wanted, -output.velocity, output.velocity)
