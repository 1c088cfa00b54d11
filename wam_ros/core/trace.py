"""Where the time goes between a camera's exposure and the motion that answers it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from wam_ros.core.types import NS, StageLatency

EVENTS = ("camera", "observation", "chunk", "safe trajectory", "command", "motion")
STAGES = tuple(f"{a} to {b}" for a, b in pairwise(EVENTS))
TOTALS = ("camera to command", "camera to motion")
PENDING = 64  # messages remembered per kind while their answer is awaited
MOVING = 0.05  # rad/s: below this speed an error says nothing about time
MAX_LAG_S = 1.0
MAX_AGE_S = 10.0  # no observation is published later than this after its instant
MAX_DRIFT_S = 1.0  # nor does its age change by this


class ServoLag:
    """Time by which an arm trails its commands, from position errors in motion.

    An arm that does at `t` what was commanded for `t - lag` has the error `lag * dq`; least squares
    over the newest samples, all joints together, gives the lag.

    Args:
        window: samples that count; older ones fade.
    """

    def __init__(self, window: int = 50) -> None:
        self._keep = 1.0 - 1.0 / window
        self._cross = self._square = 0.0

    def on_error(self, error: np.ndarray, dq: np.ndarray) -> None:
        """Commanded less measured positions, and the commanded velocities, at one instant; both
        (A,).
        """
        square = float(dq @ dq)
        if square < MOVING**2 or not np.isfinite(error).all():
            return
        self._cross = self._keep * self._cross + float(error @ dq)
        self._square = self._keep * self._square + square

    @property
    def lag_s(self) -> float | None:
        """The lag, at least 0; None before anything moved, or when the errors are no lag."""
        if self._square == 0.0:
            return None
        lag_s = self._cross / self._square
        return max(0.0, lag_s) if abs(lag_s) < MAX_LAG_S else None


class Trace:
    """Joins the loop's messages by the stamps and numbers they carry. All times are ns of one
    clock.

    Every `on_*` takes the time at which its message was published, or came, where only that is
    known. An answer whose question was not seen is ignored; the first command that answers a chunk
    ends its chain. Where a part of a chain was not seen (the bridge sees no observations), two
    stages become one.
    """

    def __init__(self, samples: int = 100_000) -> None:
        # by observation stamp
        self._observations: OrderedDict[int, list[int | None]] = OrderedDict()
        self._chunks: OrderedDict[int, list[int | None]] = OrderedDict()  # by chunk seq
        self._safe: OrderedDict[int, list[int | None]] = OrderedDict()  # by chunk seq
        self._starts: OrderedDict[int, int] = OrderedDict()
        self._samples: dict[str, deque[float]] = {}
        self._n_samples = samples
        # of the first and the newest observation when published
        self._ages_s: tuple[float, float] | None = None
        self.lag_s: float | None = None  # newest servo lag, for the last stage

    def on_observation(
        self, stamp_ns: int, frame_stamps_ns: Sequence[int], published_ns: int
    ) -> None:
        """A model frame went to the model."""
        age_s = (published_ns - stamp_ns) / NS
        self._ages_s = (age_s if self._ages_s is None else self._ages_s[0], age_s)
        camera_ns = min(frame_stamps_ns, default=stamp_ns)
        _remember(self._observations, stamp_ns, [camera_ns, published_ns])

    def on_chunk(
        self, seq: int, observation_ns: int, published_ns: int, unseen: bool = False
    ) -> None:
        """The model answered an observation; `unseen`: also when that was not seen, by its stamp
        alone. A stamp of 0 was not set: then nothing is known of the camera.
        """
        seen = self._observations.get(
            observation_ns, [observation_ns or None, None] if unseen else None
        )
        if seen is not None:
            _remember(self._chunks, seq, [*seen, published_ns])

    def on_safe(self, chunk_seq: int, start_ns: int, published_ns: int) -> None:
        """Safety let a trajectory pass that begins at `start_ns`."""
        if (seen := self._chunks.pop(chunk_seq, None)) is not None:
            _remember(self._safe, chunk_seq, [*seen, published_ns])
            _remember(self._starts, chunk_seq, start_ns)

    def on_command(self, chunk_seq: int, published_ns: int) -> None:
        """The bridge sent the trajectory that answers a chunk to the controller."""
        if (seen := self._safe.pop(chunk_seq, None)) is None:
            return
        start_ns = self._starts.pop(chunk_seq, published_ns)
        motion = (
            None if self.lag_s is None else max(start_ns, published_ns) + round(self.lag_s * NS)
        )
        instants = dict(zip(EVENTS, [*seen, published_ns, motion], strict=True))
        known = [(name, ns) for name, ns in instants.items() if ns is not None]
        for (a, begin), (b, end) in pairwise(known):
            self._add(f"{a} to {b}", end - begin)
        for total in TOTALS:
            end_ns = instants[total.removeprefix("camera to ")]
            camera_ns = instants["camera"]
            if end_ns is not None and camera_ns is not None:
                self._add(total, end_ns - camera_ns)

    @property
    def why_not_comparable(self) -> str:
        """Why times of publication cannot be compared with stamps; empty when they can."""
        first, newest = self._ages_s or (0.0, 0.0)
        if abs(newest - first) < MAX_DRIFT_S and max(abs(first), abs(newest)) < MAX_AGE_S:
            return ""
        return (
            f"observations are published {newest:.1f} s after their stamp, {newest - first:+.1f} "
            "s since the first: "
            "stamps are of another clock, as in a simulation that is not run at the speed of "
            "real time"
        )

    def _add(self, name: str, ns: int) -> None:
        self._samples.setdefault(name, deque(maxlen=self._n_samples)).append(ns / 1e6)

    def clear_pending(self) -> None:
        """Forget unanswered messages, as between two episodes."""
        for table in (self._observations, self._chunks, self._safe, self._starts):
            table.clear()

    def values_ms(self) -> dict[str, list[float]]:
        """Every sample, by stage in the order of the loop, the totals last."""
        rank = {name: k for k, name in enumerate((*STAGES, *TOTALS))}
        order = sorted(self._samples, key=lambda name: rank.get(name, 0))
        return {name: list(self._samples[name]) for name in order}

    def stages(self) -> dict[str, StageLatency]:
        """Count and percentiles of every stage that has samples."""
        return {
            name: StageLatency(
                n=int(s["n"]),
                p50_s=s["p50_ms"] / 1e3,
                p95_s=s["p95_ms"] / 1e3,
                p99_s=s["p99_ms"] / 1e3,
            )
            for name, s in self.summary().items()
        }

    def summary(self) -> dict[str, dict[str, float]]:
        """Per stage the count `n` and p50, p95, p99 in ms; stages without samples are left out."""
        return {name: percentiles_ms(values) for name, values in self.values_ms().items()}


def chunk_number(frame_id: str) -> int | None:
    """The chunk that a trajectory's frame id names (`chunk 12` or `chunk 12 of NODE`), or None."""
    words = frame_id.split(" ", 2)
    named = len(words) > 1 and words[0] == "chunk" and words[1].isdecimal()
    return int(words[1]) if named else None


def percentiles_ms(values: Sequence[float]) -> dict[str, float]:
    """Count and percentiles of millisecond values."""
    p50, p95, p99 = np.percentile(np.asarray(values, float), [50, 95, 99])
    return {"n": len(values), "p50_ms": float(p50), "p95_ms": float(p95), "p99_ms": float(p99)}


def _remember(table: OrderedDict, key: int, value: object) -> None:
    table[key] = value
    while len(table) > PENDING:
        table.popitem(last=False)
