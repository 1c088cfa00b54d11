"""Parts of the Wan diffusion transformer, each a few lines. B batch, L tokens, D width, N heads, d
= D / N.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from wam_ros.models.dreamzero.shared.rope import Rope, rotate

KeysValues = tuple[Tensor, Tensor]


class Source(NamedTuple):
    """What cross-attention sees of the instruction or of the first image."""

    k: Tensor  # (B, M, N, d)
    v: Tensor  # (B, M, N, d)
    # (B, 1, 1, M) fp32, logarithm of how many equal tokens each one stands for
    weight: Tensor | None = None


FEW_SCORES = 2**16


class RMSNorm(nn.Module):
    """Root-mean-square norm (Zhang and Sennrich, 2019) over the full width, before the heads are
    split.
    """

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
    frequency = torch.exp(
        -math.log(10000.0) * torch.arange(half, dtype=torch.float64, device=t.device) / half
    )
    angle = t.double()[..., None] * frequency
    return torch.cat([angle.cos(), angle.sin()], -1)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention of q (..., L, N, d) over k, v (..., M, N, d); `mask` is added to the scores: (...,
    L, N * d).

    Few scores are cheapest as plain products (on a CPU, by half); many go to the kernel that torch
    chooses.
    """
    few = q.shape[-3] * k.shape[-3] < FEW_SCORES
    q, k, v = (x.transpose(-3, -2) for x in (q, k, v))
    if few:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        if mask is not None:
            scores = scores + mask
        seen = scores.softmax(-1).to(v.dtype) @ v
    else:
        seen = functional.scaled_dot_product_attention(q, k, v, mask)
    return seen.transpose(-3, -2).flatten(-2)


class CrossAttention(nn.Module):
    """Queries from the tokens, keys and values from the instruction and, in Wan's I2V form, from
    the first image.
    """

    def __init__(self, dim: int, num_heads: int, eps: float, image: bool = False) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.image = image
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q = RMSNorm(dim, eps)
        self.norm_k = RMSNorm(dim, eps)
        if image:
            self.k_img = nn.Linear(dim, dim)
            self.v_img = nn.Linear(dim, dim)
            self.norm_k_img = RMSNorm(dim, eps)

    def sources(
        self, text: Tensor, image: Tensor | None = None, weight: Tensor | None = None
    ) -> tuple[Source, ...]:
        """The instruction (B, M, D), its weights and image tokens (B, I, D); the same for a whole
        episode.
        """
        found = [Source(self._kept(self.norm_k(self.k(text))), self._kept(self.v(text)), weight)]
        if self.image:
            assert image is not None
            found.append(
                Source(
                    self._kept(self.norm_k_img(self.k_img(image))), self._kept(self.v_img(image))
                )
            )
        return tuple(found)

    def forward(self, x: Tensor, context: tuple[Source, ...]) -> Tensor:
        """(B, L, D) tokens -> (B, L, D); what the sources answer is summed before the
        projection.
        """
        q = self._heads(self.norm_q(self.q(x)))
        first, *more = (attend(q, *source) for source in context)
        return self.o(sum(more, first))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1))

    def _kept(self, x: Tensor) -> Tensor:
        """Heads before tokens in memory: what is used at every step needs no copy there."""
        return self._heads(x).transpose(-3, -2).contiguous().transpose(-3, -2)


class SelfAttention(nn.Module):
    """Projections of self-attention; which keys are seen is the caller's choice."""

    def __init__(self, dim: int, num_heads: int, eps: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q = RMSNorm(dim, eps)
        self.norm_k = RMSNorm(dim, eps)
        self.rotate = rotate

    def query(self, x: Tensor, rope: Rope) -> Tensor:
        """(..., L, D) -> rotated q (..., L, N, d)."""
        return self.rotate(self.norm_q(self.q(x)).unflatten(-1, (self.num_heads, -1)), rope)

    def key_value(self, x: Tensor, rope: Rope) -> KeysValues:
        """(..., L, D) -> rotated k, and v, each (..., L, N, d)."""
        k = self.norm_k(self.k(x)).unflatten(-1, (self.num_heads, -1))
        return self.rotate(k, rope), self.v(x).unflatten(-1, (self.num_heads, -1))


class PatchEmbedding(nn.Module):
    """P x P latent cells of one frame -> one token: Wan's Conv3d of kernel and stride (1, P, P)."""

    def __init__(self, channels: int, dim: int, patch: int = 2) -> None:
        super().__init__()
        shape = (channels, 1, patch, patch)
        linear = nn.Linear(math.prod(shape), dim)  # for its initialisation
        self.weight = nn.Parameter(linear.weight.detach().view(dim, *shape).clone())
        self.bias = nn.Parameter(linear.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(..., C, H, W) frames -> (..., H W / P^2, D), row by row."""
        patch = self.weight.shape[-1]
        x = x.unflatten(-1, (-1, patch)).unflatten(-3, (-1, patch))  # ... C h P w P
        patches = x.movedim((-4, -2), (-5, -4)).flatten(-3).flatten(-3, -2)
        return functional.linear(patches, self.weight.flatten(1), self.bias)


class Head(nn.Module):
    """Tokens -> velocities of their latent cells, modulated by the timestep embedding itself."""

    def __init__(self, dim: int, channels: int, eps: float, patch: int = 2) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps, elementwise_affine=False)
        self.head = nn.Linear(dim, patch**2 * channels)
        self.modulation = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """(..., L, D) tokens and (..., L or 1, D) time embedding -> (..., L, P^2 C) in the order
        row, column, channel.
        """
        shift, scale = (self.modulation[0] + e.unsqueeze(-2)).unbind(-2)
        return self.head(torch.addcmul(shift, self.norm(x), 1 + scale))


def unpatch(x: Tensor, rows: int, patch: int = 2) -> Tensor:
    """(..., h w, P^2 C) of one frame with h rows of tokens -> (..., C, P h, P w)."""
    x = x.unflatten(-2, (rows, -1)).unflatten(-1, (patch, patch, -1))  # ... h w P P C
    return x.movedim((-1, -5, -3, -4, -2), (-5, -4, -3, -2, -1)).flatten(-2).flatten(-3, -2)
