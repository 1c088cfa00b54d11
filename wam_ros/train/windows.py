"""Windows of recordings as the released models learn from them: pictures, sentences and joints
went through the frozen towers once and lie on the disk.

A window begins at a row of the data and has up to `blocks` blocks of actions; its frames are a
`frame_stride` apart. No picture is jittered or cropped at random, as the reference does online:
what is kept is one view of it.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from safetensors import SafetensorError, safe_open
from torch import Tensor

from wam_ros.core.errors import WamError
from wam_ros.core.files import write_json
from wam_ros.data.episodes import Episode, Episodes
from wam_ros.data.folder import open_episodes
from wam_ros.models.dreamzero.released import views
from wam_ros.models.dreamzero.released.contract import Binding, Contract
from wam_ros.models.dreamzero.released.dit_config import CausalDiTConfig
from wam_ros.models.dreamzero.released.prompts import paragraph
from wam_ros.models.dreamzero.released.quantiles import JointScaling, columns_of
from wam_ros.models.dreamzero.shared.weights import write_tensors
from wam_ros.train.family import Rows

INDEX = "index.json"  # written last
PROMPTS = "prompts.safetensors"
# Windows of a stretch begin so many of a block apart: every other half block is a new one, and
# each costs a pass of the autoencoder.
BEGINS = 2
OPEN = 16  # files that are kept open


@dataclass(frozen=True)
class Source:
    """A data set in the columns and views of a contract."""

    episodes: Episodes
    contract: Contract
    binding: Binding | None  # None where the data have the contract's own columns

    def columns(self, values: np.ndarray | None) -> np.ndarray | None:
        """(T, A) joints of the data -> the contract's columns, in its units."""
        b = self.binding
        if b is None or values is None:
            return values
        order = [self.episodes.joint_names.index(j) for j in b.joints]
        low = np.array([b.low.get(j, 0.0) for j in b.joints])
        high = np.array([b.high.get(j, 1.0) for j in b.joints])
        return (values[:, order] - low) / (high - low)

    def camera(self, view: str) -> str | None:
        """The data's camera that shows a view of the contract; None where there is none."""
        return view if self.binding is None else self.binding.views.get(view)


def open_source(folder: Path, contract: Contract) -> Source:
    """Data of a robot that the contract binds, or in the contract's own form.

    Raises:
        WamError: they are neither, or at another rate.
    """
    plain = open_episodes(folder)
    binding = contract.robots.get(plain.robot)
    if binding is None or set(binding.joints) != set(plain.joint_names):
        return Source(open_episodes(folder, contract.name), contract, None)
    if not abs(plain.rate_hz * contract.step_period_s - 1) <= 0.01:
        raise WamError(
            f"'{folder}' is at {plain.rate_hz:g} Hz, contract {contract.name} at "
            f"{1 / contract.step_period_s:.4g}"
        )
    return Source(plain, contract, binding)


@dataclass(frozen=True)
class Piece:
    """Rows of one episode that follow each other under one sentence."""

    episode: int
    rows: slice
    instruction: str
    states: np.ndarray  # (T, S) columns of the contract; zero where there are none
    actions: np.ndarray  # (T, A)
    labelled: np.ndarray  # (T,) bool

    def __len__(self) -> int:
        return self.rows.stop - self.rows.start


def pieces_of(source: Source) -> list[Piece]:
    """What windows are cut from.

    Raises:
        WamError: a number is not finite, by episode and row.
    """
    found = []
    c = source.contract
    for i, episode in enumerate(source.episodes):
        states = source.columns(episode.states)
        actions = source.columns(episode.actions)
        _require_finite(source, i, episode)
        n = len(episode)
        labelled = episode.labelled if episode.labelled is not None else np.ones(n, bool)
        if states is None or actions is None:
            labelled = np.zeros(n, bool)
        for rows in episode.stretches(1 / source.episodes.rate_hz):
            found.append(
                Piece(
                    episode=i,
                    rows=rows,
                    instruction=episode.instructions[rows.start],
                    states=np.zeros((n, c.state_dim))[rows] if states is None else states[rows],
                    actions=np.zeros((n, c.action_dim))[rows] if actions is None else actions[rows],
                    labelled=labelled[rows],
                )
            )
    return found


def _require_finite(source: Source, index: int, episode: Episode) -> None:
    for name, values in (("states", episode.states), ("actions", episode.actions)):
        if values is not None and not np.isfinite(values).all():
            k = int(np.argwhere(~np.isfinite(values))[0][0])
            raise WamError(
                f"'{source.episodes.where}': {name} of episode {index}, step {k} is not finite"
            )


