"""Is the imagined future right where it matters? Where the wanted thing lies, read back from
imagined frames, against where it came to lie when the very chunk was executed; in cm.

    python -m benchmark.study.outcomes --model libero --checkpoint W.safetensors \\
        --tasks libero_object/0 libero_object/1 --work /data/study \\
        --json docs/results/study_outcomes.json

What reads it (`benchmark.study.reader`) is learned from episodes of the scripted expert, for each
task. Beside the error of imagined frames stand that of the reader itself, on the frames that came,
and that of the newest seen frame, which imagines that nothing moves. Moments at which the thing
moved count apart.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmark.study.reader import Reader
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError, require_within
from wam_ros.core.files import make_folder, require_writable, write_json
from wam_ros.core.policy import Request
from wam_ros.core.types import NS
from wam_ros.models import load_policy, read_description
from wam_ros.models.dreamzero.small.policy import DreamZeroPolicy
from wam_ros.runtime.prediction import predict
from wam_ros.sim.drive import StepDriver
from wam_ros.sim.libero.suites import OFFICIAL
from wam_ros.sim.worlds import SimulatedRobot, make_expert, make_world
from wam_ros.train.closed_loop import make_observation
from wam_ros.train.record import observe

TOOL = "tool"
MOVED = 0.01  # m, from the newest seen frame to the one that was imagined


def main() -> None:
    """Do what is missing, then print the table."""
    _print(each_task(__doc__, _measure))


def each_task(
    description: str | None,
    measure: Callable[[argparse.Namespace, DreamZeroPolicy, str], dict[str, Any]],
) -> dict[str, Any]:
    """What `measure` finds of each task that the arguments of a command name; what was found before
    is read.

    Raises:
        WamError: an argument is wrong, or the model has no latents.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="libero")
    parser.add_argument("--checkpoint", default="", help="empty: the shipped weights")
    parser.add_argument("--tasks", nargs="+", default=["libero_object/0"])
    parser.add_argument("--learn", type=int, default=20, help="episodes of the expert, each task")
    parser.add_argument("--episodes", type=int, default=10, help="of the model, each task")
    parser.add_argument("--max-steps", type=int, default=0, help="0: what judges allow")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--work", type=Path, required=True, help="folder for episodes of the expert"
    )
    parser.add_argument("--json", type=Path, help="write the results here")
    args = parser.parse_args()
    for name in ("learn", "episodes", "threads"):
        require_within(f"--{name}", getattr(args, name), 1)
    require_writable("--json", args.json)
    make_folder("--work", args.work)
    robot = load_embodiment(str(read_description(args.model)["embodiment"]))
    policy = load_policy(args.model, args.checkpoint, robot, threads=args.threads)
    if not isinstance(policy, DreamZeroPolicy):
        raise WamError(f"'{args.model}' has no latents here to read from")
    asked = {n: getattr(args, n) for n in ("model", "learn", "episodes", "max_steps")}
    asked["checkpoint_hash"] = policy.checkpoint_hash
    result: dict[str, Any] = {"asked": asked, "found": _before(args.json, asked)}
    for task in args.tasks:
        if task not in result["found"]:
            result["found"][task] = measure(args, policy, task)
            if args.json is not None:
                write_json(args.json, result)
    return dict(result["found"])


def _before(file: Path | None, asked: dict[str, Any]) -> dict[str, Any]:
    if file is None or not file.is_file() or not file.stat().st_size:
        return {}
    try:
        before = dict(json.loads(file.read_text()))
        if before["asked"] == asked:
            return dict(before["found"])
    except (ValueError, KeyError, TypeError):
        pass
    raise WamError(f"--json {file} is not of these arguments: name another file")


def _measure(args: argparse.Namespace, policy: DreamZeroPolicy, task: str) -> dict[str, Any]:
    world = make_world(policy.embodiment, task)
    reader = learned(args.work, args.learn, policy, world, task)
    rows: list[dict[str, Any]] = []
    for seed in range(OFFICIAL, OFFICIAL + args.episodes):
        rows += _follow(policy, world, seed, reader, args.max_steps)
    world.close()
    return {
        "reads_cm": {name: round(error, 2) for name, error in reader.error_cm.items()},
        "moments": _summary(rows),
        "of which it moved": _summary([r for r in rows if r["moved_cm"] > 100 * MOVED]),
    }


