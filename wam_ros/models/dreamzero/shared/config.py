"""Sizes of the transformer that the small model and the released ones are made of."""

from __future__ import annotations

from dataclasses import dataclass

from wam_ros.core.errors import WamError


@dataclass(frozen=True)
class TransformerConfig:
    """The block-causal diffusion transformer; names follow Wan."""

    dim: int
    ffn_dim: int
    freq_dim: int  # width of the timestep sinusoid
    num_heads: int
    num_layers: int
    text_dim: int
    text_len: int  # words, padded
    hidden_size: int  # of state encoder and action decoder
    # width of the image tokens that cross-attention sees beside the text; 0: none
    clip_dim: int = 0
    patch: int = 2  # latent cells that one token stands for, each way
    eps: float = 1e-6
    rope_theta: float = 10000.0


def require_heads(t: TransformerConfig, where: str) -> None:
    """Raise `WamError` naming `where` unless the width splits into heads whose channels can be
    turned in pairs.
    """
    if t.num_heads < 1 or t.dim < 1 or t.dim % t.num_heads or (t.dim // t.num_heads) % 2:
        raise WamError(
            f"{where}: transformer.dim {t.dim} must split into {t.num_heads} heads of even width"
        )
