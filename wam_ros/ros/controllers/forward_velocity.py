"""`forward_command_controller` with the velocity interface: one velocity per joint and tick.

It has no timeout: when this process dies in motion, the joints keep their last velocity until the
driver notices. Use it only with a driver that stops by itself, and prefer positions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wam_ros.core.types import KinematicState
from wam_ros.ros.controllers.base import Output, Setting
from wam_ros.ros.controllers.forward_position import ForwardPositionOutput

STILL = 2e-3  # rad or m; an arm at rest stays within this
SETTLED_NS = 500_000_000  # for so long
FRESH = 5  # and in so many joint states
NO_TIMEOUT = Setting(
    "joints",
    lambda joints: False,
    "forward_command_controller has no timeout: if this process dies in motion the arm keeps its "
    "last velocity",
)


class ForwardVelocityOutput(ForwardPositionOutput):
    """Publishes the commanded velocities, drawn towards the commanded positions."""

    NAME = "forward_velocity_controller"
    INTERFACE = "velocity"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._unsettled = False  # whether the controller may still have a velocity
        # (A,) where the arm seems to rest, at the first and the newest look
        self._rest: np.ndarray | None = None
        self._newest: np.ndarray | None = None
        self._since_ns = self._fresh = 0  # since when it does, and joint states since then

    def settings(self) -> tuple[Setting, ...]:
        """There is always something to warn of."""
        return (*super().settings(), NO_TIMEOUT)

    def values(self, commanded: KinematicState, measured: np.ndarray | None) -> np.ndarray:
        """(J,) velocities; without a measurement only those of the path."""
        return self.numbers.rates(pulled(self, commanded, measured))

    def stream(self, now_ns: int, commanded: KinematicState, measured: np.ndarray | None) -> None:
        """Publish one command."""
        super().stream(now_ns, commanded, measured)
        self._unsettled = True
        self._rest = None

    def settle(self, now_ns: int, measured: np.ndarray | None) -> None:
        """Tell zero until fresh joint states show an arm at rest.

        The controller goes on with what it heard last, also after it hung or was activated again,
        and it hears as best it can: what is sent while it hangs may be lost, the last word first.
        """
        if not self._unsettled:
            return
        self.stop()
        if measured is None:
            return
        if self._rest is None or np.abs(measured - self._rest)[self.columns].max() > STILL:
            self._rest = measured
            self._since_ns = now_ns
            self._newest = measured
            self._fresh = 0
        elif measured is not self._newest:
            self._newest = measured
            self._fresh = self._fresh + 1
            self._unsettled = self._fresh < FRESH or now_ns - self._since_ns < SETTLED_NS

    def stop(self) -> None:
        """Zero velocity is the last word."""
        self.publish(np.zeros(len(self.joint_names)))


def pulled(output: Output, commanded: KinematicState, measured: np.ndarray | None) -> np.ndarray:
    """(J,) velocity of the path plus what pulls the arm back to it, inside the limits of the
    joints.
    """
    behind = 0.0 if measured is None else commanded.q - measured
    wanted = (commanded.dq + output.options.velocity_gain * behind)[output.columns]
    return np.clip(wanted, -output.velocity, output.velocity)
