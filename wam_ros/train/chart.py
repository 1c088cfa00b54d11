"""Draws what an evaluation found: one bar for each policy and task, of what came of its episodes,
with the interval of success.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from wam_ros.core.files import whole_file
from wam_ros.sim.outcomes import DROPPED, NO_GRASP, STOPPED, SUCCESS, TIMEOUT, WORST, WRONG

COLOURS = {
    SUCCESS: "#2f855a",
    TIMEOUT: "#d9dde2",
    DROPPED: "#b9c0c9",
    NO_GRASP: "#8f98a3",
    WRONG: "#c05621",
    STOPPED: "#822727",
}
BAR_INCH = 0.3
LEFT = 0.28  # of the picture, for the names


def draw(summary: Sequence[dict[str, Any]], file: Path) -> None:
    """Write the picture of a summary, as of `judging.summarise`.

    Raises:
        WamError: the file cannot be written.
    """
    policies = len({s["policy"] for s in summary})
    names = [f"{s['policy']}, {s['task']}" if policies > 1 else s["task"] for s in summary]
    figure = Figure(figsize=(9, 1.2 + BAR_INCH * len(summary)))
    high = figure.get_figheight()
    axes = figure.add_axes((LEFT, 0.5 / high, 0.97 - LEFT, 1 - 1.0 / high))
    heights = range(len(summary))
    left = [0.0] * len(summary)
    for outcome in (SUCCESS, *reversed(WORST)):
        shares = [100 * s["outcomes"].get(outcome, 0) / s["episodes"] for s in summary]
        if any(shares):
            axes.barh(heights, shares, left=left, color=COLOURS[outcome], label=outcome, height=0.7)
            left = [a + b for a, b in zip(left, shares, strict=True)]
    middles = [100 * s["success"] for s in summary]
    ends = [[100 * x for x in s["success_95"]] for s in summary]
    below = [m - low for m, (low, _) in zip(middles, ends, strict=True)]
    above = [high - m for m, (_, high) in zip(middles, ends, strict=True)]
    axes.errorbar(middles, heights, xerr=[below, above], fmt="none", ecolor="black", capsize=3)
    axes.set_yticks(heights, names)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the episodes [%]; success with its 95 % interval")
    axes.legend(ncols=len(COLOURS), loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    with whole_file(file) as part:
        figure.savefig(part, format="png", dpi=110)
