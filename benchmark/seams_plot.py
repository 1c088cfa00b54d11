"""The picture of `benchmark.seams`: what plans want at a seam, and what controllers make of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.core.files import whole_file

TITLES = (
    "wanted: jump of position [rad]",
    "wanted: jump of velocity [rad/s]",
    "wanted: jump of acceleration [rad/s²]",
    "commanded: largest acceleration [rad/s²]",
)
CARRY = {
    "quintic": "positions, velocities,\naccelerations (default)",
    "cubic": "positions, velocities",
    "linear": "positions only",
}

NOTE = """Wanted: how far the new plan is from the motion under way,
before anything smooths it. Pale and hatched: the mode is not
possible at this delay; the arm stops and thinks instead.

Commanded: behind safety filter and gate. What a controller at
1 kHz is told changes by less than the limits of the joint allow
wherever the bars stay below the red line: no jump."""


def plot(found: dict[str, dict], ticks: dict[str, np.ndarray], path: Path) -> None:
    """Four panels by delay and mode, and one by what trajectory points carry.

    Args:
        found: figures by mode and delay in ms.
        ticks: (3,) largest changes per tick as share of the limits, by what points carry.
        path: of the picture.

    Raises:
        WamError: matplotlib is not installed.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        raise WamError("--plot needs matplotlib: pip install matplotlib") from error
    figure, axes = pyplot.subplots(2, 3, figsize=(15, 8.2), layout="constrained")
    panels = axes.flat
    ran = {m: cells for m, cells in found.items() if "refused" not in cells}
    for axis, row, title in zip(panels, range(4), TITLES, strict=False):
        _bars(axis, ran, row, title)
    _ticks(axes[1, 1], ticks)
    axes[1, 2].axis("off")
    handles = axes[0, 0].get_legend_handles_labels()
    axes[1, 2].legend(
        *handles, loc="upper left", title="how a chunk follows the one before", fontsize=10
    )
    axes[1, 2].text(0.02, 0.02, NOTE, transform=axes[1, 2].transAxes, fontsize=10)
    with whole_file(path) as part:
        figure.savefig(part, dpi=90, format="png")


def _bars(axis, ran: dict[str, dict], row: int, title: str) -> None:
    """One figure of every mode and delay: 0 to 2 the wanted jumps, 3 the acceleration that is
    commanded.
    """
    delays = list(next(iter(ran.values())))
    width = 0.85 / len(ran)
    for i, (mode, cells) in enumerate(ran.items()):
        for x, c in enumerate(cells.values()):
            value = (*c["wanted_max"], c["acceleration_max"])[row]
            instead = c["timing"].startswith("mode=SYNC") and mode != "synchronous"
            style = {"hatch": "////", "alpha": 0.3} if instead else {}
            label = mode if x == 0 else None
            axis.bar(
                x + (i - (len(ran) - 1) / 2) * width,
                value,
                0.92 * width,
                color=f"C{i}",
                label=label,
                **style,
            )
    axis.set_title(title, fontsize=11)
    axis.set_xticks(range(len(delays)), [str(d) for d in delays])
    axis.set_xlabel("inference delay [ms]")
    axis.grid(axis="y", alpha=0.3)


def _ticks(axis, ticks: dict[str, np.ndarray]) -> None:
    """Largest changes from tick to tick over all modes and delays."""
    for k, (name, colour) in enumerate({"velocity": "0.35", "acceleration": "0.7"}.items()):
        values = [row[k + 1] for row in ticks.values()]
        bars = axis.bar(
            np.arange(len(ticks)) + 0.4 * k - 0.2, values, 0.37, color=colour, label=name
        )
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axis.bar_label(bars, fmt="%.2g", fontsize=9, padding=4, bbox=box)
    axis.axhline(1.0, color="C3", linewidth=1)
    axis.set_yscale("log")
    axis.set_ylim(0.05, 4 * max(1.0, *(max(row) for row in ticks.values())))
    axis.set_xticks(range(len(ticks)), [CARRY[points] for points in ticks], fontsize=9)
    axis.set_title("commanded: largest change in 1 ms as share of the limit", fontsize=11)
    axis.legend(fontsize=9, title="by what points carry", title_fontsize=9)
    axis.grid(axis="y", alpha=0.3)
