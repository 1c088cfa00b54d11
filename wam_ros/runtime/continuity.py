"""Whether what a policy remembers leads up to the next observation."""

from __future__ import annotations

import enum


class Follows(enum.Enum):
    """How an observation follows the one before."""

    ON = "the scene was watched closely enough"
    SEEN = "it was seen before"
    GAP = "something may have happened in between, or the memory is not whole"
    BACK = "the clock was set back"


class Continuity:
    """The newest observation that a memory holds. Not thread-safe.

    Args:
        step_ns: control step of requests that count executed steps.
        max_gap_ns: longest time between observations; where steps are counted, standing still is no
            gap.
    """

    def __init__(self, step_ns: int, max_gap_ns: int) -> None:
        self._step_ns = step_ns
        self._max_gap_ns = max_gap_ns
        self._last: tuple[int, int | None] | None = None  # stamp and step; None: nothing remembered
        self.broken = False  # a failure may have left the memory half written

    def clear(self) -> None:
        """The memory is empty."""
        self._last = None
        self.broken = False

    def follow(self, stamp_ns: int, step: int | None) -> Follows:
        """Take the next observation."""
        last = self._last
        self._last = (stamp_ns, step)
        if last is None:
            return Follows.GAP if self.broken else Follows.ON
        if stamp_ns == last[0]:
            return Follows.SEEN
        if stamp_ns < last[0]:
            return Follows.BACK
        gap_ns = stamp_ns - last[0]
        if step is not None and last[1] is not None:
            gap_ns = (step - last[1]) * self._step_ns
        return Follows.ON if 0 <= gap_ns <= self._max_gap_ns and not self.broken else Follows.GAP
