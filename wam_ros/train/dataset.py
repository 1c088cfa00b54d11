"""Demonstrations as training batches: latents, relative actions, noise-free targets."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from wam_ros.core.errors import WamError
from wam_ros.core.images import tile
from wam_ros.data.episodes import Episode, Episodes
from wam_ros.models.dreamzero.small.config import ChunkConfig, DreamZeroConfig
from wam_ros.models.dreamzero.small.normalise import GOAL_CENTRE, GOAL_SCALE, Normaliser
from wam_ros.models.dreamzero.small.text import TextEncoder
from wam_ros.models.dreamzero.small.tokenizer import FrameTokenizer
from wam_ros.models.processor import processor

# columns that `wam record-sim` adds, of which the grounding stem learns
TOOL = "tool_position"  # (3,) tool centre point from forward kinematics, m
CLOSING = "gripper_closing"  # the gripper is told to close or stay closed


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


@dataclass(frozen=True)
class Stretch:
    """Rows of one episode that follow each other under one sentence."""

    episode: int
    rows: slice
    instruction: str
    states: np.ndarray  # (T, A) rad or m
    actions: np.ndarray  # (T, A) rad or m
    labelled: np.ndarray  # (T,) bool
    goal: np.ndarray  # (T, 3) m: tool position where the gripper next begins to close
    goal_known: np.ndarray  # (T,) bool

    def __len__(self) -> int:
        return len(self.states)


def stretches_of(index: int, episode: Episode, period_s: float) -> list[Stretch]:
    """What windows can be cut from: they reach across no cut and no change of the sentence."""
    assert episode.states is not None
    length = len(episode)
    actions = episode.actions if episode.actions is not None else episode.states
    labelled = episode.labelled if episode.labelled is not None else np.ones(length, bool)
    # of data that do not say where the tool is there is no goal to learn
    known = TOOL in episode.extra and CLOSING in episode.extra
    tool = episode.extra[TOOL] if known else np.zeros((length, 3))
    closing = episode.extra[CLOSING].astype(bool) if known else np.zeros(length, bool)
    found = []
    for rows in episode.stretches(period_s):
        goal, goal_known = next_closing(closing[None, rows], tool[None, rows])
        found.append(
            Stretch(
                episode=index,
                rows=rows,
                instruction=episode.instructions[rows.start],
                states=episode.states[rows],
                actions=actions[rows],
                labelled=labelled[rows],
                goal=goal[0],
                goal_known=goal_known[0],
            )
        )
    return found


def canvases(
    episodes: Episodes, stretches: list[Stretch], views: tuple[str, ...], folder: Path
) -> np.ndarray:
    """(R, H, V * W, 3) uint8: views side by side, of all rows of all stretches, end to end.

    They lie in a file without a name in `folder`: a data set may be larger than memory.

    Raises:
        WamError: the disk has no room for them, or a video is damaged.
    """
    size = episodes.views[0]
    shape = (sum(map(len, stretches)), size.height, len(views) * size.width, 3)
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        # room that is not there must be an error here: written through a map it ends the process
        os.posix_fallocate(file.fileno(), 0, int(np.prod(shape)))
    except OSError as error:
        raise WamError(
            f"'{folder}' has no room for {np.prod(shape) / 1e9:.2g} GB of frames: {error.strerror}"
        ) from error
    frames = np.memmap(file, np.uint8, "r+", shape=shape)
    k = 0
    for s in track(stretches, "frames"):
        for views_of_row in episodes.stacked(s.episode, views, s.rows.start, s.rows.stop):
            frames[k] = tile(views_of_row)
            k = k + 1
    return frames


@torch.no_grad()
def encode_all(tokenizer: FrameTokenizer, frames: np.ndarray, chunk: int = 256) -> Tensor:
    """(R, H, W, 3) uint8 canvases -> (R, C, h, w) bfloat16 latents."""
    with autocast():
        parts = [
            tokenizer.encode(torch.from_numpy(frames[i : i + chunk])).bfloat16()
            for i in range(0, len(frames), chunk)
        ]
    return torch.cat(parts)


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


def rows_needed(chunk: ChunkConfig, blocks: int) -> int:
    """Rows of a stretch that hold one window: its last action, and its last frame."""
    ahead = max(chunk.action_horizon, chunk.frame_stride * chunk.imagined_frames + 1)
    return chunk.frame_stride * (blocks - 1) + ahead


class Demonstrations:
    """Numbers and latents of all demonstrations in memory; draws random windows of K blocks.

    Args:
        stretches: end to end they are the rows that latents are of.
        latents: (R, C, h, w).
        config: sizes of the model.
        normaliser: of states and actions.
        text: reads the sentences.
    """

    def __init__(
        self,
        stretches: list[Stretch],
        latents: Tensor,
        config: DreamZeroConfig,
        normaliser: Normaliser,
        text: TextEncoder,
    ) -> None:
        self.config = config
        self.latents = latents
        self.states, self.actions, self.labelled, goal, self.goal_known = (
            torch.from_numpy(np.concatenate(x))
            for x in zip(
                *((s.states, s.actions, s.labelled, s.goal, s.goal_known) for s in stretches),
                strict=True,
            )
        )
        self.states, self.actions = self.states.float(), self.actions.float()
        self.goal = (goal - torch.tensor(GOAL_CENTRE)) / torch.tensor(GOAL_SCALE)
        self.words = text.tokenize([s.instruction for s in stretches])
        self.lengths = torch.tensor([len(s) for s in stretches])
        self.begins = self.lengths.cumsum(0) - self.lengths
        self.normaliser = normaliser

    def sample(self, batch: int, blocks: int, generator: torch.Generator) -> Batch:
        """`batch` windows of `blocks` blocks, each of all that there are as likely."""
        starts = (self.lengths - rows_needed(self.config.chunk, blocks) + 1).clamp_min(0)
        ends = starts.cumsum(0)
        if not ends[-1]:
            raise WamError(f"stretches of {int(self.lengths.max())} rows hold no {blocks} blocks")
        drawn = torch.randint(int(ends[-1]), (batch,), generator=generator)
        stretch = torch.searchsorted(ends, drawn, right=True)
        return self.window(stretch, drawn - (ends - starts)[stretch], blocks)

    def window(self, stretch: Tensor, start: Tensor, blocks: int) -> Batch:
        """Blocks whose anchors are `start + k * frame_stride` of the given stretches, both (B,)."""
        chunk = self.config.chunk
        stride = chunk.frame_stride
        anchors = (self.begins[stretch] + start)[:, None] + stride * torch.arange(blocks)
        future = anchors[..., None] + stride * (1 + torch.arange(chunk.imagined_frames))
        steps = anchors[..., None] + torch.arange(chunk.action_horizon)
        state = self.states[anchors]
        return Batch(
            clean=self.latents[anchors],
            video=self.latents[future],
            action=self.normaliser.actions(self.actions[steps], state),
            action_mask=self.labelled[steps].float().cumprod(-1),
            state=self.normaliser.state(state),
            goal=self.goal[anchors],
            goal_mask=self.goal_known[anchors].float(),
            words=self.words[stretch],
        )