def fit_statistics(pieces: Sequence[Piece], contract: Contract, horizon: int) -> dict[str, Any]:
    """`metadata.json` of a contract: quantiles of states and of actions, those of relative groups
    of their differences to the state where a chunk begins, pooled over all offsets.

    Raises:
        WamError: no stretch is longer than a chunk, with actions.
    """
    states = [p.states for p in pieces if p.labelled.any()]
    chunks = []
    for p in pieces:
        count = len(p) - horizon
        for o in range(horizon if count > 0 else 0):
            there = p.labelled[o : o + count]
            chunks.append((p.actions[o : o + count][there], p.states[:count][there]))
    if not sum(len(a) for a, _ in chunks):
        raise WamError(f"no episode is longer than a chunk of {horizon} steps, with actions")
    action = np.concatenate([a for a, _ in chunks])
    anchor = np.concatenate([s for _, s in chunks])
    found: dict[str, Any] = {"state": {}, "action": {}}
    all_states = np.concatenate(states)
    for group in contract.state:
        found["state"][group.name] = _quantiles(
            all_states[:, columns_of(contract.state, group.name)]
        )
    for group in contract.action:
        values = action[:, columns_of(contract.action, group.name)]
        if group.relative:
            values = values - anchor[:, columns_of(contract.state, group.name)]
        found["action"][group.name] = _quantiles(values)
    return {contract.name: {"statistics": found, "embodiment_tag": contract.name}}


def _quantiles(x: np.ndarray) -> dict[str, list[float]]:
    names = {"q01": 0.01, "q99": 0.99, "min": 0.0, "max": 1.0}
    found = {name: np.quantile(x, q, 0).tolist() for name, q in names.items()}
    return found | {"mean": x.mean(0).tolist(), "std": x.std(0).tolist()}


@dataclass(frozen=True)
class Encoders:
    """What turns pictures and sentences into what the transformer sees; batches of one."""

    prompt: Callable[[str], Tensor]  # a paragraph -> (1, L, text_dim)
    video: Callable[[Tensor], Tensor]  # (1, T, H, W, 3) uint8 -> (1, C, F, h, w)
    # (1, T, H, W, 3) uint8 -> image tokens (1, I, D) and latents of the first frame before grey
    anchor: Callable[[Tensor], tuple[Tensor | None, Tensor]]


def write_windows(
    folder: Path,
    key: str,
    source: Source,
    pieces: Sequence[Piece],
    scaling: JointScaling,
    config: CausalDiTConfig,
    encoders: Callable[[], Encoders],
) -> None:
    """Encode every window once; what is there already under the same key stays.

    Args:
        folder: where they go, a file for each piece.
        key: of everything that they depend on.
        source: where the pictures are.
        pieces: what windows are cut from.
        scaling: of states and actions.
        config: sizes of the model.
        encoders: made only where something is missing.

    Raises:
        WamError: no piece is as long as a block, a video is damaged, or the disk is full.
    """
    if _said(folder).get("key") == key:
        return
    folder.mkdir(parents=True, exist_ok=True)
    made = encoders()
    stride = source.contract.frame_stride
    sentences = list(dict.fromkeys(p.instruction for p in pieces))
    prompts = [made.prompt(paragraph(s, source.contract)) for s in sentences]
    write_tensors(folder / PROMPTS, {"text": torch.cat(prompts)}, {"key": key})
    files = []
    for i, piece in enumerate(track(pieces, "windows")):
        numbers = _numbers(piece, scaling, config, stride)
        if not numbers:
            continue
        path = folder / f"{i:06d}.safetensors"
        if _key_of(path) != key:
            pictures = _pictures(piece, source, config)
            rows = [_encoded(n, pictures, made, config, stride) for n in numbers]
            text = {"sentence": torch.tensor(sentences.index(piece.instruction))}
            stacked = {
                name: torch.stack([(r | text)[name] for r in rows]) for name in rows[0] | text
            }
            write_tensors(path, stacked, {"key": key})
        files.append({"file": path.name, "windows": len(numbers), "episode": piece.episode})
    if not files:
        raise WamError(
            f"'{source.episodes.where}': no stretch is as long as a block of "
            f"{config.actions_per_block + 1} rows"
        )
    write_json(folder / INDEX, {"key": key, "files": files})


