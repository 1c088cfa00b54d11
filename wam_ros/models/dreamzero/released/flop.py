"""Multiplications and additions that a chunk cannot do without; what the plain path repeats is not
counted.
"""

from __future__ import annotations

from wam_ros.models.dreamzero.released.dit_config import CausalDiTConfig


def linear_flop(tokens: int, inputs: int, outputs: int) -> int:
    """Of one linear layer."""
    return 2 * tokens * inputs * outputs


def block_flop(c: CausalDiTConfig, tokens: int, keys: int) -> int:
    """One transformer block of one branch: `tokens` queries over `keys` keys; context keys and
    values are at hand.
    """
    t = c.transformer
    attention = 4 * tokens * keys * t.dim
    cross = 4 * tokens * (t.text_len + (c.image_tokens if t.clip_dim else 0)) * t.dim
    return (
        6 * linear_flop(tokens, t.dim, t.dim)
        + 2 * linear_flop(tokens, t.dim, t.ffn_dim)
        + attention
        + cross
    )


def evaluation_flop(c: CausalDiTConfig, frames: int) -> int:
    """One denoising evaluation of one branch with `frames` remembered frames."""
    t = c.transformer
    video = c.frames_per_block * c.frame_tokens
    around = linear_flop(video, 4 * c.in_channels, t.dim) + linear_flop(
        video, t.dim, 4 * c.out_channels
    )
    actions = linear_flop(
        c.actions_per_block, 1, c.action_dim * (t.dim + t.hidden_size) + 3 * t.dim * t.dim
    )
    actions += linear_flop(c.actions_per_block, t.dim, t.hidden_size)
    state = linear_flop(c.states_per_block, t.hidden_size, c.state_dim + t.dim)
    keys = c.own_tokens + frames * c.frame_tokens
    return t.num_layers * block_flop(c, c.own_tokens, keys) + around + actions + state


def prefill_flop(c: CausalDiTConfig, frames: int) -> int:
    """Writing one block of observed frames, after which `frames` are remembered, of one branch."""
    t = c.transformer
    tokens = c.frames_per_block * c.frame_tokens
    last = 2 * linear_flop(tokens, t.dim, t.dim)
    embedding = linear_flop(tokens, 4 * c.in_channels, t.dim)
    return (t.num_layers - 1) * block_flop(c, tokens, frames * c.frame_tokens) + last + embedding


def time_flop(c: CausalDiTConfig, timesteps: int) -> int:
    """Embedding of distinct timesteps; all branches share them, and so do video and action but in
    Flash.
    """
    t = c.transformer
    return linear_flop(timesteps, t.freq_dim, t.dim) + linear_flop(timesteps, t.dim, 7 * t.dim)


def chunk_flop(c: CausalDiTConfig, rows: int, evaluations: int) -> int:
    """One chunk of `rows` guidance branches with the window full."""
    frames = c.window_frames - c.frames_per_block
    branch = evaluations * evaluation_flop(c, frames) + prefill_flop(c, frames)
    return rows * branch + time_flop(c, evaluations + 1)
