"""Demonstrations on disk: one uncompressed .npz of fixed-length episodes per shard, plus a JSON
header.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.core.files import whole_file, write_json


@dataclass(frozen=True)
class Episodes:
    """N episodes of K control steps; the frame and state of index k are seen just before
    action k.
    """

    frames: np.ndarray  # (N, K + 1, V, H, W, 3) uint8 RGB
    states: np.ndarray  # (N, K + 1, A) measured joints, rad or m
    actions: np.ndarray  # (N, K, A) commanded joints one step later, rad or m
    labelled: np.ndarray  # (N, K) bool: False where a disturbance acted instead of the expert
    tool: np.ndarray  # (N, K + 1, 3) tool centre point from forward kinematics, m
    closing: np.ndarray  # (N, K) bool: the gripper is told to close or stay closed
    success: np.ndarray  # (N,) bool
    seeds: np.ndarray  # (N,) int64
    instructions: np.ndarray  # (N,) unicode

    def __len__(self) -> int:
        return len(self.seeds)


def save_shard(folder: Path, index: int, episodes: Episodes, header: dict) -> None:
    """Write one shard; the header (embodiment, rates, views) is the same for all shards of a
    folder.

    Raises:
        WamError: it cannot be written; the shards that are there can be read.
    """
    write_json(folder / "header.json", header)
    with whole_file(folder / f"shard_{index:04d}.npz") as part, part.open("wb") as file:
        np.savez(file, **{f.name: getattr(episodes, f.name) for f in fields(Episodes)})


def load_episodes(folder: Path) -> tuple[Episodes, dict]:
    """All shards of a folder, in order.

    Raises:
        WamError: nothing there, a damaged header or shard, by name, arrays that do not belong
            together, or shards whose episodes differ in length or size.
    """
    shards = sorted(folder.glob("shard_*.npz"))
    if not shards or not (folder / "header.json").is_file():
        raise WamError(
            f"no demonstrations in '{folder}'; make some with `wam record-sim --out {folder}`"
        )
    parts = []
    for shard in shards:
        try:
            with np.load(shard, allow_pickle=False) as data:
                part = {f.name: data[f.name] for f in fields(Episodes)}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise WamError(f"damaged demonstration file '{shard}': {error}") from error
        _require_shapes(part, shard)
        parts.append(part)
        for name, values in part.items():
            first = parts[0][name]
            if values.shape[1:] != first.shape[1:]:
                raise WamError(
                    f"'{shard}': {name} of an episode are {values.shape[1:]}, those of "
                    f"'{shards[0].name}' are {first.shape[1:]}: all must be alike"
                )
    joined = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    return Episodes(**joined), _read_header(folder / "header.json")


def _read_header(path: Path) -> dict:
    try:
        header = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WamError(f"'{path}' is damaged: {' '.join(str(error).split())}") from error
    if not isinstance(header, dict):
        raise WamError(f"'{path}' is damaged: it holds {type(header).__name__}, no object")
    return header


def _require_shapes(part: dict[str, np.ndarray], shard: Path) -> None:
    """Arrays of one file belong together: as many episodes and steps, of `Episodes`' kinds."""
    frames = part["frames"]
    if frames.ndim != 6 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise WamError(
            f"'{shard}': frames are {frames.shape} {frames.dtype}, expected (episodes, steps + 1, "
            "views, height, width, 3) uint8"
        )
    n = frames.shape[0]
    k = frames.shape[1] - 1
    joints = part["states"].shape[-1] if part["states"].ndim == 3 else 0
    wanted = {
        "states": ((n, k + 1, joints), "f"),
        "actions": ((n, k, joints), "f"),
        "labelled": ((n, k), "b"),
        "tool": ((n, k + 1, 3), "f"),
        "closing": ((n, k), "b"),
        "success": ((n,), "b"),
        "seeds": ((n,), "iu"),
        "instructions": ((n,), "U"),
    }
    kinds = {"f": "float", "b": "bool", "iu": "integer", "U": "text"}
    for name, (shape, kind) in wanted.items():
        found = part[name]
        if found.shape != shape or found.dtype.kind not in kind:
            raise WamError(
                f"'{shard}': {name} are {found.shape} {found.dtype}, expected {shape} {kinds[kind]}"
            )
    if n < 1 or k < 1:
        raise WamError(f"'{shard}' holds {n} episodes of {k} steps")
