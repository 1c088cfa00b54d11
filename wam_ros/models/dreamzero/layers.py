"""Parts of the Wan diffusion transformer, each a few lines. B batch, L tokens, D width, N heads."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class RMSNorm(nn.Module):
    """Root-mean-square norm over the full width, before the heads are split."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        return functional.rms_norm(x, self.weight.shape, self.weight, self.eps)


def sinusoid(t: Tensor, width: int) -> Tensor:
    """(...,) timesteps in 0..1000 -> (..., width), cosines first (Wan's order)."""
    half = width // 2
    frequency = torch.exp(-math.log(10000.0) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angle = t.float()[..., None] * frequency
    return torch.cat([angle.cos(), angle.sin()], -1)


def rope_angles(positions: Tensor, head_dim: int, theta: float) -> Tensor:
    """Rotation angles (..., head_dim / 2) of (time, row, column) positions (..., 3).

    Wan splits the head into d - 4 floor(d/6), 2 floor(d/6), 2 floor(d/6) channels, each with its own frequency ladder
    (Su et al., "RoFormer", 2021, extended to three axes). Positions may be fractions and only differences matter, so
    a sliding memory needs no re-rotation.
    """
    side = 2 * (head_dim // 6)
    parts = []
    for axis, width in enumerate((head_dim - 2 * side, side, side)):
        frequency = theta ** (-torch.arange(0, width, 2, dtype=torch.float64, device=positions.device) / width)
        parts.append(positions[..., axis, None].double() * frequency)
    return torch.cat(parts, -1)


def rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    """Turn channel pairs of x (..., L, N, d) by angles given as (cos, sin), each (..., L, 1, d / 2)."""
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = rope
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention of q (..., L, N, d) over k, v (..., M, N, d); `mask` is added to the scores: (..., L, N * d)."""
    q, k, v = (x.transpose(-3, -2) for x in (q, k, v))
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if mask is not None:
        scores = scores + mask
    return (scores.softmax(-1) @ v).transpose(-3, -2).flatten(-2)


class CrossAttention(nn.Module):
    """Queries from the tokens, keys and values from the instruction."""

    def __init__(self, dim: int, num_heads: int, eps: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RMSNorm(dim, eps), RMSNorm(dim, eps)

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the instruction (B, M, D); they stay the same for a whole episode."""
        k = self.norm_k(self.k(context)).unflatten(-1, (self.num_heads, -1))
        return k, self.v(context).unflatten(-1, (self.num_heads, -1))

    def forward(self, x: Tensor, keys_values: tuple[Tensor, Tensor]) -> Tensor:
        """(B, L, D) tokens -> (B, L, D)."""
        q = self.norm_q(self.q(x)).unflatten(-1, (self.num_heads, -1))
        return self.o(attend(q, *keys_values))


class SelfAttention(nn.Module):
    """Projections of self-attention; which keys are seen is the caller's choice."""

    def __init__(self, dim: int, num_heads: int, eps: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = RMSNorm(dim, eps), RMSNorm(dim, eps)

    def qkv(self, x: Tensor, rope: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """(..., L, D) -> rotated q, rotated k, v, each (..., L, N, d)."""
        q = self.norm_q(self.q(x)).unflatten(-1, (self.num_heads, -1))
        k = self.norm_k(self.k(x)).unflatten(-1, (self.num_heads, -1))
        return rotate(q, rope), rotate(k, rope), self.v(x).unflatten(-1, (self.num_heads, -1))
