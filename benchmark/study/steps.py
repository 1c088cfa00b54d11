"""How few denoising steps do: 1, 2 and 4, of a model trained as ever and of one trained with noise
levels of its own for video and actions (DreamZero-Flash).

    python -m benchmark.study.steps --data demos --work /data/study \\
        --json docs/results/study_steps.json

The first is the training of `benchmark.study.variants` where `--work` is the same.
"""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from benchmark.study.common import Results, judged, pooled, read_study, trained, weights_of
from wam_ros.core.errors import WamError

# how it is trained, and by what arguments of `wam train`
TRAININGS = {"video": {}, "flash": {"timesteps": "decoupled"}}


def main() -> None:
    """Do what is missing, then print the table."""
    study, args = read_study(__doc__, _more)
    results = Results(study)
    for training, differs in TRAININGS.items():
        folders = [trained(study, training, seed, **differs) for seed in study.seeds]
        for steps in args.denoising:
            for suite in study.suites:
                found = [
                    judged(
                        study,
                        f"{folder.name}-steps{steps}",
                        weights_of(study, folder),
                        suite,
                        steps=steps,
                    )
                    for folder in folders
                ]
                rows = results.found.setdefault(training, {}).setdefault(str(steps), {})
                rows[suite] = pooled(found)
                results.keep()
    table = Table("trained", "steps", *study.suites)
    for training, by_steps in results.found.items():
        for steps, by_suite in by_steps.items():
            cells = [
                f"{by_suite[s]['success']:.0%}" if s in by_suite else "-" for s in study.suites
            ]
            table.add_row(training, steps, *cells)
    Console().print(table)


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--denoising", nargs="+", type=int, default=[1, 2, 4], help="steps")


if __name__ == "__main__":
    try:
        main()
    except WamError as error:
        raise SystemExit(str(error)) from error
