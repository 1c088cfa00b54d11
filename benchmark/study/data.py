"""What do other data give? Trainings that differ in what they learn from, of equal steps, judged in
the same scenes.

    python -m benchmark.study.data --data demos --films films --suites libero_object/9 \\
        --work /data/study --json docs/results/study_data.json

`films` adds recordings (`--films`) of which pictures count alone, say of tasks that `--data` does
not show. `few-kinds` learns from `--few-kinds`, as many demonstrations as `--data` has of fewer
kinds of scene. `video-first` learned from the pictures of `--data` alone, for as many steps, before
it learned to act; its tokenizer and its stem are those of `demonstrations`. The last is the
training of `benchmark.study.variants` where `--work` is the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmark.study.common import (
    Results,
    Study,
    difference,
    judged,
    pooled,
    read_study,
    trained,
    weights_of,
)
from wam_ros.core.errors import WamError
from wam_ros.train.small import START

PLAIN = "demonstrations"
FILMS = "films"
FEW_KINDS = "few-kinds"


def main() -> None:
    """Do what is missing, then print the table."""
    study, args = read_study(__doc__, _more)
    results = Results(study)
    data = {FILMS: args.films, FEW_KINDS: args.few_kinds}
    for name in args.trainings or [n for n in TRAININGS if data.get(n, study.data) is not None]:
        used = data.get(name, study.data)
        if used is None:
            raise WamError(f"{name} wants --{name}")
        row = results.found.setdefault(name, {"words": TRAININGS[name].words, "suites": {}})
        if row.setdefault("learned", str(used)) != str(used):
            raise WamError(f"--json {study.json}: {name} learned from {row['learned']}, not {used}")
        folders = [TRAININGS[name].train(study, seed, args) for seed in study.seeds]
        for suite in study.suites:
            found = [judged(study, f.name, weights_of(study, f), suite) for f in folders]
            row["suites"][suite] = pooled(found)
            plain = results.found.get(PLAIN, {}).get("suites", {}).get(suite)
            if name != PLAIN and plain:
                apart = difference(plain, row["suites"][suite])
                row.setdefault(f"{PLAIN} less this", {})[suite] = apart
            results.keep()
    table = Table("learned from", *study.suites)
    for name, row in results.found.items():
        cells = [row["suites"].get(suite) for suite in study.suites]
        table.add_row(
            name, *(f"{c['success']:.0%} of {c['episodes']}" if c else "-" for c in cells)
        )
    Console().print(table)


def _plain(study: Study, seed: int, args: argparse.Namespace) -> Path:
    return trained(study, "video", seed)


def _films(study: Study, seed: int, args: argparse.Namespace) -> Path:
    return trained(study, "films", seed, video_only=args.films)


def _few_kinds(study: Study, seed: int, args: argparse.Namespace) -> Path:
    return trained(study, "few-kinds", seed, data=args.few_kinds)


def _video_first(study: Study, seed: int, args: argparse.Namespace) -> Path:
    start = _plain(study, seed, args) / START
    first = trained(study, "video-alone", seed, act=False, tokenizer_from=start)
    return trained(study, "video-first", seed, start=weights_of(study, first))


@dataclass(frozen=True)
class Training:
    """One way to learn, and what is said of it."""

    words: str
    train: Callable[[Study, int, argparse.Namespace], Path]


TRAININGS = {
    PLAIN: Training("demonstrations alone", _plain),
    FILMS: Training("with films beside", _films),
    FEW_KINDS: Training("as many demonstrations of fewer kinds of scene", _few_kinds),
    "video-first": Training("video alone first, then the same demonstrations", _video_first),
}


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "trainings", nargs="*", choices=[*TRAININGS, []], help="all that can be without a name"
    )
    parser.add_argument("--films", type=Path, help="recordings whose pictures count alone")
    parser.add_argument("--few-kinds", type=Path, help="as many demonstrations, of fewer kinds")


if __name__ == "__main__":
    try:
        main()
    except WamError as error:
        raise SystemExit(str(error)) from error
