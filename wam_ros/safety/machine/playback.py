"""What the robot is commanded to do: emitted trajectories on the clock, read as the controller
reads them.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from wam_ros.core.interpolation import evaluate, segment_coefficients
from wam_ros.core.types import NS, KinematicState, MotionTable, SafeTrajectory

# what was followed this long before the newest trajectory begins is forgotten; longer than any lead
MEMORY_NS = 3 * NS


def sample_trajectory(trajectory: SafeTrajectory, at_ns: int) -> KinematicState:
    """State at an instant: the quintic between the samples around it; before the first and after
    the last, at these.
    """
    t = (at_ns - trajectory.start_ns) / NS
    last = len(trajectory.t) - 1
    if t >= trajectory.t[-1] or last == 0:
        return KinematicState.at_rest(trajectory.q[last])
    i = int(np.clip(np.searchsorted(trajectory.t, t, side="right") - 1, 0, last - 1))
    segment = segment_coefficients(trajectory.t[i : i + 2], trajectory[i : i + 2], 5)[0]
    return KinematicState(*evaluate(segment, max(0.0, t - float(trajectory.t[i]))))


class Playback:
    """The commanded state over time and whether the measured one follows it."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Nothing is commanded."""
        # as they were sent; each is followed until a later one begins
        self._sent: list[SafeTrajectory] = []
        self._held: np.ndarray | None = None
        self._history: deque[tuple[int, np.ndarray]] = deque(maxlen=512)

    @property
    def seeded(self) -> bool:
        """Whether anything is commanded."""
        return self._held is not None

    def hold(self, q: np.ndarray) -> None:
        """Be commanded to stand at q (A,)."""
        self.clear()
        self._held = np.array(q, dtype=float)

    def play(self, trajectory: SafeTrajectory) -> None:
        """Follow a trajectory from its start on instead of everything that was sent before."""
        begun = [
            k for k, p in enumerate(self._sent) if p.start_ns < trajectory.start_ns - MEMORY_NS
        ]
        self._sent = [*self._sent[begun[-1] if begun else 0 :], trajectory]

    @property
    def current(self) -> SafeTrajectory | None:
        """The newest trajectory."""
        return self._sent[-1] if self._sent else None

    def drop(self, n: int) -> None:
        """The `n` newest trajectories were not taken: what they replaced goes on."""
        self._sent = self._sent[: len(self._sent) - n]

    def at(self, at_ns: int, less: int = 0) -> KinematicState:
        """Commanded state at an instant, as it were without the `less` newest trajectories; only
        when `seeded`.
        """
        assert self._held is not None
        for trajectory in reversed(self._sent[: len(self._sent) - less]):
            if at_ns >= trajectory.start_ns:
                return sample_trajectory(trajectory, at_ns)
        return KinematicState.at_rest(self._held)

    def ahead(self, now_ns: int) -> list[MotionTable]:
        """What is still to be followed, a table for each trajectory or part of one."""
        pieces = []
        for k, sent in enumerate(self._sent):
            until_ns = min((later.start_ns for later in self._sent[k + 1 :]), default=None)
            if until_ns is not None and until_ns <= max(now_ns, sent.start_ns):
                continue
            first = int(np.searchsorted(sent.t, (now_ns - sent.start_ns) / NS, side="right")) - 1
            last = len(sent.t) - 1
            if until_ns is not None:
                last = min(last, int(np.searchsorted(sent.t, (until_ns - sent.start_ns) / NS)))
            if max(first, 0) < last:
                pieces.append(sent[max(first, 0) : last + 1])
        return pieces

    def end_ns(self) -> int:
        """When everything commanded is at rest; 0 if it always was."""
        newest = self.current
        return 0 if newest is None else newest.start_ns + int(np.ceil(newest.t[-1] * NS))

    def rest_in_s(self, now_ns: int) -> float:
        """Time until everything commanded is at rest, if nothing more arrives."""
        return max(0.0, (self.end_ns() - now_ns) / NS)

    def still_since_ns(self, slack: np.ndarray, now_ns: int) -> int | None:
        """Since when what is commanded stays within `slack` (A,) of where it stands now; 0 if
        always, None while it moves.
        """
        newest = self.current
        if newest is None:
            return 0
        if self.end_ns() > now_ns:
            return None
        off = (np.abs(newest.q - newest.q[-1]) > slack).any(axis=1).nonzero()[0]
        first = int(off[-1]) + 1 if len(off) else 0
        return newest.start_ns + int(np.ceil(newest.t[first] * NS))

    def deviation(self, stamp_ns: int, q: np.ndarray, window_ns: int) -> np.ndarray:
        """(A,) how far q measured at `stamp_ns` is from everything commanded within the window
        before it.
        """
        self._history.append((stamp_ns, self.at(stamp_ns).q))
        recent = np.array([h for s, h in self._history if stamp_ns - window_ns <= s <= stamp_ns])
        return np.maximum(np.maximum(recent.min(axis=0) - q, q - recent.max(axis=0)), 0.0)
