"""Matrix products in 8-bit floating point, for Hopper and newer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LARGEST = 448.0  # of e4m3
MULTIPLE = 16  # widths that the kernel takes


class Float8Linear(nn.Module):
    """Linear layer with e4m3 weights, one scale per output, and e4m3 inputs, one scale per token, found on the fly."""

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
        narrow = (tokens / scale).to(torch.float8_e4m3fn)
        out = torch._scaled_mm(narrow, self.weight.T, scale, self.scale[None], out_dtype=x.dtype)
        return (out if self.bias is None else out + self.bias).unflatten(0, x.shape[:-1])


def to_float8(model: nn.Module, prefix: str = "blocks.") -> int:
    """Replace the block matrices of a model in place; embeddings, head and action parts stay.

    Returns:
        How many were replaced; layers whose widths the kernel does not take are left as they are.
    """
    found = [
        (name, module)
        for name, module in model.named_modules()
        if name.startswith(prefix) and isinstance(module, nn.Linear)
        if module.in_features % MULTIPLE == 0 and module.out_features % MULTIPLE == 0
    ]
    for name, module in found:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, Float8Linear(module))
    return len(found)
