"""Second and third stage: the grounding stem on hindsight goals, then the whole world action
model.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable

import torch
from rich.progress import Progress
from torch import Tensor, nn

from wam_ros.models.dreamzero.small.config import ChunkConfig
from wam_ros.models.dreamzero.small.model import WorldActionModel
from wam_ros.models.processor import processor
from wam_ros.models.sampling import noised
from wam_ros.train.dataset import Batch, Demonstrations
from wam_ros.train.muon import Muon

Log = Callable[..., None]
# on observed latents: what is remembered at run time is never exactly what was trained on
HISTORY_NOISE = 0.05
STATE_NOISE = 0.02  # on normalised states
WEIGHTS = {"video": 1.0, "action": 3.0, "goal": 0.5}
# Share of blocks whose first steps are given clean (Black et al., "Training-Time Action
# Conditioning", 2025).
COMMITTED = 0.5
PURE_NOISE = 0.15  # share of samples at level 1, where every sampling run starts


def levels(shape: tuple[int, int], generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Noise levels for video and action (B, K): logit-normal, half of them shared by both, some
    exactly 1.
    """

    def draw() -> Tensor:
        level = torch.sigmoid(0.6 + 1.3 * torch.randn(shape, generator=generator))
        return torch.where(
            torch.rand(shape, generator=generator) < PURE_NOISE, torch.ones(shape), level
        )

    video = draw()
    alone = draw()
    return video, torch.where(torch.rand(shape, generator=generator) < 0.5, video, alone)


def committed(shape: tuple[int, int], chunk: ChunkConfig, generator: torch.Generator) -> Tensor:
    """(B, K, T) True for the leading steps that are given clean: none, or 1 to
    `chunk.committed_steps`, per block.
    """
    if not chunk.committed_steps:
        return torch.zeros(*shape, chunk.action_horizon, dtype=torch.bool)
    n = torch.randint(1, chunk.committed_steps + 1, shape, generator=generator)
    n = torch.where(torch.rand(shape, generator=generator) < COMMITTED, n, 0)
    return torch.arange(chunk.action_horizon) < n[..., None]


