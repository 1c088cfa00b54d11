"""The released models in closed loop: observed frames in, a denoised block of actions and imagined
frames out.

Every chunk first writes what was observed into the memory, then denoises the next block after it.
What was imagined is thrown away: only real frames are remembered.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from wam_ros.core.errors import WamError, require_known
from wam_ros.models.dreamzero.released.causal_dit import Cache, CausalDiT, Context, NoisyBlock
from wam_ros.models.dreamzero.released.history import History
from wam_ros.models.dreamzero.released.ranks import Ranks
from wam_ros.models.dreamzero.shared.rope import Rope
from wam_ros.models.dreamzero.shared.transformer import Velocity
from wam_ros.models.guidance import Known
from wam_ros.models.reuse import FixedSteps, Reuse, WhileTurning
from wam_ros.models.sampling import Euler, Solver, UniPC, integrate, schedule, unipc_levels

SOLVERS = ("unipc", "euler")


@dataclass(frozen=True)
class Sampling:
    """How a block is denoised; the defaults are the released server's."""

    solver: str = "unipc"
    steps: int = 16
    evaluations: int = 8  # of the network; 0: as many as the rule of turning velocities asks for
    # classifier-free (Ho and Salimans, 2022), on video only; 1 runs no unconditional branch
    guidance: float = 5.0
    shift: float = 5.0
    last_video_level: float = 0.0  # 0.8 leaves the video noisy (Flash)
    seed: int = 1140  # of the noise, the same for every chunk: successive chunks then agree

    def make_solvers(self) -> tuple[Solver, Solver]:
        """Of video and action; raises `WamError` for an unknown name."""
        if require_known("solver", self.solver, SOLVERS) == "unipc":
            video, action = (
                unipc_levels(self.steps, self.shift, last) for last in (self.last_video_level, 0.0)
            )
            return UniPC(video), UniPC(action)
        if self.last_video_level:
            raise WamError("last_video_level needs the solver 'unipc'")
        return Euler(schedule(self.steps, self.shift)), Euler(schedule(self.steps, self.shift))

    def make_reuse(self) -> Reuse:
        """Raises `WamError` for a number of evaluations that has no table."""
        return FixedSteps(self.evaluations, self.steps) if self.evaluations else WhileTurning()


@dataclass(frozen=True)
class Anchor:
    """The frame that a window starts from."""

    image: Tensor | None  # (1, I, clip_dim) image features
    latents: Tensor  # (1, C, window frames, H, W): the frame followed by grey ones


class Encoders(Protocol):
    """Frozen towers in front of the transformer; F stands for whatever frames the towers take."""

    def prompt(self, instruction: str) -> Tensor:
        """(1, M, text_dim), zero beyond the prompt."""

    def anchor(self, frames: Tensor, index: int) -> Anchor:
        """Encode one of the frames (1, T, ...)."""

    def observed(self, frames: Tensor) -> Tensor:
        """(1, T, ...) frames -> (1, C, n, H, W) latents, of which the last block counts."""


@dataclass(frozen=True)
class Chunk:
    """What one call gives."""

    action: Tensor  # (1, T, A) normalised
    # (1, C, F, H, W) imagined latents; after a reset the window's first frame comes before them
    video: Tensor
    reset: bool
    evaluations: int
    timing_s: dict[str, float]


