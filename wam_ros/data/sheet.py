"""A data set at a glance: frames of its episodes, and what its actions are, in one picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wam_ros.core.files import whole_file
from wam_ros.data.episodes import Episodes
from wam_ros.data.video import VideoWriter

FRAMES = 8  # of each camera and episode
WIDTH = 15.0  # inch
COLUMNS = 4  # of joints
BINS = 60
DPI = 80
SIDE = 120  # px that a frame is shown high


def draw(episodes: Episodes, shown: list[int], limits: Mapping[str, tuple[float, float]]) -> Figure:
    """Rows of frames, and below them a histogram of each action.

    Args:
        episodes: the data set.
        shown: numbers of episodes to show.
        limits: of joints by name, rad or m; those that are not known are left out.
    """
    strips = [_strip(episodes, i) for i in shown]
    wide = max(s.shape[1] for s in strips)
    heights = [WIDTH * s.shape[0] / wide + 0.3 for s in strips]
    names = episodes.action_names
    joints = -(-len(names) // COLUMNS)
    figure = Figure(figsize=(WIDTH, sum(heights) + 1.9 * joints + 0.5), layout="constrained")
    grid = figure.add_gridspec(
        len(strips) + joints, COLUMNS, height_ratios=[*heights, *[1.9] * joints]
    )
    for row, (i, strip) in enumerate(zip(shown, strips, strict=True)):
        axes = figure.add_subplot(grid[row, :])
        axes.imshow(strip, aspect="equal", interpolation="nearest")
        axes.set_axis_off()
        axes.set_title(_title(episodes, i), loc="left", fontsize=9)
    values = [_actions(episodes, i) for i in range(len(episodes))] if names else []
    for j, name in enumerate(names):
        axes = figure.add_subplot(grid[len(strips) + j // COLUMNS, j % COLUMNS])
        _histogram(axes, np.concatenate([v[:, j] for v in values]), name, limits.get(name))
    figure.suptitle(
        f"{episodes.where}: {len(episodes)} episodes of {episodes.robot or '?'} at "
        f"{episodes.rate_hz:g} Hz",
        fontsize=11,
    )
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write it as a PNG file.

    Raises:
        WamError: it cannot be written.
    """
    with whole_file(path) as part:
        figure.savefig(part, format="png", dpi=DPI)


def _strip(episodes: Episodes, index: int) -> np.ndarray:
    """Cameras above each other, time from left to right: (H, W, 3) uint8."""
    rows = np.unique(np.linspace(0, episodes.length(index) - 1, FRAMES).astype(int)).tolist()
    strips = []
    for view in episodes.view_names:
        frames = [next(episodes.pictures(index, view, k, k + 1)) for k in rows]
        step = max(1, frames[0].shape[0] // SIDE)
        strips.append(np.hstack([f[::step, ::step] for f in frames]))
    wide = max(s.shape[1] for s in strips) if strips else 1
    padded = [np.pad(s, ((0, 2), (0, wide - s.shape[1]), (0, 0))) for s in strips]
    return np.vstack(padded) if padded else np.zeros((1, 1, 3), np.uint8)


def _title(episodes: Episodes, index: int) -> str:
    episode = episodes[index]
    ends = {None: "", True: ", succeeded", False: ", failed"}[episode.success]
    words = " / ".join(dict.fromkeys(episode.instructions))
    labelled = 1.0 if episode.labelled is None else float(episode.labelled.mean())
    return f"{index}: {words} ({len(episode)} rows{ends}; {labelled:.0%} with actions)"


def _actions(episodes: Episodes, index: int) -> np.ndarray:
    episode = episodes[index]
    assert episode.actions is not None
    return episode.actions[episode.labelled]


def _histogram(
    axes: Axes, values: np.ndarray, name: str, limits: tuple[float, float] | None
) -> None:
    values = values[np.isfinite(values)]
    axes.hist(values, BINS, color="#2a6fdb")
    for limit in limits or ():
        if np.isfinite(limit):
            axes.axvline(limit, color="#d62828", linewidth=1.2)
    axes.set_title(name, loc="left", fontsize=9)
    axes.tick_params(labelsize=7)
    axes.set_yticks([])


def film(episodes: Episodes, index: int, path: Path) -> int:
    """Write one episode as a video, cameras side by side; returns its frames.

    Raises:
        WamError: it cannot be read or written.
    """
    views = episodes.views
    tall = max(v.height for v in views)
    height = tall + tall % 2
    wide = sum(v.width for v in views)
    width = wide + wide % 2
    writer = VideoWriter(path, height, width, episodes.rate_hz, "h264")
    streams = [episodes.pictures(index, v.name) for v in views]
    for frames in zip(*streams, strict=True):
        canvas = np.zeros((height, width, 3), np.uint8)
        left = 0
        for frame in frames:
            canvas[: frame.shape[0], left : left + frame.shape[1]] = frame
            left = left + frame.shape[1]
        writer.add(canvas)
    writer.close()
    return writer.frames
