"""Finds what the instruction names in the newest frame.

Text-modulated convolutions (FiLM: Perez et al., 2018) end in spatial soft-argmax keypoints (Finn et
al., 2016). At this size a plain transformer learns to ignore the colour word; this stem, first
trained on where the gripper will close next, does not. Large models bring that knowledge with their
pretrained text and image encoders.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from wam_ros.models.dreamzero.small.config import DreamZeroConfig


class Grounding(nn.Module):
    """Latent frame and instruction -> one token, and the goal it believes in."""

    def __init__(self, config: DreamZeroConfig, dim: int) -> None:
        super().__init__()
        g = config.grounding
        t = config.transformer
        self.views = config.views
        self.film = nn.Linear(t.text_dim, 4 * g.channels)
        self.conv1 = nn.Conv2d(config.tokenizer.latent_channels, g.channels, 3, padding=1)
        self.conv2 = nn.Conv2d(g.channels, g.channels, 3, padding=1)
        self.conv3 = nn.Conv2d(g.channels, g.channels, 3, padding=1)
        self.keypoints = nn.Conv2d(g.channels, g.keypoints, 1)
        self.token = nn.Sequential(
            nn.Linear(3 * g.keypoints * config.views, dim), nn.SiLU(), nn.Linear(dim, dim)
        )
        self.goal = nn.Linear(dim, 3)

    def forward(self, latents: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, C, h, V * w) canvas and (B, M, text_dim) words -> token (B, K, D), goal (B, K, 3)
        normalised.
        """
        b, k = latents.shape[:2]
        # views are found one by one: (V B K, C, h, w)
        x = torch.cat(latents.flatten(0, 1).chunk(self.views, -1))
        film = self.film(text.sum(1)).repeat_interleave(k, 0).repeat(self.views, 1)[..., None, None]
        scale1, shift1, scale2, shift2 = film.chunk(4, 1)
        x = functional.silu(self.conv1(x) * (1 + scale1) + shift1)
        x = x + functional.silu(self.conv2(x) * (1 + scale2) + shift2)
        x = x + functional.silu(self.conv3(x))
        heat = self.keypoints(x)
        weight = heat.flatten(2).softmax(-1).unflatten(-1, heat.shape[-2:])
        rows = torch.linspace(-1, 1, heat.shape[-2], device=x.device).to(x)
        columns = torch.linspace(-1, 1, heat.shape[-1], device=x.device).to(x)
        points = [
            (weight.sum(-1) * rows).sum(-1),
            (weight.sum(-2) * columns).sum(-1),
            heat.amax((-2, -1)).tanh(),
        ]
        found = (
            torch.cat(points, -1).unflatten(0, (self.views, b, k)).permute(1, 2, 0, 3).flatten(2)
        )
        token = self.token(found)
        return token, self.goal(functional.silu(token))
