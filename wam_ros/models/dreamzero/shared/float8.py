"""Matrix products in 8 bits, for Hopper and newer (Micikevicius et al., "FP8 Formats for Deep
Learning", 2022).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from wam_ros.core.errors import WamError

LARGEST = 448.0  # of e4m3
MULTIPLE = 16  # widths that the kernel takes
HOPPER = (9, 0)  # the first with a kernel that takes a scale per row


def require_float8(device: torch.device, dtype: torch.dtype) -> None:
    """Raise `WamError` where the kernel does not run."""
    if device.type == "cuda" and (found := torch.cuda.get_device_capability(device)) < HOPPER:
        name = torch.cuda.get_device_name(device)
        raise WamError(
            f"float8 needs compute capability {dotted(HOPPER)}, {name} has {dotted(found)}"
        )
    if device.type == "cuda" and dtype != torch.bfloat16:
        raise WamError("float8 needs the precision bfloat16 on an accelerator")


class Float8Linear(nn.Module):
    """Linear layer with e4m3 weights, one scale per output, and e4m3 inputs, one scale per token,
    found on the fly.
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scale = weight.abs().amax(1).clamp_min(1e-12) / LARGEST
        self.register_buffer("weight", (weight / scale[:, None]).to(torch.float8_e4m3fn))
        self.register_buffer("scale", scale)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out) in the precision of x, which CUDA wants to be bf16."""
        tokens = x.flatten(0, -2)
        scale = (tokens.abs().amax(1, keepdim=True).float() / LARGEST).clamp_min(1e-12)
        out = self.product((tokens / scale).to(torch.float8_e4m3fn), scale, x.dtype, self.bias)
        return out.unflatten(0, x.shape[:-1])

    def product(
        self, narrow: Tensor, scale: Tensor, dtype: torch.dtype, bias: Tensor | None = None
    ) -> Tensor:
        """(M, in) in e4m3 and its (M, 1) scales -> (M, out); sums stay in the tensor cores, which
        is faster.
        """
        return torch._scaled_mm(
            narrow,
            self.weight.T,
            scale_a=scale,
            scale_b=self.scale[None],
            bias=bias,
            out_dtype=dtype,
            use_fast_accum=True,
        )


def dotted(version: tuple[int, int]) -> str:
    """(9, 0) -> 9.0."""
    return ".".join(map(str, version))


def block_matrices(model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """(parent, name in it, layer) of the transformer blocks' matrices, where nearly all of the work
    is.

    One at a time: what is replaced is freed before the next, so that a large model is never there
    twice.
    """
    for name in [
        n for n, m in model.named_modules() if n.startswith("blocks.") and isinstance(m, nn.Linear)
    ]:
        parent, _, child = name.rpartition(".")
        owner = model.get_submodule(parent)
        yield owner, child, getattr(owner, child)


def to_float8(model: nn.Module) -> int:
    """Replace the block matrices of a model in place; embeddings, head and action parts stay.

    Returns:
        How many were replaced; layers whose widths the kernel does not take are left as they are.
    """
    replaced = 0
    for parent, child, linear in block_matrices(model):
        if not (linear.in_features % MULTIPLE or linear.out_features % MULTIPLE):
            setattr(parent, child, Float8Linear(linear))
            replaced += 1
    return replaced
