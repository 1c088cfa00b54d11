"""The pictures of docs/imagination.md, from docs/results/study*.json.

    python -m benchmark.study.plot

What was not measured yet is not drawn. `make docs` writes the tables of the page.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

from wam_ros.core.files import whole_file

DOCS = Path(__file__).resolve().parents[2] / "docs"
PARTS = ("study", "study_steps", "study_quality")


def main() -> None:
    """Draw what there is."""
    found = {part: _read(DOCS / "results" / f"{part}.json") for part in PARTS}
    draws = {"study": variants, "study_steps": steps, "study_quality": quality}
    for part, data in found.items():
        if data:
            figure, axes = pyplot.subplots(figsize=(9, 4.2), layout="constrained")
            draws[part](axes, data)
            with whole_file(DOCS / f"{part}.png") as file:
                figure.savefig(file, dpi=90, format="png")
            print(DOCS / f"{part}.png")


def _read(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text())["found"]) if file.is_file() else {}


def variants(axes: Axes, found: dict[str, Any]) -> None:
    """Bars by suite, one for each variant, with intervals."""
    suites = list(dict.fromkeys(s for row in found.values() for s in row["suites"]))
    width = 0.85 / len(found)
    for i, row in enumerate(found.values()):
        for x, suite in enumerate(suites):
            if suite not in row["suites"]:
                continue
            cell = row["suites"][suite]
            low, high = cell["success_95"]
            p = cell["success"]
            axes.bar(
                x + (i - (len(found) - 1) / 2) * width,
                100 * p,
                0.92 * width,
                yerr=[[100 * max(0.0, p - low)], [100 * max(0.0, high - p)]],
                color=f"C{i}",
                label=row["words"] if x == 0 else None,
                capsize=2,
            )
    axes.set_xticks(range(len(suites)), suites)
    _success(axes)


def steps(axes: Axes, found: dict[str, Any]) -> None:
    """Success by denoising steps, a line for each training and suite."""
    for i, (training, by_steps) in enumerate(found.items()):
        for k, suite in enumerate(next(iter(by_steps.values()))):
            x = sorted(int(n) for n in by_steps if suite in by_steps[n])
            y = [100 * by_steps[str(n)][suite]["success"] for n in x]
            style = ("-", "--", ":", "-.")[k % 4]
            axes.plot(x, y, style, color=f"C{i}", marker="o", label=f"{training}, {suite}")
    axes.set_xlabel("denoising steps")
    _success(axes)


def quality(axes: Axes, found: dict[str, Any]) -> None:
    """Success over what imagined frames have over copies, a line for each training and suite."""
    for i, (seed, by_step) in enumerate(found.items()):
        for k, suite in enumerate(next(iter(by_step.values()))):
            rows = [by_step[n][suite] for n in sorted(by_step, key=int) if suite in by_step[n]]
            x = [row["gain_db"] for row in rows]
            y = [100 * row["success"] for row in rows]
            style = ("-", "--", ":", "-.")[k % 4]
            axes.plot(x, y, style, color=f"C{i}", marker="o", label=f"training {seed}, {suite}")
    axes.set_xlabel("imagined frames nearer to what came than copies of the last one [dB]")
    _success(axes)


def _success(axes: Axes) -> None:
    axes.set_ylabel("success [%]")
    axes.set_ylim(0, 105)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(fontsize=8)


if __name__ == "__main__":
    main()
