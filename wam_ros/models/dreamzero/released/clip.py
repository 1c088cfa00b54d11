"""The visual tower of CLIP (Radford et al., 2021; open-CLIP ViT-H/14) under Wan's parameter
names.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

MEAN = (0.48145466, 0.4578275, 0.40821073)  # RGB of the training pictures, 0..1
STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class ImageEncoderConfig:
    """Sizes; the default is ViT-H/14."""

    image_size: int = 224  # px, square
    patch: int = 14  # px
    dim: int = 1280
    num_heads: int = 16
    num_layers: int = 32
    mlp_ratio: int = 4
    embed_dim: int = 1024  # of the shared space with text, which is not used here
    eps: float = 1e-5


class ImageAttention(nn.Module):
    """Self-attention with one projection for queries, keys and values."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.to_qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        q, k, v = self.to_qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(
            functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        )


class ImageBlock(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, c: ImageEncoderConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(c.dim, c.eps)
        self.norm2 = nn.LayerNorm(c.dim, c.eps)
        self.attn = ImageAttention(c.dim, c.num_heads)
        width = c.dim * c.mlp_ratio
        self.mlp = nn.Sequential(nn.Linear(c.dim, width), nn.GELU(), nn.Linear(width, c.dim))

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (B, L, D)."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisualTower(nn.Module):
    """Class token and patches through all blocks but the last.

    The last block, `post_norm` and `head` lead to the space shared with text; they are here because
    checkpoints carry them.
    """

    def __init__(self, c: ImageEncoderConfig) -> None:
        super().__init__()
        tokens = (c.image_size // c.patch) ** 2 + 1
        self.patch_embedding = nn.Conv2d(3, c.dim, c.patch, c.patch, bias=False)
        self.cls_embedding = nn.Parameter(0.02 * torch.randn(1, 1, c.dim))
        self.pos_embedding = nn.Parameter(0.02 * torch.randn(1, tokens, c.dim))
        self.pre_norm = nn.LayerNorm(c.dim, c.eps)
        self.post_norm = nn.LayerNorm(c.dim, c.eps)
        self.transformer = nn.Sequential(*(ImageBlock(c) for _ in range(c.num_layers)))
        self.head = nn.Parameter(0.02 * torch.randn(c.dim, c.embed_dim))

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) standardised -> (B, 1 + (S / patch)^2, D)."""
        patches = self.patch_embedding(pixels).flatten(2).transpose(1, 2)
        x = (
            torch.cat([self.cls_embedding.expand(len(patches), -1, -1), patches], 1)
            + self.pos_embedding
        )
        return self.transformer[:-1](self.pre_norm(x))


class ImageEncoder(nn.Module):
    """A picture of any shape to image tokens."""

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.visual = VisualTower(config)
        self.log_scale = nn.Parameter(torch.zeros(()))

    def preprocess(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 3, S, S) standardised; squashed to a square, bicubic, not
        clamped.
        """
        size = (self.config.image_size, self.config.image_size)
        x = functional.interpolate(images, size, mode="bicubic", align_corners=False) * 0.5 + 0.5
        mean, std = (x.new_tensor(s)[:, None, None] for s in (MEAN, STD))
        return (x - mean) / std

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] -> (B, 257, D) tokens before the last block."""
        return self.visual(self.preprocess(images))
