"""Does imagining pay? Five ways to make and run one model, each of which differs from another in
one thing; trained on the same data with the same seeds, judged in the same scenes.

    python -m benchmark.study.variants --data demos --work /data/study \\
        --json docs/results/study.json
    python -m benchmark.study.variants skips --data demos --work /data/study       # one of them
    ... --suites libero_object libero_object_swap libero_object_object libero_object_lan

With LIBERO by `.venv-foreign/libero/bin/python`. What `--work` holds already is not done again:
give the command again after it was stopped, or with more seeds or suites. docs/imagination.md tells
what is compared, and `python -m benchmark.study.plot` draws it there.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from typing import Any

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

CANDIDATES = 8  # of which the best is taken


@dataclass(frozen=True)
class Variant:
    """Where it differs from the one that imagines and acts."""

    words: str
    training: dict[str, Any] = field(default_factory=dict)  # arguments of `wam train`
    running: dict[str, Any] = field(default_factory=dict)  # arguments of `wam eval`
    against: str = "imagines"  # the variant from which it differs in one thing


VARIANTS = {
    "imagines": Variant("imagines and acts"),
    "skips": Variant(
        "trained with video, imagination skipped at run time", running={"imagine": False}
    ),
    # without imagination at run time, too, for it learned none: one thing less than `skips`
    "no-video": Variant(
        "no video loss (behaviour cloning)",
        training={"imagine": False},
        running={"imagine": False},
        against="skips",
    ),
    "best-of-n": Variant(
        f"best of {CANDIDATES} by imagined outcome", running={"candidates": CANDIDATES}
    ),
    "never-refreshed": Variant("memory never refreshed", running={"memory": "imagined"}),
}


def main() -> None:
    """Do what is missing, then print the table."""
    study, args = read_study(__doc__, _more)
    results = Results(study)
    for name in args.variants or VARIANTS:
        results.found.setdefault(name, {})["words"] = VARIANTS[name].words
        for suite in study.suites:
            found = [_judge(study, name, seed, suite) for seed in study.seeds]
            results.found[name].setdefault("suites", {})[suite] = pooled(found)
            hashes = [one["episodes"][0]["checkpoint_hash"] for one in found]
            results.found[name]["checkpoints"] = hashes
            _compare(results.found, suite)
            results.keep()
    _print(results.found, study.suites)


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("variants", nargs="*", choices=[*VARIANTS, []], help="all without a name")


def _judge(study: Study, name: str, seed: int, suite: str) -> dict[str, Any]:
    variant = VARIANTS[name]
    training = "no-video" if variant.training else "video"
    folder = trained(study, training, seed, **variant.training)
    weights = weights_of(study, folder)
    return judged(study, f"{name}-{seed}", weights, suite, **variant.running)


def _compare(found: dict[str, Any], suite: str) -> None:
    """Note how far each variant is from the one that it differs from in one thing."""
    for name, variant in VARIANTS.items():
        if name == variant.against:
            continue
        a, b = (found.get(n, {}).get("suites", {}).get(suite) for n in (variant.against, name))
        if a and b:
            found[name].setdefault(f"{variant.against} less this", {})[suite] = difference(a, b)


def _print(found: dict[str, Any], suites: tuple[str, ...]) -> None:
    table = Table("", *suites)
    for name, row in found.items():
        cells = [row["suites"].get(suite) for suite in suites]
        table.add_row(name, *(_cell(c) if c else "-" for c in cells))
    Console().print(table)


def _cell(c: dict[str, Any]) -> str:
    low, high = c["success_95"]
    return f"{c['success']:.0%} ({low:.0%} to {high:.0%}) of {c['episodes']}"


if __name__ == "__main__":
    try:
        main()
    except WamError as error:
        raise SystemExit(str(error)) from error
