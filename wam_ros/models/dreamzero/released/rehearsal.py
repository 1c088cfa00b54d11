"""Chunks from random numbers: to time a transformer, and to compile it before the loop begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from wam_ros.models.dreamzero.released.causal_dit import CausalDiT
from wam_ros.models.dreamzero.released.dit_config import CausalDiTConfig
from wam_ros.models.dreamzero.released.rollout import Anchor, Chunk, Rollout, Sampling
from wam_ros.models.dreamzero.released.speedups import SpeedUps
from wam_ros.models.reuse import Reuse

Module = TypeVar("Module", bound=nn.Module)


class Noise:
    """Towers that answer at once with random numbers."""

    def __init__(self, config: CausalDiTConfig, device: str) -> None:
        self.config = config
        self.device = device

    def _randn(self, *shape: int) -> Tensor:
        return torch.randn(1, *shape, device=self.device)

    def _latents(self, frames: int) -> Tensor:
        return self._randn(
            self.config.out_channels, frames, self.config.latent_height, self.config.latent_width
        )

    def prompt(self, instruction: str) -> Tensor:
        """See `rollout.Encoders.prompt`."""
        return self._randn(self.config.transformer.text_len, self.config.transformer.text_dim)

    def anchor(self, frames: Tensor, index: int) -> Anchor:
        """See `rollout.Encoders.anchor`."""
        c = self.config
        return Anchor(
            self._randn(c.image_tokens, c.transformer.clip_dim), self._latents(c.window_frames)
        )

    def observed(self, frames: Tensor) -> Tensor:
        """See `rollout.Encoders.observed`."""
        return self._latents(self.config.frames_per_block)


def in_place(make: Callable[[], Module], device: str, dtype: torch.dtype) -> Module:
    """Random weights made where and as they are needed, so that a 14B model takes the memory of its
    weights once.
    """
    with torch.device("meta"):
        module = make().to(dtype)
    if device != "meta":
        module.to_empty(device=device)
        for p in module.parameters():
            torch.nn.init.normal_(p, std=0.02)
    return module.eval().requires_grad_(False)


def random_model(
    config: CausalDiTConfig, device: str, dtype: torch.dtype, speedups: SpeedUps
) -> CausalDiT:
    """The transformer of a configuration."""
    return in_place(lambda: CausalDiT(config, speedups), device, dtype)


def play(
    model: CausalDiT,
    sampling: Sampling,
    chunks: int,
    towers: Noise | None = None,
    reuse: Reuse | None = None,
) -> list[Chunk]:
    """The first chunks of an episode whose window slides; `reuse` in place of the sampling's
    own.
    """
    c = model.config
    device = model.head.modulation.device.type
    rollout = Rollout(model, towers or Noise(c, device), "", sampling, "sliding")
    rollout.reuse = reuse or rollout.reuse
    state = torch.zeros(1, c.states_per_block, c.state_dim, device=device)
    frames = torch.zeros(1, 8)
    return [rollout.chunk(frames, state, "task") for _ in range(chunks)]
