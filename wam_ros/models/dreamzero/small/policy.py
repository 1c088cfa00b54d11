"""The closed loop's model: observed frames in, a chunk of joint targets and imagined frames out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wam_ros.core.appraisal import Calm, Outlook, place_errors
from wam_ros.core.embodiment import Embodiment, require_observed_by
from wam_ros.core.errors import WamError
from wam_ros.core.images import tile, untile
from wam_ros.core.policy import Abilities, PolicyOutput, Request
from wam_ros.core.resources import share_dir
from wam_ros.core.types import NS, Conditioning, Observation
from wam_ros.models.cache import KvCache
from wam_ros.models.dreamzero.shared.packed import pack
from wam_ros.models.dreamzero.shared.rope import Rope
from wam_ros.models.dreamzero.small.appraisal import (
    Appraiser,
    appraisal_path,
    load_appraiser,
    token_of,
)
from wam_ros.models.dreamzero.small.config import DreamZeroConfig, load_model_config
from wam_ros.models.dreamzero.small.load import Networks, load_checkpoint
from wam_ros.models.dreamzero.small.memory import FrameMemory
from wam_ros.models.dreamzero.small.model import Context
from wam_ros.models.dreamzero.small.normalise import Normaliser
from wam_ros.models.guidance import Guided, soft_mask
from wam_ros.models.limits import require_reachable
from wam_ros.models.processor import processor
from wam_ros.models.sampling import Euler, Solver, Unmoved, integrate, schedule

STILL = 0.1  # of full brightness: an imagined change beyond this is motion
# one noise for every chunk, as in the reference server: successive chunks then agree
NOISE_SEED = 1140

PLAIN = Request()
CANDIDATES = 16  # most chunks in one batch


def load(
    name: str,
    weights: Path,
    embodiment: Embodiment,
    threads: int,
    steps: int,
    memory: str,
    imagine: bool = True,
) -> DreamZeroPolicy:
    """Build the policy; raises `WamError` when weights, model and robot do not fit."""
    config = load_model_config(name)
    if config.embodiment != embodiment.name:
        raise WamError(
            f"model '{config.name}' was trained for '{config.embodiment}', not for "
            f"'{embodiment.name}'"
        )
    wanted = (
        config.image_height,
        config.image_width,
        config.views,
        config.action_dim,
        config.chunk.action_horizon,
    )
    e = embodiment
    found = (e.image_height, e.image_width, len(e.cameras), len(e.joint_names), e.action_horizon)
    if wanted != found:
        raise WamError(
            f"model '{config.name}' wants (height, width, views, joints, horizon) {wanted}, "
            f"{e.name} has {found}"
        )
    if weights == share_dir():
        raise WamError(f"model '{config.name}' is shipped without weights: name a checkpoint")
    if not imagine and memory == "imagined":
        raise WamError("memory imagined remembers what is imagined, which is to be left out")
    torch.set_num_threads(threads)
    networks = load_checkpoint(weights, config)
    if not networks.acts:
        raise WamError(
            f"checkpoint '{weights}' was trained on video alone and moves no arm: train it "
            "further, by --start of wam train"
        )
    if imagine and not networks.imagines:
        raise WamError(
            f"checkpoint '{weights}' was trained on actions alone and imagines nothing: say "
            "--no-imagine"
        )
    require_within_limits(networks.normaliser, e, f"checkpoint '{weights}'")
    dtype = processor().predicting
    networks.model.to(dtype)
    pack(networks.model)
    tokenizer = networks.tokenizer.to(dtype)
    tokenizer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    appraiser = load_appraiser(appraisal_path(weights), config, networks.digest)
    steps = steps or config.denoising_steps
    policy = DreamZeroPolicy(
        config,
        embodiment,
        networks,
        steps=steps,
        memory=memory,
        appraiser=appraiser,
        imagine=imagine,
    )
    policy.weights = weights
    return policy


def require_within_limits(n: Normaliser, robot: Embodiment, where: str) -> None:
    """Raise `WamError` for statistics that lead a joint out of the robot's limits."""
    differences = n.relative.numpy() > 0
    for kind, ends, relative in (
        ("state", (n.state_low, n.state_high), np.zeros_like(differences)),
        ("action", (n.action_low, n.action_high), differences),
    ):
        low_high = torch.stack(ends).double().numpy()
        require_reachable(f"{where}: statistics: {kind}", robot, low_high, relative)


