"""How late chunks are, and whether chunking of this horizon can work at that delay."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from wam_ros.core.types import ChunkingMode


class LatencyWindow:
    """Percentiles over the newest latencies; the first ones after a cold start are left out.

    Args:
        size: latencies kept, so that a slow spell is forgotten.
        warmup: how many first latencies to leave out; compilation and caches make them exceptional.
    """

    def __init__(self, size: int = 100, warmup: int = 2) -> None:
        self._kept: deque[float] = deque(maxlen=size)
        self._to_skip = warmup
        self.last_s = 0.0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, latency_s: float) -> None:
        """Take one latency [s]; a negative or non-finite one is not a latency and is ignored."""
        if not math.isfinite(latency_s) or latency_s < 0:
            return
        self.last_s = latency_s
        if self._to_skip > 0:
            self._to_skip -= 1
        else:
            self._kept.append(latency_s)

    def percentile(self, percent: float) -> float:
        """Smallest kept latency [s] that at least `percent` % of the kept ones do not exceed; 0 when none is kept."""
        if not self._kept:
            return 0.0
        ordered = sorted(self._kept)
        return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]

    def delay_steps(self, step_period_s: float) -> int:
        """Chunk steps that pass, whole or in part, before a chunk arrives: the 95th percentile in steps, rounded up."""
        return math.ceil(self.percentile(95) / step_period_s - 1e-9)


@dataclass(frozen=True)
class ChunkTiming:
    """Delay d, executed steps per chunk s and horizon H, and what they allow."""

    delay_steps: int
    execute_steps: int
    horizon_steps: int

    @property
    def feasible(self) -> bool:
        """Whether the next chunk always arrives before this one is used up: d <= s <= H - d."""
        return self.delay_steps <= self.execute_steps <= self.horizon_steps - self.delay_steps

    @property
    def mode(self) -> ChunkingMode:
        """Replace while moving when feasible, else stand still while thinking."""
        return ChunkingMode.REPLACE if self.feasible else ChunkingMode.SYNCHRONOUS

    def __str__(self) -> str:
        d, s, h = self.delay_steps, self.execute_steps, self.horizon_steps
        if self.feasible:
            return f"mode=REPLACE d={d} s={s} H={h}"
        return f"mode=SYNC d={d} > H-s={h - s}"


def chunk_timing(window: LatencyWindow, step_period_s: float, frame_period_s: float, horizon_steps: int) -> ChunkTiming:
    """Timing when a chunk is asked for at every frame, one at a time.

    A new request waits for the answer to the one before, so a slow model stretches s to d.
    """
    delay = window.delay_steps(step_period_s)
    return ChunkTiming(delay, max(1, round(frame_period_s / step_period_s), delay), horizon_steps)
