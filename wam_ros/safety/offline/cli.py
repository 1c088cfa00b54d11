"""`wam safety`: the filter on files, and the pairs of links that it watches."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import numpy as np
import tyro

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.files import require_writable, whole_file, write_whole
from wam_ros.core.types import Decision
from wam_ros.robot.model import build_safety_model, load_safety_model
from wam_ros.robot.pairs import as_srdf
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.offline.batch import answers, judge, read_batch, worst_first
from wam_ros.safety.params import SafetyParams
from wam_ros.safety.verdict import Verdict

SHOWN = 5  # sentences of the worst answers in the table
# parameters that a chunk is judged by; the others are of what a node hears and remembers
JUDGING = frozenset(
    "position_margin_rad position_margin_m clamp_rad clamp_m velocity_fraction "
    "acceleration_fraction jerk_fraction"
    " torque_fraction self_clearance_m distance_error_m tcp_speed workspace planes singularity "
    "max_time_scale sample_s"
    " lead_s blend_s seam_rad seam_m stop_fraction stop_jerk_s stop_spacing_s max_steps "
    "min_step_s max_step_s"
    " max_chunk_s future_s stale_s sensed_rad sensed_m".split()
)
COLOURS = {
    "pass": "green",
    "scaled": "yellow",
    "truncated": "dark_orange",
    "brake": "red",
    "reject": "red",
}


def _with_help() -> type:
    """`SafetyParams` whose fields tell the command line what they mean; those of a running node are
    no options here.
    """
    types = get_type_hints(SafetyParams)
    told = []
    for f in dataclasses.fields(SafetyParams):
        unit = "" if f.metadata["unit"] == "1" else f" [{f.metadata['unit']}]"
        kind: Any = Annotated[types[f.name], tyro.conf.arg(help=f.metadata["doc"] + unit)]
        if f.name not in JUDGING:
            kind = Annotated[types[f.name], tyro.conf.Suppress]
        told.append((f.name, kind, field(default=f.default, metadata=f.metadata)))
    return dataclasses.make_dataclass("Margins", told, bases=(SafetyParams,), frozen=True)


@dataclass(frozen=True)
class Filter:
    """Judge chunks before anything moves.

    IN holds positions (N, T, A), step_period [s], q0 and dq0 (N, A) and joint_names in any order.
    OUT gets the answer to each chunk and the trajectory that would be executed, which ends at rest.
    """

    chunks: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="IN.npz")]  # what to judge
    # where the answers go
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="OUT.npz")]
    embodiment: str = "panda"  # robot: a name in config/embodiments or the path of a YAML file
    # what stands around it: a name in config/worlds or a YAML file; empty: the embodiment's
    world: str = ""
    picture: Path | None = None  # draw the worst answers into this .png
    params: Annotated[SafetyParams, tyro.conf.arg(name="", constructor=_with_help())] = field(
        default_factory=SafetyParams
    )


@dataclass(frozen=True)
class Pairs:
    """List which links are not watched for collisions and why, as an SRDF to be reviewed; what
    overlaps at home is told, and how deep.

    Give the reviewed file as `srdf` in the embodiment: links that always overlap are then an error
    unless named in it.
    """

    embodiment: str = "panda"  # robot: a name in config/embodiments or the path of a YAML file
    out: Path | None = None  # write it here instead of printing it


@dataclass(frozen=True)
class Safety:
    """Ask the safety filter without a robot."""

    run: Annotated[
        Annotated[Filter, tyro.conf.subcommand("filter")]
        | Annotated[Pairs, tyro.conf.subcommand("pairs")],
        tyro.conf.arg(name=""),
    ]


def main(args: Safety) -> None:
    """Run the subcommand."""
    if isinstance(args.run, Pairs):
        list_pairs(args.run)
    else:
        filter_file(args.run)


def list_pairs(args: Pairs) -> None:
    """Print or write the SRDF of a robot."""
    model = build_safety_model(load_embodiment(args.embodiment))
    text = as_srdf(model.embodiment.name, model.judged)
    for words in (*model.warnings, *model.why_not_at_home()):
        print(f"wam: {model.embodiment.name}: {words}", file=sys.stderr)
    if args.out is None:
        print(text, end="")
        return
    out = args.out
    write_whole(out, text)
    print(
        f"{out}: {text.count('<disable_collisions')} pairs of links are not watched; read it "
        "before you use it"
    )


def filter_file(args: Filter) -> None:
    """Judge a file of chunks, write the answers, say what was found.

    Raises:
        WamError: a file, robot or joint that makes no sense; an output that is one of the other
            files.
    """
    from rich.progress import track

    if args.picture is not None and importlib.util.find_spec("PIL") is None:
        raise WamError(
            "--picture needs the Python module 'pillow'; in the repository run `pip install "
            "'.[view]'`"
        )
    _require_files(args)
    batch = read_batch(args.chunks)
    model = load_safety_model(load_embodiment(args.embodiment), args.world or None)
    for words in model.warnings:
        print(f"wam: {model.embodiment.name}: {words}", file=sys.stderr)
    safety = SafetyFilter(model, args.params)
    try:
        verdicts = list(track(judge(safety, batch), "judging", len(batch), transient=True))
    except WamError as error:
        raise WamError(f"{args.chunks}: {error}") from error
    data = answers(safety, batch, verdicts)
    # by name numpy would add a suffix
    with whole_file(args.out) as part, part.open("wb") as file:
        np.savez_compressed(file, **data)  # type: ignore[arg-type]
    _tell(verdicts)
    if args.picture is not None:
        from wam_ros.safety.offline.picture import draw

        picture = draw(safety.model, batch, verdicts, worst_first(verdicts))
        with whole_file(args.picture) as part:
            picture.save(part, format="PNG")


def _require_files(args: Filter) -> None:
    """Raise unless what is to be written can be, and nothing is written over the chunks or the
    answers.
    """
    known = {args.chunks.resolve(): "IN.npz"}
    for option, file in (("OUT.npz", args.out), ("--picture", args.picture)):
        require_writable(option, file)
        if file is None:
            continue
        if file.resolve() in known:
            raise WamError(f"{option} {file} is {known[file.resolve()]}; name another file")
        known[file.resolve()] = option
    if args.picture is not None and args.picture.suffix.lower() != ".png":
        raise WamError(f"--picture writes .png files, found '{args.picture}'")


def _tell(verdicts: list[Verdict]) -> None:
    """A table of the answers, and the worst of them in words."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    total = max(1, len(verdicts))
    decisions = Counter(v.decision for v in verdicts)
    table = Table("answer", "chunks", "share", "because of", title=f"{len(verdicts)} chunks")
    for decision in Decision:
        if decisions[decision]:
            reasons = Counter(
                r for v in verdicts if v.decision == decision for r in v.reasons.names()
            )
            why = ", ".join(f"{name} {n}" for name, n in reasons.most_common())
            name = decision.name.lower()
            share = f"{decisions[decision] / total:.1%}"
            table.add_row(
                f"[{COLOURS.get(name, 'white')}]{name}", str(decisions[decision]), share, why
            )
    console.print(table)
    for i in worst_first(verdicts)[:SHOWN]:
        if verdicts[i].decision != Decision.PASS:
            console.print(f"chunk {i}: {verdicts[i].sentence}", markup=False, highlight=False)
    took = [v.compute_s * 1e3 for v in verdicts] or [0.0]
    console.print(
        f"{np.median(took):.1f} ms per chunk in the middle, {np.percentile(took, 99):.1f} ms for "
        "99 %"
    )
