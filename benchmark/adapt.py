"""`wam adapt` to an arm that the shipped model never saw: SO-101 picks up blocks in the simulator.

    python -m benchmark.adapt --work /data/adapt --json docs/results/adapt.json

Records demonstrations of the scripted expert, and films of the same cameras without joints; adapts
the shipped model to the demonstrations alone and, in as many steps, to both; judges every stage
over the same scenes, with 95 % intervals. What `--work` holds already is not done again: give the
command again after it was stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.files import make_folder, require_writable, write_json
from wam_ros.core.intervals import wilson_interval
from wam_ros.data.folder import open_episodes
from wam_ros.data.lerobot.writer import LeRobotWriter
from wam_ros.models import load_policy
from wam_ros.models.processor import processor
from wam_ros.train.adapt import BEGUN, Adapt
from wam_ros.train.adapt import main as adapt
from wam_ros.train.evaluate import Eval
from wam_ros.train.evaluate import main as evaluate
from wam_ros.train.judging import EXPERT
from wam_ros.train.record import SHARD, STEPS, RecordSim, describe
from wam_ros.train.record import main as record
from wam_ros.train.trainer import STATE

ROBOT = "so101"
TASK = "pick_block"
FILM_SEED = 100_000  # of the first film; demonstrations begin at 0, judges at 900000
SHIPPED = "tiny"
WAYS = {"demonstrations": False, "demonstrations and films": True}


def main() -> None:
    """Do what is missing, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for all that is made")
    parser.add_argument("--json", type=Path, help="write the results here, too")
    parser.add_argument("--demonstrations", type=int, default=55)
    parser.add_argument("--film-minutes", type=float, default=20.0)
    parser.add_argument("--minutes", type=float, default=30.0, help="of the first training")
    parser.add_argument("--episodes", type=int, default=50, help="to judge by")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    require_writable("--json", args.json)
    make_folder("--work", args.work)
    asked = {
        name: getattr(args, name)
        for name in ("demonstrations", "film_minutes", "minutes", "episodes", "threads")
    }
    result = _before(args.work / "result.json", asked)
    demonstrations, films = _recordings(args)
    result["stages"]["expert"] = _judge(args, EXPERT, None)
    result["stages"]["shipped"] = _shipped(args.episodes)
    for way, filmed in WAYS.items():
        out = args.work / way.replace(" ", "-")
        _adapt(args, result, way, demonstrations, films if filmed else None)
        described = out / f"{ROBOT}.yaml"
        if "transferred" not in result["stages"]:
            found = _judge(args, str(described), out / BEGUN)
            result["stages"]["transferred"] = found
        result["stages"][way] = _judge(args, str(described), out / f"{ROBOT}.safetensors")
        _keep(args, result)
    _keep(args, result)
    _print(result)


