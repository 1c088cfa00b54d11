"""What every sequence layout of the family shares: embeddings, blocks, head and action parts, under
Wan's names.

A layout (`causal_dit.CausalDiT`, the released models; `model.WorldActionModel`, the small one) says
which tokens there are, where they stand in time and what they may see. Everything that has
parameters is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from wam_ros.models.cache import GrowingCache, KvCache
from wam_ros.models.dreamzero.shared.actions import ActionEncoder, Perceptron
from wam_ros.models.dreamzero.shared.block import Attention, Block
from wam_ros.models.dreamzero.shared.config import TransformerConfig
from wam_ros.models.dreamzero.shared.layers import Head, PatchEmbedding, Source, sinusoid
from wam_ros.models.dreamzero.shared.rope import Rope

LayerContext = tuple[Source, ...]


@dataclass(frozen=True)
class Velocity:
    """Flow velocities (noise - data) of video latents and normalised actions, shaped like the
    inputs.
    """

    video: Tensor
    action: Tensor


class ImageProjection(nn.Module):
    """CLIP tokens -> transformer width."""

    def __init__(self, clip_dim: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            nn.LayerNorm(clip_dim),
            nn.Linear(clip_dim, clip_dim),
            nn.GELU(),
            nn.Linear(clip_dim, dim),
            nn.LayerNorm(dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, I, clip_dim) -> (B, I, D)."""
        return self.proj(x)


class Transformer(nn.Module):
    """Sizes come from the config; C latent channels, A action width, S state width."""

    def __init__(
        self,
        t: TransformerConfig,
        in_channels: int,
        out_channels: int,
        action_dim: int,
        state_dim: int,
    ) -> None:
        super().__init__()
        self.sizes = t
        # in training: blocks are computed again on the way back instead of being remembered
        self.checkpointing = False
        self.patch_embedding = PatchEmbedding(in_channels, t.dim, t.patch)
        self.text_embedding = nn.Sequential(
            nn.Linear(t.text_dim, t.dim), nn.GELU("tanh"), nn.Linear(t.dim, t.dim)
        )
        self.time_embedding = nn.Sequential(
            nn.Linear(t.freq_dim, t.dim), nn.SiLU(), nn.Linear(t.dim, t.dim)
        )
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(t.dim, 6 * t.dim))
        if t.clip_dim:
            self.img_emb = ImageProjection(t.clip_dim, t.dim)
        self.action_encoder = ActionEncoder(action_dim, t.dim)
        self.action_decoder = Perceptron(t.dim, t.hidden_size, action_dim)
        self.state_encoder = Perceptron(state_dim, t.hidden_size, t.dim)
        self.blocks = nn.ModuleList(Block(t, i) for i in range(t.num_layers))
        self.head = Head(t.dim, out_channels, t.eps, t.patch)
        nn.init.zeros_(self.head.head.weight)

    @property
    def dtype(self) -> torch.dtype:
        """Arithmetic of the network."""
        return self.head.head.weight.dtype

    def time(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(...) timesteps in 0..1000 -> embedding (..., D) and block modulation (..., 6, D)."""
        e = self.time_embedding(sinusoid(t, self.sizes.freq_dim).to(self.dtype))
        return e, self.time_projection(e).unflatten(-1, (6, -1))

    def context(
        self, text: Tensor, image: Tensor | None = None, weight: Tensor | None = None
    ) -> tuple[LayerContext, ...]:
        """Text (B, M, text_dim), its weights and CLIP tokens (B, I, clip_dim) -> what each layer's
        attention sees.
        """
        embedded = self.text_embedding(text)
        seen = None if image is None else self.img_emb(image)
        return tuple(
            block.cross_attn.sources(embedded, seen, weight)  # type: ignore[union-attr,operator]
            for block in self.blocks
        )

    def run(
        self,
        x: Tensor,
        e: Tensor,
        sizes: tuple[int, ...],
        rope: Rope,
        context: tuple[LayerContext, ...],
        attention: Attention,
    ) -> Tensor:
        """As many blocks as `context` has layers; the other arguments as in `Block.forward`."""
        for block, seen in zip(self.blocks, context, strict=False):
            one = partial(block, sizes=sizes, rope=rope, context=seen, attention=attention)
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(one, x, e, use_reentrant=False)
            else:
                x = one(x, e)
        return x

    def fill(
        self,
        x: Tensor,
        e: Tensor,
        sizes: tuple[int, ...],
        rope: Rope,
        context: tuple[LayerContext, ...],
        attention: Attention,
        cache: KvCache | GrowingCache,
    ) -> None:
        """`run` up to the last block's keys and values: all that a memory keeps."""
        last = self.blocks[-1]
        x = self.run(x, e, sizes=sizes, rope=rope, context=context[:-1], attention=attention)
        kept = last.key_value(x, e, sizes, rope)  # type: ignore[operator]
        cache.write(len(self.blocks) - 1, *kept)
