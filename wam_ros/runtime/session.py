"""What is published: numbered chunks, imagined futures, status and figures of one activation.

One thread owns a session; the clock is an argument.
"""

from __future__ import annotations

import math

import numpy as np

from wam_ros.core.appraisal import (
    Appraisal,
    Calm,
    LastingErrors,
    Outlook,
    PixelErrors,
    PixelWatch,
    appraise,
)
from wam_ros.core.comparison import Comparison, ImaginationMonitor
from wam_ros.core.embodiment import Embodiment
from wam_ros.core.policy import Request
from wam_ros.core.types import (
    NS,
    ActionChunk,
    Candidates,
    ChunkingMode,
    ImaginedFuture,
    Observation,
    WamStatus,
)
from wam_ros.runtime.results import EngineResult, EngineStatus
from wam_ros.runtime.scheduler import InferenceScheduler

_ERRORS = 64  # observations that a result may still come from


class InferenceSession:
    """Numbers chunks, measures their delay and compares imagination with reality.

    An observation, a result and a new instruction concern both what is published and when the model
    is asked: they are told to the session, which tells its scheduler. The rest is the scheduler's.

    Args:
        embodiment: joints, rates and views.
        model: name of the policy.
        checkpoint_hash: of its weights.
        session_id: 16 bytes, new for every session, so that chunks of an earlier one are told
            apart.
        scheduler: when the model is asked.
        calm: what errors calm runs of the policy show; without it no surprise is known.
    """

    def __init__(
        self,
        embodiment: Embodiment,
        model: str,
        checkpoint_hash: str,
        session_id: bytes,
        scheduler: InferenceScheduler,
        calm: Calm | None = None,
    ) -> None:
        self._robot = embodiment
        self._model = model
        self._hash = checkpoint_hash
        self._step_ns = round(embodiment.step_period_s * NS)
        period_ns = round(NS / embodiment.frame_rate_hz)
        self._monitor = ImaginationMonitor(period_ns // 2)
        self.session_id = session_id
        self.scheduler = scheduler
        self.calm = calm
        self.compared: Comparison | None = None  # the newest frame whose instant has passed
        self.appraisal: Appraisal | None = None  # the newest
        # those that were not chosen when the newest chunk was; None: there were no others
        self.candidates: Candidates | None = None
        self._pixels = PixelWatch(period_ns)
        self._latents = LastingErrors()
        self._errors: dict[int, PixelErrors] = {}  # of the newest observations, by their stamps
        # the largest surprise of what was appraised since the newest chunk, and with it
        self._since = self._surprise = math.nan
        self.underruns = 0
        self._observed_ns: int | None = None
        self._chunk: ActionChunk | None = None  # the newest, also where it came too late
        self._stages_s: dict[str, float] = {}

    def observe(self, observation: Observation) -> Request | None:
        """Compare `observation` with what was imagined for it; what is wanted of the model, None
        for nothing. Everything is forgotten when the clock was set back.
        """
        if self._observed_ns is not None and observation.stamp_ns < self._observed_ns:
            self.forget()
            self.scheduler.clear()
        self._observed_ns = observation.stamp_ns
        found = self._monitor.observe(observation.stamp_ns, observation.frames)
        self.compared = found[0] if found else self.compared
        self._remember(observation, found[0].imagined if found else None)
        return self.scheduler.look(observation)

    def appraise(
        self, observation: Observation, epoch: int, instruction: str, outlook: Outlook
    ) -> Appraisal:
        """What is to be said of an observation, by an `outlook` on it where the model has one."""
        stamp_ns = observation.stamp_ns
        latents = self._latents.take(stamp_ns, outlook.latent_errors)
        pixel, latent, heat = appraise(self.calm, self._errors.get(stamp_ns), latents)
        self.appraisal = Appraisal(
            stamp_ns=stamp_ns,
            view_names=observation.view_names,
            epoch=epoch,
            instruction=instruction,
            pixel=pixel,
            latent=latent,
            heat=heat,
            outlook=outlook,
        )
        self._since = float(np.fmax(self._since, self.appraisal.surprise))
        return self.appraisal

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
        self.appraise(seen, result.epoch, result.instruction, out.outlook)
        self._surprise = self._since
        self._since = math.nan
        at_rest = self.scheduler.answered(seen.stamp_ns)
        anchor = now_ns if at_rest else seen.stamp_ns
        plan = (
            np.zeros((0, out.positions.shape[1]))
            if result.request.plan is None
            else result.request.plan
        )
        led = plan[: out.ahead]
        positions = np.concatenate((led, out.positions))
        others = tuple(np.concatenate((led, other.positions)) for other in out.others)
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
        self.candidates = (
            Candidates(anchor, self._step_ns, chunk.joint_names, others) if others else None
        )
        self.scheduler.follow(chunk, anchor + out.ahead * self._step_ns, now_ns)
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

    def status(self, now_ns: int, engine: EngineStatus, silence_s: float) -> WamStatus:
        """Health at ROS time `now_ns`; observations or a model silent for longer than `silence_s`
        are an error.
        """
        timing = self.scheduler.timing
        latency = self.scheduler.latency
        return WamStatus(
            stamp_ns=now_ns,
            session_id=self.session_id,
            model=self._model if engine.policy is None else engine.policy.name,
            instruction=engine.instruction,
            mode=timing.mode,
            latency_last_s=latency.last_s,
            latency_p50_s=latency.percentile(50),
            latency_p95_s=latency.percentile(95),
            delay_steps=timing.delay_steps,
            execute_steps=timing.execute_steps,
            horizon_steps=timing.horizon_steps,
            feasible=timing.feasible,
            slack_s=self.scheduler.timeline.slack_s(now_ns),
            underruns=self.underruns,
            chunks=0 if self._chunk is None else self._chunk.seq + 1,
            dropped=engine.dropped,
            error=engine.error or self._why_not_running(now_ns, engine, silence_s),
            vocabulary=self.scheduler.abilities.vocabulary,
            choose_one=self.scheduler.abilities.choose_one,
            stages={"observation to chunk": latency.stage},
        )

    def figures(self) -> dict[str, str]:
        """What the newest chunk cost and how well the newest imagined frame came true, for
        diagnostics.
        """
        found = {"timing": str(self.scheduler.timing), "underruns": str(self.underruns)}
        found["observation to chunk [ms]"] = str(self.scheduler.latency)
        found |= {
            f"{stage} [ms]": f"{1e3 * seconds:.1f}" for stage, seconds in self._stages_s.items()
        }
        if self.compared is not None:
            found["imagined frame: squared error"] = f"{self.compared.mse:.5f}"
            found["last frame copied: squared error"] = f"{self.compared.copy_mse:.5f}"
        return found

    def forget(self) -> None:
        """Drop what was imagined and asked for: the instruction changed. The plan goes on."""
        self._monitor.clear()
        self._errors.clear()
        self._pixels.clear()
        self._latents.clear()
        self.compared = self.appraisal = self.candidates = None
        self._since = self._surprise = math.nan
        self.scheduler.forget()

    def _imagine(self, chunk: ActionChunk, result: EngineResult) -> ImaginedFuture:
        out = result.output
        seen = result.observation
        assert out is not None
        self._stages_s = out.timing_s or self._stages_s
        begins_ns = self.scheduler.begins_ns
        instants = tuple(begins_ns + offset for offset in out.frame_offsets_ns)
        self._monitor.expect(chunk.anchor_ns, seen.frames, instants, out.frames)
        return ImaginedFuture(
            chunk_seq=chunk.seq,
            view_names=seen.view_names,
            frames=out.frames,
            instants_ns=instants,
            joint_names=chunk.joint_names,
            joint_path=chunk.positions,
            surprise=self._surprise,
        )

    def _remember(self, observation: Observation, imagined: np.ndarray | None) -> None:
        """Keep how far an observation is from the frames imagined for it, and from those before."""
        if self.calm is None:
            return
        stamp_ns = observation.stamp_ns
        errors = self._pixels.take(stamp_ns, observation.frames, imagined, self.calm.grid)
        if errors is not None:
            self._errors[stamp_ns] = errors
        for old in sorted(self._errors)[:-_ERRORS]:
            del self._errors[old]

    def _why_not_running(self, now_ns: int, engine: EngineStatus, silence_s: float) -> str:
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
        if moving and self.scheduler.runs_dry(now_ns):
            self.underruns += 1
        self.scheduler.latency.add((now_ns - result.observation.stamp_ns) / NS, now_ns / NS)


def mode_of(result: EngineResult) -> ChunkingMode:
    """How the chunk of a result follows the plan before it."""
    if result.output is None or not (result.output.ahead or result.output.guided):
        return ChunkingMode.REPLACE
    if result.output.ahead:
        return ChunkingMode.LOOKAHEAD
    return ChunkingMode.PREFIX if result.request.prefix else ChunkingMode.GUIDED
