"""How tasks end and when a surprise is seen, in the simulator without ROS, against what is true.

    python benchmark/tasks.py ends       # 212 tasks, 72 of them fail on purpose
    python benchmark/tasks.py surprise   # 100 calm episodes, 60 disturbed ones

Results grow in docs/results/task_ends.json and docs/results/surprise.json, episode by episode: what
is there is not run again, unless the weights, what `wam calibrate model` learned or the denoising
steps have changed. `--seconds` stops in time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from safetensors import safe_open

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.files import write_json
from wam_ros.models import load_policy
from wam_ros.models.dreamzero.small.appraisal import appraisal_path
from wam_ros.models.dreamzero.small.policy import DreamZeroPolicy
from wam_ros.sim.mishaps import DISTURBANCES, FAILURES
from wam_ros.sim.world import World
from wam_ros.train.rollouts import CALM
from wam_ros.train.tasks import run_disturbance, run_task

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
SEEDS = {
    "ends": 900_000,
    "surprise": 910_000,
}  # of the first calm episode; nothing is learned there
CALM_TASKS = 140
FAILING = 18  # of each kind
CALM_EPISODES = 100
DISTURBED = 15  # of each kind
SOON_S = 0.5


def digest(file: Path, part: str) -> str:
    """Of the tensors that a result rests on."""
    with safe_open(file, "np") as tensors:
        names = sorted(n for n in tensors.keys() if n.startswith(part))  # noqa: SIM118
        data = b"".join(tensors.get_tensor(n).tobytes() for n in names)
    return hashlib.sha256(data).hexdigest()[:16]


def plan(what: str) -> list[tuple[str, int]]:
    """Kind and seed of every episode, kinds in turn, calm ones in between."""
    kinds, each, calm = (
        (FAILURES, FAILING, CALM_TASKS) if what == "ends" else (DISTURBANCES, DISTURBED, 0)
    )
    first = SEEDS[what]
    wrong = [(kind, first + 1000 + i) for i in range(each) for kind in kinds]
    right = [(CALM, first + i) for i in range(calm)]
    found = []
    for i, episode in enumerate(wrong):
        found += [episode, *right[2 * i : 2 * i + 2]]
    return found


def main() -> None:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("ends", "surprise"))
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--every", type=int, default=2, help="control steps between predictions")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    args = parser.parse_args()
    robot = load_embodiment("panda")
    policy = load_policy(args.model, "", robot, threads=args.threads)
    if not isinstance(policy, DreamZeroPolicy) or policy.calm is None:
        raise SystemExit(f"'{args.model}' was not calibrated: run `wam calibrate model`")
    learned = digest(appraisal_path(policy.weights), "head" if args.what == "ends" else "calm")
    made_of = {
        "checkpoint": policy.checkpoint_hash,
        "calibration": learned,
        "denoising_steps": len(policy.solver.times),
    }
    file = RESULTS / ("task_ends.json" if args.what == "ends" else "surprise.json")
    rows = _before(file, made_of)
    world = World(robot)
    began = time.monotonic()

    def run(kind: str, seed: int) -> None:
        if not any(r["kind"] == kind and r["seed"] == seed for r in rows):
            rows.append(
                run_task(policy, world, seed, kind, args.every)
                if args.what == "ends"
                else run_disturbance(policy, world, seed, kind)
            )
            summary = (ends if args.what == "ends" else surprises)(rows)
            write_json(file, {"of": made_of, "summary": summary, "episodes": rows})

    for kind, seed in plan(args.what):
        if time.monotonic() - began < args.seconds:
            run(kind, seed)
    seed = SEEDS[args.what]
    # a calm episode is one that nothing disturbed and that the model brought to its end
    while args.what == "surprise" and time.monotonic() - began < args.seconds:
        if sum(r["kind"] == CALM and r["success"] for r in rows) >= CALM_EPISODES:
            break
        run(CALM, seed)
        seed += 1
    world.close()
    _print((ends if args.what == "ends" else surprises)(rows))


def _before(file: Path, made_of: dict[str, Any]) -> list[dict]:
    """The episodes that were run with the same weights."""
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return []
    return found["episodes"] if found.get("of") == made_of else []


def _by_kind(rows: list[dict], count: Callable[[list[dict]], dict]) -> dict[str, dict]:
    kinds = list(dict.fromkeys(r["kind"] for r in rows))
    return {kind: count([r for r in rows if r["kind"] == kind]) for kind in kinds}


def ends(rows: list[dict]) -> dict[str, dict]:
    """How many were judged right, of each kind and of all."""

    def count(some: list[dict]) -> dict:
        told = {e: sum(r["end"] == e for r in some) for e in sorted({r["end"] for r in some})}
        return {
            "episodes": len(some),
            "right": sum(not r["wrong"] for r in some),
            "share": round(float(np.mean([not r["wrong"] for r in some])), 4),
            "told": told,
            "most_moved_after": max(r["moved_after"] for r in some),
        }

    return {**_by_kind(rows, count), "all": count(rows)}


def surprises(rows: list[dict]) -> dict[str, dict]:
    """When it was seen, of each kind, and how often for nothing in calm episodes."""

    def count(some: list[dict]) -> dict:
        begun = [r for r in some if r["begun_s"] is not None]
        if some[0]["kind"] == CALM:
            good = [r for r in some if r["success"]]
            return {
                "episodes": len(good),
                "with_false_alarm": sum(r["false_alarms"] > 0 for r in good),
                "observations": sum(r["observations_before"] for r in good),
                "false_alarms": sum(r["false_alarms"] for r in good),
                "most": max((r["most_before"] for r in good), default=None),
                "not_brought_to_an_end": len(some) - len(good),
                "of_these_with_alarm": sum(r["false_alarms"] > 0 for r in some)
                - sum(r["false_alarms"] > 0 for r in good),
            }
        seen = [r["seen_after_s"] for r in begun if r["seen_after_s"] is not None]
        return {
            "episodes": len(begun),
            "seen_within_0.5_s": sum(s <= SOON_S + 1e-6 for s in seen),
            "never_seen": len(begun) - len(seen),
            "median_s": None if not seen else float(np.median(seen)),
            "median_surprise": None
            if not begun
            else float(np.median([r["most_after"] for r in begun])),
            "false_before": sum(r["false_alarms"] > 0 for r in begun),
            "not_begun": len(some) - len(begun),
        }

    return _by_kind(rows, count)


def _print(summary: dict[str, dict]) -> None:
    for kind, values in summary.items():
        table = Table(kind, *values)
        table.add_row("", *(str(v) for v in values.values()))
        Console().print(table)


if __name__ == "__main__":
    try:
        main()
    except WamError as error:
        raise SystemExit(str(error)) from error
