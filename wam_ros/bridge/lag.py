"""How far, and how long, the measured joints are behind the commanded ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wam_ros.core.angles import turns_in_words
from wam_ros.core.trace import ServoLag
from wam_ros.core.types import NS


class Lag:
    """Says when an arm does not do what it is commanded: its controller died, refused, or drives
    other joints.

    Args:
        joint_names: A names.
        tolerance: (A,) rad or m from the path commanded within the patience; infinite: not watched
            (fingers close on things).
        patience_s: how long a joint may be farther than that.
        sliding: (A,) bool, joints whose unit is the metre.
    """

    def __init__(
        self,
        joint_names: Sequence[str],
        tolerance: np.ndarray,
        patience_s: float,
        sliding: np.ndarray,
    ) -> None:
        self._names = tuple(joint_names)
        self._tolerance = tolerance
        self._sliding = sliding
        self._patience_ns = round(patience_s * NS)
        self.servo = ServoLag()
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self._off_since_ns: int | None = None
        self._words = ""

    def on_measured(
        self, stamp_ns: int, measured: np.ndarray, commanded: np.ndarray, dq: np.ndarray
    ) -> None:
        """Compare joints measured at an instant with what was commanded for that instant; all
        (A,).
        """
        self.servo.on_error(commanded - measured, dq)
        off = np.abs(commanded - measured)
        joint = int((off / self._tolerance).argmax())
        if off[joint] <= self._tolerance[joint]:
            self.clear()
            return
        since_ns = self._off_since_ns
        self._off_since_ns = stamp_ns if since_ns is None or since_ns > stamp_ns else since_ns
        allowed = float(self._tolerance[joint])
        turns = "" if self._sliding[joint] else turns_in_words(float(off[joint]), allowed)
        self._words = (
            f"the arm does not follow: joint '{self._names[joint]}' is {off[joint]:.3f} off{turns}"
        )
        self._newest_ns = stamp_ns

    @property
    def why_not_following(self) -> str:
        """Why the arm counts as not following; empty while it does."""
        if self._off_since_ns is None or self._newest_ns - self._off_since_ns <= self._patience_ns:
            return ""
        return self._words