class Rollout:
    """One episode of one robot. One thread owns it."""

    def __init__(
        self,
        model: CausalDiT,
        encoders: Encoders,
        negative: str,
        sampling: Sampling,
        history: str = "reference",
        ranks: Ranks | None = None,
    ) -> None:
        c = model.config
        self.ranks = ranks
        if ranks is not None and sampling.guidance == 1.0:
            raise WamError("without guidance there is one branch, and nothing for a second GPU")
        self.model = model
        self.encoders = encoders
        self.negative = negative
        self.sampling = sampling
        self.history = History(history, c.window_frames, c.frames_per_block)
        if history == "sliding" and c.blocks < 2:
            raise WamError(
                "a sliding window needs at least 2 blocks: its first frame and the newest block "
                "are kept"
            )
        self.solvers = sampling.make_solvers()
        self.reuse = sampling.make_reuse()
        self.guided = sampling.guidance != 1.0
        shapes = (
            (c.out_channels, c.frames_per_block, c.latent_height, c.latent_width),
            (c.actions_per_block, c.action_dim),
        )
        self.noise = [
            torch.randn(1, *s, generator=torch.Generator().manual_seed(sampling.seed))
            for s in shapes
        ]
        self._prompts: dict[str, Tensor] = {}
        self._branches: list[tuple[Context, Cache]] = []

    def follow(self) -> None:
        """The second of two processes: answer what the first one is asked, until it ends."""
        assert self.ranks is not None
        device = self.model.head.modulation.device
        while (asked := self.ranks.told()) is not None:
            frames, state, instruction, plan = asked
            self.chunk(frames, state.to(device), instruction, plan)

    @torch.inference_mode()
    def chunk(
        self, frames: Tensor, state: Tensor, instruction: str, plan: Tensor | None = None
    ) -> Chunk:
        """Predict the next block.

        Args:
            frames: (1, T, ...) what was seen since the last call.
            state: (1, states, S) normalised joint state.
            instruction: what to do; another one than before starts a new window.
            plan: (1, n, A) normalised actions that the block begins with; what is imagined then
                follows from them.
        """
        if self.ranks is not None and not self.ranks.rank:
            self.ranks.tell(frames, state, instruction, plan)
        clock = [self._now()]
        turn = self.history.turn(frames.shape[1], instruction)
        n = self.model.config.frames_per_block
        prompts = [
            self._prompt(p)
            for p in ((instruction, self.negative) if self.guided else (instruction,))
        ]
        if self.ranks is not None:
            prompts = prompts[self.ranks.rank : self.ranks.rank + 1]
        if turn.reset:
            self._begin(self.encoders.anchor(frames, turn.anchor or 0), prompts)
            observed = self.first
            start = 0
        else:
            observed = self.encoders.observed(frames)[:, :, -n:]
            start = turn.start - n
        clock.append(self._now())
        for context, cache in self._branches:
            if turn.slide:
                self.model.slide(cache)
            rows = len(context.text)
            self.model.prefill(
                self._rows(observed, rows),
                self._y(start, observed.shape[2], rows),
                start,
                context,
                cache,
            )
        clock.append(self._now())
        video, action = self._denoise(turn.start, state, plan)
        clock.append(self._now())
        if turn.reset:
            video = torch.cat([self.first.float(), video], 2)
        names = ("encode", "prefill", "denoise")
        timing = {
            name: after - before
            for name, before, after in zip(names, clock, clock[1:], strict=False)
        }
        return Chunk(action, video, turn.reset, self._evaluations, timing)

    def velocities(
        self, video: Tensor, action: Tensor, t: Tensor, block: NoisyBlock, rope: Rope
    ) -> Velocity:
        """Of both branches, stacked on the batch axis: conditional, then unconditional."""
        found = []
        for context, cache in self._branches:
            rows = len(context.text)
            y = self._y(block.start, video.shape[2], len(context.text))
            noisy, actions, state = (self._rows(x, rows) for x in (video, action, block.state))
            found.append(
                self.model.denoise(
                    NoisyBlock(noisy, actions, state, y, block.start), t, rope, context, cache
                )
            )
        if self.ranks is not None:
            return self.ranks.gather(found[0])
        return Velocity(
            torch.cat([v.video for v in found]).float(),
            torch.cat([v.action for v in found]).float(),
        )

    def _denoise(self, start: int, state: Tensor, plan: Tensor | None) -> tuple[Tensor, Tensor]:
        device = self.model.head.modulation.device
        # inference tensors from the start
        video, action, state = (x.to(device).clone() for x in (*self.noise, state))
        block = NoisyBlock(video, action, state, None, start)
        rope = self.model.rope(start, video.shape[2], 1, (video.shape[3], video.shape[4]))
        self._evaluations = 0
        shared = self.solvers[0].times == self.solvers[1].times

        def velocity(
            video: Tensor, action: Tensor, t_video: float, t_action: float
        ) -> tuple[Tensor, Tensor]:
            self._evaluations += 1
            times = (t_video,) if shared else (t_video, t_action)
            # a copy would wait for the device
            t = torch.cat([torch.full((1, 1), x, device=device) for x in times], 1)
            v = self.velocities(video, action, t, block, rope)
            if not self.guided:
                return v.video, v.action
            with_prompt, without = v.video.chunk(2)
            return without + self.sampling.guidance * (with_prompt - without), v.action[:1]

        of_video, of_action = self.solvers
        if plan is not None:
            of_action = Known(of_action, plan.to(action), action)
        return integrate(velocity, video, action, of_video, of_action, self.reuse)

    def _begin(self, anchor: Anchor, prompts: list[Tensor]) -> None:
        """A new window: nothing remembered, the anchor known to every branch."""
        model = self.model
        dtype = self.model.dtype
        self.first = anchor.latents[:, :, :1]
        mask = torch.zeros_like(anchor.latents[:, :4])
        mask[:, :, 0] = 1
        self.y = torch.cat([mask, anchor.latents], 1) if model.config.concat_first_frame else None
        groups = [torch.cat(prompts)] if model.speedups.batched_guidance else prompts
        image = None if anchor.image is None else anchor.image.to(dtype)
        self._branches = []
        for text in groups:
            rows = len(text)
            seen = None if image is None else image.expand(rows, -1, -1)
            self._branches.append(
                (model.make_context(text.to(dtype), seen), model.make_cache(rows))
            )

    def _prompt(self, text: str) -> Tensor:
        if not self.model.speedups.cached_prompts:
            return self.encoders.prompt(text)
        if text not in self._prompts:
            if len(self._prompts) > 8:  # a robot is told few things in a row
                self._prompts.clear()
            self._prompts[text] = self.encoders.prompt(text)
        return self._prompts[text]

    def _y(self, start: int, frames: int, rows: int) -> Tensor | None:
        return None if self.y is None else self._rows(self.y[:, :, start : start + frames], rows)

    def _rows(self, x: Tensor, rows: int) -> Tensor:
        return x.to(self.model.dtype).contiguous().expand(rows, *x.shape[1:])

    def _now(self) -> float:
        if self.model.head.modulation.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter()
