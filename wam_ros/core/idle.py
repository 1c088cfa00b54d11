"""What a bridge says while it commands nothing: what was emitted and is void."""

from __future__ import annotations

from dataclasses import dataclass

from wam_ros.core.types import SafeTrajectory

TAKEN_NS = 50_000_000  # what has not been taken this long after its start is refused


@dataclass(frozen=True)
class Idle:
    """At an instant nothing was commanded: the next motion must begin at rest where the arm is
    measured.
    """

    at_ns: int
    # start [ns] and chunk of the newest trajectory refused since one passed
    refused: tuple[int, int] | None = None

    def voids(self, newest: SafeTrajectory, now_ns: int) -> bool:
        """Whether neither the newest trajectory that was emitted nor one before it is or will be
        executed.
        """
        if self.refused == (newest.start_ns, newest.chunk_seq):
            return True
        return newest.start_ns + TAKEN_NS <= self.at_ns <= now_ns
