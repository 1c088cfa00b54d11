"""Small data sets for tests: random episodes, written as they are and changed on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from wam_ros.data.episodes import Episode, View
from wam_ros.data.lerobot.info import Feature
from wam_ros.data.lerobot.writer import Description, LeRobotWriter

JOINTS = ("shoulder", "elbow", "gripper")
VIEWS = (View("front", 16, 24), View("wrist", 12, 12))
SMALL = Description("arm", 10.0, JOINTS, JOINTS, VIEWS)


def episode(seed: int = 0, rows: int = 9, **changed: object) -> Episode:
    """Random rows of the `SMALL` arm."""
    rng = np.random.default_rng(seed)
    states = rng.normal(size=(rows, 3)).cumsum(0).astype(np.float32)
    values: dict = {
        "stamps_s": np.arange(rows) / 10.0,
        "instructions": ("push",) * rows,
        "states": states,
        "actions": np.roll(states, -1, 0),
    }
    return Episode(**values | changed)


def frames(seed: int, rows: int, view: View) -> np.ndarray:
    """(T, H, W, 3): a coloured square that moves over noise that does not."""
    rng = np.random.default_rng([seed, view.height])
    still = rng.integers(0, 256, (view.height, view.width, 3), dtype=np.uint8)
    found = np.repeat(still[None], rows, 0)
    for k in range(rows):
        found[k, 2:6, (3 + k) % (view.width - 4) :][:, :4] = (255, 20 * k % 256, 0)
    return found


def pictures(seed: int, rows: int, views: tuple[View, ...] = VIEWS) -> dict[str, np.ndarray]:
    """Frames of every camera."""
    return {v.name: frames(seed, rows, v) for v in views}


def write(
    folder: Path,
    episodes: list[Episode],
    description: Description = SMALL,
    codec: str = "lossless",
    version: str = "v3.0",
    change: Callable[[dict], object] = lambda shown: None,
) -> Path:
    """A data set of those episodes, with frames by their number; `change` sees them before."""
    with LeRobotWriter(folder, description, codec, version) as writer:
        for i, e in enumerate(episodes):
            shown = pictures(i, len(e), description.views)
            change(shown)
            writer.add(e, shown)
    return folder


def feature(dtype: str, *shape: int) -> Feature:
    """A column without names."""
    return Feature(dtype, shape or (1,), ())