def wanted(world: SimulatedRobot) -> str:
    """Name of the thing that the task is about."""
    goal = getattr(world, "goal", None)
    if goal is not None:  # LIBERO's
        return str(goal[0][1])
    words = set(world.instruction.split())
    return next(o.name for o in world.objects() if set(o.name.split("_")) & words)


def places_of(world: SimulatedRobot) -> dict[str, np.ndarray]:
    """(3,) m, where each thing is, and the tool."""
    return {o.name: np.array(o.position) for o in world.objects()} | {TOOL: world.tool_position}


def learned(
    work: Path, episodes: int, policy: DreamZeroPolicy, world: SimulatedRobot, task: str
) -> Reader:
    """Of the places of all things and of the tool, learned from what is seen while the expert acts;
    that is kept in the folder `work`.
    """
    file = work / f"seen-{policy.checkpoint_hash}-{task.replace('/', '-')}-{episodes}.npz"
    if not file.is_file():
        np.savez(file, **_watched(episodes, policy, world))
    with np.load(file, allow_pickle=False) as kept:
        places = {name: kept[name] for name in kept.files if name != "latents"}
        return Reader(kept["latents"], places, len(policy.embodiment.view_names))


def _watched(
    episodes: int, policy: DreamZeroPolicy, world: SimulatedRobot
) -> dict[str, np.ndarray]:
    """Latents (N, C, h, V * w) of episodes of the expert, and by name the places (N, 3) m."""
    rows: list[dict[str, np.ndarray]] = []
    for seed in range(episodes):
        world.reset(seed)
        expert, driver = make_expert(world), StepDriver(world)
        for _ in range(round(world.limit_s / world.embodiment.step_period_s)):
            latent = policy.latent_of(observe(world, world.embodiment))
            rows.append({"latents": latent} | places_of(world))
            driver.to(expert.act())
            if expert.done:
                break
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _follow(
    policy: DreamZeroPolicy,
    world: SimulatedRobot,
    seed: int,
    reader: Reader,
    most: int,
) -> list[dict[str, Any]]:
    """Chunks that are executed whole, and how far what was imagined of each was off."""
    robot = world.embodiment
    policy.reset(world.reset(seed))
    thing = wanted(world)
    driver = StepDriver(world)
    rows = []
    step = 0
    while step < (most or round(world.limit_s / robot.step_period_s)):
        if world.episode().success:
            break
        seen = observe(world, robot)
        stamp_ns = round(step * robot.step_period_s * NS)
        observation = make_observation(robot, stamp_ns, seen, world.joint_state())
        output = predict(policy, observation, Request(step=step))
        assert output is not None
        began = places_of(world)[thing]
        frames = dict(zip(output.frame_offsets_ns, output.frames, strict=True))
        for k, target in enumerate(output.positions):
            driver.to(target)
            imagined = frames.get(round((k + 1) * robot.step_period_s * NS))
            if imagined is not None:
                came, there = observe(world, robot), places_of(world)[thing]
                read = {"imagined": imagined, "came": came, "seen": seen}
                rows.append(
                    {
                        f"{name}_cm": 100
                        * float(np.linalg.norm(reader(policy.latent_of(f))[thing] - there))
                        for name, f in read.items()
                    }
                    | {"moved_cm": 100 * float(np.linalg.norm(there - began))}
                )
        step += len(output.positions)
    return rows


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians, and nine tenths, cm."""
    found: dict[str, Any] = {"count": len(rows)}
    for name in ("imagined", "came", "seen", "moved") if rows else ():
        errors = [row[f"{name}_cm"] for row in rows]
        found[f"{name}_cm"] = [round(float(np.percentile(errors, p)), 2) for p in (50, 90)]
    return found


def _print(found: dict[str, Any]) -> None:
    table = Table("task", "moments", "imagined [cm]", "reader alone [cm]", "copy of the last [cm]")
    for task, row in found.items():
        for words in ("moments", "of which it moved"):
            part = row[words]
            cells = [str(part.get(f"{n}_cm", ["-"])[0]) for n in ("imagined", "came", "seen")]
            table.add_row(f"{task}, {words}", str(part["count"]), *cells)
    Console().print(table)


if __name__ == "__main__":
    try:
        main()
    except WamError as error:
        raise SystemExit(str(error)) from error
