"""What a message check reads: a chunk as it came, and what it is held against."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.types import ActionChunk
from wam_ros.safety.params import SafetyParams

MOST_EPOCH = 2**31  # a larger one leaves no room to count on


@dataclass(frozen=True)
class Stream:
    """The session that moves the arm, and its newest chunk that was taken: the next one must follow
    it.
    """

    session_id: bytes
    epoch: int = 0
    seq: int = 0
    taken_ns: int = 0  # when
    # whether one was taken at all; else the numbers mean nothing, but older epochs are void
    begun: bool = True


@dataclass(frozen=True)
class Message:
    """A chunk as it came, nothing about it believed."""

    chunk: ActionChunk
    _: KW_ONLY
    now_ns: int
    start_ns: int  # when its trajectory would begin
    embodiment: Embodiment  # the robot it is for
    params: SafetyParams
    stream: Stream | None = None
    still_since_ns: int | None = None  # the arm stands, and stood at every instant since; None: not

    @property
    def n_steps(self) -> int:
        """How many steps it says it has; 0 where that cannot be told."""
        shape = getattr(self.chunk.positions, "shape", ())
        return int(shape[0]) if shape else 0
