"""`wam report`: a run as one page that a lab attaches to an issue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from wam_ros import __version__
from wam_ros.core.errors import WamError
from wam_ros.core.files import require_writable, write_whole
from wam_ros.core.types import Reason
from wam_ros.core.words import describe_reasons
from wam_ros.runs import html
from wam_ros.runs.plot import limits_of
from wam_ros.runs.reading import read_run
from wam_ros.runs.run import Episode, Run, worst_moments
from wam_ros.runs.strips import film_strips


@dataclass(frozen=True)
class Report:
    """Make one page of a run: episodes and what stopped them, the worst moments as film strips,
    latency, decisions, curves, versions. The file needs nothing else to be read.
    """

    run: tyro.conf.Positional[Path]
    """Folder of a recording (`ros2 launch wam_ros bringup.launch.py record:=FOLDER`), or the file
    of `wam demo --json`."""
    out: Annotated[str, tyro.conf.arg(metavar="FILE.html")] = "report.html"
    """To write."""
    namespace: str | None = None
    """Of the loop, where the recording has several."""
    embodiment: str = ""
    """Robot whose limits are drawn. Default: the one that the chunks name."""


def main(args: Report) -> None:
    """Write the page.

    Raises:
        WamError: an argument is wrong, or the run cannot be read.
    """
    if not args.out.endswith(".html"):
        raise WamError(f"--out must end in .html, found '{args.out}'")
    require_writable("--out", args.out)
    run = read_run(args.run, args.namespace)
    write_whole(args.out, html.page(f"wam report: {run.source}", parts(run, args)))
    print(f"wrote {args.out}")


def parts(run: Run, args: Report) -> Iterator[str]:
    """The page, from the top."""
    yield html.text(f"Run {Path(run.source).name}", "h1")
    yield html.text(_in_one_line(run))
    yield html.table(("", ""), [*_facts(run)])
    yield html.text("Episodes", "h2")
    yield _episodes(run)
    yield html.text("What stopped the arm", "h2")
    yield _stops(run)
    if run.reports:
        yield from _pictures(run, args)
    yield html.text("Decisions of safety", "h2")
    yield _decisions(run)
    yield html.text("Latency", "h2")
    yield _latency(run)
    if run.imagination:
        yield html.text("Imagination against what came", "h2")
        yield _imagination(run)
    if run.reports:
        from wam_ros.runs import curves

        yield html.text("Curves", "h2")
        yield curves.svg(curves.draw(run, limits_of(run, args.embodiment)))
    yield from (html.text(note, style="faint") for note in run.notes)


def _in_one_line(run: Run) -> str:
    wrong = sum(not stop.wanted for stop in run.stops)
    done = sum(e.verdict == "success" for e in run.episodes)
    judged = sum(bool(e.verdict) for e in run.episodes)
    said = f"{done} of {judged} done, " if judged else ""
    return (
        f"{len(run.episodes)} episodes, {said}{sum(run.decisions.values())} chunks judged, "
        f"stopped {wrong} times other than by disarming."
    )


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    yield "recording", run.source
    yield "robot", run.embodiment or "not said"
    yield from run.facts.items()
    if run.reports:
        yield "duration", f"{run.seconds(run.ended_ns):.1f} s of the loop's clock"
    yield "this page", f"wam_ros {__version__}"


def _when(run: Run, episode: Episode) -> str:
    return f"{run.seconds(episode.began_ns):.1f} s" if run.began_ns else ""


def _episodes(run: Run) -> str:
    if not run.episodes:
        return html.text("The arm was not armed.")
    return html.table(
        ("", "began", "took", "instruction", "outcome", "task", "scene", "chunks", "ended"),
        [
            (
                k + 1,
                _when(run, e),
                f"{e.duration_s:.1f} s",
                e.instruction,
                e.verdict or "not known",
                e.task,
                e.seed,
                e.chunks,
                e.ended or ("" if e.verdict else "the recording ended"),
            )
            for k, e in enumerate(run.episodes)
        ],
    )


def _stops(run: Run) -> str:
    rows = [
        (
            k + 1,
            f"{run.seconds(stop.at_ns):.2f} s" if stop.at_ns else "",
            stop.state.name.lower() if stop.at_ns else "",
            describe_reasons(stop.reasons),
            stop.sentence,
        )
        for k, e in enumerate(run.episodes)
        for stop in e.stops
        if not stop.wanted
    ]
    if not rows:
        return html.text("Nothing stopped it that nobody had asked for.")
    return html.table(("episode", "at", "state", "why", "in words"), rows)


def _pictures(run: Run, args: Report) -> Iterator[str]:
    """The worst moments."""
    moments = worst_moments(run)
    yield html.text("Worst moments", "h2")
    if not moments:
        yield html.text("None: nothing stopped the arm, and nothing was imagined.")
    else:
        yield html.text(
            "Below what was observed stands what had been imagined for the same instant; its place "
            "is empty where nothing had been.",
            style="faint",
        )
    strips = film_strips(args.run, [at_ns for at_ns, _ in moments], args.namespace)
    for (at_ns, why), strip in zip(moments, strips, strict=True):
        caption = f"{run.seconds(at_ns):.2f} s: {why}"
        yield (
            html.text(f"{caption} (no frame of it)")
            if strip is None
            else html.picture(strip, caption)
        )


def _decisions(run: Run) -> str:
    decisions = run.decisions
    if not decisions:
        return html.text("No chunk was judged while the arm was armed.")
    whole = sum(decisions.values())
    rows = [(name, n, f"{n / whole:.1%}") for name, n in decisions.items()]
    causes = {reason: 0 for reason in Reason if reason}
    for report in run.verdicts:
        for reason in causes:
            causes[reason] += reason in report.reasons
    found = [(describe_reasons(reason), n) for reason, n in causes.items() if n]
    found.sort(key=lambda row: -row[1])
    listed = html.table(("decision", "chunks", "share"), rows)
    return listed + (html.table(("what was found", "verdicts"), found) if found else "")


def _latency(run: Run) -> str:
    if not run.latency:
        return html.text(
            "None can be told; the end of this page says why."
            if run.notes
            else "Nothing of it was recorded."
        )
    keys = ("p50_ms", "p95_ms", "p99_ms")
    return html.table(
        ("stage", "n", "p50 ms", "p95 ms", "p99 ms"),
        [
            (name, int(v["n"]), *(f"{v[key]:.1f}" for key in keys))
            for name, v in run.latency.items()
        ],
    )


def _imagination(run: Run) -> str:
    keys = ("psnr_db", "copy_last_psnr_db", "gain_db")
    return html.table(
        ("view", "ahead", "n", "PSNR dB", "copying the last frame", "gain dB"),
        [
            (view, ahead, v["n"], *(f"{v[key]:.2f}" for key in keys))
            for view, offsets in run.imagination.items()
            for ahead, v in offsets.items()
        ],
    )
