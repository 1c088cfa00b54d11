"""Who sees whom when all blocks of a window are denoised at once (teacher forcing)."""

from __future__ import annotations

import torch
from torch import Tensor

from wam_ros.models.dreamzero.released.dit_config import CausalDiTConfig


def training_mask(c: CausalDiTConfig, blocks: int, frame_tokens: int) -> Tensor:
    """(L, L) True where query may see key; L = [clean video | noisy video | actions | states].

    Block 0 is the first frame alone, block k >= 1 has `frames_per_block` frames, actions and a
    state.

    | query | sees |
    |---|---|
    | clean C_k | C_0, and C_1 .. C_k as far as the window of `window_frames` reaches back |
    | noisy N_0 | N_0 |
    | noisy N_k, actions A_k | C_0 .. C_{k-1}, N_k, A_k, S_k |
    | state S_k | S_k |
    """
    frames = torch.arange(1 + blocks * c.frames_per_block)
    of_frame = (frames + c.frames_per_block - 1) // c.frames_per_block
    numbers = torch.arange(1, blocks + 1)
    parts = [
        of_frame.repeat_interleave(frame_tokens),
        of_frame.repeat_interleave(frame_tokens),
        numbers.repeat_interleave(c.actions_per_block),
        numbers.repeat_interleave(c.states_per_block),
    ]
    block = torch.cat(parts)
    kind = torch.cat([torch.full_like(p, i) for i, p in enumerate(parts)])
    frame = torch.cat([frames.repeat_interleave(frame_tokens)] * 2 + [p * 0 for p in parts[2:]])
    q = block[:, None]
    k = block[None]
    clean = kind == 0
    state = kind == 3
    end = 1 + q * c.frames_per_block
    in_window = (frame[None] == 0) | (frame[None] >= end - c.window_frames)
    of_clean = clean[None] & (k <= q) & in_window
    of_noisy = (clean[None] & (k < q)) | (~clean[None] & (k == q))
    of_state = state[None] & (k == q)
    return torch.where(clean[:, None], of_clean, torch.where(state[:, None], of_state, of_noisy))
