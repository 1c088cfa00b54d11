"""A million random and hostile chunks against the filter; a second engine judges what leaves.

`python -m benchmark.safety_properties --chunks 1000000 --jobs 8` writes what ran and what was
violated as JSON. It can be interrupted: the same command goes on where it was, as long as the
filter and the shipped robots are the same. `--robots` also takes YAML files of robots of others, as
`benchmark/robots.py --keep` leaves them. What is looked at is in `testing/properties.py`.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path

from rich.progress import Progress

from benchmark.digest import digest
from testing.properties import ROBOTS, Robot, Tally, attack, robot_name
from wam_ros.core.files import write_json

UNIT = 25  # chains that a job takes at a time
ROUND = 6  # units of every robot and job between two saves; at the end of a round jobs wait

robot_named = functools.cache(Robot)  # one of each per process


def run_unit(task: tuple[str, int]) -> Tally:
    """The chains of one unit: (robot, first seed)."""
    name, first = task
    tally = attack(robot_named(name), range(first, first + UNIT))
    tally.units = 1
    return tally


def run(args: argparse.Namespace, tallies: dict[str, Tally], save: Callable[[], None]) -> None:
    """Run unit after unit, all robots abreast, until every one has its share."""
    share, deadline = -(-args.chunks // len(args.robots)), time.perf_counter() + args.seconds
    with multiprocessing.get_context("spawn").Pool(args.jobs) as pool, Progress() as progress:
        bars = {name: progress.add_task(name, total=share) for name in args.robots}
        while time.perf_counter() < deadline:
            left = [name for name in args.robots if tallies[name].chunks < share]
            if not left:
                break
            tasks = [
                (name, args.seed + UNIT * (tallies[name].units + k))
                for name in left
                for k in range(ROUND * args.jobs)
            ]
            for (name, _), part in zip(tasks, pool.imap(run_unit, tasks), strict=True):
                tallies[name].add(part)
                words = f"{name} {len(tallies[name].violations)} bad"
                progress.update(bars[name], completed=tallies[name].chunks, description=words)
            save()


def main() -> None:
    """Run all robots, or go on with them; write the result after every round."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chunks", type=int, default=1_000_000, help="of all robots together")
    parser.add_argument(
        "--robots", nargs="+", default=list(ROBOTS), help="names, or YAML files of others' robots"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the first chain")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--seconds",
        type=float,
        default=float("inf"),
        help="stop after this long; run again to go on",
    )
    parser.add_argument(
        "--json",
        type=Path,
        default=Path("safety_properties.json"),
        help="results, default %(default)s",
    )
    args = parser.parse_args()
    code = digest()
    known = _read(args.json, code, args.seed)
    tallies = {name: known.get(robot_name(name), Tally()) for name in args.robots}

    def save() -> None:
        found = {robot_name(name): t for name, t in tallies.items()}
        robots = {name: dataclasses.asdict(t) for name, t in (known | found).items()}
        write_json(args.json, {"digest": code, "seed": args.seed, "robots": robots})

    run(args, tallies, save)
    for name, t in tallies.items():
        print(
            f"{robot_name(name)}: {t.chunks} chunks in {t.seconds:.0f} s, "
            f"{len(t.violations)} violations, {t.decisions}"
        )


def _read(path: Path, code: str, seed: int) -> dict[str, Tally]:
    """What ran before with the same code and seeds."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text())
    if (found.get("digest"), found.get("seed")) != (code, seed):
        print(f"{path} is of other code or seeds: everything runs anew")
        return {}
    return {name: Tally(**tally) for name, tally in found["robots"].items()}


if __name__ == "__main__":
    main()
