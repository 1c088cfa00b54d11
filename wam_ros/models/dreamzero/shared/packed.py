"""Matrices in the order in which a CPU's products read them, reordered once and not at every
product.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wam_ros.models.dreamzero.shared.float8 import block_matrices
from wam_ros.models.processor import processor

After = tuple[str, list[float], str]  # what follows a product, as oneDNN names it
GELU: After = ("gelu", [], "tanh")
NOTHING: After = ("none", [], "")


class PackedLinear(nn.Module):
    """Linear layer for oneDNN, which on many processors is also faster than torch's own choice for
    fp32.
    """

    def __init__(self, linear: nn.Linear, after: After = NOTHING) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self.bias = linear.bias
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, *self.after)


def pack(model: nn.Module) -> int:
    """Replace the block matrices of a model in place, with the GELU that follows one; others stay
    as they are.

    Their weights are then in no portable order: such a model can be neither saved nor moved.

    Returns:
        How many were replaced; none in a precision that this processor does not pack, or would be
        slower at.
    """
    packed = 0
    for parent, child, linear in block_matrices(model):
        if not processor().packs(linear.weight.dtype):
            continue
        if isinstance(parent, nn.Sequential) and child == "0" and isinstance(parent[1], nn.GELU):
            parent[0] = PackedLinear(linear, GELU)
            parent[1] = nn.Identity()
        else:
            setattr(parent, child, PackedLinear(linear))
        packed += 1
    return packed
