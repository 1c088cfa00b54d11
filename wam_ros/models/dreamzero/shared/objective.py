"""What the released models were trained on: flow matching (Lipman et al., 2023) of video and
actions.

Schedule, weights and coupling of both are those of DreamZero (arXiv 2602.15922).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wam_ros.models.dreamzero.shared.transformer import Velocity
from wam_ros.models.sampling import noised, shifted

LEVELS = 1000


class FlowSchedule:
    """1000 noise levels; even steps moved towards noise by `shift`. Index 0 is pure noise."""

    def __init__(self, shift: float = 5.0) -> None:
        even = 1 - torch.arange(LEVELS, dtype=torch.float64) / LEVELS
        level = shifted(even, shift)
        bump = torch.exp(-2 * (level - 0.5).square())
        bump = bump - bump.min()
        self.levels = level.float()
        self.times = (1000 * level).float()
        # none at pure noise, most in the middle
        self.weights = (bump * LEVELS / bump.sum()).float()

    def nearest(self, t: Tensor) -> Tensor:
        """Indices of the table entries nearest to timesteps (...)."""
        return (self.times.to(t.device) - t[..., None]).abs().argmin(-1)

    def noised(self, data: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Point on the path at timesteps (...), which broadcast over the trailing axes of the
        data.
        """
        return noised(data, noise, self.levels.to(data.device)[self.nearest(t)])

    def weight(self, t: Tensor) -> Tensor:
        """Loss weight at timesteps (...)."""
        return self.weights.to(t.device)[self.nearest(t)]


def tied(index: Tensor, per_block: int) -> Tensor:
    """(B, F) indices, those of a block all set to its first; the window's first frame keeps its
    own.
    """
    blocks = index[:, 1:].unflatten(1, (-1, per_block))
    return torch.cat([index[:, :1], blocks[..., :1].expand_as(blocks).flatten(1)], 1)


def emphasised(beta: Tensor) -> Tensor:
    """Indices from Beta samples on the noise level; Beta(3, 1) or, for Flash, Beta(7, 1) dwell at
    high noise.
    """
    return ((1 - beta) * LEVELS).long().clamp(0, LEVELS - 1)


def of_actions(index: Tensor, frames_per_block: int, actions_per_block: int) -> Tensor:
    """(B, F) tied video indices -> (B, K * T): every action takes its block's."""
    return index[:, 1::frames_per_block].repeat_interleave(actions_per_block, 1)


@dataclass(frozen=True)
class Losses:
    """Scalars, and what they are means of before weighting."""

    video: Tensor
    action: Tensor
    video_error: Tensor  # (B, F)
    action_error: Tensor  # (B, K * T)

    @property
    def total(self) -> Tensor:
        """Their sum."""
        return self.video + self.action


def losses(
    found: Velocity,
    wanted: Velocity,
    weights: tuple[Tensor, Tensor],
    action_mask: Tensor,
    has_action: Tensor,
) -> Losses:
    """Weighted squared errors.

    Args:
        found: predicted velocities (B, C, F, H, W) and (B, K * T, A).
        wanted: noise minus data.
        weights: of frames (B, F) and actions (B, K * T).
        action_mask: (B, K * T, A), 1 where a dimension is real; the mean is over all A, as in the
            reference.
        has_action: (B,), 0 for video without actions.
    """
    video = (found.video.float() - wanted.video.float()).square().mean((1, 3, 4))
    error = (
        (found.action.float() - wanted.action.float()).square()
        * action_mask
        * has_action[:, None, None]
    )
    action = error.mean(-1)
    return Losses((video * weights[0]).mean(), (action * weights[1]).mean(), video, action)
