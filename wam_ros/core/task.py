"""When a task has ended, and why: the first reason wins.

Done and failed are the model's own word. Done it has to see and to imagine to last: one of the two
alone may be a moment's error. Failed it has to see for longer: it never learned what comes of a
block that is gone, and imagines one where it expects it. Stuck is seen in the joints. The clock is
an argument.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from wam_ros.core.appraisal import Appraisal, Outlook
from wam_ros.core.types import NS, BridgeState, Forwarding, SafetyReport, SafetyState
from wam_ros.core.words import describe_state

BELIEVED = 0.6  # probability from which a word counts, now and on the average of its time
MOVES = (SafetyState.ARMED, SafetyState.BRAKING)


class TaskEnd(enum.IntEnum):
    """Why a task ended; the values are those of ExecuteTask."""

    UNKNOWN = 0  # it has not
    SUCCEEDED = 1
    CANCELED = 2
    PREEMPTED = 3
    TIMEOUT = 4
    STOPPED = 5
    REFUSED = 6
    FAILED = 7
    STUCK = 8


@dataclass(frozen=True)
class JudgeParams:
    """How long what is believed."""

    done_s: float = 0.15  # the model says so on the average
    failed_s: float = 0.6
    stuck_s: float = 3.0  # the arm does not leave where it is
    stuck_rad: float = 0.06  # how far a joint may move within that, rad
    stuck_m: float = 0.004  # likewise a sliding joint, m


class OutcomeJudge:
    """Done, failed or stuck, from one observation after the other; one per instruction.

    Args:
        params: how long what is believed.
        sliding: (A,) which of the joints slide.
    """

    def __init__(self, params: JudgeParams, sliding: np.ndarray) -> None:
        self._params = params
        self._most = np.where(sliding, params.stuck_m, params.stuck_rad)
        # when what was said of now and of what is to come, the smaller of the two
        self._said: dict[TaskEnd, deque[tuple[int, float]]] = {}
        self._joints: deque[tuple[int, np.ndarray]] = deque()
        self._began_ns: int | None = None
        self._says = False  # whether the model has said anything of the task

    def look(self, stamp_ns: int, outlook: Outlook, q: np.ndarray) -> tuple[TaskEnd, str]:
        """What is believed after an observation of `stamp_ns` in which the joints were at q (A,);
        UNKNOWN while nothing is.
        """
        p = self._params
        done = float(np.minimum(outlook.done, outlook.done_ahead))  # NaN where either is
        for end, word, span_s in (
            (TaskEnd.SUCCEEDED, done, p.done_s),
            (TaskEnd.FAILED, outlook.failed, p.failed_s),
        ):
            if math.isnan(word):
                continue  # nothing was said this time: what was said before stands
            self._says = True
            said = self._said.setdefault(end, deque())
            said.append((stamp_ns, word))
            begins_ns = stamp_ns - round(span_s * NS)
            while len(said) > 1 and said[1][0] <= begins_ns:
                said.popleft()
            believed = min(word, float(np.mean([p for _, p in said]))) > BELIEVED
            if believed and said[0][0] <= begins_ns:
                return end, _why(end, outlook)
        return self._look_at_joints(stamp_ns, q)

    def _look_at_joints(self, stamp_ns: int, q: np.ndarray) -> tuple[TaskEnd, str]:
        if self._began_ns is None:
            self._began_ns = stamp_ns
        span_ns = round(self._params.stuck_s * NS)
        self._joints.append((stamp_ns, np.array(q)))
        while self._joints and self._joints[0][0] < stamp_ns - span_ns:
            self._joints.popleft()
        if stamp_ns - self._began_ns < span_ns:
            return TaskEnd.UNKNOWN, ""
        seen = np.stack([row for _, row in self._joints])
        if (np.ptp(seen, axis=0) > self._most).any():
            return TaskEnd.UNKNOWN, ""
        unsaid = "" if self._says else "; the model does not say whether it is done"
        return TaskEnd.STUCK, f"the arm has not moved for {self._params.stuck_s:g} s{unsaid}"


def _why(end: TaskEnd, outlook: Outlook) -> str:
    if end == TaskEnd.FAILED:
        return f"the model sees that it cannot be done any more ({outlook.failed:.0%})"
    return (
        f"the model sees that it is done ({outlook.done:.0%}, and {outlook.done_ahead:.0%} of what "
        "it imagines to come)"
    )


@dataclass(frozen=True)
class TaskState:
    """How a task goes, or how the newest one ended."""

    running: bool = False
    instruction: str = ""  # that is followed, or was last
    then: tuple[str, ...] = ()  # what follows
    succeeded: int = 0  # instructions that were done
    elapsed_s: float = 0.0  # since acceptance, until the end
    progress: float = math.nan  # 0 to 1; NaN: the model does not say
    surprise: float = math.nan  # 1: as much as calm runs ever showed
    reason: TaskEnd = TaskEnd.UNKNOWN
    sentence: str = "no task yet"


@dataclass(frozen=True)
class Heard:
    """When something was last heard, and how long its silence is borne."""

    name: str
    at_s: float  # by a steady clock
    patience_s: float


class Task:
    """Instructions one after the other, until the last is done or something else happens first.

    Args:
        instructions: one or more.
        timeout_s: longest time for each; 0: no limit.
        params: how long what is believed.
        sliding: (A,) which of the joints slide.
    """

    def __init__(
        self,
        instructions: tuple[str, ...],
        timeout_s: float,
        params: JudgeParams,
        sliding: np.ndarray,
    ) -> None:
        self.instructions = instructions
        self.succeeded = 0
        self.end = TaskEnd.UNKNOWN
        self.message = ""
        self.chunks = 0
        self.epoch: int | None = None  # of the instruction; None: it is not followed yet
        self.outlook = Outlook()
        self.surprise = math.nan
        self._timeout_ns = round(timeout_s * NS)
        self._params = params
        self._sliding = sliding
        self._began_ns: int | None = None
        self._step_ns = 0
        self._ended_ns = 0

    @property
    def instruction(self) -> str:
        """That is followed, or was last."""
        return self.instructions[min(self.succeeded, len(self.instructions) - 1)]

    @property
    def then(self) -> tuple[str, ...]:
        """What follows."""
        return self.instructions[self.succeeded + 1 :]

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.end != TaskEnd.UNKNOWN

    @property
    def progress(self) -> float:
        """0 to 1, that it will be done where what is imagined ends; NaN: the model does not say."""
        return 1.0 if self.end == TaskEnd.SUCCEEDED else self.outlook.done_ahead

    def elapsed_s(self, now_ns: int) -> float:
        """Since the first instruction was taken."""
        if self._began_ns is None:
            return 0.0
        return max(0.0, ((self._ended_ns if self.over else now_ns) - self._began_ns) / NS)

    def state(self, sentence: str, now_ns: int) -> TaskState:
        """How it goes, in a sentence of somebody who knows more."""
        return TaskState(
            running=not self.over,
            instruction=self.instruction,
            then=self.then,
            succeeded=self.succeeded,
            elapsed_s=self.elapsed_s(now_ns),
            progress=self.progress,
            surprise=self.surprise,
            reason=self.end,
            sentence=self.message if self.over else sentence,
        )

    def finish(self, end: TaskEnd, message: str, now_ns: int) -> bool:
        """End it; False when it had ended: the first reason stays."""
        if self.over:
            return False
        self.end = end
        self.message = message
        self._ended_ns = now_ns
        return True

    def begin(self, epoch: int, now_ns: int) -> None:
        """The model follows the instruction of the moment, in chunks of an epoch."""
        self.epoch = epoch
        self._step_ns = now_ns
        self._began_ns = now_ns if self._began_ns is None else self._began_ns
        self._judge = OutcomeJudge(self._params, self._sliding)
        self.outlook = Outlook()

    def on_appraisal(self, appraisal: Appraisal, q: np.ndarray, now_ns: int) -> bool:
        """Take what the model makes of an observation with joints q (A,); True when the next
        instruction is to be given.
        """
        if self.over or self.epoch is None or appraisal.epoch < self.epoch:
            return False
        if self.why_not_mine(appraisal.epoch, appraisal.instruction, now_ns):
            return False
        if appraisal.stamp_ns < self._step_ns:
            return False
        if not math.isnan(appraisal.outlook.done):
            self.outlook = appraisal.outlook
        self.surprise = appraisal.surprise
        end, words = self._judge.look(appraisal.stamp_ns, appraisal.outlook, q)
        if end != TaskEnd.SUCCEEDED:
            if end != TaskEnd.UNKNOWN:
                self.finish(end, words, now_ns)
            return False
        self.succeeded += 1
        if self.succeeded < len(self.instructions):
            self.epoch = None
            return True
        self.finish(end, words, now_ns)
        return False

    def why_not_mine(self, epoch: int, instruction: str, now_ns: int) -> str:
        """End it when the model follows another instruction by now; returns why, '' when it does
        not. A mere reset goes on with the same one.
        """
        if self.epoch is None or epoch <= self.epoch:
            return ""
        if instruction == self.instruction:
            self.epoch = epoch
            return ""
        words = f"the model was told to '{instruction}'" if instruction else "the model stands by"
        self.finish(TaskEnd.PREEMPTED, words, now_ns)
        return words

    def on_report(self, report: SafetyReport, now_ns: int) -> None:
        """Take the word of the safety node: an arm that is not to move ends the task."""
        if report.state not in MOVES:
            self.finish(TaskEnd.STOPPED, report.sentence or describe_state(report.state), now_ns)

    def on_bridge(self, state: BridgeState, now_ns: int) -> None:
        """Take the word of the bridge: whoever pauses it ends the task."""
        if state.forwarding == Forwarding.PAUSED:
            self.finish(TaskEnd.STOPPED, state.words, now_ns)

    def on_time(self, now_ns: int, steady_s: float, heard: tuple[Heard, ...]) -> None:
        """Notice that time is up, or that somebody who is needed has fallen silent."""
        for one in heard:
            if steady_s - one.at_s > one.patience_s:
                words = f"nothing heard from {one.name} for {steady_s - one.at_s:.1f} s"
                self.finish(TaskEnd.FAILED, words, now_ns)
        if self.epoch is not None and 0 < self._timeout_ns <= now_ns - self._step_ns:
            self.finish(TaskEnd.TIMEOUT, f"not done within {self._timeout_ns / NS:g} s", now_ns)
