"""Success in the simulator by inference delay and chunking mode: `python benchmark/delays.py --json FILE`."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.latency import choose_timing
from wam_ros.core.policy import abilities_of
from wam_ros.core.types import ChunkingMode
from wam_ros.models import load_policy
from wam_ros.models.dreamzero.config import load_model_config
from wam_ros.sim.world import World
from wam_ros.train.closed_loop import ENSEMBLE
from wam_ros.train.evaluate import Eval, run_episode

MODES = ("synchronous", "replace", ENSEMBLE, "guided", "lookahead")


def cell(policy, world, eval_args: Eval) -> dict:
    """Success and time of one mode at one delay; no episode is run where the mode gives way to another."""
    robot, args = world.embodiment, eval_args
    asked = "replace" if args.chunking == ENSEMBLE else args.chunking
    timing = choose_timing(args.delay, args.every, robot.action_horizon, abilities_of(policy), asked)
    if timing.mode is ChunkingMode.SYNCHRONOUS and args.chunking != "synchronous":
        return {"timing": str(timing), "mode": "synchronous instead"}
    rows = [run_episode(policy, world, args.seed + i, args) for i in range(args.episodes)]
    won = [r["steps"] * robot.step_period_s for r in rows if r["success"]]
    return {
        "timing": str(timing),
        "success": sum(r["success"] for r in rows),
        "wrong": sum(r["wrong"] for r in rows),
        "episodes": len(rows),
        "seconds_to_success": round(float(np.mean(won)), 2) if won else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--checkpoint", default="")
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--seed", type=int, default=940_000)
    parser.add_argument("--nudge", action="store_true", help="the named block jumps once")
    parser.add_argument("--delays", type=int, nargs="+", default=[0, 1, 3, 6, 10], help="control steps")
    parser.add_argument("--modes", nargs="+", default=list(MODES))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    embodiment = load_embodiment(load_model_config(args.model).embodiment)
    policy = load_policy(args.model, args.checkpoint, embodiment)
    world, console = World(embodiment), Console()
    base = Eval(episodes=args.episodes, seed=args.seed, nudge=args.nudge)
    found: dict[str, dict] = {}
    table = Table("mode", *(f"{1e3 * d * embodiment.step_period_s:.0f} ms" for d in args.delays))
    for mode in args.modes:
        row = {d: cell(policy, world, dataclasses.replace(base, delay=d, chunking=mode)) for d in args.delays}
        found[mode] = {str(d): c for d, c in row.items()}
        table.add_row(mode, *(words(c) for c in row.values()))
        console.print(f"{mode}: {', '.join(words(c) for c in row.values())}")
        if args.json:  # after every row: a long run that is ended leaves what it has
            facts = {"checkpoint": policy.checkpoint_hash, "seed": args.seed, "nudge": args.nudge, "delays_in": "steps"}
            args.json.write_text(json.dumps(facts | {"modes": found}, indent=1) + "\n")
    console.print(table)


def words(c: dict) -> str:
    """One cell."""
    if "success" not in c:
        return c["mode"]
    return f"{c['success']}/{c['episodes']}" + (f" in {c['seconds_to_success']} s" if c["success"] else "")


if __name__ == "__main__":
    main()
