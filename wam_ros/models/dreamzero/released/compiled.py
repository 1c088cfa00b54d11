"""Fewer and larger kernels: compiled blocks, and on CUDA one recorded graph per length of the
memory.

What surrounds attention in a block is the same in every layer and at every length of the memory, so
it is compiled once for each number of tokens and not forty times over. Attention stays as torch has
it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from wam_ros.core.errors import WamError
from wam_ros.models.cache import KvCache
from wam_ros.models.dreamzero.released.causal_dit import Cache, CausalDiT, Context, NoisyBlock
from wam_ros.models.dreamzero.shared.block import Block
from wam_ros.models.dreamzero.shared.rope import Rope, rotate
from wam_ros.models.dreamzero.shared.transformer import Velocity

# Speed-ups without which addresses or shapes change between evaluations, or the host is waited for.
NEEDED = ("fixed_memory", "cached_context", "batched_guidance", "distinct_times", "fp32_rope")
# token counts that one process may compile: frames alone, with actions, of one branch or two
GRAPHS = 64
# runs before recording, in which kernels are compiled and libraries take their workspace
WARM_UP = 3

Tensors = Sequence[Tensor]


def compile_denoising(model: CausalDiT, backend: str | Callable = "inductor") -> None:
    """Compile the blocks of a model and, on CUDA, replay its evaluations as graphs. The first of
    each kind takes long.

    Raises:
        WamError: a speed-up that this needs is off.
    """
    compile_blocks(model, backend)
    if model.head.modulation.is_cuda:
        record_denoising(model, functools.partial(CudaGraph, pool=torch.cuda.graph_pool_handle()))


def fix_shapes(model: CausalDiT) -> None:
    """Give every evaluation the same shapes; raises `WamError` when a speed-up that this needs is
    off.
    """
    if off := [name for name in NEEDED if not getattr(model.speedups, name)]:
        raise WamError(f"compiling needs the speed-up {off[0]}")
    model.use(dataclasses.replace(model.speedups, merged_padding=False))  # prompts differ in length


def compile_blocks(model: CausalDiT, backend: str | Callable = "inductor") -> None:
    """Compile what stands before and after attention, once for all layers, and the turn of a window
    that slides.
    """
    fix_shapes(model)
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, GRAPHS)
    compiled = functools.partial(torch.compile, backend=backend, fullgraph=True, dynamic=False)
    before = compiled(Block.before)
    after = compiled(Block.after)
    for block in model.blocks:
        block.before = functools.partial(before, block)  # type: ignore[assignment]
        block.after = functools.partial(after, block)  # type: ignore[assignment]
    model.rotate = compiled(rotate)  # keys of a window that slides


class Recording(Protocol):
    """A function of tensors whose kernels were recorded once."""

    def __call__(self, inputs: Tensors) -> Tensors:
        """Run them again on other inputs of the same shapes; the results are the caller's."""


class CudaGraph:
    """Implements `Recording`: the launch of some thousand kernels costs nothing.

    Graphs of one `pool` of memory share what they need while they run: each is replayed alone, and
    what leaves one is copied before the next.
    """

    def __init__(self, function: Callable[..., Tensors], inputs: Tensors, pool: Any = None) -> None:
        self._inputs = [x.clone(memory_format=torch.contiguous_format) for x in inputs]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                function(*self._inputs)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool):
            self._outputs = function(*self._inputs)

    def __call__(self, inputs: Tensors) -> Tensors:
        """See `Recording`."""
        for own, given in zip(self._inputs, inputs, strict=True):
            own.copy_(given)
        self._graph.replay()
        return [x.clone() for x in self._outputs]


def record_denoising(
    model: CausalDiT, record: Callable[[Callable[..., Tensors], Tensors], Recording]
) -> None:
    """Replace `model.denoise` by recordings, one per length of the memory and per shape of its
    inputs.

    They read and write fixed addresses: memory and context are made once and filled again, so the
    model serves one episode at a time.
    """
    fix_shapes(model)
    keep_in_place(model)
    plain = model.denoise
    recorded = {}

    def denoise(
        block: NoisyBlock, t: Tensor, rope: Rope, context: Context, cache: Cache
    ) -> Velocity:
        assert isinstance(cache, KvCache)
        given = [
            x for x in (block.video, block.action, block.state, t, *rope, block.y) if x is not None
        ]

        def evaluate(
            video: Tensor, action: Tensor, state: Tensor, t: Tensor, *more: Tensor
        ) -> Tensors:
            cos, sin, *y = more
            noisy = NoisyBlock(video, action, state, y[0] if y else None, block.start)
            v = plain(noisy, t, (cos, sin), context, cache)
            return v.video, v.action

        key = (cache.used, *(x.shape for x in given))
        if key not in recorded:
            recorded[key] = record(evaluate, given)
        return Velocity(*recorded[key](given))

    model.denoise = denoise  # type: ignore[method-assign]


def keep_in_place(model: CausalDiT) -> None:
    """Let the model give the same memory and the same context, by number of branches, whenever it
    is asked for one.
    """
    fresh_cache = model.make_cache
    fresh_context = model.make_context
    caches: dict[int, KvCache] = {}
    contexts: dict[int, Context] = {}

    def make_cache(batch: int) -> KvCache:
        if batch not in caches:
            cache = fresh_cache(batch)
            assert isinstance(cache, KvCache)
            caches[batch] = cache
        caches[batch].clear()
        return caches[batch]

    def make_context(text: Tensor, image: Tensor | None) -> Context:
        new = fresh_context(text, image)
        kept = contexts.setdefault(len(text), new)
        for old, value in zip(tensors(kept), tensors(new), strict=True):
            if old is not value:
                old.copy_(value)
        return kept

    model.make_cache = make_cache  # type: ignore[method-assign]
    model.make_context = make_context  # type: ignore[method-assign]


def tensors(context: Context) -> list[Tensor]:
    """Keys and values of every layer."""
    return [x for layer in context.layers or () for source in layer for x in source[:2]]
