"""Where the time goes between a camera's exposure and the command that answers it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

STAGES = (
    "camera to observation",
    "observation to chunk",
    "chunk to safe trajectory",
    "safe trajectory to command",
    "camera to command",
)
_PENDING = 64  # messages remembered per kind while their answer is awaited
_SAMPLES = 100_000


@dataclass(frozen=True)
class _Seen:
    camera_ns: int  # exposure of the oldest frame
    observation_ns: int  # the three others are publication times
    chunk_ns: int = 0
    safe_ns: int = 0


class LatencyTracker:
    """Joins the loop's messages by the stamps and numbers they carry. All times are ns of one clock.

    Every `on_*` takes the time at which its message was published. An answer whose question was not seen is
    ignored; the first command that answers a chunk ends its chain.
    """

    def __init__(self) -> None:
        self._observations: OrderedDict[int, _Seen] = OrderedDict()  # by observation stamp
        self._chunks: OrderedDict[int, _Seen] = OrderedDict()  # by chunk seq
        self._safe: OrderedDict[int, _Seen] = OrderedDict()  # by start of the trajectory
        self._samples: dict[str, deque[float]] = {name: deque(maxlen=_SAMPLES) for name in STAGES}

    def on_observation(self, stamp_ns: int, frame_stamps_ns: Sequence[int], published_ns: int) -> None:
        """A model frame went to the model."""
        camera_ns = min(frame_stamps_ns, default=stamp_ns)
        _remember(self._observations, stamp_ns, _Seen(camera_ns, published_ns))

    def on_chunk(self, seq: int, observation_ns: int, published_ns: int) -> None:
        """The model answered an observation."""
        if (seen := self._observations.get(observation_ns)) is not None:
            _remember(self._chunks, seq, _Seen(seen.camera_ns, seen.observation_ns, published_ns))

    def on_safe(self, chunk_seq: int, start_ns: int, published_ns: int) -> None:
        """Safety let a trajectory pass that begins at `start_ns`."""
        if (seen := self._chunks.pop(chunk_seq, None)) is not None:
            seen = _Seen(seen.camera_ns, seen.observation_ns, seen.chunk_ns, published_ns)
            _remember(self._safe, start_ns, seen)

    def on_command(self, start_ns: int, published_ns: int) -> None:
        """The bridge sent the trajectory that begins at `start_ns` to the controller."""
        if (seen := self._safe.pop(start_ns, None)) is None:
            return
        instants = (seen.camera_ns, seen.observation_ns, seen.chunk_ns, seen.safe_ns, published_ns)
        values = [*(b - a for a, b in pairwise(instants)), published_ns - seen.camera_ns]
        for name, value in zip(STAGES, values, strict=True):
            self._samples[name].append(value / 1e6)

    def clear_pending(self) -> None:
        """Forget unanswered messages, as between two episodes."""
        for table in (self._observations, self._chunks, self._safe):
            table.clear()

    def summary(self) -> dict[str, dict[str, float]]:
        """Per stage the count `n` and p50, p95, p99 in ms; stages without samples are left out."""
        return {name: percentiles_ms(values) for name, values in self._samples.items() if values}


def percentiles_ms(values: Sequence[float] | deque[float]) -> dict[str, float]:
    """Count and percentiles of millisecond values."""
    p50, p95, p99 = np.percentile(np.fromiter(values, float), [50, 95, 99])
    return {"n": len(values), "p50_ms": float(p50), "p95_ms": float(p95), "p99_ms": float(p99)}


def _remember(table: OrderedDict[int, _Seen], key: int, value: _Seen) -> None:
    table[key] = value
    while len(table) > _PENDING:
        table.popitem(last=False)


@dataclass
class RateMeter:
    """Mean rate of events while something else is on, such as chunks while the arm is armed."""

    events: int = 0
    duration_s: float = 0.0
    _last_ns: int | None = field(default=None, repr=False)

    def on_event(self, now_ns: int) -> None:
        """Count one event and the time since the one before it."""
        if self._last_ns is not None:
            self.events += 1
            self.duration_s += (now_ns - self._last_ns) / 1e9
        self._last_ns = now_ns

    def pause(self) -> None:
        """The next event begins a new run; the time until then does not count."""
        self._last_ns = None

    @property
    def rate_hz(self) -> float:
        """Events per second, 0 before the second event."""
        return self.events / self.duration_s if self.duration_s > 0 else 0.0
