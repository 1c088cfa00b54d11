"""`wam record-sim`: demonstrations of the scripted expert, with disturbances, as training data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from rich.progress import Progress

from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.errors import WamError, require_within
from wam_ros.core.files import make_folder, write_json
from wam_ros.core.images import resize
from wam_ros.data.episodes import Episode, View
from wam_ros.data.lerobot.info import INFO, Feature
from wam_ros.data.lerobot.writer import Description, LeRobotWriter
from wam_ros.sim.drive import StepDriver
from wam_ros.sim.expert import MAX_STEP, Expert
from wam_ros.sim.world import World
from wam_ros.train.dataset import CLOSING, TOOL

SHARD = 50  # episodes that are committed together


@dataclass(frozen=True)
class RecordSim:
    """Record demonstrations on the simulated arm."""

    out: Path  # folder for the LeRobot data set; a new one
    episodes: int = 1600  # to record; 50 are committed at a time
    seed: int = 0  # episode i uses seed + i; evaluation uses seeds from 900000
    steps: int = 48  # control steps stored per episode
    nudge: float = 0.4  # probability that the named block jumps
    # probability per step that a random motion of 2 to 5 steps replaces the expert's
    burst: float = 0.03
    # share of these that close the gripper on nothing instead, to show how that is mended
    pinch: float = 0.0
    workers: int = 2  # processes; the result does not depend on it
    embodiment: str = "panda"  # robot that can be simulated


def main(args: RecordSim) -> None:
    """Record in parallel, each episode from its own seed, so that the result does not depend on
    `workers`.

    Raises:
        WamError: an argument is wrong, the folder cannot be written or holds a data set, the robot
            cannot be simulated, or the disk is full; what was committed is whole.
    """
    for name in ("episodes", "steps", "workers"):
        require_within(f"--{name}", getattr(args, name), 1)
    for name in ("nudge", "burst", "pinch"):
        require_within(f"--{name}", getattr(args, name), 0, 1)
    require_within("--seed", args.seed, 0)
    make_folder("--out", args.out)
    if (args.out / INFO).exists():
        raise WamError(f"--out {args.out} holds a data set: give a new folder")
    embodiment = load_embodiment(args.embodiment)
    facts = {name: getattr(args, name) for name in ("nudge", "burst", "pinch", "seed")}
    write_json(args.out / "recording.json", {"embodiment": args.embodiment, "expert": facts})
    jobs = [(args, start) for start in range(0, args.episodes, SHARD)]
    succeeded = 0
    writer = LeRobotWriter(args.out, describe(embodiment), codec="lossless")
    with get_context("spawn").Pool(args.workers) as pool, Progress() as progress:
        bar = progress.add_task("recording", total=args.episodes)
        for shard in pool.imap(_record_shard, jobs):
            try:
                for episode, frames in shard:
                    writer.add(episode, pictures_of(frames, embodiment))
                writer.commit()
            except WamError as error:
                raise WamError(f"{error}; {writer.episodes} episodes are in {args.out}") from error
            succeeded += sum(bool(episode.success) for episode, _ in shard)
            progress.update(bar, advance=len(shard))
    print(f"{args.episodes} episodes in {args.out}, {succeeded / args.episodes:.1%} successful")


def describe(embodiment: Embodiment) -> Description:
    """What the simulator records of a robot."""
    size = embodiment.image_height, embodiment.image_width
    return Description(
        robot=embodiment.name,
        rate_hz=1 / embodiment.step_period_s,
        joint_names=embodiment.joint_names,
        action_names=embodiment.joint_names,
        views=tuple(View(name, *size) for name in embodiment.view_names),
        extra={
            TOOL: Feature("float32", (3,), ("x", "y", "z")),
            CLOSING: Feature("bool", (1,), ()),
            "seed": Feature("int64", (1,), ()),
        },
    )


def pictures_of(frames: np.ndarray, embodiment: Embodiment) -> dict[str, np.ndarray]:
    """(T, V, H, W, 3) by the name of the camera."""
    return {name: frames[:, v] for v, name in enumerate(embodiment.view_names)}


def _record_shard(job: tuple[RecordSim, int]) -> list[tuple[Episode, np.ndarray]]:
    args, start = job
    embodiment = load_embodiment(args.embodiment)
    world = World(embodiment)
    count = min(SHARD, args.episodes - start)
    rows = [record_episode(world, args.seed + start + i, args) for i in range(count)]
    world.close()
    return rows


def observe(world: World, embodiment: Embodiment) -> np.ndarray:
    """(V, H, W, 3) uint8 views as the camera node would publish them."""
    size = embodiment.image_height, embodiment.image_width
    return np.stack([resize(world.render(v), *size) for v in embodiment.view_names])


def record_episode(world: World, seed: int, args: RecordSim) -> tuple[Episode, np.ndarray]:
    """One episode and its frames (T, V, H, W, 3): `args.steps` control steps and what they led to,
    a row without an action of its own.
    """
    rng = np.random.default_rng([seed, 1])
    instruction = world.reset(seed, nudge=bool(rng.random() < args.nudge))
    expert = Expert(world)
    driver = StepDriver(world)
    bursts = _bursts(rng, args.burst, args.pinch)
    rows: dict[str, list] = {
        n: [] for n in ("frames", "states", "actions", "labelled", "tool", "closing")
    }
    for k in range(args.steps + 1):
        rows["frames"].append(observe(world, world.embodiment))
        rows["states"].append(world.q)
        rows["tool"].append(world.tool_position)
        if k == args.steps:
            for name, last in (("actions", rows["actions"][-1]), ("labelled", False)):
                rows[name].append(last)
            rows["closing"].append(expert.closing)
            break
        disturbance, pinch = next(bursts)
        target = expert.act(disturbance, pinch)
        driver.to(target)
        rows["actions"].append(target)
        rows["labelled"].append(disturbance is None)
        rows["closing"].append(expert.closing)
    arrays = {name: np.stack(values) for name, values in rows.items()}
    length = args.steps + 1
    episode = Episode(
        stamps_s=np.arange(length) * world.embodiment.step_period_s,
        instructions=(instruction,) * length,
        states=arrays["states"],
        actions=arrays["actions"],
        labelled=arrays["labelled"],
        success=world.task.success,
        extra={
            TOOL: arrays["tool"],
            CLOSING: arrays["closing"],
            "seed": np.full(length, seed),
        },
    )
    return episode, arrays["frames"]


def _bursts(
    rng: np.random.Generator, probability: float, pinch: float
) -> Iterator[tuple[np.ndarray | None, bool]]:
    """Endless sequence of (None, False), the expert acts, and of runs of one random tool
    displacement [m].

    In a share `pinch` of the runs the tool stands and the gripper closes.
    """
    while True:
        if rng.random() >= probability:
            yield None, False
            continue
        direction = rng.normal(size=3) * [1, 1, 0.7]
        displacement = direction / np.linalg.norm(direction) * rng.uniform(0.3, 1.0) * MAX_STEP
        closes = bool(pinch) and bool(rng.random() < pinch)
        for _ in range(rng.integers(2, 6)):
            yield (np.zeros(3), True) if closes else (displacement, False)