@dataclass(frozen=True)
class _Begun:
    """A prediction of one robot whose memory is up to date, before it is denoised."""

    observation: Observation
    request: Request
    step: int
    plan: np.ndarray
    ahead: int
    seen_state: Tensor  # (1, 1, A) as observed, also where it begins ahead
    latent: Tensor  # (1, 1, C, h, w)
    state: Tensor  # (1, 1, A)
    cond: Tensor  # (1, 1, 2, D)
    context: Context
    cache: KvCache
    rope: Rope
    given: Tensor  # (1, 1, d, A) normalised, the first actions, committed and clean
    target: tuple[Tensor, Tensor] | None  # what the actions are drawn towards, and how much
    timing: dict[str, float]  # of what is done, s


class DreamZeroPolicy:
    """Implements `core.policy.Policy`. One thread owns it."""

    def __init__(
        self,
        config: DreamZeroConfig,
        embodiment: Embodiment,
        networks: Networks,
        steps: int,
        memory: str = "real",
        appraiser: Appraiser | None = None,
        imagine: bool = True,
    ) -> None:
        self.name = config.name
        self.checkpoint_hash = networks.digest
        self.runs_on = str(processor())
        self.config = config
        self.embodiment = embodiment
        self.networks = networks
        self.solver: Solver = Euler(schedule(steps, config.shift))
        self._refresh = memory == "real"
        self._imagines = imagine
        self._appraiser = appraiser
        self.calm: Calm | None = None if appraiser is None else appraiser.calm
        self._grip = [embodiment.joint_names.index(j) for j in embodiment.gripper_joints]
        stride = config.chunk.frame_stride
        ahead = tuple(stride * (i + 1) for i in range(config.chunk.imagined_frames))
        self.abilities = Abilities(
            frame_stride=stride,
            candidates=CANDIDATES,
            vocabulary=config.text.vocabulary,
            choose_one=config.text.choose_one,
        )
        if self._refresh:
            prefix = config.chunk.committed_steps > 0
            self.abilities = dataclasses.replace(
                self.abilities,
                prefix=prefix,
                guided=True,
                action_conditioned=imagine,
                ahead=ahead if imagine else (),
            )
        self.example_instruction = " ".join(
            config.text.choose_one[:1] or config.text.vocabulary[:1]
        )
        generator = torch.Generator().manual_seed(NOISE_SEED)
        chunk = config.chunk
        (h, w) = config.latent_size
        channels = config.tokenizer.latent_channels
        self._video_noise = torch.randn(
            (1, 1, chunk.imagined_frames, channels, h, w), generator=generator
        )
        self._action_noise = torch.randn(
            1, 1, chunk.action_horizon, config.action_dim, generator=generator
        )
        self._noise = (self._video_noise, self._action_noise)
        self._more_noise = [
            torch.randn(CANDIDATES - 1, *x.shape[1:], generator=generator) for x in self._noise
        ]
        self._context: Context | None = None
        self.weights = Path()  # where they were read

    def another(self) -> DreamZeroPolicy:
        """The same networks with a memory of its own, for another robot."""
        memory = "real" if self._refresh else "imagined"
        return DreamZeroPolicy(
            config=self.config,
            embodiment=self.embodiment,
            networks=self.networks,
            steps=len(self.solver.times),
            memory=memory,
            appraiser=self._appraiser,
            imagine=self._imagines,
        )

    @torch.inference_mode()
    def reset(self, instruction: str) -> None:
        """Forget everything and take a new instruction; see `core.policy.Policy.reset`."""
        model = self.networks.model
        self._words = model.text_encoder.tokenize([instruction])
        self._context = model.encode_text(self._words)
        self._memory = FrameMemory(model, self._context)
        # stamp and executed steps of the first observation
        self._first: tuple[int, int] | None = None
        self._seen: dict[int, Tensor] = {}  # newest observed latents by control step
        self._imagined: dict[int, Tensor] = {}  # newest imagined ones
        # control step at which an unrefreshed memory takes its own imagination for the next frame
        self._due = 0
        self._own: tuple[Tensor, Tensor] | None = None
        # of the newest observation, both (C, h, V * w): what had been imagined for it, and itself
        self.compared: tuple[Tensor | None, Tensor] | None = None
        # where what was imagined last ends: its latent (C, h, V * w), and joints (A,) rad, m
        self.imagined_end: tuple[Tensor, Tensor] | None = None

    @torch.inference_mode()
    def predict(self, observation: Observation, request: Request = PLAIN) -> PolicyOutput | None:
        """Refresh the memory with the observed frame and predict from it, as `request` wishes.

        Raises:
            WamError: no instruction was set, the observation has other views or joints than the
                model, or the request asks for what the model was not trained for.
        """
        begun = self._begin(observation, request)
        if begun is None:
            return None
        began = time.perf_counter()
        video, action = self._denoise([begun], request.candidates)
        return self._finished(begun, video, action, time.perf_counter() - began)

    @torch.inference_mode()
    def together(
        self, asked: Sequence[tuple[DreamZeroPolicy, Observation, Request]]
    ) -> list[PolicyOutput | Exception | None]:
        """See `core.policy.Policy`. Those whose denoising has one form are denoised in one
        batch.
        """
        answers: list[PolicyOutput | Exception | None] = [None] * len(asked)
        batches: dict[object, list[tuple[int, _Begun]]] = {}
        for k, (policy, observation, request) in enumerate(asked):
            try:
                begun = policy._begin(observation, request)
            except Exception as error:
                answers[k] = error
                continue
            if begun is not None:
                form = (begun.given.shape[2], k if request.candidates > 1 else -1)
                batches.setdefault(form, []).append((k, begun))
        for batch in batches.values():
            began = time.perf_counter()
            candidates = batch[0][1].request.candidates
            video, action = self._denoise([begun for _, begun in batch], candidates)
            denoise_s = time.perf_counter() - began
            parts = zip(batch, video.split(candidates), action.split(candidates), strict=True)
            for (k, begun), own_video, own_action in parts:
                policy = asked[k][0]
                try:
                    answers[k] = policy._finished(begun, own_video, own_action, denoise_s)
                except Exception as error:
                    answers[k] = error
        return answers

    def _begin(self, observation: Observation, request: Request) -> _Begun | None:
        """Refresh the memory; what is to be denoised from it, None where nothing is."""
        if self._context is None:
            raise WamError("no instruction was set")
        if request.prefix and not self.abilities.prefix:
            raise WamError(f"the weights of '{self.name}' were not trained to continue a prefix")
        step = self._step(observation, request)
        if not self._refresh and step < self._due:
            return None
        began = time.perf_counter()
        latent, state = self._see(observation)
        encoded = time.perf_counter()
        if not self._refresh:
            step = self._due
            self._due = self._due + self.config.chunk.frame_stride
        imagined = self._imagined.get(step)
        self.compared = (None if imagined is None else imagined[0, 0], latent[0, 0])
        cache, rope = self._memory.observe(step, latent)
        self._seen = _newest({**self._seen, step: latent})
        if not request.predict:
            return None
        remembered = time.perf_counter()
        timing = {"encode": encoded - began, "prefill": remembered - encoded}
        return self._begun(observation, request, step, (latent, state, cache, rope), timing)

    def _begun(
        self,
        observation: Observation,
        request: Request,
        step: int,
        seen: tuple[Tensor, Tensor, KvCache, Rope],
        timing: dict[str, float],
    ) -> _Begun:
        """What is denoised from what is remembered at a control step; `seen`: latent, state,
        memory, rotation.
        """
        latent, state, cache, rope = seen
        plan = np.zeros((0, self.config.action_dim)) if request.plan is None else request.plan
        ahead = (
            request.ahead
            if step + request.ahead in self._imagined and len(plan) >= request.ahead
            else 0
        )
        if ahead:
            latent, state, cache, rope = self._look_ahead(step, step + ahead, plan[ahead - 1])
        given = self._normalised(plan, state)
        n = min(request.committed, len(plan))
        target = None
        if request.prefix and not ahead and n <= self.config.chunk.committed_steps:
            given = given[:, :, :n]
        else:
            target = None if ahead else self._target(given, request.committed)
            given = given[:, :, :0]
        assert self._context is not None
        normalised = self.networks.normaliser.state(state).to(self.networks.model.dtype)
        return _Begun(
            observation=observation,
            request=request,
            step=step,
            plan=plan,
            ahead=ahead,
            seen_state=seen[1],
            latent=latent,
            state=state,
            cond=self.networks.model.condition(normalised, latent, self._context),
            context=self._context,
            cache=cache,
            rope=rope,
            given=given,
            target=target,
            timing=timing,
        )

    def _finished(
        self, begun: _Begun, video: Tensor, action: Tensor, denoise_s: float
    ) -> PolicyOutput:
        """A chunk and its other candidates, from future latents (n, 1, F, C, h, w) and normalised
        actions (n, 1, T, A).
        """
        request = begun.request
        positions = self.networks.normaliser.to_joints(action, begun.state)
        video = video.to(begun.latent.dtype)
        if self._imagines:
            self._keep(begun.step + begun.ahead, video, positions)
        outlook = self._look(begun.seen_state)
        first, *others = (
            self._output(
                positions=own.double().numpy(),
                observation=begun.observation,
                plan=begun.plan,
                request=request,
                ahead=begun.ahead,
                outlook=outlook,
            )
            for own in positions[:, 0]
        )
        timing = {**begun.timing, "denoise": denoise_s}
        chunk = dataclasses.replace(first, timing_s=timing, others=tuple(others))
        if not self._imagines:
            return chunk
        shown = begun.observation if not begun.ahead and self._looks_at_reality() else None
        decode = partial(self._with_frames, video=video[:, 0], latent=begun.latent[0], shown=shown)
        if request.apart and not chunk.others:
            return dataclasses.replace(chunk, decode=partial(decode, chunk))
        return decode(chunk)

    @torch.inference_mode()
    def _with_frames(
        self, chunk: PolicyOutput, video: Tensor, latent: Tensor, shown: Observation | None
    ) -> PolicyOutput:
        """A chunk and its other candidates with frames, decoded from the latents (n, F, C, h, w) of
        all of them. It reads nothing that a later prediction changes: any thread may call it.
        """
        began = time.perf_counter()
        stride_ns = round(self.config.chunk.frame_stride * self.embodiment.step_period_s * NS)
        offsets = tuple(stride_ns * (i + 1) for i in range(video.shape[1]))
        first, *others = (
            dataclasses.replace(
                one, frames=self._decode(frames, latent, shown), frame_offsets_ns=offsets
            )
            for one, frames in zip((chunk, *chunk.others), video, strict=True)
        )
        timing = {**chunk.timing_s, "decode": time.perf_counter() - began}
        return dataclasses.replace(first, timing_s=timing, others=tuple(others))

    def _keep(self, anchor: int, video: Tensor, positions: Tensor) -> None:
        """Keep the imagination of a chunk anchored at a control step: later chunks may begin from
        it.
        """
        stride = self.config.chunk.frame_stride
        self._own = (video[:1, :, 0], positions[:1, :, stride - 1])
        self.imagined_end = (video[0, 0, -1], positions[0, 0, -1])
        later = {anchor + stride * (i + 1): video[:1, :, i] for i in range(video.shape[2])}
        self._imagined = _newest({**self._imagined, **later})

    def _output(
        self,
        positions: np.ndarray,
        observation: Observation,
        plan: np.ndarray,
        request: Request,
        ahead: int,
        outlook: Outlook,
    ) -> PolicyOutput:
        """One candidate as the loop wants it, but for its frames."""
        committed = 0 if ahead else min(request.committed, len(plan))
        fixed = plan[ahead - 1 : ahead] if ahead else plan[:committed]
        imagined = Conditioning.REAL if self._looks_at_reality() else Conditioning.IMAGINED
        return PolicyOutput(
            positions=self._feasible(positions, observation, fixed, ahead > 0),
            frames=np.zeros((0, *observation.frames.shape), np.uint8),
            frame_offsets_ns=(),
            conditioning=Conditioning.MIXED if ahead else imagined,
            evaluations=len(self.solver.times),
            committed=committed,
            guided=not ahead and len(plan) > 0,
            ahead=ahead,
            outlook=outlook,
        )

    def _look(self, state: Tensor) -> Outlook:
        """What the head makes of the newest observation, in which the joints were at `state`
        (1, 1, A), and of the end of what is imagined.
        """
        if self._appraiser is None or self.compared is None or self.imagined_end is None:
            return Outlook()
        imagined, latent = self.compared
        end, joints = self.imagined_end
        states = self.networks.normaliser.state(torch.stack([state[0, 0], joints]))
        latents = torch.stack([latent, end])
        words = self._words.expand(2, -1)
        token = token_of(self.networks.model, latents, words)
        logits = self._appraiser.head(latents.float(), states, words, token)
        (done, failed), (done_ahead, failed_ahead) = logits.sigmoid().tolist()
        errors = None if imagined is None else self.latent_errors(imagined, latent)
        return Outlook(done, failed, done_ahead, failed_ahead, errors)

    @torch.inference_mode()
    def latent_of(self, frames: np.ndarray) -> np.ndarray:
        """(C, h, V * w) float16 latent of frames (V, H, W, 3) uint8."""
        latent = self.networks.tokenizer.encode(torch.from_numpy(tile(frames))[None])[0]
        return latent.float().numpy().astype(np.float16)

    def latent_errors(self, imagined: Tensor, latent: Tensor) -> np.ndarray:
        """(V, h, w) error of two latents (C, h, V * w), cell by cell."""
        a, b = (
            torch.stack(x.float().chunk(self.config.views, -1)).permute(0, 2, 3, 1).numpy()
            for x in (imagined, latent)
        )
        return place_errors(a, b)

    def _looks_at_reality(self) -> bool:
        """Whether the newest frame in memory was observed."""
        return self._refresh or self._due == self.config.chunk.frame_stride

    def _step(self, observation: Observation, request: Request) -> int:
        """Control steps executed since the memory began."""
        if self._first is None:
            self._first = (observation.stamp_ns, request.step or 0)
        if request.step is not None:
            return request.step - self._first[1]
        return round((observation.stamp_ns - self._first[0]) / NS / self.embodiment.step_period_s)

    def _look_ahead(
        self, step: int, target: int, joints: np.ndarray
    ) -> tuple[Tensor, Tensor, KvCache, Rope]:
        """What the model would see at step `target`: imagined frames after `step`, observed ones
        before.
        """
        assert self._context is not None
        memory = FrameMemory(self.networks.model, self._context)
        stride = self.config.chunk.frame_stride
        for s in range(target - stride * (self.config.chunk.window - 1), target + 1, stride):
            frame = (self._imagined if s > step else self._seen).get(s)
            if frame is not None:
                cache, rope = memory.observe(s, frame)
        state = torch.from_numpy(np.asarray(joints, np.float32))[None, None]
        return self._imagined[target], state, cache, rope

    def _normalised(self, plan: np.ndarray, state: Tensor) -> Tensor:
        """(1, 1, n, A) normalised actions of a plan (n, A)."""
        return self.networks.normaliser.actions(
            torch.from_numpy(plan.astype(np.float32))[None, None], state
        )

    def _target(self, plan: Tensor, committed: int) -> tuple[Tensor, Tensor] | None:
        """(1, 1, T, A) what the actions are drawn towards, and how much, (1, 1, T, 1), where there
        is a plan (1, 1, n, A).
        """
        horizon = self.config.chunk.action_horizon
        known = plan.shape[2]
        if not known:
            return None
        target = torch.cat([plan, plan[:, :, -1:].expand(-1, -1, horizon - known, -1)], 2)
        return target, soft_mask(min(committed, known), known, horizon)[None, None]

    def _solver(self, targets: Sequence[tuple[Tensor, Tensor] | None]) -> Solver:
        """The solver of the actions of several sequences, drawn towards the targets that there
        are.
        """
        if not (known := [target for target in targets if target is not None]):
            return self.solver
        nothing = tuple(torch.zeros_like(x) for x in known[0])
        pairs = [nothing if target is None else target for target in targets]
        target, mask = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        return Guided(self.solver, target, mask)

    def _see(self, observation: Observation) -> tuple[Tensor, Tensor]:
        """Latent (1, 1, C, h, w) and state (1, 1, A) rad, m; an unrefreshed memory sees its own
        imagination instead.
        """
        if not self._refresh and self._own is not None:
            return self._own
        require_observed_by(self.embodiment, observation)
        canvas = torch.from_numpy(tile(observation.frames))
        latent = self.networks.tokenizer.encode(canvas[None])[None]
        state = torch.from_numpy(np.asarray(observation.joints.positions, np.float32))[None, None]
        return latent, state

    def _denoise(self, begun: Sequence[_Begun], n: int) -> tuple[Tensor, Tensor]:
        """Future latents (B, 1, F, C, h, w) and normalised actions (B, 1, T, A), all in one batch:
        `n` candidates of the only one, or one of each.

        The actions `given` are clean, where they are committed; they come back as they are. All
        have as many.
        """
        model = self.networks.model
        dtype = model.dtype
        d = begun[0].given.shape[2]
        video, action = (
            torch.cat([x.expand(len(begun), *x.shape[1:]), more[: n - 1]])
            for x, more in zip(self._noise, self._more_noise, strict=True)
        )
        given, cond, latent = (
            torch.cat(parts)
            for parts in zip(*((b.given, b.cond, b.latent) for b in begun), strict=True)
        )
        action = torch.cat([given.expand(len(action), -1, -1, -1), action[:, :, d:]], 2)
        caches = [b.cache for b in begun]
        context = Context.joined([b.context for b in begun])
        cos, sin = (torch.stack(parts) for parts in zip(*(b.rope for b in begun), strict=True))
        if n > 1:
            caches = [begun[0].cache.repeated(n)]
            cond, latent = (x.expand(n, *x.shape[1:]) for x in (cond, latent))

        def velocity(
            video: Tensor, action: Tensor, t_video: float, t_action: float
        ) -> tuple[Tensor, Tensor]:
            v = model.denoise(
                video=video.to(dtype),
                action=action.to(dtype),
                t_video=t_video,
                t_action=t_action,
                cond=cond,
                anchor=latent,
                rope=(cos, sin),
                context=context,
                caches=caches,
                committed=d,
            )
            still = torch.zeros_like(v.action[:, :, :d])
            return v.video.float(), torch.cat([still, v.action[:, :, d:]], 2).float()

        of_action = self._solver([b.target for b in begun])
        of_video = self.solver if self._imagines else Unmoved(len(self.solver.times))
        return integrate(velocity, video, action, of_video, of_action)

    def _decode(self, video: Tensor, latent: Tensor, shown: Observation | None) -> np.ndarray:
        """(F, V, H, W, 3) uint8 imagined frames.

        What the tokenizer loses of the observed frame that the latent is of, where there is one, is
        added back where the picture is imagined to stay as it is.
        """
        decoded = self.networks.tokenizer.decode(torch.cat([latent, video])).float()
        if shown is not None:
            seen = torch.from_numpy(tile(shown.frames)).float() / 255
            change = (decoded - decoded[:1]).abs().amax(-1, keepdim=True)
            decoded = decoded + (1 - change / STILL).clamp_min(0) * (seen - decoded[:1])
        canvas = (decoded[1:].clamp(0, 1) * 255).round().byte().numpy()
        return np.stack([untile(c, self.config.views) for c in canvas])

    def _feasible(
        self, positions: np.ndarray, observation: Observation, fixed: np.ndarray, is_before: bool
    ) -> np.ndarray:
        """Fingers no faster than demonstrated: their open-or-closed targets are the one thing that
        may jump.

        `fixed` (n, A) are the steps that lead up to these, or their first ones, taken over as they
        are.
        """
        n = 0 if is_before else len(fixed)
        reach = self.config.gripper_step
        positions[:n] = fixed[:n]
        before = np.asarray(fixed[-1] if len(fixed) else observation.joints.positions)[self._grip]
        for row in positions[n:]:
            before = row[self._grip] = np.clip(row[self._grip], before - reach, before + reach)
        return positions


def _newest(latents: dict[int, Tensor], n: int = 16) -> dict[int, Tensor]:
    """Those of the `n` newest control steps."""
    return {step: latents[step] for step in sorted(latents)[-n:]}
