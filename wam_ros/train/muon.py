"""Muon (Jordan et al., 2024): the step of a matrix is its momentum made orthogonal.

`torch.optim.Muon` always computes that in bfloat16, which many processors emulate; here the
precision is an argument. In bfloat16 both give the same weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

MOMENTUM = 0.95
# quintic Newton-Schulz iteration, steepest at zero (https://kellerjordan.github.io/posts/muon/)
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
TINY = 1e-7  # of a norm
RMS = 0.2  # of AdamW's steps (Liu et al., "Muon is Scalable for LLM Training", 2025)


class Muon(torch.optim.Optimizer):
    """For matrices only, with decoupled weight decay and steps as large as AdamW's.

    Args:
        params: matrices (out, in).
        lr: learning rate, of AdamW's scale.
        weight_decay: share of `lr` by which weights shrink at each step.
        dtype: precision of the orthogonalisation.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float, weight_decay: float, dtype: torch.dtype
    ) -> None:
        self.dtype = dtype
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step from the gradients; there is no closure to evaluate."""
        assert closure is None
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p.grad))
                momentum.lerp_(p.grad, 1 - MOMENTUM)
                update = orthogonal(p.grad.lerp(momentum, MOMENTUM), self.dtype)
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * RMS * max(p.shape) ** 0.5)


def orthogonal(x: Tensor, dtype: torch.dtype) -> Tensor:
    """(M, N) -> (M, N) with the same singular vectors and singular values near one."""
    a, b, c = COEFFICIENTS
    tall = x.shape[0] > x.shape[1]
    out = x.to(dtype).T if tall else x.to(dtype)
    out = out / out.norm().clamp(min=TINY)
    for _ in range(ITERATIONS):
        gram = out @ out.T
        out = torch.addmm(out, torch.addmm(gram, gram, gram, beta=b, alpha=c), out, beta=a)
    return out.T if tall else out
