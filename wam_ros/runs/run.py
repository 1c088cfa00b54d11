"""What a run holds, as numbers: episodes, what stopped them, curves, latencies. No frames: those
are fetched where they are shown.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wam_ros.core.types import NS, ActionChunk, Decision, Reason, SafetyReport, SafetyState

_MOVES = (SafetyState.ARMED, SafetyState.BRAKING)
_STOPPED = (SafetyState.BRAKING, SafetyState.HOLD, SafetyState.FAULT, SafetyState.ESTOP)
MOST_STRIPS = 6  # worst moments that are shown
_APART_S = 2.0  # between two of one kind


@dataclass(frozen=True)
class Stop:
    """The arm was stopped, or a stop began to play."""

    at_ns: int
    state: SafetyState
    reasons: Reason
    sentence: str

    @property
    def wanted(self) -> bool:
        """Whether nothing was wrong: somebody disarmed, or no chunk came any more."""
        return self.reasons == Reason.NONE and self.state in (
            SafetyState.BRAKING,
            SafetyState.HOLD,
        )


@dataclass
class Episode:
    """From arming until the arm is held again."""

    began_ns: int
    ended_ns: int
    instruction: str = ""
    chunks: int = 0  # judged
    decisions: dict[str, int] = field(default_factory=dict)
    stops: list[Stop] = field(default_factory=list)
    ended: str = ""  # what safety said at its end; empty: the recording ended first
    task: str = ""  # how the task ended, as the task node said; empty: there was none
    verdict: str = ""  # of who knows whether the task was done; empty: nobody does
    seed: int | None = None  # of a simulated scene

    @property
    def duration_s(self) -> float:
        """How long it took."""
        return (self.ended_ns - self.began_ns) / NS


@dataclass
class Run:
    """One run.

    Times are of the loop's clock; curves are over s since `began_ns`.
    """

    source: str  # as it was named
    began_ns: int = 0
    ended_ns: int = 0
    facts: dict[str, str] = field(default_factory=dict)  # what ran: name and words
    embodiment: str = ""
    episodes: list[Episode] = field(default_factory=list)
    reports: list[SafetyReport] = field(default_factory=list)
    chunks: dict[int, ActionChunk] = field(default_factory=dict)  # by seq; of the newest session
    joint_names: tuple[str, ...] = ()
    joints: np.ndarray = field(default_factory=lambda: np.zeros((0, 1)))  # (N, 1 + A): s, rad or m
    # (N, 3): s, mean squared error of what was imagined for the instant, and of the frame that it
    # was imagined from; colours in [0, 1]
    errors: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    # (N, 2): s, surprise; 1 is the most that calm runs show (core/appraisal.py)
    surprise: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    # (N, 2): s, s from observation to chunk as the model measured it
    inference: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    # (N, 3): s, then where a new motion began: rad or m between the chunk and what was under way,
    # and rad/s or m/s that the command leapt
    seams: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    latency: dict[str, dict[str, float]] = field(default_factory=dict)  # by stage, as Trace.summary
    latency_ms: dict[str, list[float]] = field(default_factory=dict)  # every sample, by stage
    imagination: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)  # what is missing, and why

    @property
    def verdicts(self) -> list[SafetyReport]:
        """The reports that judge a chunk."""
        return [r for r in self.reports if r.decision != Decision.UNKNOWN]

    @property
    def decisions(self) -> dict[str, int]:
        """Chunks by what safety did with them."""
        return _total(e.decisions for e in self.episodes)

    @property
    def stops(self) -> list[Stop]:
        """Of all episodes."""
        return [stop for e in self.episodes for stop in e.stops]

    def seconds(self, stamp_ns: int) -> float:
        """A stamp as time since the run began."""
        return (stamp_ns - self.began_ns) / NS


def _total(counts: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(sorted(total.items()))


class Episodes:
    """Cuts what safety reports into episodes; takes messages in their order."""

    def __init__(self) -> None:
        self.done: list[Episode] = []
        self._open: Episode | None = None
        self._state = SafetyState.UNKNOWN
        self._judged: tuple[int, int] | None = None  # stamp and chunk of the newest verdict

    def on_report(self, report: SafetyReport, instruction: str) -> None:
        """A verdict, or a heartbeat; `instruction` is that of the newest chunk."""
        moves = report.state in _MOVES
        if self._open is None and report.state == SafetyState.ARMED:
            self._open = Episode(report.stamp_ns, report.stamp_ns, instruction)
        episode = self._open
        if episode is not None:
            episode.ended_ns = report.stamp_ns
            if moves and instruction:
                episode.instruction = instruction
            self._count(episode, report)
            if self._state == SafetyState.ARMED and report.state in _STOPPED:
                episode.stops.append(
                    Stop(report.stamp_ns, report.state, report.reasons, report.sentence)
                )
            if not moves:
                episode.ended = report.sentence or report.state.name.lower()
                self.done.append(episode)
                self._open = None
        self._state = report.state

    def _count(self, episode: Episode, report: SafetyReport) -> None:
        judged = report.stamp_ns, report.chunk_seq
        if report.decision == Decision.UNKNOWN or judged == self._judged:
            return
        self._judged = judged
        name = report.decision.name.lower()
        episode.chunks += 1
        episode.decisions[name] = episode.decisions.get(name, 0) + 1

    def on_scene(self, seed: int, success: bool, wrong: bool) -> None:
        """What a simulator knows of the task."""
        if self._open is not None:
            self._open.seed = seed
            self._open.verdict = "wrong" if wrong else "success" if success else "not done"

    def on_task(self, words: str) -> None:
        """How a task ended; the arm is held by then, or soon."""
        if newest := self._open or (self.done[-1] if self.done else None):
            newest.task = words

    def close(self) -> list[Episode]:
        """All of them, the last one as far as it came."""
        if self._open is not None:
            self.done.append(self._open)
            self._open = None
        return self.done


def worst_moments(run: Run, most: int = MOST_STRIPS) -> list[tuple[int, str]]:
    """Instants worth a look, in their order, each with why: what stopped the arm, then where what
    was imagined was furthest from what came and where it came nearest to anything.
    """
    severe = sorted((s for s in run.stops if not s.wanted), key=lambda s: -s.state)
    stops = [(s.at_ns, f"stopped: {s.sentence or s.state.name.lower()}") for s in severe]
    told = run.errors[np.isfinite(run.errors[:, 1])]
    wrong = [
        (at_ns, f"imagination error {error:.4f}")
        for t, error, _ in told[np.argsort(-told[:, 1])]
        if _in_episode(run, at_ns := run.began_ns + round(t * NS))
    ]
    near = [
        r for r in run.verdicts if np.isfinite(r.nearest_distance) and _in_episode(run, r.stamp_ns)
    ]
    near.sort(key=lambda r: r.nearest_distance)
    distances = [
        (r.stamp_ns, f"{' to '.join(r.nearest_pair)} {1e3 * r.nearest_distance:.0f} mm")
        for r in near[:1]
    ]
    found = [*_apart(stops, most // 2), *_apart(wrong, most // 3), *distances]
    return sorted(found)


def _in_episode(run: Run, at_ns: int) -> bool:
    """Whether the arm was armed; between episodes a person moves things. All counts where it never
    was.
    """
    armed = [e.began_ns <= at_ns <= e.ended_ns for e in run.episodes]
    return any(armed) or not armed


def _apart(moments: list[tuple[int, str]], most: int) -> list[tuple[int, str]]:
    """The first ones that are not of the same moment."""
    chosen: list[tuple[int, str]] = []
    for at_ns, why in moments:
        if len(chosen) == most:
            break
        if all(abs(at_ns - other) > _APART_S * NS for other, _ in chosen):
            chosen.append((at_ns, why))
    return chosen
