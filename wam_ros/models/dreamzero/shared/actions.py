"""Actions and joint state in and out of the transformer's width."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class SharedLinear(nn.Module):
    """Linear layer stored as [1, in, out]: one row of the reference's table of per-robot layers,
    which it shares.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        linear = nn.Linear(inputs, outputs)  # for its initialisation
        self.W = nn.Parameter(linear.weight.detach().T[None].clone())
        self.b = nn.Parameter(linear.bias.detach()[None].clone())

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out); as one product, which `linear` does not make of slices of a
        batch.
        """
        return torch.addmm(self.b[0], x.flatten(0, -2), self.W[0]).unflatten(0, x.shape[:-1])


def action_sinusoid(t: Tensor, dim: int) -> Tensor:
    """(...,) timesteps in 0..1000 -> (..., dim), sines first (the GR00T order, unlike Wan's)."""
    half = dim // 2
    angle = t.float()[..., None] * torch.exp(
        -math.log(10000.0) * torch.arange(half, device=t.device) / half
    )
    return torch.cat([angle.sin(), angle.cos()], -1)


class ActionEncoder(nn.Module):
    """Noisy actions and their noise level -> tokens."""

    def __init__(self, action_dim: int, dim: int) -> None:
        super().__init__()
        self.W1 = SharedLinear(action_dim, dim)
        self.W2 = SharedLinear(2 * dim, dim)
        self.W3 = SharedLinear(dim, dim)

    def forward(self, action: Tensor, t: Tensor) -> Tensor:
        """(..., T, A) and timesteps (..., T or 1) in 0..1000 -> (..., T, D)."""
        x = self.W1(action)
        tau = action_sinusoid(t, x.shape[-1]).to(x.dtype).expand_as(x)
        return self.W3(functional.silu(self.W2(torch.cat([x, tau], -1))))


class Perceptron(nn.Module):
    """Two layers with a rectifier between: state -> token, and action token -> velocity."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.layer1 = SharedLinear(inputs, hidden)
        self.layer2 = SharedLinear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        return self.layer2(functional.relu(self.layer1(x)))
