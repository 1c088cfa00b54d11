"""From engine results to numbered chunks: what one activation of the inference side remembers.

One thread owns a session; the clock is an argument.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.latency import ChunkTiming, LatencyWindow, chunk_timing
from wam_ros.core.surprise import ImaginationMonitor, Surprise
from wam_ros.core.types import NS, ActionChunk, ChunkingMode, ImaginedFuture, JointState, Observation, WamStatus
from wam_ros.runtime.engine import EngineResult, EngineStatus


class InferenceSession:
    """Numbers chunks, measures their delay, chooses the chunking mode and compares imagination with reality.

    Args:
        embodiment: joints, rates and views.
        model: name of the policy.
        checkpoint_hash: of its weights.
        session_id: 16 bytes, new for every session, so that chunks of an earlier one are told apart.
        latency: window the delay is forecast from.
        rest_speed: joints slower than this [rad/s or m/s] are at rest; decides when to look in synchronous mode.
        execute_steps: steps of a chunk to execute before the next one is predicted.
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
    ) -> None:
        self._robot, self._model, self._hash, self.session_id = embodiment, model, checkpoint_hash, session_id
        self._step_ns = round(embodiment.step_period_s * NS)
        frame_ns = round(NS / embodiment.frame_rate_hz)
        self._period_ns = max(frame_ns, execute_steps * self._step_ns)
        self._due_ns: int | None = None  # instant whose observation the next chunk is predicted from
        self._latency, self._rest_speed = latency, rest_speed
        self._monitor = ImaginationMonitor(frame_ns // 2)
        self._chunk: ActionChunk | None = None
        self._observed_ns: int | None = None
        self._asked_ns: int | None = None  # newest observation that a prediction is awaited from
        self._asked_at_rest = False  # it was chosen because the arm stood still
        self._stages_s: dict[str, float] = {}
        self.surprise: Surprise | None = None  # the newest
        self.underruns = 0

    @property
    def timing(self) -> ChunkTiming:
        """Delay, execution and horizon as measured so far."""
        robot = self._robot
        return chunk_timing(self._latency, robot.step_period_s, self._period_ns / NS, robot.action_horizon)

    def observe(self, observation: Observation) -> bool:
        """Compare `observation` with what was imagined for it; True when a chunk should be predicted from it.

        That is so once per executed part of a chunk; in synchronous mode only when the plan has been executed and the
        arm stands still.
        """
        if self._observed_ns is not None and observation.stamp_ns < self._observed_ns:
            self.forget()
        self._observed_ns = observation.stamp_ns
        for newest in self._monitor.observe(observation.stamp_ns, observation.frames)[:1]:
            self.surprise = newest
        at_rest = self.timing.mode is ChunkingMode.SYNCHRONOUS and self._chunk is not None
        if at_rest and (self._asked_ns is not None or not self._at_rest(observation)):
            return False
        if not at_rest and self._due_ns is not None and observation.stamp_ns < self._due_ns - self._step_ns // 2:
            return False
        self._due_ns = observation.stamp_ns + self._period_ns
        self._asked_ns, self._asked_at_rest = observation.stamp_ns, at_rest
        return True

    def chunk(self, result: EngineResult, now_ns: int) -> tuple[ActionChunk, ImaginedFuture]:
        """The chunk and the imagined future of a result that succeeded, as published at ROS time `now_ns`.

        Step k of a chunk is due at its observation plus (k + 1) steps; when the arm stood still to think, at now plus
        (k + 1) steps.
        """
        assert result.output is not None, "only a result with an output makes a chunk"
        out, seen = result.output, result.observation
        self._count(result, now_ns)
        at_rest = self._asked_at_rest and seen.stamp_ns == self._asked_ns
        self.answered(seen.stamp_ns)
        anchor = now_ns if at_rest else seen.stamp_ns
        chunk = ActionChunk(
            anchor_ns=anchor,
            step_period_ns=self._step_ns,
            joint_names=seen.joints.joint_names,
            positions=out.positions,
            session_id=self.session_id,
            seq=0 if self._chunk is None else self._chunk.seq + 1,
            epoch=result.epoch,
            embodiment=self._robot.name,
            model=self._model,
            checkpoint_hash=self._hash,
            instruction=result.instruction,
            observation_ns=seen.stamp_ns,
            conditioning=out.conditioning,
            chunking_mode=ChunkingMode.SYNCHRONOUS if at_rest else ChunkingMode.REPLACE,
            valid_until_ns=anchor + self._step_ns * out.positions.shape[0],
            inference_s=result.inference_s,
            denoise_evaluations=out.evaluations,
            trace_id=seen.stamp_ns,
        )
        self._chunk, self._stages_s = chunk, out.timing_s
        instants = tuple(anchor + offset for offset in out.frame_offsets_ns)
        self._monitor.expect(anchor, seen.frames, instants, out.frames)
        error = math.nan if self.surprise is None else self.surprise.mse
        future = ImaginedFuture(
            chunk.seq, seen.view_names, out.frames, instants, chunk.joint_names, out.positions, error
        )
        return chunk, future

    def answered(self, observed_ns: int) -> None:
        """The prediction from the observation of `observed_ns` is over, with or without a chunk."""
        if self._asked_ns is not None and observed_ns >= self._asked_ns:
            self._asked_ns = None

    def status(self, now_ns: int, engine: EngineStatus, silence_s: float) -> WamStatus:
        """Health at ROS time `now_ns`; observations or a model silent for longer than `silence_s` are an error."""
        timing = self.timing
        return WamStatus(
            stamp_ns=now_ns,
            session_id=self.session_id,
            model=self._model,
            instruction=engine.instruction,
            mode=timing.mode,
            latency_last_s=self._latency.last_s,
            latency_p50_s=self._latency.percentile(50),
            latency_p95_s=self._latency.percentile(95),
            delay_steps=timing.delay_steps,
            execute_steps=timing.execute_steps,
            horizon_steps=timing.horizon_steps,
            feasible=timing.feasible,
            slack_s=0.0 if self._chunk is None else max(0, self._plan_end_ns() - now_ns) / NS,
            underruns=self.underruns,
            chunks=0 if self._chunk is None else self._chunk.seq + 1,
            dropped=engine.dropped,
            error=engine.error or self._standstill(now_ns, engine, silence_s),
        )

    def figures(self) -> dict[str, str]:
        """What the newest chunk cost and how well the newest imagined frame came true, for diagnostics."""
        found = {"timing": str(self.timing), "underruns": str(self.underruns)}
        found |= {f"{stage} [ms]": f"{1e3 * seconds:.1f}" for stage, seconds in self._stages_s.items()}
        if self.surprise is not None:
            found["imagined frame: squared error"] = f"{self.surprise.mse:.5f}"
            found["last frame copied: squared error"] = f"{self.surprise.copy_mse:.5f}"
        return found

    def forget(self) -> None:
        """Drop what was imagined: the instruction changed, or the clock was set back."""
        self._monitor.clear()
        self.surprise, self._asked_ns, self._due_ns = None, None, None

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
        """Measure the delay of `result`, and whether the plan before it ended in the meantime."""
        before = self._chunk
        replaced = before is not None and before.epoch == result.epoch and before.chunking_mode is ChunkingMode.REPLACE
        if replaced and now_ns > self._plan_end_ns():
            self.underruns += 1
        self._latency.add((now_ns - result.observation.stamp_ns) / NS)

    def _plan_end_ns(self) -> int:
        assert self._chunk is not None
        return self._chunk.anchor_ns + self._chunk.n_steps * self._step_ns

    def _at_rest(self, observation: Observation) -> bool:
        """Whether the plan has been executed and the arm stands still."""
        waited_ns = observation.stamp_ns - self._plan_end_ns()
        speeds = observation.joints.velocities
        if np.isnan(speeds).any():  # unknown: leave the arm the time of one more horizon to stop
            return waited_ns >= self._robot.action_horizon * self._step_ns
        return waited_ns >= 0 and bool(np.max(np.abs(speeds)) <= self._rest_speed)


def require_instruction(text: str, max_characters: int) -> str:
    """The instruction with its white space put in order.

    Raises:
        WamError: empty, longer than `max_characters`, or with characters that cannot be shown.
    """
    if len(text) > max_characters:
        raise WamError(f"the instruction has {len(text)} characters, at most {max_characters} are read")
    words = " ".join(text.split())
    if not words:
        raise WamError("the instruction is empty")
    if not words.isprintable():
        raise WamError("the instruction has characters that cannot be shown")
    return words


def example_observation(embodiment: Embodiment) -> Observation:
    """Grey views and the home position, to warm a model up with."""
    robot, n = embodiment, len(embodiment.joint_names)
    joints = JointState(0, robot.joint_names, np.array(robot.home), np.zeros(n), np.zeros(n))
    frames = np.full((len(robot.cameras), robot.image_height, robot.image_width, 3), 128, np.uint8)
    return Observation(0, robot.view_names, frames, (0,) * len(robot.cameras), joints)


def keyframes(future: ImaginedFuture) -> ImaginedFuture:
    """The same future with only its farthest frame."""
    return dataclasses.replace(future, frames=future.frames[-1:], instants_ns=future.instants_ns[-1:])
