"""Preallocated key/value memory of a block-causal transformer."""

from __future__ import annotations

import torch
from torch import Tensor


class KvCache:
    """Keys and values of the last `window` observed frames, a ring, with room for the block being denoised.

    One buffer per layer, laid out as [own block | frame slots], so that what attention sees is always one view and
    nothing is concatenated. Order inside the ring does not matter: keys carry their rotary position.
    """

    def __init__(
        self,
        layers: int,
        window: int,
        frame_tokens: int,
        own_tokens: int,
        head: tuple[int, int],
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        shape = (2, layers, 1, 1, own_tokens + window * frame_tokens, *head)
        self._buffer = torch.zeros(shape, dtype=dtype, device=device)
        self._window, self._frame, self._own = window, frame_tokens, own_tokens
        self.frames = 0  # frames written since the cache was made

    @property
    def _end(self) -> int:
        return self._own + min(self.frames, self._window) * self._frame

    def advance(self) -> None:
        """Open the slot of the next frame; the oldest one is overwritten when the ring is full."""
        self.frames += 1

    def write_frame(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store a frame's keys and values (1, 1, n, N, d) of one layer; returns all remembered ones."""
        start = self._own + (self.frames - 1) % self._window * self._frame
        self._buffer[0, layer, :, :, start : start + self._frame] = k
        self._buffer[1, layer, :, :, start : start + self._frame] = v
        return self._view(layer, self._own)

    def with_own(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Remembered keys and values preceded by the block's own, which are not remembered."""
        self._buffer[0, layer, :, :, : self._own] = k
        self._buffer[1, layer, :, :, : self._own] = v
        return self._view(layer, 0)

    def _view(self, layer: int, start: int) -> tuple[Tensor, Tensor]:
        k, v = self._buffer[:, layer, :, :, start : self._end]
        return k, v
