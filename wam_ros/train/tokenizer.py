"""First stage: the frame autoencoder."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor

from wam_ros.core.images import psnr_db
from wam_ros.models.dreamzero.small.tokenizer import FrameTokenizer
from wam_ros.train.dataset import autocast

# Many small steps: in the same time on one core, 4 pictures a step reach 27.0 dB on pictures that
# were not learned from, 8 reach 25.9 and 32 reach 21.9 (two views of 128 px).
BATCH = 4
EVERY = 200  # steps between two lines of the log
# of a latent's own spread: neighbouring latents must decode to neighbouring pictures
LATENT_NOISE = 0.05


def train_tokenizer(
    tokenizer: FrameTokenizer,
    frames: np.ndarray,
    minutes: float,
    seed: int,
    log: Callable[..., None],
) -> None:
    """Train on canvases (N, H, W, 3) uint8 for a time budget; then measure and store the latent
    statistics.

    Saturated colours weigh more: blocks are few pixels, and the task hangs on them.
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(
        tokenizer.parameters(), 1.5e-3, betas=(0.9, 0.95), weight_decay=1e-4
    )
    began = time.monotonic()
    step = 0
    squared = 0.0  # of the steps since the last line of the log
    with Progress() as progress:
        bar = progress.add_task("tokenizer", total=1.0)
        while (done := (time.monotonic() - began) / (60 * minutes)) < 1:
            for group in optimiser.param_groups:
                group["lr"] = (
                    1.5e-3
                    * min(1, (step + 1) / 100)
                    * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * done)))
                )
            index = torch.randint(len(frames), (BATCH,), generator=generator).numpy()
            loss, error = tokenizer_loss(tokenizer, torch.from_numpy(frames[index]), generator)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(tokenizer.parameters(), 1.0)
            optimiser.step()
            step += 1
            squared += float(error)
            if step % EVERY == 0:
                quality = psnr_db(squared / EVERY)
                squared = 0.0
                log(stage="tokenizer", step=step, psnr=quality)
                progress.update(bar, completed=done, description=f"tokenizer {quality:.1f} dB")
    _standardise(tokenizer, frames, generator)


def tokenizer_loss(
    tokenizer: FrameTokenizer, canvas: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Training loss and plain mean squared error in [0, 1]^2 of a batch (B, H, W, 3) uint8."""
    target = canvas.float() / 255
    spread = target.amax(-1) - target.amin(-1)
    weight = 1 + 4 * spread[..., None]
    with autocast():
        latents = tokenizer.encode(canvas)
        noise = torch.randn(latents.shape, generator=generator)
        output = tokenizer.decode(latents + LATENT_NOISE * noise * latents.detach().float().std())
    squared = (output.float() - target).square()
    small = 1e-4 * latents.float().square().mean()  # keeps the latent scale from drifting
    sharp = (output.float() - target).abs().mean()
    return (weight * squared).mean() + 0.02 * sharp + small, squared.mean().detach()


@torch.no_grad()
def _standardise(tokenizer: FrameTokenizer, frames: np.ndarray, generator: torch.Generator) -> None:
    index = torch.randint(len(frames), (min(2000, len(frames)),), generator=generator).numpy()
    latents = torch.cat(
        [tokenizer.encode(torch.from_numpy(frames[i])) for i in np.array_split(index, 20)]
    )
    tokenizer.mean.copy_(latents.mean((0, 2, 3))[:, None, None])
    tokenizer.std.copy_(latents.std((0, 2, 3))[:, None, None])