def losses(model: WorldActionModel, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
    """Flow-matching losses of one batch, each a scalar in fp32."""
    dtype = model.dtype

    def randn(x: Tensor) -> Tensor:
        return torch.randn(x.shape, generator=generator)

    n_sequences, n_blocks = batch.state.shape[:2]
    t_video, t_action = levels((n_sequences, n_blocks), generator)
    video = batch.video.float()
    action = batch.action.float()
    given = committed((n_sequences, n_blocks), model.config.chunk, generator)
    t_action = t_action[..., None] * ~given
    noise_video = randn(video)
    noise_action = randn(action)
    clean = batch.clean.float()
    velocity, goal = model(
        clean=(clean + HISTORY_NOISE * randn(clean)).to(dtype),
        video=noised(video, noise_video, t_video).to(dtype),
        action=noised(action, noise_action, t_action).to(dtype),
        state=(batch.state + STATE_NOISE * randn(batch.state)).to(dtype),
        t_video=t_video,
        t_action=t_action,
        context=model.encode_text(batch.words),
    )
    mask = (batch.action_mask * ~given)[..., None].expand_as(action)
    action_error = (velocity.action.float() - (noise_action - action)).square() * mask
    goal_error = (goal.float() - batch.goal).square().mean(-1) * batch.goal_mask
    return {
        "video": (velocity.video.float() - (noise_video - video)).square().mean(),
        "action": action_error.sum() / mask.sum().clamp_min(1),
        "goal": goal_error.sum() / batch.goal_mask.sum().clamp_min(1),
    }


class MixedPrecision:
    """A copy in the precision that this processor learns fastest in does the arithmetic, fp32
    masters take the steps, and their running mean is what is kept.

    Block matrices are stepped by Muon (Jordan et al., 2024; update scaled to AdamW's), everything
    else by AdamW.
    """

    def __init__(self, model: WorldActionModel, decay: float = 0.999) -> None:
        self.model = model
        precision = processor().training
        self.working = copy.deepcopy(model).to(precision)
        self.mean = [p.detach().clone() for p in model.parameters()]
        self.decay = decay
        self.steps = 0
        matrices = [
            p for n, p in model.named_parameters() if n.startswith("blocks.") and p.dim() == 2
        ]
        known = {id(p) for p in matrices}
        rest = [p for p in model.parameters() if id(p) not in known]
        self.optimisers: list[torch.optim.Optimizer] = [
            Muon(matrices, lr=2e-3, weight_decay=0.01, dtype=precision),
            torch.optim.AdamW(rest, lr=1e-3, betas=(0.9, 0.95), weight_decay=0.0),
        ]
        self._base = [[g["lr"] for g in o.param_groups] for o in self.optimisers]

    def step(self, loss: Tensor, rate: float) -> None:
        """Back-propagate through the working copy and step the masters with `rate` times the base
        learning rates.
        """
        self.working.zero_grad(set_to_none=True)
        loss.backward()
        pairs = list(zip(self.model.parameters(), self.working.parameters(), strict=True))
        for master, working in pairs:
            master.grad = None if working.grad is None else working.grad.float()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser, base in zip(self.optimisers, self._base, strict=True):
            for group, lr in zip(optimiser.param_groups, base, strict=True):
                group["lr"] = lr * rate
            optimiser.step()
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for (master, working), mean in zip(pairs, self.mean, strict=True):
                working.copy_(master)
                mean.lerp_(master, 1 - decay)

    @torch.no_grad()
    def averaged(self) -> WorldActionModel:
        """A copy of the model with the running mean of its weights."""
        model = copy.deepcopy(self.model)
        for p, mean in zip(model.parameters(), self.mean, strict=True):
            p.copy_(mean)
        return model.eval()


def train_grounding(
    model: WorldActionModel,
    data: Demonstrations,
    minutes: float,
    generator: torch.Generator,
    log: Log,
    batch: int = 128,
) -> None:
    """Teach the stem where the gripper will close next, before the transformer can learn to ignore
    the instruction.
    """
    parameters = [*model.grounding.parameters(), *model.text_encoder.parameters()]
    optimiser = torch.optim.AdamW(parameters, 2e-3, weight_decay=1e-4)
    began = time.monotonic()
    step = 0
    with Progress() as progress:
        bar = progress.add_task("grounding", total=1.0)
        while (done := (time.monotonic() - began) / (60 * minutes)) < 1:
            for group in optimiser.param_groups:
                group["lr"] = 2e-3 * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
            b = data.sample(batch, 1, generator)
            clean = b.clean.float()
            _, goal = model.grounding(
                clean + HISTORY_NOISE * torch.randn(clean.shape, generator=generator),
                model.text_encoder(b.words),
            )
            error = (goal - b.goal).square().mean(-1) * b.goal_mask
            loss = error.sum() / b.goal_mask.sum().clamp_min(1)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            step += 1
            if step % 50 == 0:
                value = float(loss.detach())
                log(stage="grounding", step=step, goal=value)
                progress.update(bar, completed=done, description=f"grounding {value:.4f}")


def train_wam(
    model: WorldActionModel,
    data: Demonstrations,
    minutes: float,
    batch: int,
    blocks: int,
    generator: torch.Generator,
    log: Log,
    checkpoint: Callable[[WorldActionModel, int], None],
    checkpoint_minutes: float = 8.0,
) -> WorldActionModel:
    """Train for a time budget (cosine to zero over it); `checkpoint` is called with the averaged
    model now and then.
    """
    trainer = MixedPrecision(model)
    began = last_saved = time.monotonic()
    with Progress() as progress:
        bar = progress.add_task("model", total=1.0)
        while (done := (time.monotonic() - began) / (60 * minutes)) < 1:
            parts = losses(trainer.working, data.sample(batch, blocks, generator), generator)
            rate = min(1.0, (trainer.steps + 1) / 100) * (
                0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))
            )
            loss = sum((WEIGHTS[n] * v for n, v in parts.items()), torch.zeros(()))
            trainer.step(loss, rate)
            if trainer.steps % 20 == 0:
                values = {n: float(v.detach()) for n, v in parts.items()}
                log(
                    stage="model",
                    step=trainer.steps,
                    minutes=(time.monotonic() - began) / 60,
                    **values,
                )
                text = " ".join(f"{n} {v:.3f}" for n, v in values.items())
                progress.update(bar, completed=done, description=f"model {text}")
            if time.monotonic() - last_saved > 60 * checkpoint_minutes:
                checkpoint(trainer.averaged(), trainer.steps)
                last_saved = time.monotonic()
    return trainer.averaged()