def _said(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _key_of(path: Path) -> str | None:
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get("key")
    except (OSError, SafetensorError):
        return None


def _numbers(
    piece: Piece, scaling: JointScaling, config: CausalDiTConfig, stride: int
) -> list[Rows]:
    """Joints of all windows of a piece, filled up with zeros to the model's sizes."""
    c = config
    horizon = c.actions_per_block
    found = []
    # where there are frames
    begins = max(stride, horizon // BEGINS // stride * stride)
    for start in range(0, len(piece) - horizon, begins):
        blocks = min(c.blocks, (len(piece) - 1 - start) // horizon)
        anchors = start + horizon * np.arange(blocks)
        steps = anchors[:, None] + np.arange(horizon)
        state = piece.states[anchors]
        action = scaling.from_joints(piece.actions[steps], state)
        # a chunk is learned up to the first step of which nothing is known
        known = np.cumprod(piece.labelled[steps], 1)
        filled = np.zeros((c.blocks, horizon, c.action_dim), np.float32)
        mask = np.zeros_like(filled)
        filled[:blocks, :, : action.shape[-1]] = action
        mask[:blocks, :, : action.shape[-1]] = known[..., None]
        states = np.zeros((c.blocks, c.states_per_block, c.state_dim), np.float32)
        states[:blocks, :, : state.shape[-1]] = scaling.state.normalise(state)[:, None]
        found.append(
            {
                "start": torch.tensor(start),
                "blocks": torch.tensor(blocks),
                "action": torch.from_numpy(filled.reshape(-1, c.action_dim)),
                "action_mask": torch.from_numpy(mask.reshape(-1, c.action_dim)),
                "state": torch.from_numpy(states.reshape(-1, c.state_dim)),
                "has_action": torch.tensor(float(known.any())),
            }
        )
    return found


def _pictures(piece: Piece, source: Source, config: CausalDiTConfig) -> np.ndarray:
    """(N, H, W, 3) uint8 canvases of the rows that frames of windows can be at."""
    c = source.contract
    shown: dict[str, np.ndarray] = {}
    for view in c.views:
        camera = source.camera(view)
        if camera is None:
            continue
        frames = source.episodes.pictures(piece.episode, camera, piece.rows.start, piece.rows.stop)
        small = [
            views.resize(views.centre_crop(frame, c.crop), c.view_height, c.view_width)
            for k, frame in enumerate(frames)
            if k % c.frame_stride == 0
        ]
        shown[view] = np.stack(small)
    return views.compose(shown, c.canvas)


def _encoded(
    numbers: Rows,
    pictures: np.ndarray,
    made: Encoders,
    config: CausalDiTConfig,
    stride: int,
) -> Rows:
    """A window with its latents, those beyond its last block zero."""
    first = int(numbers["start"]) // stride
    count = int(numbers["blocks"]) * config.actions_per_block // stride
    frames = torch.from_numpy(pictures[first : first + count + 1])[None]
    latents = made.video(frames)[0]
    filled = latents.new_zeros(latents.shape[0], config.window_frames, *latents.shape[2:])
    filled[:, : latents.shape[1]] = latents
    image, begun = made.anchor(frames[:, :1])
    more = {} if image is None else {"image": image[0]}
    if config.concat_first_frame:
        more["first"] = begun[0]
    return {**numbers, "latents": filled, **more}


class Windows:
    """Reads what `write_windows` wrote, one window at a time; for one thread.

    Raises:
        WamError: nothing is there, or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        said = _said(folder)
        try:
            self.key = str(said["key"])
            self._places = [
                (str(f["file"]), i) for f in said["files"] for i in range(int(f["windows"]))
            ]
            # of each window
            self.episodes = torch.tensor(
                [int(f["episode"]) for f in said["files"] for _ in range(int(f["windows"]))]
            )
            with safe_open(folder / PROMPTS, "pt") as file:
                self.text = file.get_tensor("text")  # (n, L, text_dim)
        except (KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
            raise WamError(f"'{folder}' is damaged: {error}") from error
        self._open: OrderedDict[str, tuple[AbstractContextManager[Any], Any]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> Rows:
        """One window; its sentence is a row of `text`."""
        name, row = self._places[number]
        try:
            file = self._file(name)
            return {key: file.get_slice(key)[row] for key in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise WamError(f"'{self.folder / name}' is damaged: {error}") from error

    def _file(self, name: str) -> Any:
        if name not in self._open:
            if len(self._open) >= OPEN:
                _, (old, _) = self._open.popitem(last=False)
                old.__exit__(None, None, None)
            context = safe_open(self.folder / name, "pt")
            self._open[name] = (context, context.__enter__())
        self._open.move_to_end(name)
        return self._open[name][1]
