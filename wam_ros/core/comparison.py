"""What was imagined for an instant against what the cameras saw at it."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wam_ros.core.images import mse
from wam_ros.core.types import NS


@dataclass(frozen=True)
class Expectation:
    """One imagined frame, before its instant."""

    instant_ns: int
    horizon_ns: int  # how far ahead it was imagined
    imagined: np.ndarray  # (V, H, W, 3) uint8 RGB
    seen: np.ndarray  # (V, H, W, 3) uint8 RGB, the frame that it was imagined from

    @property
    def horizon_s(self) -> float:
        """How far ahead it was imagined, s."""
        return self.horizon_ns / NS


@dataclass(frozen=True)
class Comparison(Expectation):
    """One imagined frame whose instant has passed; errors with pixels in [0, 1], averaged over all
    views, computed when they are asked for: of most frames nobody does.
    """

    came: np.ndarray  # (V, H, W, 3) uint8 RGB, the frame observed at that instant

    @functools.cached_property
    def mse(self) -> float:
        """Imagined against observed."""
        return mse(self.imagined, self.came)

    @functools.cached_property
    def copy_mse(self) -> float:
        """The frame seen when imagining against observed: what "nothing changes" would have
        cost.
        """
        return mse(self.seen, self.came)


class ImaginationMonitor:
    """Keeps imagined frames until their instant comes. One thread owns it; time comes with the
    frames.

    Args:
        tolerance_ns: a frame observed this close to an imagined instant is compared with it; half a
            frame period.
        capacity: most frames kept; the oldest leave first.
    """

    def __init__(self, tolerance_ns: int, capacity: int = 256) -> None:
        self._tolerance_ns = tolerance_ns
        self._pending: deque[Expectation] = deque(maxlen=capacity)

    def expect(
        self, made_ns: int, seen: np.ndarray, instants_ns: Sequence[int], imagined: np.ndarray
    ) -> None:
        """Remember frames `imagined` (F, V, H, W, 3) for `instants_ns` from `seen` (V, H, W, 3) at
        `made_ns`.
        """
        for instant, frames in zip(instants_ns, imagined, strict=True):
            self._pending.append(Expectation(instant, instant - made_ns, frames, seen))

    def observe(self, stamp_ns: int, frames: np.ndarray) -> list[Comparison]:
        """Compare `frames` (V, H, W, 3) with what was imagined for `stamp_ns`; the latest made
        comes first.

        Each imagined frame is compared once; one that no observation came near is dropped without a
        word.
        """
        due = [e for e in self._pending if abs(e.instant_ns - stamp_ns) <= self._tolerance_ns]
        later = [e for e in self._pending if e.instant_ns > stamp_ns + self._tolerance_ns]
        self._pending = deque(later, maxlen=self._pending.maxlen)
        due.sort(key=lambda e: e.instant_ns - e.horizon_ns, reverse=True)
        return [Comparison(**vars(e), came=frames) for e in due]

    def clear(self) -> None:
        """Forget everything: the clock was set back or the plan was dropped."""
        self._pending.clear()
