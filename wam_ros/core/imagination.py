"""Compares what the model imagined with what the cameras then saw, while the loop runs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from wam_ros.core.comparison import Comparison, ImaginationMonitor
from wam_ros.core.images import mse, psnr_db
from wam_ros.core.types import NS, ImaginedFuture, Observation

# observations remembered: the copy-last baseline needs the frame the model predicted from
_HISTORY = 32
_CHUNKS = 64


@dataclass
class _Error:
    n: int = 0
    imagined: float = 0.0  # sums of mean squared errors, pixels in [0, 1]
    copied: float = 0.0


class ImaginationTracker:
    """Joins imagined frames with the observation they were made from, and sums squared errors per
    view and horizon.

    Args:
        tolerance_ns: largest distance between the instant imagined and the stamp of the observation
            it is held against; half a frame period makes every observation belong to one instant.
    """

    def __init__(self, tolerance_ns: int = NS // 20) -> None:
        self._monitor = ImaginationMonitor(tolerance_ns)
        self._observations: deque[Observation] = deque(maxlen=_HISTORY)
        # chunk seq -> stamp of its observation, its anchor
        self._chunks: dict[int, tuple[int, int]] = {}
        self._waiting: dict[int, ImaginedFuture] = {}  # frames that arrived before their chunk
        self.horizons_s: tuple[float, ...] = ()  # how far ahead the newest future looks
        self._errors: dict[tuple[str, float], _Error] = {}

    def clear_pending(self) -> None:
        """Forget unmatched frames: the scene has jumped, nothing imagined before is comparable."""
        self._observations.clear()
        self.clear_imagined()

    def clear_imagined(self) -> None:
        """Forget what was imagined: another instruction is followed in the same scene."""
        self._monitor.clear()
        self._chunks.clear()
        self._waiting.clear()

    def on_chunk(self, seq: int, observation_ns: int, anchor_ns: int) -> None:
        """Learn from which observation chunk `seq` was imagined, and for which beginning."""
        self._chunks[seq] = (observation_ns, anchor_ns)
        for old in [s for s in self._chunks if s <= seq - _CHUNKS]:
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
        self.horizons_s = tuple((instant_ns - anchor_ns) / NS for instant_ns in future.instants_ns)
        if (
            future.frames.shape[1:] == source.frames.shape
            and future.view_names == source.view_names
        ):
            self._monitor.expect(anchor_ns, source.frames, future.instants_ns, future.frames)

    def on_observation(self, observation: Observation) -> list[Comparison]:
        """Hold an observation against what was imagined for its instant; nearest horizon first, one
        per horizon.
        """
        self._observations.append(observation)
        found = self._monitor.observe(observation.stamp_ns, observation.frames)
        found.sort(key=lambda s: (s.horizon_ns, abs(s.instant_ns - observation.stamp_ns)))
        nearest = [
            s for k, s in enumerate(found) if k == 0 or s.horizon_ns != found[k - 1].horizon_ns
        ]
        for comparison in nearest:
            self._count(observation, comparison)
        return nearest

    def _count(self, observation: Observation, comparison: Comparison) -> None:
        for v, view in enumerate(observation.view_names):
            error = self._errors.setdefault((view, comparison.horizon_s), _Error())
            error.n += 1
            error.imagined += mse(comparison.imagined[v], observation.frames[v])
            error.copied += mse(comparison.seen[v], observation.frames[v])

    def summary(self) -> dict[str, dict[str, dict[str, float]]]:
        """Per view and horizon: n, PSNR [dB] of the mean error of imagined and of copied frames,
        and the gain.
        """
        result: dict[str, dict[str, dict[str, float]]] = {}
        for (view, horizon_s), error in sorted(self._errors.items()):
            imagined = psnr_db(error.imagined / error.n)
            copied = psnr_db(error.copied / error.n)
            result.setdefault(view, {})[f"+{horizon_s:.1f} s"] = {
                "n": error.n,
                "psnr_db": imagined,
                "copy_last_psnr_db": copied,
                "gain_db": imagined - copied,
            }
        return result
