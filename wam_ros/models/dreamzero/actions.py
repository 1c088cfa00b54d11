"""Actions and joint state in and out of the transformer's width."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def action_sinusoid(t: Tensor, dim: int) -> Tensor:
    """(...,) timesteps in 0..1000 -> (..., dim), sines first (the GR00T order, unlike Wan's)."""
    half = dim // 2
    angle = t.float()[..., None] * torch.exp(-math.log(10000.0) * torch.arange(half, device=t.device) / half)
    return torch.cat([angle.sin(), angle.cos()], -1)


class ActionEncoder(nn.Module):
    """Noisy actions and their noise level -> tokens."""

    def __init__(self, action_dim: int, dim: int) -> None:
        super().__init__()
        self.w1, self.w2, self.w3 = nn.Linear(action_dim, dim), nn.Linear(2 * dim, dim), nn.Linear(dim, dim)

    def forward(self, action: Tensor, t: Tensor) -> Tensor:
        """(B, K, T, A) and (B, K) in [0, 1] -> (B, K, T, D)."""
        x = self.w1(action)
        tau = action_sinusoid(1000 * t, x.shape[-1]).to(x.dtype)[:, :, None].expand_as(x)
        return self.w3(functional.silu(self.w2(torch.cat([x, tau], -1))))


class StateEncoder(nn.Module):
    """Normalised joint state -> one token."""

    def __init__(self, state_dim: int, hidden: int, dim: int) -> None:
        super().__init__()
        self.layer1, self.layer2 = nn.Linear(state_dim, hidden), nn.Linear(hidden, dim)

    def forward(self, state: Tensor) -> Tensor:
        """(..., S) -> (..., D)."""
        return self.layer2(functional.relu(self.layer1(state)))


class ActionDecoder(nn.Module):
    """Action tokens -> velocities of normalised actions."""

    def __init__(self, dim: int, hidden: int, action_dim: int) -> None:
        super().__init__()
        self.layer1, self.layer2 = nn.Linear(dim, hidden), nn.Linear(hidden, action_dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., A)."""
        return self.layer2(functional.relu(self.layer1(x)))
