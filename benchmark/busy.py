"""Whether the demo comes out the same beside other work: the same scenes alone, and beside loops
that keep every processor busy.

The simulated world waits for the loop, so each episode of a seed is to end alike in both, after as
many steps; only the time that it takes differs. (Messages are counted by who listens: whether the
last one still counts depends on the machine.)

    python -m benchmark.busy --episodes 50 --loops 4 --json docs/results/busy.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from wam_ros.core.errors import WamError
from wam_ros.core.files import require_writable, write_json

LOOP = "while True: pass"
WORLD = ("seed", "instruction", "outcome", "steps", "duration_s", "stops", "violations")


@contextlib.contextmanager
def busy(loops: int) -> Iterator[None]:
    """So many processes want a processor for themselves."""
    running = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(loops)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def demo(args: argparse.Namespace, loops: int) -> dict[str, Any]:
    """The demo's results, the time it took [s], and the load beside it.

    Raises:
        WamError: it failed.
    """
    file = args.folder / f"beside_{loops}.json"
    argv = [sys.executable, "-m", "wam_ros.cli", "demo", "--headless", "--json", str(file)]
    argv += ["--episodes", str(args.episodes), "--seed", str(args.seed)]
    began = time.monotonic()
    with busy(loops):
        ended = subprocess.run(argv, check=False)
    if ended.returncode:
        raise WamError(f"the demo beside {loops} busy loops ended with {ended.returncode}")
    return {**json.loads(file.read_text()), "wall_s": round(time.monotonic() - began)}


def differing(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> list[str]:
    """'seed: field' of everything that happened in an episode and is not equal."""
    return [
        f"{a['seed']}: {key}"
        for a, b in zip(one, other, strict=True)
        for key in WORLD
        if a[key] != b[key]
    ]


def main() -> None:
    """Run both and print them beside each other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--loops", type=int, default=4, help="processes that only count")
    parser.add_argument("--folder", type=Path, default=Path("busy"), help="for the demos' results")
    parser.add_argument("--json", default="", help="file for the numbers")
    args = parser.parse_args()
    require_writable("--json", args.json)
    args.folder.mkdir(parents=True, exist_ok=True)
    found = {loops: demo(args, loops) for loops in (0, args.loops)}
    table = Table("busy loops beside it", "picked up", "stops", "limits exceeded", "x real time")
    rows = {}
    for loops, one in found.items():
        rows[loops] = row = {
            "successes": one["summary"]["successes"],
            "stops": one["summary"]["stops"],
            "violations": one["summary"]["violations"],
            "wall_s": one["wall_s"],
            "rate": round(sum(e["duration_s"] for e in one["episodes"]) / one["wall_s"], 2),
        }
        stops, violations = (json.dumps(row[key]) for key in ("stops", "violations"))
        words = (f"{row['successes']} of {args.episodes}", stops, violations, f"{row['rate']:g}")
        table.add_row(str(loops), *words)
    unequal = differing(*(one["episodes"] for one in found.values()))
    Console().print(table)
    print(f"episodes that differ: {', '.join(unequal) or 'none'}")
    if args.json:
        setting = {"episodes": args.episodes, "seed": args.seed, "cpus": os.cpu_count()}
        write_json(args.json, {"setting": setting, "beside": rows, "unequal": unequal})


if __name__ == "__main__":
    try:
        main()
    except WamError as error:
        raise SystemExit(str(error)) from error
