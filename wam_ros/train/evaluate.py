"""`wam eval`: a checkpoint in the simulator without ROS, and its imagination on held-out
demonstrations.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.errors import require_known, require_within
from wam_ros.core.files import require_writable, write_json
from wam_ros.core.images import mse, psnr_db
from wam_ros.core.latency import AUTO, CHUNKING
from wam_ros.core.policy import Policy
from wam_ros.core.types import NS
from wam_ros.data.episodes import Episodes
from wam_ros.data.folder import open_episodes
from wam_ros.models import load_policy
from wam_ros.models.dreamzero.small.config import load_model_config
from wam_ros.sim.robots import AUTO as ANY_TASK
from wam_ros.sim.robots import task_for
from wam_ros.sim.tasks.pick_block import COLOURS
from wam_ros.sim.world import World
from wam_ros.train.check import require_robot
from wam_ros.train.closed_loop import ENSEMBLE, ClosedLoop, Delay, make_observation


@dataclass(frozen=True)
class Eval:
    """Evaluate a checkpoint: closed loop in the simulator (faster than real time, no ROS) and
    imagination.
    """

    model: str = "tiny"  # name in config/models, or a path ending in .yaml
    checkpoint: str = ""  # weights file; empty: the shipped one
    episodes: int = 50  # in the simulator; 0 for none
    seed: int = 900_000  # of the first episode; the next ones count up
    nudge: bool = False  # let the named block jump once while the arm moves
    swap: bool = False  # name another block than the seed's own
    # what the memory is filled with: real frames, or imagined: the model never looks again
    memory: str = "real"
    every: int = 4  # control steps between two predictions
    delay: int = 1  # control steps until a prediction is executed
    jitter: int = 0  # up to so many control steps more
    chunking: str = "auto"  # auto, guided, prefix, replace, lookahead, synchronous or ensemble
    steps: int = 0  # denoising steps; 0 takes the model's own
    max_steps: int = 64  # control steps in motion; standing and thinking do not count
    threads: int = 1  # CPU threads of the network
    heldout: Path | None = None  # demonstrations never trained on, for the imagination table
    json: Path | None = None  # write the results here


def main(args: Eval) -> None:
    """Print the tables and write the JSON.

    Raises:
        WamError: an argument, checkpoint or file is wrong; nothing has been run then.
    """
    require_within("--episodes", args.episodes, 0)
    for name in ("every", "max_steps", "threads"):
        require_within(f"--{name.replace('_', '-')}", getattr(args, name), 1)
    for name in ("delay", "jitter", "steps"):
        require_within(f"--{name}", getattr(args, name), 0)
    require_known("chunking", args.chunking, (AUTO, *CHUNKING, ENSEMBLE))
    require_writable("--json", args.json)
    embodiment = load_embodiment(load_model_config(args.model).embodiment)
    policy = load_policy(
        args.model,
        args.checkpoint,
        embodiment,
        threads=args.threads,
        steps=args.steps,
        memory=args.memory,
    )
    result: dict = {}
    if args.heldout is not None:
        result["imagination"] = imagination(policy, embodiment, open_episodes(args.heldout))
        _print_imagination(result["imagination"])
    if args.episodes:
        result["closed_loop"] = closed_loop(policy, embodiment, args)
    if args.json is not None:
        write_json(args.json, result)


def imagination(
    policy: Policy, embodiment: Embodiment, episodes: Episodes, stride: int = 4, last: int = 28
) -> dict:
    """Mean squared error of imagined frames and of copying the last frame, as PSNR [dB], per view
    and horizon.
    """
    require_robot(episodes, embodiment)
    errors: dict[str, list[float]] = {}
    for e, episode in enumerate(episodes):
        assert episode.states is not None
        frames = list(episodes.stacked(e, embodiment.view_names))
        policy.reset(episode.instructions[0])
        for step in range(0, last, stride):
            seen = frames[step]
            stamp = round(step * embodiment.step_period_s * NS)
            output = policy.predict(make_observation(embodiment, stamp, seen, episode.states[step]))
            assert output is not None
            for frame, offset in zip(output.frames, output.frame_offsets_ns, strict=True):
                real = frames[step + round(offset / NS / embodiment.step_period_s)]
                for v, view in enumerate(embodiment.view_names):
                    key = f"{view} +{offset / NS:.1f}s"
                    errors.setdefault(f"{key} imagined", []).append(mse(frame[v], real[v]))
                    errors.setdefault(f"{key} copy", []).append(mse(seen[v], real[v]))
    return {key: round(psnr_db(float(np.mean(values))), 3) for key, values in errors.items()}


def closed_loop(policy: Policy, embodiment: Embodiment, args: Eval) -> dict:
    """Run episodes; a chunk is there `delay` steps after the observation it was predicted from."""
    world = World(embodiment, task_for(embodiment, ANY_TASK))
    rows = []
    with Progress() as progress:
        bar = progress.add_task("episodes", total=args.episodes)
        for seed in range(args.seed, args.seed + args.episodes):
            rows.append(run_episode(policy, world, seed, args))
            good = np.mean([r["success"] for r in rows])
            progress.update(bar, advance=1, description=f"success {good:.0%}")
    world.close()
    summary = {
        "success": float(np.mean([r["success"] for r in rows])),
        "wrong": float(np.mean([r["wrong"] for r in rows])),
        "steps": float(np.mean([r["steps"] for r in rows])),
    }
    Console().print(summary)
    return {"summary": summary, "episodes": rows}


def other_colour(instruction: str) -> str:
    """The colour after the one that the instruction names."""
    names = list(COLOURS)
    return names[(next(i for i, n in enumerate(names) if n in instruction) + 1) % len(names)]


def run_episode(policy: Policy, world: World, seed: int, args: Eval) -> dict:
    """One episode; returns what happened."""
    instruction = world.reset(seed, nudge=args.nudge)
    if args.swap:
        instruction = world.reset(seed, other_colour(instruction), args.nudge)
    policy.reset(instruction)
    loop = ClosedLoop(
        policy=policy,
        world=world,
        chunking=args.chunking,
        every=args.every,
        delay=Delay(args.delay, args.jitter),
        seed=seed,
    )
    moving = step = 0
    modes: set[str] = set()
    while moving < args.max_steps and step < args.max_steps * (2 + args.delay + args.jitter):
        modes |= {chunk.chunking_mode.name.lower() for chunk in loop.step()}
        moving = moving + loop.moving
        step = step + 1
        if world.task.success:
            break
    state = world.episode()
    return {
        "seed": seed,
        "instruction": instruction,
        "success": state.success,
        "wrong": state.wrong,
        "nudged": state.nudged,
        "steps": step,
        "modes": sorted(modes),
        "timing": str(loop.scheduler.timing),
        "violations": state.violations,
    }


def _print_imagination(table: dict[str, float]) -> None:
    view = Table("frame", "imagined [dB]", "copy of the last [dB]", "gain [dB]")
    for key in sorted({k.rsplit(" ", 1)[0] for k in table}):
        a = table[f"{key} imagined"]
        b = table[f"{key} copy"]
        view.add_row(key, f"{a:.2f}", f"{b:.2f}", f"{a - b:+.2f}")
    Console().print(view)
