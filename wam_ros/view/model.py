"""What the page shows, gathered from the loop's newest messages; no server and no ROS."""

from __future__ import annotations

import functools
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wam_ros.core.appraisal import Appraisal
from wam_ros.core.comparison import Comparison, ImaginationMonitor
from wam_ros.core.lockstep import Pace
from wam_ros.core.takes import RecorderState
from wam_ros.core.task import TaskState
from wam_ros.core.types import (
    NS,
    ActionChunk,
    BridgeState,
    Candidates,
    Decision,
    Forwarding,
    ImaginedFuture,
    Observation,
    SafeTrajectory,
    SafetyReport,
    SafetyState,
    WamStatus,
)
from wam_ros.view.wire import Column
from wam_ros.view.words import (
    describe_bridge,
    describe_decision,
    describe_safety,
    describe_status,
    describe_task,
)

_ROWS = 24  # of a plan, at most
_WORDS = 80  # of a vocabulary that are shown
_LONGEST = 30  # characters of a word
_SURPRISES = 1200  # a minute of twenty a second
_FRESH_NS = NS  # a chunk that was judged longer ago is not of this moment


@dataclass
class ViewModel:
    """The newest of everything; owned by one thread. `answer` is what came of the last button.

    Args:
        joint_names: columns of the joint vectors that the page draws.
        frame_period_ns: of observations; a frame that was imagined for an instant is held against
            the one that came nearest to it.
    """

    joint_names: tuple[str, ...] = ()
    frame_period_ns: int = NS // 10
    observation: Observation | None = None
    imagined: ImaginedFuture | None = None
    report: SafetyReport | None = None
    judged: SafetyReport | None = None  # the newest that is about a chunk
    bridge: BridgeState | None = None
    status: WamStatus | None = None
    pace: Pace | None = None  # of a simulated world in lock-step
    task: TaskState | None = None  # of the moment, or the newest
    recorder: RecorderState | None = None  # None where nobody records
    chunk: ActionChunk | None = None
    candidates: Candidates | None = None  # the newest that were not chosen
    trajectory: SafeTrajectory | None = None
    joints: np.ndarray | None = None  # (A,) rad or m, measured
    # what safety draws, in the base frame: lines of its newest verdict, and what it keeps clear of
    paths: list[dict[str, Any]] = field(default_factory=list)
    surroundings: list[dict[str, Any]] = field(default_factory=list)
    chunk_rate_hz: float = 0.0
    answer: str = ""
    expected: Comparison | None = None  # what had been imagined for the newest observation
    # the newest observation for which something had been imagined, and what
    compared: tuple[Observation, Comparison] | None = None
    # (ROS time, ns, and figure) when each was told, the newest last
    appraisal: Appraisal | None = None  # the newest
    surprises: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_SURPRISES))
    _monitor: ImaginationMonitor = field(init=False)

    def __post_init__(self) -> None:
        self._monitor = ImaginationMonitor(self.frame_period_ns // 2)

    def forget(self) -> None:
        """Know nothing but the last answer: while nobody looked it was not heard how it went on."""
        fresh = ViewModel(self.joint_names, self.frame_period_ns, answer=self.answer)
        vars(self).update(vars(fresh))

    def on_observation(self, observation: Observation) -> None:
        """Take an observation, and find what had been imagined for its instant."""
        last = self.observation
        if last is not None and observation.stamp_ns < last.stamp_ns:  # the clock was set back
            self._monitor.clear()
            self.surprises.clear()
            self.compared = self.appraisal = None
        self.observation = observation
        found = self._monitor.observe(observation.stamp_ns, observation.frames)
        self.expected = found[0] if found else None
        if found:
            self.compared = observation, found[0]

    def on_chunk(self, chunk: ActionChunk) -> None:
        """Take a chunk; with a new instruction what was imagined for the old one is void."""
        last = self.chunk
        own = last is not None and last.session_id == chunk.session_id
        if last is not None and own and chunk.epoch > last.epoch:
            self.imagined = self.compared = None
            self._monitor.clear()
        self.chunk = chunk

    def on_imagined(self, future: ImaginedFuture) -> None:
        """Take imagined frames; they wait for their instants."""
        self.imagined = future
        seen = self.observation
        if seen is not None:
            self.surprises.append((seen.stamp_ns, future.surprise))
        if seen is None or future.frames.shape[1:] != seen.frames.shape:
            return
        chunk = self.chunk
        own = chunk is not None and chunk.seq == future.chunk_seq
        made_ns = chunk.anchor_ns if chunk is not None and own else seen.stamp_ns
        self._monitor.expect(made_ns, seen.frames, future.instants_ns, future.frames)

    def on_report(self, report: SafetyReport) -> None:
        """Take a report; a heartbeat says nothing new of the last chunk."""
        self.report = report
        if report.decision != Decision.UNKNOWN:
            self.judged = report

    def on_status(self, status: WamStatus) -> None:
        """Take a status; two of one session tell the rate of chunks."""
        last = self.status
        self.status = status
        if last is None or last.session_id != status.session_id or status.stamp_ns <= last.stamp_ns:
            self.chunk_rate_hz = 0.0
        else:
            self.chunk_rate_hz = (
                (status.chunks - last.chunks) * NS / (status.stamp_ns - last.stamp_ns)
            )

    @property
    def instruction(self) -> str:
        """The instruction that the model follows."""
        return "" if self.status is None else self.status.instruction

    def joints_seen(self) -> np.ndarray | None:
        """(A,) rad or m of the newest observation, in the order of `joint_names`; None: it does not
        tell all of them.
        """
        joints = None if self.observation is None else self.observation.joints
        if joints is None or not set(self.joint_names) <= set(joints.joint_names):
            return None
        return joints.only(self.joint_names).positions

    @property
    def plan_shown(self) -> bool:
        """Whether a safe trajectory is being executed, so that its ghost means something."""
        return self.report is not None and self.report.state in (
            SafetyState.ARMED,
            SafetyState.BRAKING,
        )

    @property
    def dry_run(self) -> bool:
        """Whether everything is computed and nothing executed."""
        return self.report is not None and self.report.state == SafetyState.SHADOW

    def proposal(self) -> np.ndarray | None:
        """(T, A) rad or m: where the newest chunk would go, in the order of `joint_names`.

        None unless it is a dry run, in which nothing is executed, and some of the chunk is still to
        come.
        """
        chunk = self.chunk
        seen = self.observation
        if chunk is None or not self.dry_run:
            return None
        over = (
            seen is not None
            and seen.stamp_ns > chunk.anchor_ns + chunk.n_steps * chunk.step_period_ns
        )
        if over or not set(self.joint_names) <= set(chunk.joint_names):
            return None
        return chunk.positions[:, [chunk.joint_names.index(name) for name in self.joint_names]]

    def plan(self, now_ns: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Where the arm will go: times (N,) s from `now_ns` on, joints (N, A) rad or m.

        The proven motion while it is executed, in a dry run the plan as proposed; None when there
        is neither.
        """
        if (q := self.proposal()) is not None and self.chunk is not None:
            steps = np.arange(1, len(q) + 1) * self.chunk.step_period_ns
            t = (self.chunk.anchor_ns + steps - now_ns) / NS
        elif self.plan_shown and self.trajectory is not None:
            known = self.trajectory.joint_names
            if not set(self.joint_names) <= set(known):
                return None
            q = self.trajectory.q[:, [known.index(name) for name in self.joint_names]]
            t = self.trajectory.t + (self.trajectory.start_ns - now_ns) / NS
        else:
            return None
        rows = _rows_of(len(q))
        return t[rows], q[rows]

    def not_chosen(self, now_ns: int) -> list[np.ndarray]:
        """Candidates (T, A) rad or m that were not chosen for the newest chunk, in the order of
        `joint_names`; none where no plan is shown, and once their time is over.
        """
        told = self.candidates
        if told is None or self.chunk is None or not (self.plan_shown or self.dry_run):
            return []
        longest = max(len(q) for q in told.positions)
        over = now_ns > told.anchor_ns + longest * told.step_period_ns
        if told.anchor_ns < self.chunk.anchor_ns or over:
            return []
        if not set(self.joint_names) <= set(told.joint_names):
            return []
        columns = [told.joint_names.index(name) for name in self.joint_names]
        return [q[:, columns] for q in told.positions]

    def columns(self) -> list[Column]:
        """Frames to show: observed, imagined earlier for now, imagined for the next seconds."""
        seen = self.observation
        if seen is None:
            return []
        found = [Column("observed", seen.frames)]
        if self.expected is not None:
            found.append(Column("expected", self.expected.imagined, self.expected.horizon_s))
        future = self.imagined
        if future is not None and future.view_names == seen.view_names:
            for instant_ns, frames in zip(future.instants_ns, future.frames, strict=True):
                # what is over belongs to a plan or a scene that is gone
                if instant_ns >= seen.stamp_ns:
                    found.append(Column("imagined", frames, (instant_ns - seen.stamp_ns) / NS))
        return found

    def fresh_verdict(self) -> SafetyReport | None:
        """The report about the newest chunk, while that is of this moment."""
        judged = self.judged
        if judged is None or self.report is None:
            return None
        return judged if 0 <= self.report.stamp_ns - judged.stamp_ns <= _FRESH_NS else None

    def figures(self) -> dict[str, Any]:
        """What the timeline shows of this moment; what is unknown is NaN."""
        nan = float("nan")
        state = SafetyState.UNKNOWN if self.report is None else self.report.state
        judged = self.fresh_verdict()
        decision = Decision.UNKNOWN if judged is None else judged.decision
        return {
            "surprise": nan if self.imagined is None else self.imagined.surprise,
            "distance_m": nan if judged is None else judged.nearest_distance,
            "scale": nan if judged is None else judged.scale,
            "latency_s": nan if self.status is None else self.status.latency_last_s,
            "decision": decision.name.lower(),
            "safety": state.name.lower(),
        }

    def head(self, now_ns: int) -> dict[str, Any]:
        """Everything of this moment but its frames, as the page reads it."""
        plan = self.plan(now_ns)
        seen = self.observation
        bridge = Forwarding.UNHEARD if self.bridge is None else self.bridge.forwarding
        return {
            "type": "moment",
            "figures": self.figures(),
            "lines": self.lines(),
            "bridge": bridge.name.lower(),
            "instruction": self.instruction,
            "age_s": None if seen is None else max(0.0, (now_ns - seen.stamp_ns) / NS),
            "q": self.joints,
            "plan": None if plan is None else {"t": plan[0], "q": plan[1]},
            "proposed": self.dry_run,
            "not_chosen": self.not_chosen(now_ns),
            # a verdict of long ago says nothing of where the arm will go
            "paths": self.paths if plan is not None else [],
            "surroundings": self.surroundings,
            "vocabulary": self._vocabulary(),
            "recorder": self._recorder(),
        }

    def _recorder(self) -> dict[str, Any] | None:
        """Which take grows, and whether something is wrong with it; None without a recorder."""
        state = self.recorder
        return None if state is None else {"take": state.take, "alarm": state.alarm}

    def _vocabulary(self) -> list[tuple[str, bool]]:
        """Words that the model knows, each with whether an instruction names exactly one such;
        empty: any.
        """
        if self.status is None:
            return []
        return [
            (word[:_LONGEST], word in self.status.choose_one)
            for word in self.status.vocabulary[:_WORDS]
        ]

    def lines(self) -> list[tuple[str, str]]:
        """State of the loop, as (name, sentence)."""
        lines = [
            ("safety", describe_safety(self.report)),
            ("last chunk", describe_decision(self.judged)),
            ("bridge", describe_bridge(self.bridge)),
            ("model", describe_status(self.status, self.chunk_rate_hz)),
            ("following", self.instruction or "no instruction"),
        ]
        if self.task is not None:
            lines.append(("task", describe_task(self.task)))
        if self.recorder is not None:
            lines.append(("recorder", self.recorder.words))
        if self.pace is not None:
            lines.append(("simulated time", self.pace.words))
        return [*lines, ("answer", self.answer)] if self.answer else lines


@functools.lru_cache(maxsize=16)
def _rows_of(n: int) -> np.ndarray:
    """Which of n rows of a plan are shown: evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, _ROWS).round().astype(int))
