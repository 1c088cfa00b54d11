"""Denoising as one captured graph per length of the memory, of which there are as many as blocks in a window."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from wam_ros.core.errors import WamError
from wam_ros.models.cache import KvCache
from wam_ros.models.dreamzero.causal_dit import CausalDiT, Context

NEEDED = ("fixed_memory", "cached_context", "batched_guidance", "fp32_rope")  # speed-ups that make shapes fixed


def compile_denoising(model: CausalDiT, backend: str = "inductor") -> None:
    """Replace `model.denoise` by its compiled form; the first evaluation at each length then takes long.

    On CUDA every length is replayed as a CUDA graph, so that the launch of some thousand kernels costs nothing. Graphs
    write to fixed addresses: memory and context are made once and filled again, so the model serves one episode at a
    time.

    Raises:
        WamError: a speed-up that the graph needs is off.
    """
    model.use(dataclasses.replace(model.speedups, merged_padding=False))  # prompts differ in length
    if off := [name for name in NEEDED if not getattr(model.speedups, name)]:
        raise WamError(f"compiling needs the speed-up {off[0]}")
    mode = "reduce-overhead" if backend == "inductor" and model.head.modulation.is_cuda else None
    compiled = torch.compile(model.denoise, backend=backend, fullgraph=True, dynamic=False, mode=mode)
    fresh_cache, fresh_context = model.make_cache, model.make_context
    caches: dict[int, KvCache] = {}
    contexts: dict[int, Context] = {}

    def make_cache(batch: int) -> KvCache:
        if batch not in caches:
            cache = fresh_cache(batch)
            assert isinstance(cache, KvCache)
            cache.pin()
            caches[batch] = cache
        caches[batch].clear()
        return caches[batch]

    def make_context(text: Tensor, image: Tensor | None) -> Context:
        new = fresh_context(text, image)
        kept = contexts.setdefault(len(text), new)
        for old, value in zip(tensors(kept), tensors(new), strict=True):
            if kept is new:
                torch._dynamo.mark_static_address(old)
            else:
                old.copy_(value)
        return kept

    model.make_cache = make_cache  # type: ignore[method-assign]
    model.make_context = make_context  # type: ignore[method-assign]
    model.denoise = compiled  # type: ignore[method-assign]


def tensors(context: Context) -> list[Tensor]:
    """Keys and values of every layer."""
    return [x for layer in context.layers or () for source in layer for x in source[:2]]
