"""Demonstrations as training batches: latents, relative actions, noise-free targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from wam_ros.core.errors import WamError
from wam_ros.core.images import tile
from wam_ros.data.episodes import Episodes
from wam_ros.models.dreamzero.small.config import DreamZeroConfig
from wam_ros.models.dreamzero.small.normalise import GOAL_CENTRE, GOAL_SCALE, Normaliser
from wam_ros.models.dreamzero.small.text import TextEncoder
from wam_ros.models.dreamzero.small.tokenizer import FrameTokenizer
from wam_ros.models.processor import processor


@dataclass(frozen=True)
class Batch:
    """K blocks of B sequences; shapes as in `WorldActionModel.forward`."""

    clean: Tensor  # (B, K, C, h, w)
    video: Tensor  # (B, K, F, C, h, w)
    action: Tensor  # (B, K, T, A) normalised
    action_mask: Tensor  # (B, K, T) 1 where the expert's action is known
    state: Tensor  # (B, K, S) normalised
    goal: Tensor  # (B, K, 3) normalised tool position at the next closing of the gripper
    goal_mask: Tensor  # (B, K)
    words: Tensor  # (B, M)


def canvases(episodes: Episodes) -> np.ndarray:
    """(N, K + 1, H, V * W, 3) uint8: views side by side."""
    n, k = episodes.frames.shape[:2]
    return np.stack(
        [tile(f) for f in episodes.frames.reshape(n * k, *episodes.frames.shape[2:])]
    ).reshape(n, k, episodes.frames.shape[3], -1, 3)


@torch.no_grad()
def encode_all(tokenizer: FrameTokenizer, frames: np.ndarray, chunk: int = 256) -> Tensor:
    """(N, K, H, W, 3) uint8 canvases -> (N, K, C, h, w) bfloat16 latents."""
    flat = frames.reshape(-1, *frames.shape[2:])
    with autocast():
        parts = [
            tokenizer.encode(torch.from_numpy(flat[i : i + chunk])).bfloat16()
            for i in range(0, len(flat), chunk)
        ]
    return torch.cat(parts).unflatten(0, frames.shape[:2])


def autocast() -> torch.autocast:
    """The precision that this processor learns fastest in, as a context."""
    narrow = processor().training == torch.bfloat16
    return torch.autocast("cpu", torch.bfloat16, enabled=narrow)


def next_closing(closing: np.ndarray, tool: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hindsight goal per step: tool position (N, K, 3) where the gripper next begins to close, and
    if it does.

    While the gripper is closed there is no goal.
    """
    n, k = closing.shape
    goal = np.zeros((n, k, 3), np.float32)
    known = np.zeros((n, k), bool)
    begins = closing & ~np.concatenate([np.zeros((n, 1), bool), closing[:, :-1]], 1)
    for i in range(k - 1, -1, -1):
        if i + 1 < k:
            goal[:, i] = goal[:, i + 1]
            known[:, i] = known[:, i + 1]
        now = begins[:, i]
        goal[now, i] = tool[now, i]
        known[now, i] = True
    return goal, known & ~closing


class Demonstrations:
    """All demonstrations in memory; draws random windows of K blocks."""

    def __init__(
        self,
        episodes: Episodes,
        latents: Tensor,
        config: DreamZeroConfig,
        normaliser: Normaliser,
        text: TextEncoder,
    ) -> None:
        self.config = config
        self.latents = latents
        self.states, self.actions = (
            torch.from_numpy(x).float() for x in (episodes.states, episodes.actions)
        )
        self.labelled = torch.from_numpy(episodes.labelled)
        goal, known = next_closing(episodes.closing, episodes.tool[:, :-1])
        self.goal = (torch.from_numpy(goal) - torch.tensor(GOAL_CENTRE)) / torch.tensor(GOAL_SCALE)
        self.goal_known = torch.from_numpy(known)
        self.words = text.tokenize([str(i) for i in episodes.instructions])
        self.normaliser = normaliser

    def sample(self, batch: int, blocks: int, generator: torch.Generator) -> Batch:
        """`batch` windows of `blocks` blocks at random episodes and starts."""
        chunk = self.config.chunk
        last = self.actions.shape[1] - chunk.frame_stride * (blocks - 1) - chunk.action_horizon
        if last < 0:
            raise WamError(f"episodes of {self.actions.shape[1]} steps hold no {blocks} blocks")
        episode = torch.randint(len(self.actions), (batch,), generator=generator)
        start = torch.randint(last + 1, (batch,), generator=generator)
        return self.window(episode, start, blocks)

    def window(self, episode: Tensor, start: Tensor, blocks: int) -> Batch:
        """Blocks whose anchors are `start + k * frame_stride` of the given episodes, both (B,)."""
        chunk = self.config.chunk
        rows = episode[:, None]
        stride = chunk.frame_stride
        anchors = start[:, None] + stride * torch.arange(blocks)
        future = anchors[..., None] + stride * (1 + torch.arange(chunk.imagined_frames))
        steps = anchors[..., None] + torch.arange(chunk.action_horizon)
        state = self.states[rows, anchors]
        action = self.actions[rows[..., None], steps]
        return Batch(
            clean=self.latents[rows, anchors],
            video=self.latents[rows[..., None], future],
            action=self.normaliser.actions(action, state),
            action_mask=self.labelled[rows[..., None], steps].float().cumprod(-1),
            state=self.normaliser.state(state),
            goal=self.goal[rows, anchors],
            goal_mask=self.goal_known[rows, anchors].float(),
            words=self.words[episode],
        )
