"""Success against the quality of the imagined video, over the weights that a training keeps.

    python -m benchmark.study.quality --data demos --heldout others --keep 1000 \\
        --work /data/study --json docs/results/study_quality.json

Quality: how much nearer imagined frames are to what came than the newest seen frame is, in dB, in
demonstrations that nobody learned from, in the mean over views and horizons.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmark.study.common import Results, judged, pooled, read_study, trained
from wam_ros.core.errors import WamError, require_within
from wam_ros.train.train import KEPT


def main() -> None:
    """Do what is missing, then print the table."""
    study, args = read_study(__doc__, _more)
    require_within("--keep", args.keep, 1, study.steps)
    results = Results(study)
    for seed in study.seeds:
        folder = trained(study, f"kept{args.keep}", seed, keep=args.keep)
        for weights in sorted((folder / KEPT).glob("*.safetensors")):
            step = weights.stem.rpartition("-")[2]
            for suite in study.suites:
                name = f"{folder.name}-{step}"
                one = judged(study, name, weights, suite, heldout=args.heldout)
                gain = gain_db(next(iter(one["imagination"].values())))
                row = pooled([one]) | {"gain_db": gain}
                by_step = results.found.setdefault(str(seed), {}).setdefault(str(int(step)), {})
                by_step[suite] = row
                results.keep()
    table = Table("seed", "step", "suite", "imagined over copied [dB]", "success")
    for seed_name, by_step in results.found.items():
        for step, by_suite in by_step.items():
            for suite, row in by_suite.items():
                gain, success = f"{row['gain_db']:+.2f}", f"{row['success']:.0%}"
                table.add_row(seed_name, step, suite, gain, success)
    Console().print(table)


def gain_db(table: dict[str, Any]) -> float:
    """Mean over views and horizons of what imagined frames have over copies of the last one."""
    keys = {key.rsplit(" ", 1)[0] for key in table}
    gains = [table[f"{key} imagined"] - table[f"{key} copy"] for key in keys]
    return round(float(np.mean(gains)), 3)


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--heldout", type=Path, required=True, help="demonstrations to compare with"
    )
    parser.add_argument(
        "--keep", type=int, default=1000, help="steps between two weights that stay"
    )


if __name__ == "__main__":
    try:
        main()
    except WamError as error:
        raise SystemExit(str(error)) from error
