"""The stem that finds what the instruction names, trained on hindsight goals."""

from __future__ import annotations

import math
import time

import torch
from rich.progress import Progress

from wam_ros.models.dreamzero.small.model import WorldActionModel
from wam_ros.train.dataset import Demonstrations, autocast
from wam_ros.train.family import Log, split

BATCH = 64
RATE = 2e-3
RISING = 100  # steps
# Words are summed, so that sentences of a dozen words, whose sums are large, throw the stem off.
CLIP = 1.0
# on observed latents: what is remembered at run time is never exactly what was trained on
HISTORY_NOISE = 0.05


def train_grounding(
    model: WorldActionModel,
    data: Demonstrations,
    held_out: float,
    minutes: float,
    generator: torch.Generator,
    log: Log,
) -> None:
    """Teach the stem where the gripper will close next, before the transformer can learn to ignore
    the instruction. The share of the episodes that is only measured is not learned from here
    either.
    """
    windows, _ = split(data.episode_of_windows(), held_out)
    parameters = [*model.grounding.parameters(), *model.text_encoder.parameters()]
    optimiser = torch.optim.AdamW(parameters, 2e-3, weight_decay=1e-4)
    began = time.monotonic()
    step = 0
    with Progress() as progress:
        bar = progress.add_task("grounding", total=1.0)
        while (done := (time.monotonic() - began) / (60 * minutes)) < 1:
            rising = min(1, (step + 1) / RISING)
            for group in optimiser.param_groups:
                group["lr"] = RATE * rising * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
            drawn = torch.randint(len(windows), (BATCH,), generator=generator)
            b = data.numbered(windows[drawn], 1)
            clean = b.clean.float()
            with autocast():
                _, goal = model.grounding(
                    clean + HISTORY_NOISE * torch.randn(clean.shape, generator=generator),
                    model.text_encoder(b.words),
                )
            error = (goal.float() - b.goal).square().mean(-1) * b.goal_mask
            loss = error.sum() / b.goal_mask.sum().clamp_min(1)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, CLIP)
            optimiser.step()
            step += 1
            if step % 50 == 0:
                value = float(loss.detach())
                log(stage="grounding", step=step, goal=value)
                progress.update(bar, completed=done, description=f"grounding {value:.4f}")
