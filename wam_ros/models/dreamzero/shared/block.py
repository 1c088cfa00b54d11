"""One transformer block: modulated self-attention, cross-attention to the context, modulated
feed-forward.

Shift, scale and gate by the timestep: Peebles and Xie, "Scalable Diffusion Models with
Transformers", 2023.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from wam_ros.models.dreamzero.shared.config import TransformerConfig
from wam_ros.models.dreamzero.shared.layers import CrossAttention, KeysValues, SelfAttention, Source
from wam_ros.models.dreamzero.shared.rope import Rope

# Given this layer's rotated q, k, v, attend over whatever the token may see: (..., L, N, d) ->
# (..., L, N * d).
Attention = Callable[[int, Tensor, Tensor, Tensor], Tensor]


def per_token(e: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """(..., G, 6, D) values per timestep -> (..., L, 6, D) values per token; (..., 1, 6, D) if all
    share one.
    """
    if len(sizes) in (1, sum(sizes)):
        return e
    parts = e.split(1, dim=-3)
    return torch.cat(
        [p.expand(*p.shape[:-3], n, *p.shape[-2:]) for p, n in zip(parts, sizes, strict=True)], -3
    )


def modulated(norm: nn.LayerNorm, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Normalised x (..., L, D), scaled by 1 + `scale` and shifted; in one kernel where all tokens
    share (..., 1, D).
    """
    if shift.numel() == x.shape[-1]:
        return functional.layer_norm(
            x, norm.normalized_shape, 1 + scale.flatten(), shift.flatten(), norm.eps
        )
    return torch.addcmul(shift, norm(x), 1 + scale)


class Block(nn.Module):
    """Pre-norm residual block; shift, scale and gate depend on each token's own timestep."""

    def __init__(self, config: TransformerConfig, layer: int) -> None:
        super().__init__()
        d = config.dim
        self.layer = layer
        self.norm1 = nn.LayerNorm(d, config.eps, elementwise_affine=False)
        self.self_attn = SelfAttention(d, config.num_heads, config.eps)
        self.norm3 = nn.LayerNorm(d, config.eps)
        self.cross_attn = CrossAttention(d, config.num_heads, config.eps, image=config.clip_dim > 0)
        self.norm2 = nn.LayerNorm(d, config.eps, elementwise_affine=False)
        self.ffn = nn.Sequential(
            nn.Linear(d, config.ffn_dim), nn.GELU("tanh"), nn.Linear(config.ffn_dim, d)
        )
        self.modulation = nn.Parameter(torch.randn(1, 6, d) / d**0.5)

    def forward(
        self,
        x: Tensor,
        e: Tensor,
        sizes: tuple[int, ...],
        rope: Rope,
        context: tuple[Source, ...],
        attention: Attention,
    ) -> Tensor:
        """Apply the block.

        Args:
            x: (B, ..., L, D) tokens.
            e: (B or 1, ..., G, 6, D) modulation of each distinct timestep.
            sizes: how many tokens in a row have each of the G timesteps; they sum to L.
            rope: cosines and sines, broadcasting to (..., L, 1, d / 2).
            context: what this layer's cross-attention sees.
            attention: decides what is seen (the training mask, or a cache).
        """
        shift_a, scale_a, *rest = per_token(self.modulation + e, sizes).unbind(-2)
        q, k, v = self.before(x, shift_a, scale_a, rope)
        return self.after(x, attention(self.layer, q, k, v), tuple(rest), context)

    def before(
        self, x: Tensor, shift: Tensor, scale: Tensor, rope: Rope
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Up to self-attention: rotated q and k, and v. The same for every layer and every length
        of a memory.
        """
        h = modulated(self.norm1, x, shift, scale)
        return self.self_attn.query(h, rope), *self.self_attn.key_value(h, rope)

    def after(
        self, x: Tensor, seen: Tensor, modulation: tuple[Tensor, ...], context: tuple[Source, ...]
    ) -> Tensor:
        """From what self-attention has seen (..., L, D) to the block's output; see `before`."""
        gate_a, shift_f, scale_f, gate_f = modulation
        x = torch.addcmul(x, gate_a, self.self_attn.o(seen))
        x = x + self.cross_attn(self.norm3(x).flatten(1, -2), context).view_as(x)
        return torch.addcmul(x, gate_f, self.ffn(modulated(self.norm2, x, shift_f, scale_f)))

    def key_value(self, x: Tensor, e: Tensor, sizes: tuple[int, ...], rope: Rope) -> KeysValues:
        """Only what the memory keeps of this block; in the last block nothing else of an observed
        frame is used.
        """
        shift, scale = per_token((self.modulation + e)[..., :2, :], sizes).unbind(-2)
        return self.self_attn.key_value(modulated(self.norm1, x, shift, scale), rope)
