"""From engine results to numbered chunks: what one activation of the inference side remembers.

One thread owns a session; the clock is an argument.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from wam_ros.core.chunks import Timeline
from wam_ros.core.embodiment import Embodiment
from wam_ros.core.latency import AUTO, ChunkTiming, LatencyWindow, choose_timing
from wam_ros.core.policy import Abilities, Request
from wam_ros.core.surprise import ImaginationMonitor, Surprise
from wam_ros.core.types import NS, ActionChunk, ChunkingMode, ImaginedFuture, Observation, WamStatus
from wam_ros.runtime.results import EngineResult, EngineStatus


class InferenceSession:
    """Numbers chunks, measures their delay, chooses the chunking mode and compares imagination with
    reality.

    Args:
        embodiment: joints, rates and views.
        model: name of the policy.
        checkpoint_hash: of its weights.
        session_id: 16 bytes, new for every session, so that chunks of an earlier one are told
            apart.
        latency: window the delay is forecast from.
        rest_speed: joints slower than this [rad/s or m/s] are at rest; decides when to look in
            synchronous mode.
        execute_steps: steps of a chunk to execute before the next one is predicted.
        abilities: of the policy.
        chunking: how chunks follow each other: "auto" or a name in `core.latency.CHUNKING`.
        candidates: chunks to predict and choose from.
        lead_s: what passes between a chunk's arrival and the motion that follows it, the safety
            filter's lead. The arm is bound to the plan before for as long as that.
    """

    def __init__(
        self,
        embodiment: Embodiment,
        model: str,
        checkpoint_hash: str,
        session_id: bytes,
        latency: LatencyWindow,
        rest_speed: float = 0.02,
        execute_steps: int = 1,
        abilities: Abilities | None = None,
        chunking: str = AUTO,
        candidates: int = 1,
        lead_s: float = 0.0,
    ) -> None:
        self._robot = embodiment
        self._model = model
        self._hash = checkpoint_hash
        self.session_id = session_id
        self._step_ns = round(embodiment.step_period_s * NS)
        frame_ns = round(NS / embodiment.frame_rate_hz)
        self._wanted_steps = max(execute_steps, round(frame_ns / self._step_ns), 1)
        self.abilities = abilities or Abilities()
        self._chunking = chunking
        self._candidates = candidates
        # instant whose observation the next chunk is predicted from
        self._due_ns: int | None = None
        self._latency = latency
        self._rest_speed = rest_speed
        self._lead_s = lead_s
        self._monitor = ImaginationMonitor(frame_ns // 2)
        self.timeline = Timeline()
        self._void = False  # the running plan follows an older instruction
        self._chunk: ActionChunk | None = None
        self._observed_ns: int | None = None
        self._asked_ns: int | None = None  # newest observation that a prediction is awaited from
        self._asked_at_rest = False  # it was chosen because the arm stood still
        self._held: Observation | None = None  # newest one due while a prediction was awaited
        self._imagined_from_ns = 0  # the instant that the newest chunk was predicted for
        self._noted_step = -1  # newest executed step whose frame went to the model
        self._stages_s: dict[str, float] = {}
        self.surprise: Surprise | None = None  # the newest
        self.underruns = 0

    @property
    def timing(self) -> ChunkTiming:
        """Delay until a chunk comes, without `lead_s`; execution and horizon so far, and the mode
        that they allow.
        """
        robot = self._robot
        delay = self._latency.delay_steps(robot.step_period_s)
        return choose_timing(
            delay, self._wanted_steps, robot.action_horizon, self.abilities, self._chunking
        )

    def observe(self, observation: Observation) -> Request | None:
        """Compare `observation` with what was imagined for it; what is wanted of the model, None
        for nothing.

        A chunk is asked for once per executed part of the one before; in synchronous mode only when
        the plan has been executed and the arm stands still; when looking ahead, in time for the
        step at which the next chunk is to begin. While an answer is awaited the newest observation
        is kept for `next_look`.
        """
        if self._observed_ns is not None and observation.stamp_ns < self._observed_ns:
            self.forget()
            self.timeline.clear()
        self._observed_ns = observation.stamp_ns
        for newest in self._monitor.observe(observation.stamp_ns, observation.frames)[:1]:
            self.surprise = newest
        return self._wanted_of(observation)

    def next_look(self) -> tuple[Observation, Request] | None:
        """After an answer: the observation that waited for it, and what is wanted of the model;
        None for nothing.

        Asked earlier, it would be drawn towards a plan that the answer has replaced.
        """
        seen = self._held
        self._held = None
        request = None if seen is None else self._wanted_of(seen)
        return None if seen is None or request is None else (seen, request)

    def _wanted_of(self, seen: Observation) -> Request | None:
        timing = self.timing
        step = round(self.timeline.executed(seen.stamp_ns))
        ahead = self._begins_ahead(timing, seen.stamp_ns)
        at_rest = timing.mode is ChunkingMode.SYNCHRONOUS
        at_rest |= timing.mode is ChunkingMode.LOOKAHEAD and ahead is None
        if not self._look_is_due(seen, timing, at_rest, ahead):
            return self._note(seen.stamp_ns, step, timing)
        if self._asked_ns is not None:
            self._held = seen
            return None
        self._due_ns = seen.stamp_ns + min(timing.execute_steps, self._wanted_steps) * self._step_ns
        self._asked_ns = seen.stamp_ns
        self._asked_at_rest = at_rest
        self._noted_step = step
        return self._request(seen.stamp_ns, step, timing, ahead)

    def _look_is_due(
        self, seen: Observation, timing: ChunkTiming, at_rest: bool, ahead: int | None
    ) -> bool:
        if at_rest:
            return self._asked_ns is None and self._at_rest(seen)
        if ahead is not None:
            return self._asked_ns is None and ahead <= max(1, timing.delay_steps)
        return self._due_ns is None or seen.stamp_ns >= self._due_ns - self._step_ns // 2

    def _begins_ahead(self, timing: ChunkTiming, now_ns: int) -> int | None:
        """Steps until the next chunk is to begin when looking ahead; None where no running plan
        leads there in time.
        """
        if timing.mode is not ChunkingMode.LOOKAHEAD or self._void or self.timeline.chunk is None:
            return None
        passed = (now_ns - self._imagined_from_ns) / self._step_ns
        ahead = [round(a - passed) for a in self.abilities.ahead if a >= timing.execute_steps]
        late = 0 if self._asked_ns is not None else max(1, timing.delay_steps)
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
            bound = self._latency.delay_steps(self._robot.step_period_s, self._lead_s)
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
        sync = timing.mode in (ChunkingMode.SYNCHRONOUS, ChunkingMode.LOOKAHEAD)
        next_look = self.timeline.executed(self.timeline.end_ns if sync else self._due_ns or now_ns)
        if (round(next_look) - step) % stride:
            return None
        self._noted_step = step
        return Request(step, predict=False)

    def chunk(self, result: EngineResult, now_ns: int) -> tuple[ActionChunk, ImaginedFuture]:
        """The chunk and the imagined future of a result that succeeded, as published at ROS time
        `now_ns`.

        Step k of a chunk is due at its observation plus (k + 1) steps; when the arm stood still to
        think, at now plus (k + 1) steps. A chunk predicted for a later instant begins with the plan
        that leads there.
        """
        assert result.output is not None, "only a result with an output makes a chunk"
        out = result.output
        seen = result.observation
        self._count(result, now_ns)
        at_rest = self._asked_at_rest and seen.stamp_ns == self._asked_ns
        self.answered(seen.stamp_ns)
        anchor = now_ns if at_rest else seen.stamp_ns
        plan = (
            np.zeros((0, out.positions.shape[1]))
            if result.request.plan is None
            else result.request.plan
        )
        positions = np.concatenate((plan[: out.ahead], out.positions))
        self._imagined_from_ns = anchor + out.ahead * self._step_ns
        chunk = ActionChunk(
            anchor_ns=anchor,
            step_period_ns=self._step_ns,
            joint_names=seen.joints.joint_names,
            positions=positions,
            session_id=self.session_id,
            seq=0 if self._chunk is None else self._chunk.seq + 1,
            epoch=result.epoch,
            embodiment=self._robot.name,
            model=result.model or self._model,
            checkpoint_hash=result.checkpoint_hash or self._hash,
            instruction=result.instruction,
            observation_ns=seen.stamp_ns,
            conditioning=out.conditioning,
            committed_steps=out.committed + out.ahead,
            chunking_mode=ChunkingMode.SYNCHRONOUS if at_rest else mode_of(result),
            valid_until_ns=anchor + self._step_ns * len(positions),
            inference_s=result.inference_s,
            denoise_evaluations=out.evaluations,
            value=result.value,
            trace_id=seen.stamp_ns,
        )
        self._chunk = chunk
        self._void &= not self.timeline.insert(chunk, now_ns).taken
        return chunk, self._imagine(chunk, result)

    def imagined(self, result: EngineResult) -> ImaginedFuture | None:
        """The imagined future that came after its chunk; None where another chunk has come
        since.
        """
        chunk = self._chunk
        return (
            self._imagine(chunk, result)
            if chunk and chunk.observation_ns == result.observation.stamp_ns
            else None
        )

    def _imagine(self, chunk: ActionChunk, result: EngineResult) -> ImaginedFuture:
        out = result.output
        seen = result.observation
        assert out is not None
        self._stages_s = out.timing_s or self._stages_s
        instants = tuple(self._imagined_from_ns + offset for offset in out.frame_offsets_ns)
        self._monitor.expect(chunk.anchor_ns, seen.frames, instants, out.frames)
        facts = (
            chunk.joint_names,
            chunk.positions,
            math.nan if self.surprise is None else self.surprise.mse,
        )
        return ImaginedFuture(chunk.seq, seen.view_names, out.frames, instants, *facts)

    def answered(self, observed_ns: int) -> None:
        """The prediction from the observation of `observed_ns` is over, with or without a chunk."""
        if self._asked_ns is not None and observed_ns >= self._asked_ns:
            self._asked_ns = None

    def status(self, now_ns: int, engine: EngineStatus, silence_s: float) -> WamStatus:
        """Health at ROS time `now_ns`; observations or a model silent for longer than `silence_s`
        are an error.
        """
        timing = self.timing
        return WamStatus(
            stamp_ns=now_ns,
            session_id=self.session_id,
            model=self._model if engine.policy is None else engine.policy.name,
            instruction=engine.instruction,
            mode=timing.mode,
            latency_last_s=self._latency.last_s,
            latency_p50_s=self._latency.percentile(50),
            latency_p95_s=self._latency.percentile(95),
            delay_steps=timing.delay_steps,
            execute_steps=timing.execute_steps,
            horizon_steps=timing.horizon_steps,
            feasible=timing.feasible,
            slack_s=self.timeline.slack_s(now_ns),
            underruns=self.underruns,
            chunks=0 if self._chunk is None else self._chunk.seq + 1,
            dropped=engine.dropped,
            error=engine.error or self._standstill(now_ns, engine, silence_s),
            stages={"observation to chunk": self._latency.stage},
        )

    def figures(self) -> dict[str, str]:
        """What the newest chunk cost and how well the newest imagined frame came true, for
        diagnostics.
        """
        found = {"timing": str(self.timing), "underruns": str(self.underruns)}
        found["observation to chunk [ms]"] = str(self._latency)
        found |= {
            f"{stage} [ms]": f"{1e3 * seconds:.1f}" for stage, seconds in self._stages_s.items()
        }
        if self.surprise is not None:
            found["imagined frame: squared error"] = f"{self.surprise.mse:.5f}"
            found["last frame copied: squared error"] = f"{self.surprise.copy_mse:.5f}"
        return found

    def forget(self) -> None:
        """Drop what was imagined: the instruction changed, or the clock was set back. The plan goes
        on.
        """
        self._monitor.clear()
        self._void = True
        self._noted_step = -1
        self._held = None
        self.surprise = None
        self._asked_ns = None
        self._due_ns = None

    def _standstill(self, now_ns: int, engine: EngineStatus, silence_s: float) -> str:
        """Why no chunk comes, as far as it is not a failure of the model; empty when one does."""
        if not engine.alive:
            return "the inference thread has ended"
        if engine.busy_s > silence_s:
            return f"the model has not answered for {engine.busy_s:.1f} s"
        if not engine.instruction:
            return "no instruction yet"
        if self._observed_ns is None:
            return "no observation yet"
        age_s = (now_ns - self._observed_ns) / NS
        return f"no observation for {age_s:.1f} s" if age_s > silence_s else ""

    def _count(self, result: EngineResult, now_ns: int) -> None:
        """Measure the delay of `result`, and whether the plan before it ends before it is
        followed.
        """
        before = self._chunk
        sync = ChunkingMode.SYNCHRONOUS
        moving = (
            before is not None and before.epoch == result.epoch and before.chunking_mode is not sync
        )
        if moving and now_ns + round(self._lead_s * NS) > self.timeline.end_ns:
            self.underruns += 1
        self._latency.add((now_ns - result.observation.stamp_ns) / NS, now_ns / NS)

    def _at_rest(self, observation: Observation) -> bool:
        """Whether the plan has been executed and the arm stands still."""
        waited_ns = observation.stamp_ns - self.timeline.end_ns
        speeds = observation.joints.velocities
        if np.isnan(speeds).any():  # unknown: leave the arm the time of one more horizon to stop
            return waited_ns >= self._robot.action_horizon * self._step_ns
        return waited_ns >= 0 and bool(np.max(np.abs(speeds)) <= self._rest_speed)


def mode_of(result: EngineResult) -> ChunkingMode:
    """How the chunk of a result follows the plan before it."""
    if result.output is None or not (result.output.ahead or result.output.guided):
        return ChunkingMode.REPLACE
    if result.output.ahead:
        return ChunkingMode.LOOKAHEAD
    return ChunkingMode.PREFIX if result.request.prefix else ChunkingMode.GUIDED
