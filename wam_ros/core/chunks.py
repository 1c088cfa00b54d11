"""Chunks on the clock: which step is due when, what the arm is bound to do next, and how one plan
follows another.

Step k of a chunk is due at its anchor plus (k + 1) periods. A `Timeline` answers two questions. In
steps: what is left of the running plan on the grid of a chunk that is being predicted (`upcoming`),
how far the plan has been executed (`executed`), and when it ends. In motion: where the arm should
be at an instant (`sample`), with the difference to what it was doing before the newest chunk fading
out without a jump in position, velocity or acceleration.

On a robot the safety filter alone turns chunks into motion: it starts from the state that was
really commanded and lets the difference to the new plan fade in the same way
(`core.interpolation.make_blend`), inside limits and with a proven stop. There the timeline only
counts steps. Where no safety filter runs, in evaluation without ROS, `sample` is what moves the
arm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from wam_ros.core.errors import require_known
from wam_ros.core.interpolation import Curve, make_blend
from wam_ros.core.types import NS, ActionChunk, KinematicState, MotionTable


@dataclass(frozen=True)
class Insertion:
    """What became of a chunk."""

    refusal: str = ""  # why it was not taken; empty when it was
    skipped: int = 0  # steps that were already due: the delay, counted in steps
    # what the running motion has over the new plan at the seam; None for the first chunk
    lack: KinematicState | None = None

    @property
    def taken(self) -> bool:
        """Whether the plan is now that of the chunk."""
        return not self.refusal


class Timeline:
    """The plan in execution. The clock comes by argument. Not thread-safe.

    Args:
        merge: a name in `MERGES`.
        blend_s: time in which the difference to the motion before fades; 0 jumps, for comparison.
        stop_s: time from the last step of a plan to rest when nothing follows it.
    """

    def __init__(self, merge: str = "latest", blend_s: float = 0.2, stop_s: float = 0.2) -> None:
        self._merge = MERGES[require_known("merge", merge, MERGES)]
        self._blend_ns = round(blend_s * NS)
        self._stop_s = stop_s
        self.clear()

    def clear(self) -> None:
        """Forget every plan, and that any was executed."""
        self.chunk: ActionChunk | None = None  # the newest one taken
        # chunks that still reach into the future, oldest first
        self._rows: list[tuple[ActionChunk, np.ndarray]] = []
        self._plan: Curve | None = None
        self._blend: Curve | None = None
        self._executed = 0.0  # steps executed before the anchor of the newest chunk

    @property
    def end_ns(self) -> int:
        """When the last step is due; 0 without a plan."""
        return (
            0
            if self.chunk is None
            else self.chunk.anchor_ns + self.chunk.n_steps * self.chunk.step_period_ns
        )

    def insert(
        self, chunk: ActionChunk, now_ns: int, commanded: KinematicState | None = None
    ) -> Insertion:
        """Follow `chunk` from now on, or say why not and go on as before.

        Steps already due are skipped; a chunk of which none is left, that begins more than a step
        from now (the clock was set back), or that is not newer than the running one of its session,
        is refused.

        Args:
            chunk: finite, with at least one step.
            now_ns: the instant from which it is followed.
            commanded: at `now_ns`; the motion so far if not given.
        """
        refusal = self._why_not_taken(chunk, now_ns)
        if refusal:
            return Insertion(refusal)
        skipped = steps_due(chunk, now_ns)
        state = commanded or self.sample(now_ns)
        executed = self.executed(chunk.anchor_ns)
        alive = [
            (c, q)
            for c, q in self._rows
            if c.epoch == chunk.epoch and steps_due(c, now_ns) < c.n_steps
        ]
        self._rows = [*alive, (chunk, np.asarray(chunk.positions, dtype=float))][-KEPT:]
        self._plan = self._curve(chunk, self._merge(self._rows))
        self.chunk = chunk
        self._executed = executed
        lack = None if state is None else state - self._plan.at(now_ns)
        self._blend = make_blend(now_ns, self._blend_ns, lack) if lack and self._blend_ns else None
        return Insertion("", skipped, lack)

    def sample(self, now_ns: int) -> KinematicState | None:
        """The state at an instant, at rest after the plan has ended; None without a plan."""
        if self._plan is None:
            return None
        state = self._plan.at(now_ns)
        return state if self._blend is None else state + self._blend.at(now_ns)

    def upcoming(self, anchor_ns: int, n: int) -> np.ndarray:
        """(m, A) targets of the running plan, m <= n, on the step grid of a chunk anchored at
        `anchor_ns`.

        Between steps of the plan they lie on a straight line. Nothing is made up beyond its last
        step.
        """
        if self.chunk is None:
            return np.zeros((0, 0))
        period = self.chunk.step_period_ns
        due = anchor_ns + period * np.arange(1, n + 1)
        return rows_at(self.chunk, self._merge(self._rows), due[due <= self.end_ns])

    def executed(self, now_ns: int) -> float:
        """Steps executed until an instant since the timeline was made or cleared; standing still
        executes none.
        """
        if self.chunk is None:
            return 0.0
        ran_ns = min(now_ns, self.end_ns) - self.chunk.anchor_ns
        return self._executed + max(0, ran_ns) / self.chunk.step_period_ns

    def slack_s(self, now_ns: int) -> float:
        """Time until the plan is used up, 0 when it is [s]."""
        return max(0, self.end_ns - now_ns) / NS

    def _why_not_taken(self, chunk: ActionChunk, now_ns: int) -> str:
        newest = self.chunk
        if chunk.positions.ndim != 2 or not chunk.n_steps or not np.isfinite(chunk.positions).all():
            return "positions are not finite numbers (T, A)"
        if newest is not None:
            same = chunk.session_id == newest.session_id
            if same and (chunk.epoch, chunk.seq) <= (newest.epoch, newest.seq):
                return (
                    f"chunk {chunk.seq} of epoch {chunk.epoch} is not newer than {newest.seq} "
                    f"of {newest.epoch}"
                )
            if chunk.positions.shape[1] != newest.positions.shape[1]:
                return (
                    f"it has {chunk.positions.shape[1]} joints, expected "
                    f"{newest.positions.shape[1]}"
                )
        if steps_due(chunk, now_ns) >= chunk.n_steps:
            late = (now_ns - chunk.anchor_ns) / NS
            return f"expired: {late:.2f} s after its anchor no step is left"
        if chunk.anchor_ns > now_ns + chunk.step_period_ns:
            return f"its anchor is {(chunk.anchor_ns - now_ns) / NS:.2f} s in the future"
        return ""

    def _curve(self, chunk: ActionChunk, q: np.ndarray) -> Curve:
        """Quintics through the steps with central differences; one step back to the anchor, and a
        stop at the end.
        """
        h = chunk.step_period_ns / NS
        slope = q[1] - q[0] if len(q) > 1 else np.zeros_like(q[0])
        leave = q[-1] - q[-2] if len(q) > 1 else np.zeros_like(q[0])
        wide = np.concatenate((q[:1] - 2 * slope, q[:1] - slope, q, q[-1:] + leave))
        v = (wide[2:] - wide[:-2]) / (2 * h)
        a = (wide[2:] - 2 * wide[1:-1] + wide[:-2]) / h**2
        t_ns = chunk.anchor_ns + chunk.step_period_ns * np.arange(len(q) + 1)
        rest = wide[-2] + v[-1] * (self._stop_s / 2)
        zero = np.zeros_like(slope)
        t_ns = np.append(t_ns, t_ns[-1] + max(1, round(self._stop_s * NS)))
        knots = MotionTable(
            np.vstack((wide[1:-1], rest)), np.vstack((v, zero)), np.vstack((a, zero))
        )
        return Curve(t_ns, knots)


def steps_due(chunk: ActionChunk, now_ns: int) -> int:
    """Steps of a chunk due before or at an instant, at most all."""
    return min(max(0, (now_ns - chunk.anchor_ns) // chunk.step_period_ns), chunk.n_steps)


def rows_at(chunk: ActionChunk, rows: np.ndarray, at_ns: np.ndarray) -> np.ndarray:
    """(m, A) targets at instants (m,), linear between steps; before the first step and after the
    last one, these.
    """
    due = np.arange(1, len(rows) + 1) * chunk.step_period_ns
    at = np.asarray(at_ns, dtype=np.int64) - chunk.anchor_ns
    return np.stack([np.interp(at, due, column) for column in rows.T], axis=1)


def latest(rows: Sequence[tuple[ActionChunk, np.ndarray]]) -> np.ndarray:
    """The newest chunk alone."""
    return rows[-1][1]


def ensemble(rows: Sequence[tuple[ActionChunk, np.ndarray]], decay: float = 0.1) -> np.ndarray:
    """Average of all chunks that know a step, the oldest weighing most: exp(-decay * i) for the
    i-th oldest.

    Temporal ensembling of Zhao et al., 2023 (ACT), with the decay per chunk instead of per control
    step.
    """
    newest, q = rows[-1]
    due = newest.anchor_ns + newest.step_period_ns * np.arange(1, len(q) + 1)
    total = np.zeros_like(q)
    weight = np.zeros((len(q), 1))
    for i, (chunk, own) in enumerate(rows):
        end = chunk.anchor_ns + chunk.step_period_ns * len(own)
        w = math.exp(-decay * i) * (due <= end)[:, None]
        total = total + w * rows_at(chunk, own, due)
        weight = weight + w
    return total / weight


KEPT = 8  # chunks that an ensemble remembers
MERGES: dict[str, Callable[[Sequence[tuple[ActionChunk, np.ndarray]]], np.ndarray]] = {
    "latest": latest,
    "ensemble": ensemble,
}
