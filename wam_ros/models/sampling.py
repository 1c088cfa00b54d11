"""Flow matching: the path, the noise schedule and the Euler solver. Noise level 1 is pure noise, 0 is data."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor


def noised(data: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """Point on the straight path at `level`, which broadcasts over the trailing axes (Lipman et al., 2023)."""
    level = level.to(data).view(*level.shape, *[1] * (data.dim() - level.dim()))
    return (1 - level) * data + level * noise


def schedule(steps: int, shift: float) -> list[float]:
    """`steps + 1` falling noise levels from 1 to 0; shift > 1 puts more of them near 1 (Esser et al., 2024, eq. 23)."""
    u = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return (shift * u / (1 + (shift - 1) * u)).tolist()


def euler(
    velocity: Callable[[Tensor, Tensor, float], tuple[Tensor, Tensor]],
    video: Tensor,
    action: Tensor,
    levels: list[float],
) -> tuple[Tensor, Tensor]:
    """Integrate both modalities from noise to data along `levels`; `velocity(video, action, level)` is the network."""
    for now, then in itertools.pairwise(levels):
        v_video, v_action = velocity(video, action, now)
        video, action = video + (then - now) * v_video, action + (then - now) * v_action
    return video, action
