"""What a forward_command_controller does with its messages, in numpy: the rules of ros2_controllers
4.42 and 5.17.

Numbers that are not finite are dropped and an empty message is none. A message of another length
fails the controller: the manager deactivates it, and the joints go on with what they were told
last. Nothing expires or limits what passes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wam_ros.core.types import NS, KinematicState


class ForwardController:
    """Positions or velocities of some joints, as they came; the clock comes by argument. Not
    thread-safe.

    Args:
        joint_names: the joints it commands, in the order of a message's numbers.
        q0: (A,) rad or m, where it holds until something arrives.
        interface: position or velocity.
    """

    def __init__(
        self, joint_names: Sequence[str], q0: np.ndarray, interface: str = "position"
    ) -> None:
        self.joint_names = tuple(joint_names)
        self.interface = interface
        self.reset(q0)

    def reset(self, q: np.ndarray) -> None:
        """Activate anew and hold `q` (A,)."""
        self._q = np.array(q, dtype=float)
        self._dq = np.zeros(len(self._q))
        self._now_ns: int | None = None
        self.failed = False

    def pause(self, by_ns: int) -> None:
        """Time was skipped: nothing went on meanwhile."""
        self._now_ns = None if self._now_ns is None else self._now_ns + by_ns

    def command(self, values: np.ndarray, now_ns: int) -> str:
        """Take the numbers of one message, or say in one sentence why not; empty when taken."""
        values = np.asarray(values, dtype=float)
        if self.failed:
            return "the controller was deactivated"
        if not np.isfinite(values).all():
            return "a value is not finite: dropped"
        if not len(values):
            return ""
        self.sample(now_ns)
        if len(values) != len(self.joint_names):
            self.failed = True
            return (
                f"command size {len(values)} does not match {len(self.joint_names)} "
                "interfaces: deactivated"
            )
        if self.interface == "position":
            self._q = values.copy()
        else:
            self._dq = values.copy()
        return ""

    def sample(self, now_ns: int) -> KinematicState:
        """The desired state at `now_ns`; velocities go on until another one arrives."""
        if self._now_ns is not None and now_ns > self._now_ns:
            self._q = self._q + self._dq * ((now_ns - self._now_ns) / NS)
        self._now_ns = now_ns if self._now_ns is None else max(now_ns, self._now_ns)
        return KinematicState(self._q.copy(), self._dq.copy(), np.zeros(len(self._q)))
