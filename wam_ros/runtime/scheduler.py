"""When the model is asked and what of it: the plan under way, the delay of answers, who waits.

Nothing in here is published. One thread owns a scheduler; the clock comes with the observations.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from wam_ros.core.chunks import Timeline
from wam_ros.core.embodiment import Embodiment
from wam_ros.core.latency import AUTO, ChunkTiming, LatencyWindow, choose_timing
from wam_ros.core.policy import Abilities, Request
from wam_ros.core.types import NS, ActionChunk, ChunkingMode, Observation

STANDING = (ChunkingMode.SYNCHRONOUS, ChunkingMode.LOOKAHEAD)  # the next look is where a plan ends


@dataclass(frozen=True)
class Awaited:
    """The newest observation that a prediction is awaited from."""

    observed_ns: int
    at_rest: bool  # it was chosen because the arm stood still


class InferenceScheduler:
    """Chooses the observations that the model predicts from.

    Args:
        embodiment: joints, rates and views.
        latency: window the delay is forecast from.
        rest_speed: joints slower than this [rad/s or m/s] are at rest; decides when to look in
            synchronous mode.
        execute_steps: steps of a chunk to execute before the next one is predicted.
        abilities: of the policy.
        chunking: how chunks follow each other: "auto" or a name in `core.latency.CHUNKING`.
        candidates: chunks to predict and choose from.
        lead_s: what passes between a chunk's arrival and the motion that follows it, the safety
            filter's lead. The arm is bound to the plan before for as long as that.
        timeline: the plan under way; where no safety filter runs, also what moves the arm.
    """

    def __init__(
        self,
        embodiment: Embodiment,
        latency: LatencyWindow,
        *,
        rest_speed: float = 0.02,
        execute_steps: int = 1,
        abilities: Abilities | None = None,
        chunking: str = AUTO,
        candidates: int = 1,
        lead_s: float = 0.0,
        timeline: Timeline | None = None,
    ) -> None:
        self._robot = embodiment
        self._step_ns = round(embodiment.step_period_s * NS)
        frame_ns = round(NS / embodiment.frame_rate_hz)
        self._wanted_steps = max(execute_steps, round(frame_ns / self._step_ns), 1)
        self._chunking = chunking
        self._candidates = candidates
        self._rest_speed = rest_speed
        self._lead_s = lead_s
        self.abilities = abilities or Abilities()
        self.latency = latency
        self.timeline = timeline or Timeline()
        self.begins_ns = 0  # the instant that the newest chunk was predicted for
        self._void = False  # the running plan follows an older instruction
        # instant whose observation the next chunk is predicted from
        self._due_ns: int | None = None
        self._awaited: Awaited | None = None
        self._held: Observation | None = None  # newest one due while a prediction was awaited
        self._noted_step = -1  # newest executed step whose frame went to the model

    @property
    def timing(self) -> ChunkTiming:
        """Delay until a chunk comes, without `lead_s`; execution and horizon so far, and the mode
        that they allow.
        """
        robot = self._robot
        delay = self.latency.delay_steps(robot.step_period_s)
        return choose_timing(
            delay, self._wanted_steps, robot.action_horizon, self.abilities, self._chunking
        )

    def look(self, seen: Observation) -> Request | None:
        """What is wanted of the model from an observation that has just come; None for nothing.

        A chunk is asked for once per executed part of the one before; in synchronous mode only when
        the plan has been executed and the arm stands still; when looking ahead, in time for the
        step at which the next chunk is to begin. While an answer is awaited the newest observation
        is kept for `next_look`.
        """
        timing = self.timing
        step = round(self.timeline.executed(seen.stamp_ns))
        ahead = self._begins_ahead(timing, seen.stamp_ns)
        at_rest = timing.mode is ChunkingMode.SYNCHRONOUS
        at_rest |= timing.mode is ChunkingMode.LOOKAHEAD and ahead is None
        if not self._look_is_due(seen, timing, at_rest, ahead):
            return self._note(seen.stamp_ns, step, timing)
        if self._awaited is not None:
            self._held = seen
            return None
        self._due_ns = seen.stamp_ns + min(timing.execute_steps, self._wanted_steps) * self._step_ns
        self._awaited = Awaited(seen.stamp_ns, at_rest)
        self._noted_step = step
        return self._request(seen.stamp_ns, step, timing, ahead)

    def next_look(self) -> tuple[Observation, Request] | None:
        """After an answer: the observation that waited for it, and what is wanted of the model;
        None for nothing.

        Asked earlier, it would be drawn towards a plan that the answer has replaced.
        """
        seen = self._held
        self._held = None
        request = None if seen is None else self.look(seen)
        return None if seen is None or request is None else (seen, request)

    def answered(self, observed_ns: int) -> bool:
        """The prediction from the observation of `observed_ns` is over, with or without a chunk;
        whether the arm stands still to think until then: it begins with its chunk when that comes.
        """
        awaited = self._awaited
        if awaited is None or observed_ns < awaited.observed_ns:
            return False
        self._awaited = None
        return awaited.at_rest and observed_ns == awaited.observed_ns

    def follow(self, chunk: ActionChunk, begins_ns: int, now_ns: int) -> None:
        """From `now_ns` on the plan is `chunk`, predicted for the instant `begins_ns`; the one
        before goes on where the chunk is too late to be followed.
        """
        self.begins_ns = begins_ns
        self._void &= not self.timeline.insert(chunk, now_ns).taken

    def runs_dry(self, now_ns: int) -> bool:
        """Whether the plan ends before a chunk that comes at `now_ns` is followed."""
        return now_ns + round(self._lead_s * NS) > self.timeline.end_ns

    def forget(self) -> None:
        """The instruction changed: the plan goes on, but nothing is to follow it, and what was
        asked for is not awaited any more.
        """
        self._void = True
        self._noted_step = -1
        self._held = None
        self._awaited = None
        self._due_ns = None

    def clear(self) -> None:
        """The clock was set back: forget the plan, too."""
        self.forget()
        self.timeline.clear()

    def _look_is_due(
        self, seen: Observation, timing: ChunkTiming, at_rest: bool, ahead: int | None
    ) -> bool:
        if at_rest:
            return self._awaited is None and self._at_rest(seen)
        if ahead is not None:
            return self._awaited is None and ahead <= max(1, timing.delay_steps)
        return self._due_ns is None or seen.stamp_ns >= self._due_ns - self._step_ns // 2

    def _begins_ahead(self, timing: ChunkTiming, now_ns: int) -> int | None:
        """Steps until the next chunk is to begin when looking ahead; None where no running plan
        leads there in time.
        """
        if timing.mode is not ChunkingMode.LOOKAHEAD or self._void or self.timeline.chunk is None:
            return None
        passed = (now_ns - self.begins_ns) / self._step_ns
        ahead = [round(a - passed) for a in self.abilities.ahead if a >= timing.execute_steps]
        late = 0 if self._awaited is not None else max(1, timing.delay_steps)
        return next((a for a in ahead if a >= late), None)

    def _request(self, now_ns: int, step: int, timing: ChunkTiming, ahead: int | None) -> Request:
        counted = step if self.abilities.frame_stride else None
        request = Request(counted, candidates=min(self._candidates, self.abilities.candidates))
        plan = self.timeline.upcoming(now_ns, self._robot.action_horizon)
        if self._void or not len(plan):
            return request
        if ahead is not None:
            return dataclasses.replace(request, ahead=ahead, plan=plan)
        if timing.mode in (ChunkingMode.GUIDED, ChunkingMode.PREFIX):
            bound = self.latency.delay_steps(self._robot.step_period_s, self._lead_s)
            committed = min(bound, len(plan))
            prefix = timing.mode is ChunkingMode.PREFIX
            return dataclasses.replace(request, plan=plan, committed=committed, prefix=prefix)
        return request

    def _note(self, now_ns: int, step: int, timing: ChunkTiming) -> Request | None:
        """A frame on the way to the next look that the model's memory will want, as steps are
        really executed.
        """
        stride = self.abilities.frame_stride
        if not stride or step <= self._noted_step or self.timeline.chunk is None:
            return None
        at_end = timing.mode in STANDING
        next_ns = self.timeline.end_ns if at_end else self._due_ns or now_ns
        if (round(self.timeline.executed(next_ns)) - step) % stride:
            return None
        self._noted_step = step
        return Request(step, predict=False)

    def _at_rest(self, observation: Observation) -> bool:
        """Whether the plan has been executed and the arm stands still."""
        waited_ns = observation.stamp_ns - self.timeline.end_ns
        speeds = observation.joints.velocities
        if np.isnan(speeds).any():  # unknown: leave the arm the time of one more horizon to stop
            return waited_ns >= self._robot.action_horizon * self._step_ns
        return waited_ns >= 0 and bool(np.max(np.abs(speeds)) <= self._rest_speed)
