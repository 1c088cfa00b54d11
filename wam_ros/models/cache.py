"""Key/value memory of a block-causal transformer."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor


class KvCache:
    """Keys and values of observed frames, preallocated, with room for the block being denoised.

    One buffer per layer, laid out as [own block | frame slots], so that what attention sees is
    always one view and nothing is concatenated; in memory heads come before tokens, so that
    products of heads need no copy. The first `keep` frames stay; the others share a ring of `window
    - keep` slots. Order inside the ring does not matter: keys carry their rotary position.
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
        shape = (2, layers, *batch, head[0], own_tokens + window * frame_tokens, head[1])
        self._buffer = torch.zeros(shape, dtype=dtype, device=device).transpose(-3, -2)
        self._window = window
        self._frame = frame_tokens
        self._own = own_tokens
        self._keep = keep
        self._opened = 1
        self.frames = 0  # frames written since the cache was made
        self._end = own_tokens  # of what is used; it stops growing with the window

    @property
    def bytes(self) -> int:
        """Memory it holds, whether used or not."""
        return self._buffer.nbytes

    @property
    def used(self) -> int:
        """Tokens that attention sees, the block's own included."""
        return self._end

    def advance(self, frames: int = 1) -> None:
        """Open the slots of the next frames; when the ring is full the oldest that are not kept are
        overwritten.
        """
        self.frames += frames
        self._opened = frames
        self._end = self._own + min(self.frames, self._window) * self._frame

    def write(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store the opened frames' keys and values (..., n * tokens, N, d) of one layer; returns
        all remembered.
        """
        first = self.frames - self._opened
        n = self._frame
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

    def turn(self, turned: Callable[[Tensor], Tensor]) -> None:
        """Rotate the keys (..., L, N, d) of every frame that is not kept for ever: their place in
        time has changed.
        """
        first = self._own + self._keep * self._frame
        # by layer: in fp32 all are large
        for keys in self._buffer[0, ..., first : self._end, :, :]:
            keys.copy_(turned(keys))

    def clear(self) -> None:
        """Forget every frame."""
        self.frames = 0
        self._end = self._own

    def repeated(self, n: int) -> KvCache:
        """A copy for `n` sequences that remember the same frames."""
        other = copy.copy(self)
        other._buffer = self._buffer.transpose(-3, -2).repeat_interleave(n, 2).transpose(-3, -2)
        return other

    def _slot(self, frame: int) -> int:
        if frame < self._keep:
            return frame
        return self._keep + (frame - self._keep) % (self._window - self._keep)

    def _view(self, layer: int, start: int) -> tuple[Tensor, Tensor]:
        k, v = self._buffer[:, layer, ..., start : self._end, :, :]
        return k, v


class GrowingCache:
    """The same memory as tensors that are concatenated at every use: what `KvCache` is measured and
    tested against.
    """

    def __init__(self, layers: int, window: int, frame_tokens: int, keep: int = 0) -> None:
        self._k: list[Tensor | None] = [None] * layers
        self._v: list[Tensor | None] = [None] * layers
        self._longest = window * frame_tokens
        self._kept = keep * frame_tokens

    def advance(self, frames: int = 1) -> None:
        """Nothing to open."""

    def write(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """See `KvCache.write`."""
        k, v = (self._trimmed(x) for x in self.with_own(layer, k, v))
        self._k[layer] = k
        self._v[layer] = v
        return k, v

    def with_own(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """See `KvCache.with_own`; remembered ones come first here."""
        return self._after(self._k[layer], k), self._after(self._v[layer], v)

    def remembered(self, layer: int) -> tuple[Tensor, Tensor]:
        """See `KvCache.remembered`."""
        k = self._k[layer]
        v = self._v[layer]
        assert k is not None and v is not None
        return k, v

    def turn(self, turned: Callable[[Tensor], Tensor]) -> None:
        """See `KvCache.turn`."""
        for i, k in enumerate(self._k):
            assert k is not None
            n = self._kept
            self._k[i] = torch.cat([k[..., :n, :, :], turned(k[..., n:, :, :])], -3)

    def _after(self, kept: Tensor | None, new: Tensor) -> Tensor:
        return new if kept is None else torch.cat([kept, new], -3)

    def _trimmed(self, x: Tensor) -> Tensor:
        extra = max(0, x.shape[-3] - self._longest)
        return torch.cat([x[..., : self._kept, :, :], x[..., self._kept + extra :, :, :]], -3)
