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
# How the noise of video and actions is drawn: one level for both, evenly or where there is much of
# it, or much of it for the video and any for each action (DreamZero-Flash)
TIMESTEPS = ("coupled", "high-noise", "decoupled")
EMPHASIS = {"high-noise": 3.0, "decoupled": 7.0}  # a of Beta(a, 1)


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


def draw_beta(a: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Samples of Beta(a, 1)."""
    return torch.rand(shape, generator=generator) ** (1 / a)


def draw_indices(
    timesteps: str, blocks: int, per_block: tuple[int, int], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Of the schedule, for one window.

    Args:
        timesteps: one of `TIMESTEPS`.
        blocks: K of the window, after its first frame.
        per_block: frames and actions of a block.
        generator: of the noise.

    Returns:
        (F,) of frames, F = 1 + K * frames, and (K * T,) of actions.
    """
    frames, actions = per_block
    shape = (1, 1 + blocks * frames)
    if timesteps == "coupled":
        raw = torch.randint(LEVELS, shape, generator=generator)
    else:
        raw = emphasised(draw_beta(EMPHASIS[timesteps], shape, generator))
    video = tied(raw, frames)
    action = of_actions(video, frames, actions)
    if timesteps == "decoupled":
        action = torch.randint(LEVELS, action.shape, generator=generator)
    return video[0], action[0]


@dataclass(frozen=True)
class Losses:
    """Of each sample, and what they are means of before weighting."""

    video: Tensor  # (B,)
    action: Tensor  # (B,)
    video_error: Tensor  # (B, F)
    action_error: Tensor  # (B, K * T)

    @property
    def total(self) -> Tensor:
        """The mean of their sums."""
        return (self.video + self.action).mean()


def losses(
    found: Velocity,
    wanted: Velocity,
    weights: tuple[Tensor, Tensor],
    action_mask: Tensor,
    has_action: Tensor,
    known: tuple[Tensor, Tensor] | None = None,
) -> Losses:
    """Weighted squared errors, each sample's by itself.

    Args:
        found: predicted velocities (B, C, F, H, W) and (B, K * T, A).
        wanted: noise minus data.
        weights: of frames (B, F) and actions (B, K * T).
        action_mask: (B, K * T, A), 1 where a dimension is real; the mean is over all A, as in the
            reference.
        has_action: (B,), 0 for video without actions.
        known: 1 for the frames (B, F) and actions (B, K * T) of blocks that are in the data; others
            fill up the batch and do not count. None where all are.
    """
    video = (found.video.float() - wanted.video.float()).square().mean((1, 3, 4))
    error = (
        (found.action.float() - wanted.action.float()).square()
        * action_mask
        * has_action[:, None, None]
    )
    action = error.mean(-1)
    there = known or (torch.ones_like(video), torch.ones_like(action))
    of_video, of_action = (
        (error * weight * mask).sum(1) / mask.sum(1)
        for error, weight, mask in zip((video, action), weights, there, strict=True)
    )
    return Losses(of_video, of_action, video, action)


def known_of(blocks: Tensor, per_block: tuple[int, int], most: int) -> tuple[Tensor, Tensor]:
    """Masks for `losses` of samples with (B,) of `most` blocks; frames and actions of a block are
    `per_block`.
    """
    there = (torch.arange(most, device=blocks.device) < blocks[:, None]).float()
    frames, actions = (there.repeat_interleave(n, 1) for n in per_block)
    return torch.cat([torch.ones_like(there[:, :1]), frames], 1), actions
