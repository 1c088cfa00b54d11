"""What a bridge says while it commands nothing: what was emitted and is void."""

from __future__ import annotations

from dataclasses import dataclass

from wam_ros.core.types import SafeTrajectory


@dataclass(frozen=True)
class Idle:
    """At an instant nothing was commanded: the next motion must begin at rest where the arm is
    measured.
    """

    at_ns: int
    # start [ns] and chunk of the newest trajectory refused since one passed
    refused: tuple[int, int] | None = None

    def voids(self, newest: SafeTrajectory, now_ns: int, deadline_ns: int) -> bool:
        """Whether neither the newest trajectory that was emitted nor one before it is or will be
        executed.

        Args:
            newest: that was emitted.
            now_ns: the present.
            deadline_ns: how long after its start the bridge still takes one.
        """
        if self.refused == (newest.start_ns, newest.chunk_seq):
            return True
        return newest.start_ns + deadline_ns <= self.at_ns <= now_ns
