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
    """
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / f"shard_{index:04d}.npz",
        **{f.name: getattr(episodes, f.name) for f in fields(Episodes)},
    )
    (folder / "header.json").write_text(json.dumps(header, indent=1) + "\n")


def load_episodes(folder: Path) -> tuple[Episodes, dict]:
    """All shards of a folder, in order.

    Raises:
        WamError: nothing there, or a damaged shard, by name.
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
                parts.append({f.name: data[f.name] for f in fields(Episodes)})
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise WamError(f"damaged demonstration file '{shard}': {error}") from error
    joined = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    return Episodes(**joined), json.loads((folder / "header.json").read_text())
