"""Compares what the model imagined with what the cameras then saw, while the loop runs."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from wam_ros.core.images import mse
from wam_ros.core.types import NS, ImaginedFuture, Observation

_HISTORY = 32  # observations remembered: the copy-last baseline needs the frame the model predicted from
_FUTURES = 64


@dataclass(frozen=True)
class Match:
    """One observation and what had been imagined for its instant."""

    offset_s: float  # how far ahead the model looked
    view_names: tuple[str, ...]
    observed: np.ndarray  # (V, H, W, 3) uint8 RGB
    imagined: np.ndarray  # (V, H, W, 3) uint8 RGB
    copied: np.ndarray  # (V, H, W, 3) uint8 RGB: the newest frame that the model had when it imagined


@dataclass
class _Error:
    n: int = 0
    imagined: float = 0.0  # sums of mean squared errors, pixels in [0, 1]
    copied: float = 0.0


@dataclass(frozen=True)
class _Future:
    instant_ns: int
    offset_s: float
    imagined: np.ndarray
    copied: np.ndarray


class ImaginationTracker:
    """Matches imagined frames with observations by instant and sums squared errors.

    Args:
        tolerance_ns: largest distance between the instant imagined and the stamp of the observation it is held
            against; half a frame period makes every observation belong to one instant.
    """

    def __init__(self, tolerance_ns: int = NS // 20) -> None:
        self._tolerance_ns = tolerance_ns
        self._observations: deque[Observation] = deque(maxlen=_HISTORY)
        self._futures: deque[_Future] = deque(maxlen=_FUTURES)
        self._chunks: dict[int, tuple[int, int]] = {}  # chunk seq -> stamp of its observation, its anchor
        self._waiting: dict[int, ImaginedFuture] = {}  # frames that arrived before their chunk
        self.offsets_s: tuple[float, ...] = ()  # how far ahead the newest future looks
        self._errors: dict[tuple[str, float], _Error] = {}

    def clear_pending(self) -> None:
        """Forget unmatched frames: the scene has jumped, nothing imagined before is comparable."""
        self._observations.clear()
        self._futures.clear()
        self._chunks.clear()
        self._waiting.clear()

    def on_chunk(self, seq: int, observation_ns: int, anchor_ns: int) -> None:
        """Learn from which observation chunk `seq` was imagined, and for which beginning."""
        self._chunks[seq] = (observation_ns, anchor_ns)
        for old in [s for s in self._chunks if s <= seq - _FUTURES]:
            del self._chunks[old]
        if (future := self._waiting.pop(seq, None)) is not None:
            self.on_imagined(future)

    def on_imagined(self, future: ImaginedFuture) -> None:
        """Remember the frames imagined with one chunk."""
        if future.chunk_seq not in self._chunks:
            self._waiting = {s: f for s, f in self._waiting.items() if s > future.chunk_seq - 8}
            self._waiting[future.chunk_seq] = future
            return
        source_ns, anchor_ns = self._chunks[future.chunk_seq]
        source = next((o for o in self._observations if o.stamp_ns == source_ns), None)
        if source is None:
            return
        self.offsets_s = tuple(round((i - anchor_ns) / NS, 2) for i in future.instants_ns)
        for frames, instant_ns, offset_s in zip(future.frames, future.instants_ns, self.offsets_s, strict=True):
            if frames.shape == source.frames.shape and future.view_names == source.view_names:
                self._futures.append(_Future(instant_ns, offset_s, frames, source.frames))

    def on_observation(self, observation: Observation) -> list[Match]:
        """Hold an observation against what was imagined for its instant; nearest offset first, one per offset."""
        self._observations.append(observation)
        nearest: dict[float, _Future] = {}
        for future in self._futures:
            distance = abs(future.instant_ns - observation.stamp_ns)
            best = nearest.get(future.offset_s)
            if distance <= self._tolerance_ns and (
                best is None or distance < abs(best.instant_ns - observation.stamp_ns)
            ):
                nearest[future.offset_s] = future
        matches = [
            Match(offset, observation.view_names, observation.frames, f.imagined, f.copied)
            for offset, f in sorted(nearest.items())
        ]
        for match in matches:
            self._count(match)
        return matches

    def _count(self, match: Match) -> None:
        for v, view in enumerate(match.view_names):
            error = self._errors.setdefault((view, match.offset_s), _Error())
            error.n += 1
            error.imagined += mse(match.imagined[v], match.observed[v])
            error.copied += mse(match.copied[v], match.observed[v])

    def summary(self) -> dict[str, dict[str, dict[str, float]]]:
        """Per view and offset: n, PSNR [dB] of the mean error of imagined and of copied frames, and the gain."""
        result: dict[str, dict[str, dict[str, float]]] = {}
        for (view, offset_s), error in sorted(self._errors.items()):
            imagined, copied = psnr_db(error.imagined / error.n), psnr_db(error.copied / error.n)
            result.setdefault(view, {})[f"+{offset_s:.1f} s"] = {
                "n": error.n,
                "psnr_db": imagined,
                "copy_last_psnr_db": copied,
                "gain_db": imagined - copied,
            }
        return result


def psnr_db(mean_squared_error: float) -> float:
    """PSNR [dB] of an error with pixels in [0, 1]; capped at 99 so that it stays a number in JSON."""
    return 99.0 if mean_squared_error <= 10**-9.9 else -10.0 * math.log10(mean_squared_error)
