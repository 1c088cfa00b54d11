"""The umT5 text encoder (Chung et al., "UniMax", 2023) under Wan's parameter names. B batch, L
tokens, D width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from wam_ros.models.dreamzero.shared.layers import RMSNorm


@dataclass(frozen=True)
class TextEncoderConfig:
    """Sizes; the default is umT5-xxl."""

    vocabulary: int = 256384
    dim: int = 4096
    attention_dim: int = 4096
    ffn_dim: int = 10240
    num_heads: int = 64
    num_layers: int = 24
    num_buckets: int = 32  # of relative positions
    max_distance: int = 128  # tokens; everything farther shares the last bucket
    eps: float = 1e-6


def relative_buckets(offsets: Tensor, num_buckets: int, max_distance: int) -> Tensor:
    """Bucket of each offset key - query: half of them for each sign, exact when near, logarithmic
    when far.
    """
    half = num_buckets // 2
    exact = half // 2
    distance = offsets.abs()
    far = (
        torch.log(distance.clamp_min(1).float() / exact)
        / math.log(max_distance / exact)
        * (half - exact)
    )
    bucket = torch.where(distance < exact, distance, (exact + far.long()).clamp_max(half - 1))
    return bucket + half * (offsets > 0)


class RelativePositions(nn.Module):
    """One learned bias per head and bucket; every layer has its own."""

    def __init__(self, c: TextEncoderConfig) -> None:
        super().__init__()
        self.num_buckets = c.num_buckets
        self.max_distance = c.max_distance
        self.embedding = nn.Embedding(c.num_buckets, c.num_heads)

    def forward(self, length: int) -> Tensor:
        """(1, N, L, L) to add to the scores of L queries and keys."""
        place = torch.arange(length, device=self.embedding.weight.device)
        buckets = relative_buckets(
            place[None, :] - place[:, None], self.num_buckets, self.max_distance
        )
        # as kernels of attention want their masks
        return self.embedding(buckets).permute(2, 0, 1).contiguous()[None]


class TextAttention(nn.Module):
    """Self-attention without bias terms and without scaling of the scores."""

    def __init__(self, c: TextEncoderConfig) -> None:
        super().__init__()
        self.num_heads = c.num_heads
        self.q, self.k, self.v = (nn.Linear(c.dim, c.attention_dim, bias=False) for _ in range(3))
        self.o = nn.Linear(c.attention_dim, c.dim, bias=False)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """(B, L, D) tokens and (B or 1, N, L, L) bias, -inf where a key is padding -> (B, L, D)."""
        q, k, v = (
            p(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for p in (self.q, self.k, self.v)
        )
        seen = functional.scaled_dot_product_attention(q, k, v, bias, scale=1.0)
        return self.o(seen.transpose(1, 2).flatten(2))


class GatedFeedForward(nn.Module):
    """fc2(fc1(x) * gelu(gate(x)))."""

    def __init__(self, c: TextEncoderConfig) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(c.dim, c.ffn_dim, bias=False), nn.GELU("tanh"))
        self.fc1 = nn.Linear(c.dim, c.ffn_dim, bias=False)
        self.fc2 = nn.Linear(c.ffn_dim, c.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        return self.fc2(self.fc1(x) * self.gate(x))


class TextBlock(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, c: TextEncoderConfig) -> None:
        super().__init__()
        self.norm1 = RMSNorm(c.dim, c.eps)
        self.norm2 = RMSNorm(c.dim, c.eps)
        self.attn = TextAttention(c)
        self.ffn = GatedFeedForward(c)
        self.pos_embedding = RelativePositions(c)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """(B, L, D) tokens and (B, 1, 1, L) 0 or -inf where padded -> (B, L, D)."""
        x = x + self.attn(self.norm1(x), self.pos_embedding(x.shape[1]) + hidden)
        return x + self.ffn(self.norm2(x))


class PromptEncoder(nn.Module):
    """Token ids to prompt embeddings."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocabulary, config.dim)
        self.blocks = nn.ModuleList(TextBlock(config) for _ in range(config.num_layers))
        self.norm = RMSNorm(config.dim, config.eps)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(B, L) ids and mask, 1 for tokens and 0 for padding -> (B, L, D), padded places
        included.
        """
        x = self.token_embedding(ids)
        hidden = torch.zeros_like(mask, dtype=x.dtype).masked_fill(mask == 0, -math.inf)[
            :, None, None
        ]
        for block in self.blocks:
            x = block(x, hidden)
        return self.norm(x)

    def embed(self, ids: Tensor, mask: Tensor, short: bool = True) -> Tensor:
        """(B, L) ids and mask -> (B, L, D), exactly 0 where padded, each sample by its own length.

        Padding is never seen by the tokens, so that `short` computes as many as the longest prompt
        has.
        """
        longest = int(mask.sum(1).max()) if short else ids.shape[1]
        x = self(ids[:, :longest], mask[:, :longest]) * mask[:, :longest, None]
        return functional.pad(x, (0, 0, 0, ids.shape[1] - longest))
