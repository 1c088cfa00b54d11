"""Success in the simulator by inference delay and chunking mode, in still scenes and with a block
that jumps once.

    python benchmark/delays.py --json docs/results/delays.json

Every cell runs the same scenes. Where a delay does not allow a mode, the cell shows what the
session says and which modes its chunks really had; a few scenes are enough there, because what runs
instead has a row of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.files import require_writable, write_json
from wam_ros.core.latency import CHUNKING, choose_timing
from wam_ros.core.policy import Policy, abilities_of
from wam_ros.core.types import ChunkingMode
from wam_ros.models import load_policy
from wam_ros.models.dreamzero.small.config import load_model_config
from wam_ros.sim.world import World
from wam_ros.train.closed_loop import ENSEMBLE
from wam_ros.train.evaluate import Eval
from wam_ros.train.judging import run_episode

MODES = (*CHUNKING, ENSEMBLE)
SCENES = {"still": False, "nudged": True}
GIVEN_WAY = 2  # scenes of a cell whose mode is not possible


def cell(policy: Policy, world: World, args: Eval) -> dict:
    """Success and time of one mode at one delay."""
    robot = world.embodiment
    asked = "replace" if args.chunking == ENSEMBLE else args.chunking
    timing = choose_timing(
        args.delay, args.every, robot.action_horizon, abilities_of(policy), asked
    )
    possible = timing.mode is not ChunkingMode.SYNCHRONOUS or asked == "synchronous"
    rows = [
        run_episode(policy, world, args.seed + i, args)
        for i in range(args.episodes if possible else GIVEN_WAY)
    ]
    won = [r["steps"] * robot.step_period_s for r in rows if r["success"]]
    return {
        "possible": possible,
        "timing": rows[0]["timing"],
        # "replace" follows no plan: the first chunk does
        "modes": sorted({m for r in rows for m in r["modes"]}),
        "success": sum(r["success"] for r in rows),
        "wrong": sum(r["wrong"] for r in rows),
        "episodes": len(rows),
        "seconds_to_success": round(float(np.mean(won)), 2) if won else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--checkpoint", default="")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=940_000)
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument(
        "--delays", type=int, nargs="+", default=[0, 1, 3, 6, 10], help="control steps"
    )
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    require_writable("--json", args.json)
    embodiment = load_embodiment(load_model_config(args.model).embodiment)
    policy = load_policy(args.model, args.checkpoint, embodiment)
    world, console = World(embodiment), Console()
    facts = {
        "checkpoint": policy.checkpoint_hash,
        "seed": args.seed,
        "step_s": embodiment.step_period_s,
    }
    found: dict[str, dict[str, dict]] = {}
    for scene in args.scenes:
        base = Eval(episodes=args.episodes, seed=args.seed, nudge=SCENES[scene])
        table = Table(
            "mode",
            *(f"{1e3 * d * embodiment.step_period_s:.0f} ms" for d in args.delays),
            title=scene,
        )
        for mode in args.modes:
            row = {
                d: cell(policy, world, dataclasses.replace(base, delay=d, chunking=mode))
                for d in args.delays
            }
            found.setdefault(scene, {})[mode] = {str(d): c for d, c in row.items()}
            table.add_row(mode, *(words(c) for c in row.values()))
            if args.json:  # after every row: a long run that is ended leaves what it has
                write_json(args.json, facts | {"scenes": found})
        console.print(table)
    world.close()


def words(c: dict) -> str:
    """One cell."""
    if not c["possible"]:
        return f"not possible: {' '.join(c['modes'])}"
    return f"{c['success']}/{c['episodes']}" + (
        f" in {c['seconds_to_success']} s" if c["success"] else ""
    )


if __name__ == "__main__":
    try:
        main()
    except WamError as problem:
        raise SystemExit(f"error: {problem}") from None
