"""The clocks of a recording: one that never goes back to order messages by, and a watch over the
one that stamps count.
"""

from __future__ import annotations

from wam_ros.core.types import NS


class ClockWatch:
    """Finds jumps of a clock; the clocks are arguments.

    Args:
        least_s: smallest jump that counts.
        simulated: the clock may stand or go at any rate: then only what goes back is a jump.
    """

    def __init__(self, least_s: float, simulated: bool) -> None:
        self._least_ns = round(least_s * NS)
        self._simulated = simulated
        self._last: tuple[int, int] | None = None

    def jump_s(self, now_ns: int, steady_ns: int) -> float:
        """By how much the clock jumped since it was asked last, 0 for not; s, negative: back."""
        last = self._last
        self._last = now_ns, steady_ns
        if last is None:
            return 0.0
        jump_ns = now_ns - last[0]
        if not self._simulated:
            jump_ns -= steady_ns - last[1]
        elif jump_ns > 0:
            return 0.0
        return jump_ns / NS if abs(jump_ns) >= self._least_ns else 0.0


class RecordingClock:
    """When a message was heard, by the system clock as it was to begin with: it is not set back
    when that is.

    Args:
        system_ns: of the system clock, now.
        steady_ns: of the steady clock, now.
    """

    def __init__(self, system_ns: int, steady_ns: int) -> None:
        self._offset_ns = system_ns - steady_ns
        self._last_ns = 0

    def heard_ns(self, received_ns: int, system_ns: int, steady_ns: int) -> int:
        """When it was heard.

        Args:
            received_ns: that, by the system clock.
            system_ns: of the system clock, now.
            steady_ns: of the steady clock, now.
        """
        now_ns = self.now_ns(steady_ns)
        at_ns = now_ns - (system_ns - received_ns)
        return min(max(at_ns, self._last_ns), now_ns)

    def taken(self, steady_ns: int) -> None:
        """All that was heard until now has been taken: nothing will be from before."""
        self._last_ns = self.now_ns(steady_ns)

    def now_ns(self, steady_ns: int) -> int:
        """The time to put a message of one's own at."""
        return self._offset_ns + steady_ns
