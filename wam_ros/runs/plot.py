"""`wam plot`: the curves of a run as a picture or a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.files import require_writable, write_whole
from wam_ros.robot.joints import load_joints
from wam_ros.runs import html
from wam_ros.runs.reading import read_run
from wam_ros.runs.run import Run


@dataclass(frozen=True)
class Plot:
    """Draw a recorded run: decisions, time scale, distances, imagination, latency, seams, and
    each joint with its limits and the steps that were accepted and cut.
    """

    run: tyro.conf.Positional[Path]
    """Folder of a recording (`ros2 launch wam_ros bringup.launch.py record:=FOLDER`)."""
    out: Annotated[str, tyro.conf.arg(metavar="FILE")] = "run.png"
    """.png, .svg or .html to write."""
    namespace: str | None = None
    """Of the loop, where the recording has several."""
    embodiment: str = ""
    """Robot whose limits are drawn. Default: the one that the chunks name."""


def main(args: Plot) -> None:
    """Write the file.

    Raises:
        WamError: an argument is wrong, or the run cannot be read or holds no curves.
    """
    from wam_ros.runs import curves

    suffix = Path(args.out).suffix
    if suffix not in (".png", ".svg", ".html"):
        raise WamError(f"--out must end in .png, .svg or .html, found '{args.out}'")
    require_writable("--out", args.out)
    run = read_run(args.run, args.namespace)
    require_curves(run)
    figure = curves.draw(run, limits_of(run, args.embodiment))
    if suffix == ".png":
        write_whole(args.out, curves.png(figure))
    elif suffix == ".svg":
        write_whole(args.out, curves.svg(figure) + "\n")
    else:
        notes = [html.text(note, style="faint") for note in run.notes]
        title = f"wam plot: {run.source}"
        write_whole(
            args.out, html.page(title, [html.text(title, "h1"), *notes, curves.svg(figure)])
        )
    print(f"wrote {args.out}")


def require_curves(run: Run) -> None:
    """Raise `WamError` for a run of which only results are known."""
    if not run.reports and not len(run.joints) and not len(run.errors):
        raise WamError(f"'{run.source}' has nothing to draw: {'; '.join(run.notes)}")


def limits_of(run: Run, embodiment: str = "") -> dict[str, tuple[float, float]]:
    """Lower and upper limit of every joint, rad or m; none where the robot is not known here, which
    becomes a note of the run.

    Raises:
        WamError: `embodiment` is named and unknown, or wrong.
    """
    name = embodiment or run.embodiment
    if not name:
        return {}
    try:
        joints = load_joints(load_embodiment(name))
    except WamError as error:
        if embodiment:
            raise
        run.notes.append(f"no limits are drawn: {str(error).splitlines()[0]}")
        return {}
    ends = zip(joints.limits.lower, joints.limits.upper, strict=True)
    return {
        joint: (float(low), float(high))
        for joint, (low, high) in zip(joints.commanded, ends, strict=True)
    }