def _before(file: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """What an earlier run with the same arguments has found."""
    try:
        found = dict(json.loads(file.read_text()))
    except (OSError, ValueError):
        return {"asked": asked, "processor": str(processor()), "trained": {}, "stages": {}}
    if found["asked"] != asked:
        raise WamError(f"--work {file.parent} was made with {found['asked']}: give a new folder")
    return found


def _keep(args: argparse.Namespace, result: dict[str, Any]) -> None:
    write_json(args.work / "result.json", result)
    if args.json is not None:
        write_json(args.json, result)


def _recordings(args: argparse.Namespace) -> tuple[Path, Path]:
    """Demonstrations, and films: of other scenes, with pictures and sentences and nothing else."""
    robot = load_embodiment(ROBOT)
    demonstrations = args.work / "demonstrations-recorded"
    told = RecordSim(
        out=demonstrations,
        task=TASK,
        episodes=args.demonstrations,
        workers=args.threads,
        embodiment=ROBOT,
    )
    record(told)
    acted = args.work / "films-recorded"
    count = math.ceil(60 * args.film_minutes / (STEPS * robot.step_period_s))
    record(dataclasses.replace(told, out=acted, episodes=count, seed=FILM_SEED))
    films = args.work / "films"
    episodes = open_episodes(acted)
    seen = dataclasses.replace(describe(robot), joint_names=(), action_names=(), extra={})
    with LeRobotWriter(films, seen, codec="lossless") as writer:
        for e in range(writer.episodes, len(episodes)):
            film = dataclasses.replace(
                episodes[e], states=None, actions=None, labelled=None, extra={}
            )
            writer.add(film, {name: episodes.pictures(e, name) for name in robot.view_names})
            if writer.episodes % SHARD == 0:
                writer.commit()
    return demonstrations, films


def _shipped(episodes: int) -> dict[str, Any]:
    """The model as it is shipped: it is refused for another robot, and so never succeeds."""
    try:
        load_policy(SHIPPED, "", load_embodiment(ROBOT))
    except WamError as error:
        low, high = wilson_interval(0, episodes)
        return {"success": 0.0, "success_95": [low, high], "why": str(error)}
    raise WamError(f"'{SHIPPED}' loads for '{ROBOT}' now: judge it")


def _adapt(
    args: argparse.Namespace,
    result: dict[str, Any],
    way: str,
    demonstrations: Path,
    films: Path | None,
) -> None:
    """Train, or go on with it; `trained` says how long it took, summed over all tries."""
    out = args.work / way.replace(" ", "-")
    trained = result["trained"].setdefault(way, {"done": False, "seconds": 0.0})
    if trained["done"]:
        return
    # as many for each: the minutes of a machine with other work have room for fewer
    steps = next((t["steps"] for t in result["trained"].values() if t["done"]), 0)
    began = time.monotonic()
    try:
        adapt(
            Adapt(
                embodiment=ROBOT,
                data=demonstrations,
                out=out,
                video_only=films,
                model=SHIPPED,
                steps=steps,
                minutes=args.minutes,
                threads=args.threads,
                resume=(out / STATE).exists(),
            )
        )
        rows = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        trained["steps"] = max(row.get("step", 0) for row in rows)
        trained["done"] = True
    finally:
        trained["seconds"] = round(trained["seconds"] + time.monotonic() - began, 1)
        _keep(args, result)
    held = [row for row in rows if any(name.startswith("held-out") for name in row)]
    for when, row in (("before", held[:1]), ("after", held[-1:])):
        trained[when] = {k: v for r in row for k, v in r.items() if k.startswith("held-out")}
    _keep(args, result)


def _judge(args: argparse.Namespace, model: str, checkpoint: Path | None) -> dict[str, Any]:
    """What came of all scenes; the episodes stay in a file of their own."""
    name = EXPERT if checkpoint is None else f"{checkpoint.parent.name}-{checkpoint.stem}"
    file = args.work / f"eval-{name}.json"
    evaluate(
        Eval(
            model=(model,),
            checkpoint=() if checkpoint is None else (str(checkpoint),),
            embodiment=ROBOT,
            task=(TASK,),
            episodes=args.episodes,
            workers=args.threads,
            json=file,
        )
    )
    (found,) = json.loads(file.read_text())["summary"]
    return {k: v for k, v in found.items() if k not in ("policy", "task")}


def _print(result: dict[str, Any]) -> None:
    table = Table("SO-101, pick_block", "success", "95 %", "otherwise", "trained, minutes")
    for stage, found in result["stages"].items():
        low, high = found["success_95"]
        ends = [f"{k} {n}" for k, n in found.get("outcomes", {}).items() if k != "success"]
        trained = result["trained"].get(stage)
        table.add_row(
            stage,
            f"{found['success']:.0%}",
            f"{low:.0%} to {high:.0%}",
            found.get("why") or ", ".join(ends) or "-",
            f"{trained['seconds'] / 60:.1f}" if trained else "",
        )
    Console().print(table)


if __name__ == "__main__":
    try:
        main()
    except WamError as error:
        raise SystemExit(str(error)) from error
