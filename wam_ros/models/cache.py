"""Key/value memory of a block-causal transformer."""

from __future__ import annotations

import torch
from torch import Tensor


class KvCache:
    """Keys and values of observed frames, preallocated, with room for the block being denoised.

    One buffer per layer, laid out as [own block | frame slots], so that what attention sees is always one view and
    nothing is concatenated. The first `keep` frames stay; the others share a ring of `window - keep` slots. Order
    inside the ring does not matter: keys carry their rotary position.
    """

    def __init__(
        self,
        layers: int,
        batch: tuple[int, ...],
        window: int,
        frame_tokens: int,
        own_tokens: int,
        head: tuple[int, int],
        dtype: torch.dtype,
        device: torch.device,
        keep: int = 0,
    ) -> None:
        shape = (2, layers, *batch, own_tokens + window * frame_tokens, *head)
        self._buffer = torch.zeros(shape, dtype=dtype, device=device)
        self._window, self._frame, self._own, self._keep = window, frame_tokens, own_tokens, keep
        self._opened = 1
        self.frames = 0  # frames written since the cache was made

    @property
    def bytes(self) -> int:
        """Memory it holds, whether used or not."""
        return self._buffer.nbytes

    @property
    def _end(self) -> int:
        return self._own + min(self.frames, self._window) * self._frame

    def advance(self, frames: int = 1) -> None:
        """Open the slots of the next frames; when the ring is full the oldest that are not kept are overwritten."""
        self.frames += frames
        self._opened = frames

    def write(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store the opened frames' keys and values (..., n * tokens, N, d) of one layer; returns all remembered."""
        first, n = self.frames - self._opened, self._frame
        for i in range(self._opened):
            start = self._own + self._slot(first + i) * n
            self._buffer[0, layer, ..., start : start + n, :, :] = k[..., i * n : (i + 1) * n, :, :]
            self._buffer[1, layer, ..., start : start + n, :, :] = v[..., i * n : (i + 1) * n, :, :]
        return self._view(layer, self._own)

    def with_own(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Remembered keys and values preceded by the block's own, which are not remembered."""
        self._buffer[0, layer, ..., : self._own, :, :] = k
        self._buffer[1, layer, ..., : self._own, :, :] = v
        return self._view(layer, 0)

    def remembered(self, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values of all remembered frames of one layer."""
        return self._view(layer, self._own)

    def movable_keys(self) -> Tensor:
        """Keys of every remembered frame that is not kept for ever, all layers: a view, to be rotated in place."""
        return self._buffer[0, ..., self._own + self._keep * self._frame : self._end, :, :]

    def _slot(self, frame: int) -> int:
        if frame < self._keep:
            return frame
        return self._keep + (frame - self._keep) % (self._window - self._keep)

    def _view(self, layer: int, start: int) -> tuple[Tensor, Tensor]:
        k, v = self._buffer[:, layer, ..., start : self._end, :, :]
        return k, v


class GrowingCache:
    """The same memory as lists that are concatenated at every use: what `KvCache` is measured and tested against."""

    def __init__(self, layers: int) -> None:
        self._kept: list[tuple[Tensor, Tensor] | None] = [None] * layers

    def advance(self, frames: int = 1) -> None:
        """Nothing to open."""

    def write(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """See `KvCache.write`."""
        self._kept[layer] = self.with_own(layer, k, v)
        return self.remembered(layer)

    def with_own(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """See `KvCache.with_own`; remembered ones come first here."""
        kept = self._kept[layer]
        return (k, v) if kept is None else (torch.cat([kept[0], k], -3), torch.cat([kept[1], v], -3))

    def remembered(self, layer: int) -> tuple[Tensor, Tensor]:
        """See `KvCache.remembered`."""
        kept = self._kept[layer]
        assert kept is not None
        return kept
