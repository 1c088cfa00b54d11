"""What the model remembers: observed frames, one every `frame_stride` control steps, at every phase
of the stride.
"""

from __future__ import annotations

import torch
from torch import Tensor

from wam_ros.models.cache import KvCache
from wam_ros.models.dreamzero.small.model import Context, WorldActionModel


class FrameMemory:
    """One cache per phase, so that a prediction can start at any control step with the spacing it
    was trained on.

    Cache p holds the frames of steps p, p + stride, p + 2 stride ...; the observed frame of an
    executed block enters exactly one of them. After a gap the cache is filled again from the
    latents that are still at hand.
    """

    def __init__(self, model: WorldActionModel, context: Context) -> None:
        chunk = model.config.chunk
        self.model = model
        self.context = context
        self.stride = chunk.frame_stride
        self.window = chunk.window
        self._latents: dict[int, Tensor] = {}
        # phase -> (step of its newest frame, cache)
        self._caches: dict[int, tuple[int, KvCache]] = {}

    def observe(self, step: int, latent: Tensor) -> tuple[KvCache, tuple[Tensor, Tensor]]:
        """Remember the latent (1, 1, C, h, w) of a control step; returns its cache and the rotation
        of its block.
        """
        self._latents[step] = latent
        oldest = step - self.stride * (self.window - 1)
        self._latents = {s: z for s, z in self._latents.items() if s >= oldest}
        newest, cache = self._caches.get(step % self.stride, (None, None))
        if cache is None or newest != step - self.stride:
            cache = self.model.make_cache()
            missing = [s for s in range(oldest, step, self.stride) if s in self._latents]
            while missing and missing != list(range(missing[0], step, self.stride)):
                missing.pop(0)
            for s in missing:
                self.model.remember(self._latents[s], self._index(s), self.context, cache)
        self.model.remember(latent, self._index(step), self.context, cache)
        self._caches[step % self.stride] = (step, cache)
        return cache, self.model.rope(torch.tensor([self._index(step)]), "noisy")

    def _index(self, step: int) -> int:
        return step // self.stride
