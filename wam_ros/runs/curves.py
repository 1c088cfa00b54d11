"""The curves of a run as one figure: decisions, distances, imagination, latency, seams, joints."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpecFromSubplotSpec

from wam_ros.core.palette import OF_DECISION
from wam_ros.core.trace import TOTALS
from wam_ros.core.types import NS, Decision, SafetyReport
from wam_ros.runs.run import Run

WIDTH = 13.0  # inch
COLUMNS = 3  # of joints
DPI = 90
_TALL = 1.25  # inch, a row of curves
_JOINT = 1.7  # inch, a row of joints
_INK = "#2b3440"
_LINE: dict[str, Any] = {"color": _INK, "linewidth": 0.9}
_BANDS = 0.03  # s at least that a decision is wide


def draw(run: Run, limits: Mapping[str, tuple[float, float]]) -> Figure:
    """Everything that the run has numbers of.

    Args:
        run: that was read.
        limits: of joints by name, rad or m; those that are not known are left out.
    """
    joints = list(run.joint_names) if len(run.joints) or run.chunks else []
    rows = -(-len(joints) // COLUMNS)
    panels = (_scale, _distance, _errors, _surprise, _inference)
    heights = [0.5, *[_TALL] * len(panels), 2.0, *([rows * _JOINT] if rows else [])]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.32 * len(heights) + 0.5), layout="constrained")
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
    first = figure.add_subplot(grid[0, :])
    _decisions(first, run)
    for k, panel in enumerate(panels):
        panel(figure.add_subplot(grid[k + 1, :], sharex=first), run)
    _latency(figure.add_subplot(grid[len(panels) + 1, 0]), run)
    _seams(figure.add_subplot(grid[len(panels) + 1, 1]), run)
    if rows:
        inner = GridSpecFromSubplotSpec(rows, COLUMNS, subplot_spec=grid[-1, :])
        for k, name in enumerate(joints):
            panel_of = figure.add_subplot(inner[k // COLUMNS, k % COLUMNS], sharex=first)
            _joint(panel_of, run, k, limits.get(name))
    first.set_xlim(0.0, max(1e-3, run.seconds(run.ended_ns)))
    figure.suptitle(run.source, fontsize=11, color=_INK)
    return figure


def png(figure: Figure) -> bytes:
    """The figure as PNG."""
    return _saved(figure, "png")


def svg(figure: Figure) -> str:
    """The figure as an SVG element to stand in a page; dots without number are pixels in it."""
    text = _saved(figure, "svg").decode()
    return text[text.index("<svg") :]


def _saved(figure: Figure, kind: str) -> bytes:
    out = io.BytesIO()
    # letters as text, and the same figure the same bytes
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "wam"}):
        figure.savefig(out, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else {})
    return out.getvalue()


def _verdicts(run: Run, value: str) -> tuple[np.ndarray, np.ndarray]:
    """A number of every verdict, over time."""
    told = run.verdicts
    return (
        np.array([run.seconds(r.stamp_ns) for r in told]),
        np.array([getattr(r, value) for r in told], float),
    )


def _label(axes: Axes, name: str, unit: str = "") -> None:
    axes.set_title(f"{name} [{unit}]" if unit else name, loc="left", fontsize=9, color=_INK)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)


def _none(axes: Axes) -> None:
    axes.text(
        0.5,
        0.5,
        "nothing of it was recorded",
        ha="center",
        va="center",
        color="0.5",
        transform=axes.transAxes,
        fontsize=9,
    )


def _decisions(axes: Axes, run: Run) -> None:
    told = run.verdicts
    for decision in Decision:
        spans = [
            (run.seconds(r.stamp_ns), max(_BANDS, _until(told, k, run) - run.seconds(r.stamp_ns)))
            for k, r in enumerate(told)
            if r.decision == decision
        ]
        if spans:
            name = f"{decision.name.lower()} {len(spans)}"
            axes.broken_barh(spans, (0, 1), color=OF_DECISION[decision], label=name)
    for stop in run.stops:
        if not stop.wanted:
            axes.axvline(run.seconds(stop.at_ns), color="black", linewidth=1.2)
    _label(axes, "what safety did with each chunk; black: the arm was stopped")
    axes.set_yticks([])
    if told:
        axes.legend(loc="upper right", ncols=6, fontsize=7, framealpha=0.9, bbox_to_anchor=(1, 1.9))
    else:
        _none(axes)


def _until(told: list[SafetyReport], k: int, run: Run) -> float:
    """When the next verdict comes, at most 0.3 s later."""
    now = run.seconds(told[k].stamp_ns)
    later = run.seconds(told[k + 1].stamp_ns) if k + 1 < len(told) else now + _BANDS
    return min(later, now + 0.3)


def _scale(axes: Axes, run: Run) -> None:
    t, scale = _verdicts(run, "scale")
    _label(axes, "time scale: so many times slower than proposed")
    if not len(t):
        return _none(axes)
    axes.plot(t, scale, drawstyle="steps-post", **_LINE)
    axes.set_ylim(0.95, max(2.0, 1.05 * float(np.nanmax(scale))))
    return None


def _distance(axes: Axes, run: Run) -> None:
    t, distance = _verdicts(run, "nearest_distance")
    _label(axes, "nearest two bodies along what is executed", "mm")
    if not np.isfinite(distance).any():
        return _none(axes)
    axes.plot(t, 1e3 * distance, **_LINE)
    axes.set_ylim(bottom=min(0.0, 1e3 * float(np.nanmin(distance))))
    return None


def _errors(axes: Axes, run: Run) -> None:
    _label(axes, "imagination error: mean square, colours in 0 to 1")
    if not len(run.errors):
        return _none(axes)
    t, imagined, copied = run.errors.T
    axes.plot(t, copied, color="0.72", linewidth=0.8, label="had nothing moved")
    axes.plot(t, imagined, color="#8a4fbf", linewidth=1.0, label="imagined")
    axes.set_ylim(bottom=0.0)
    axes.legend(loc="upper right", ncols=2, fontsize=7)
    return None


def _surprise(axes: Axes, run: Run) -> None:
    _label(axes, "surprise: 1 is the most that calm runs show")
    if not len(run.surprise):
        return _none(axes)
    t, surprise = run.surprise.T
    axes.axhline(1.0, color="0.72", linewidth=0.8, linestyle="--")
    axes.plot(t, surprise, color="#8a4fbf", linewidth=1.0)
    axes.set_ylim(0.0, max(1.2, 1.05 * float(surprise.max())))
    return None


def _inference(axes: Axes, run: Run) -> None:
    _label(axes, "observation to chunk", "ms")
    if not len(run.inference):
        return _none(axes)
    axes.plot(run.inference[:, 0], 1e3 * run.inference[:, 1], marker=".", markersize=3, **_LINE)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("s since the run began", fontsize=8)
    return None


def _latency(axes: Axes, run: Run) -> None:
    _label(axes, "latency", "ms")
    samples = {name: run.latency_ms[name] for name in TOTALS if run.latency_ms.get(name)}
    samples = samples or {"observation to chunk": list(1e3 * run.inference[:, 1])}
    if not any(samples.values()):
        return _none(axes)
    most = float(np.percentile(np.concatenate(list(samples.values())), 99.5))
    for name, values in samples.items():
        p50, p95 = np.percentile(values, [50, 95])
        label = f"{name}: {p50:.0f}, 95 % {p95:.0f}"
        axes.hist(values, bins=40, range=(0.0, max(1e-3, most)), alpha=0.6, label=label)
    axes.legend(fontsize=7)
    axes.set_ylabel("chunks", fontsize=8)
    return None


def _seams(axes: Axes, run: Run) -> None:
    _label(axes, "seams, where a chunk takes over: largest of all joints")
    if not len(run.seams):
        return _none(axes)
    t, wanted, leapt = run.seams.T
    axes.plot(t, wanted, ".", markersize=3, color="#e0662f", label="wanted: position [rad or m]")
    axes.plot(
        t, leapt, ".", markersize=3, color="#2f6fe0", label="commanded: velocity [rad/s or m/s]"
    )
    axes.set_ylim(bottom=0.0)
    axes.legend(fontsize=7)
    return None


def _joint(axes: Axes, run: Run, column: int, limits: tuple[float, float] | None) -> None:
    """Measured, and the steps of every chunk: accepted ones green, cut ones red."""
    name = run.joint_names[column]
    _label(axes, name, "rad or m")
    steps = _steps(run, name)
    for kind, colour in (("accepted", "#3ecf8e"), ("cut", "#e5484d")):
        axes.plot(*steps[kind], ".", markersize=1.5, color=colour, rasterized=True, zorder=1)
    if len(run.joints):
        axes.plot(run.joints[:, 0], run.joints[:, 1 + column], zorder=2, **_LINE)
    values = [*(run.joints[:, 1 + column] if len(run.joints) else ()), *steps["accepted"][1]]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = max(0.05 * (high - low), 1e-3)
    # a limit far away would make the curve flat; where it is near, it is seen
    axes.set_ylim(low - 4 * room, high + 4 * room)
    for limit in limits or ():
        axes.axhline(limit, color="#c92a2a", linewidth=1.0, linestyle="--")


def _steps(run: Run, name: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(s, rad or m) of the steps of one joint, by what became of them."""
    found: dict[str, list[Any]] = {"accepted": [], "cut": []}
    for verdict in run.verdicts:
        chunk = run.chunks.get(verdict.chunk_seq)
        if chunk is None or name not in chunk.joint_names:
            continue
        q = chunk.positions[:, chunk.joint_names.index(name)]
        t = run.seconds(chunk.anchor_ns) + np.arange(1, len(q) + 1) * chunk.step_period_ns / NS
        n = len(q) if verdict.decision in (Decision.PASS, Decision.SCALED) else 0
        n = verdict.steps_accepted if verdict.decision == Decision.TRUNCATED else n
        found["accepted"].append(np.stack([t[:n], q[:n]]))
        found["cut"].append(np.stack([t[n:], q[n:]]))
    empty = np.zeros((2, 0))
    joined = {kind: np.concatenate([empty, *parts], axis=1) for kind, parts in found.items()}
    return {kind: (rows[0], rows[1]) for kind, rows in joined.items()}
