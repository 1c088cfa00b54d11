"""Demonstrations as training batches: latents, relative actions, noise-free targets."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from wam_ros.core.errors import WamError
from wam_ros.core.images import tile
from wam_ros.data.episodes import Episode, Episodes
from wam_ros.models.dreamzero.shared.weights import write_tensors
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
    """K blocks of B sequences; shapes as in `WorldActionModel.forward`.

    Sequences may have fewer blocks: those beyond are copies of the last one and `known` nowhere.
    """

    clean: Tensor  # (B, K, C, h, w)
    video: Tensor  # (B, K, F, C, h, w)
    action: Tensor  # (B, K, T, A) normalised
    action_mask: Tensor  # (B, K, T) 1 where the expert's action is known
    state: Tensor  # (B, K, S) normalised
    goal: Tensor  # (B, K, 3) normalised tool position at the next closing of the gripper
    goal_mask: Tensor  # (B, K)
    words: Tensor  # (B, M)
    known: Tensor  # (B, K) 1 where the block is in the data


@dataclass(frozen=True)
class Stretch:
    """Rows of one episode that follow each other under one sentence."""

    episode: int
    rows: slice
    instruction: str
    states: np.ndarray  # (T, A) rad or m; NaN in a video that has none
    actions: np.ndarray  # (T, A) rad or m
    labelled: np.ndarray  # (T,) bool
    goal: np.ndarray  # (T, 3) m: tool position where the gripper next begins to close
    goal_known: np.ndarray  # (T,) bool

    def __len__(self) -> int:
        return len(self.states)

    @property
    def has_states(self) -> bool:
        """Whether it is more than a video."""
        return bool(np.isfinite(self.states).all())


def as_film(stretch: Stretch) -> Stretch:
    """Its pictures and its sentence alone."""
    return replace(
        stretch,
        states=np.full_like(stretch.states, np.nan),
        actions=np.full_like(stretch.actions, np.nan),
        labelled=np.zeros_like(stretch.labelled),
        goal_known=np.zeros_like(stretch.goal_known),
    )


def stretches_of(index: int, episode: Episode, period_s: float, joints: int) -> list[Stretch]:
    """What windows can be cut from: they reach across no cut and no change of the sentence.

    Args:
        index: of the episode in its data set.
        episode: its rows; one without states or actions is a video.
        period_s: between two rows.
        joints: how wide states are, where there are none.
    """
    length = len(episode)
    states = episode.states if episode.states is not None else np.full((length, joints), np.nan)
    actions = episode.actions if episode.actions is not None else states
    labelled = episode.labelled if episode.labelled is not None else np.ones(length, bool)
    if episode.states is None or episode.actions is None:
        labelled = np.zeros(length, bool)
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
                states=states[rows],
                actions=actions[rows],
                labelled=labelled[rows],
                goal=goal[0],
                goal_known=goal_known[0],
            )
        )
    return found


def canvases(
    sets: list[tuple[Episodes, list[Stretch]]], views: tuple[str, ...], folder: Path
) -> np.ndarray:
    """(R, H, V * W, 3) uint8: views side by side, of all rows of all stretches of some data sets,
    end to end.

    They lie in a file without a name in `folder`: a data set may be larger than memory.

    Raises:
        WamError: the disk has no room for them, or a video is damaged.
    """
    size = sets[0][0].views[0]
    shape = (sum(len(s) for _, some in sets for s in some), size.height, len(views) * size.width, 3)
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
    for episodes, stretches in sets:
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


def digest_of(stretches: list[Stretch]) -> str:
    """16 hex digits that tell the data from others by their numbers and sentences."""
    total = hashlib.sha256()
    for s in stretches:
        total.update(f"{s.episode} {s.rows.start} {s.rows.stop} {s.instruction}\n".encode())
        for numbers in (s.states, s.actions, s.labelled):
            total.update(np.ascontiguousarray(numbers).tobytes())
    return total.hexdigest()[:16]


def about(episodes: Episodes, stretches: list[Stretch]) -> dict[str, Any]:
    """What a card says of the data."""
    rows = sum(map(len, stretches))
    learned = sum(int(s.labelled.sum()) for s in stretches)
    return {
        "data": Path(episodes.where).name,
        "robot": episodes.robot,
        "episodes": len(episodes),
        "minutes": round(rows / episodes.rate_hz / 60, 2),
        "steps with an action": f"{learned} of {rows}",
        "steps a second": episodes.rate_hz,
        "cameras": list(episodes.view_names),
        "sentences": sorted({s.instruction for s in stretches})[:20],
    }


def cached_latents(
    path: Path, tokenizer: FrameTokenizer, digest: str, frames: Callable[[], np.ndarray]
) -> Tensor:
    """Latents (R, C, h, w) bfloat16 of all frames, from the file at `path` where that is of these
    data and this tokenizer, else made and written there.
    """
    total = hashlib.sha256(digest.encode())
    for x in tokenizer.state_dict().values():
        total.update(x.detach().float().contiguous().numpy().tobytes())
    key = total.hexdigest()[:16]
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("key") == key:
                return file.get_tensor("latents")
    except (OSError, SafetensorError):
        pass  # none yet, or one that was not finished
    latents = encode_all(tokenizer, frames()).contiguous()
    write_tensors(path, {"latents": latents}, {"key": key})
    return latents


def round_to_half(module: nn.Module) -> None:
    """Give weights the values that they have in a checkpoint."""
    with torch.no_grad():
        for x in module.state_dict().values():
            x.copy_(x.half())


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
    """Numbers and latents of all demonstrations in memory, as numbered windows of K blocks.

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
        # the first one is never held out, and videos, which nothing is measured by, count to it
        self.episodes = torch.tensor([s.episode if s.has_states else 0 for s in stretches])
        self.films = torch.tensor([not s.has_states for s in stretches])
        self.lengths = torch.tensor([len(s) for s in stretches])
        self.begins = self.lengths.cumsum(0) - self.lengths
        self.normaliser = normaliser

    def starts(self) -> tuple[Tensor, Tensor]:
        """How many windows begin in each stretch, (S,), and the number of the first one of the next
        stretch, (S,).
        """
        counts = (self.lengths - rows_needed(self.config.chunk, 1) + 1).clamp_min(0)
        return counts, counts.cumsum(0)

    def episode_of_windows(self) -> Tensor:
        """(N,) the episode of each window, in the order of their numbers; 0 of a video."""
        return self.episodes.repeat_interleave(self.starts()[0])

    def is_film(self) -> Tensor:
        """(N,) whether each window is of a video without states, in the order of their numbers."""
        return self.films.repeat_interleave(self.starts()[0])

    def numbered(self, windows: Tensor, blocks: int) -> Batch:
        """Windows by their numbers (B,), of `blocks` blocks or as many as fit before their stretch
        ends.
        """
        counts, ends = self.starts()
        stretch = torch.searchsorted(ends, windows, right=True)
        return self.window(stretch, windows - (ends - counts)[stretch], blocks)

    def window(self, stretch: Tensor, start: Tensor, blocks: int) -> Batch:
        """Blocks whose anchors are `start + k * frame_stride` of the given stretches, both (B,), as
        far as they fit.
        """
        chunk = self.config.chunk
        stride = chunk.frame_stride
        room = self.lengths[stretch] - start - rows_needed(chunk, 1)
        there = (1 + room.div(stride, rounding_mode="floor")).clamp_max(blocks)  # (B,)
        order = torch.arange(blocks)
        known = order < there[:, None]
        place = torch.minimum(order.expand(len(start), -1), there[:, None] - 1)
        anchors = (self.begins[stretch] + start)[:, None] + stride * place
        future = anchors[..., None] + stride * (1 + torch.arange(chunk.imagined_frames))
        steps = anchors[..., None] + torch.arange(chunk.action_horizon)
        state = self.states[anchors]
        labelled = self.labelled[steps] & known[..., None]
        return Batch(
            clean=self.latents[anchors],
            video=self.latents[future],
            action=self.normaliser.actions(self.actions[steps], state).nan_to_num(0.0),
            action_mask=labelled.float().cumprod(-1),
            state=self.normaliser.state(state).nan_to_num(0.0),
            goal=self.goal[anchors],
            goal_mask=(self.goal_known[anchors] & known).float(),
            words=self.words[stretch],
            known=known.float(),
        )
