"""`wam record-sim`: demonstrations of the scripted expert, with disturbances, as training data."""

from __future__ import annotations

import json
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
from wam_ros.sim.libero.suites import is_libero, tasks_in
from wam_ros.sim.worlds import SimulatedRobot, make_expert, make_world
from wam_ros.train.dataset import CLOSING, TOOL

FACTS = "recording.json"  # in the folder of a data set: how it was recorded
SHARD = 50  # episodes that are committed together
STEPS = 48  # control steps of an episode
# of LIBERO, of which each episode ends when its task is done; a suite's tasks take turns by shards
LIBERO_SHARD = 10
LIBERO_STEPS = 220


@dataclass(frozen=True)
class RecordSim:
    """Record demonstrations on the simulated arm, or go on where that was interrupted."""

    out: Path  # folder for the LeRobot data set; a new one, or one of the same recording
    task: str = "pick_block"  # or one of LIBERO, such as libero_object/0; libero_object: all of it
    episodes: int = 1600  # to record; 50 are committed at a time, of LIBERO 10
    seed: int = 0  # episode i uses seed + i; evaluation uses seeds from 900000
    # control steps stored per episode; 0: 48, and of LIBERO until it is done, 220 at most
    steps: int = 0
    nudge: float = 0.4  # probability that the named block jumps; nothing of LIBERO does
    # probability per step that a random motion of 2 to 5 steps replaces the expert's
    burst: float = 0.03
    # share of these that close the gripper on nothing instead, to show how that is mended
    pinch: float = 0.0
    workers: int = 2  # processes; the result does not depend on it
    embodiment: str = "panda"  # robot that can be simulated


def main(args: RecordSim) -> None:
    """Record in parallel, each episode from its own seed, so that the result does not depend on
    `workers`, nor on how often it was interrupted.

    Raises:
        WamError: an argument is wrong, the folder cannot be written or holds another data set, the
            robot cannot be simulated, or the disk is full; what was committed is whole.
    """
    for name in ("episodes", "workers"):
        require_within(f"--{name}", getattr(args, name), 1)
    for name in ("nudge", "burst", "pinch"):
        require_within(f"--{name}", getattr(args, name), 0, 1)
    for name in ("seed", "steps"):
        require_within(f"--{name}", getattr(args, name), 0)
    tasks = tasks_in(args.task) if is_libero(args.task) else [args.task]
    embodiment = load_embodiment(args.embodiment)
    make_folder("--out", args.out)
    _begin_or_go_on(args)
    succeeded = recorded = 0
    writer = LeRobotWriter(args.out, describe(embodiment), codec="lossless")
    jobs = list(_jobs(args, tasks, writer.episodes))
    with get_context("spawn").Pool(args.workers) as pool, Progress() as progress:
        bar = progress.add_task("recording", total=args.episodes, completed=writer.episodes)
        for shard in pool.imap(_record_shard, jobs):
            try:
                for episode, frames in shard:
                    writer.add(episode, pictures_of(frames, embodiment))
                writer.commit()
            except WamError as error:
                raise WamError(f"{error}; {writer.episodes} episodes are in {args.out}") from error
            succeeded += sum(bool(episode.success) for episode, _ in shard)
            recorded += len(shard)
            progress.update(bar, advance=len(shard))
    print(f"{writer.episodes} episodes in {args.out}")
    if recorded:
        print(f"{recorded} of them recorded now, {succeeded / recorded:.1%} successful")


def _begin_or_go_on(args: RecordSim) -> None:
    """Say in the folder how it is recorded; raises `WamError` when it was recorded otherwise."""
    facts = {name: getattr(args, name) for name in ("nudge", "burst", "pinch", "seed")}
    told = {"embodiment": args.embodiment, "task": args.task, "steps": args.steps, "expert": facts}
    file = args.out / FACTS
    if (args.out / INFO).exists():
        try:
            same = json.loads(file.read_text()) == told
        except (OSError, ValueError):
            same = False
        if not same:
            raise WamError(
                f"--out {args.out} holds a data set that was not recorded with these arguments: "
                "give a new folder"
            )
    write_json(file, told)


def _jobs(args: RecordSim, tasks: list[str], done: int) -> Iterator[tuple[RecordSim, str, range]]:
    """Task and numbers of the episodes that are recorded together, without those that are done."""
    shard = LIBERO_SHARD if is_libero(args.task) else SHARD
    for turn, start in enumerate(range(0, args.episodes, shard)):
        left = range(max(start, done), min(start + shard, args.episodes))
        if left:
            yield args, tasks[turn % len(tasks)], left


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


def _record_shard(job: tuple[RecordSim, str, range]) -> list[tuple[Episode, np.ndarray]]:
    args, task, numbers = job
    embodiment = load_embodiment(args.embodiment)
    world = make_world(embodiment, task, coarse=True)
    rows = [record_episode(world, args.seed + i, args) for i in numbers]
    world.close()
    return rows


def observe(world: SimulatedRobot, embodiment: Embodiment) -> np.ndarray:
    """(V, H, W, 3) uint8 views as the camera node would publish them."""
    size = embodiment.image_height, embodiment.image_width
    return np.stack([resize(world.render(v), *size) for v in embodiment.view_names])


def record_episode(world: SimulatedRobot, seed: int, args: RecordSim) -> tuple[Episode, np.ndarray]:
    """One episode and its frames (T, V, H, W, 3): control steps and what they led to, a row without
    an action of its own.
    """
    rng = np.random.default_rng([seed, 1])
    libero = is_libero(args.task)
    instruction = world.reset(seed, nudge=bool(rng.random() < args.nudge) and not libero)
    expert = make_expert(world)
    driver = StepDriver(world)
    bursts = _bursts(rng, args.burst, args.pinch, expert.burst_step)
    rows: dict[str, list] = {
        n: [] for n in ("frames", "states", "actions", "labelled", "tool", "closing")
    }
    steps = args.steps or (LIBERO_STEPS if libero else STEPS)
    for k in range(steps + 1):
        rows["frames"].append(observe(world, world.embodiment))
        rows["states"].append(world.q)
        rows["tool"].append(world.tool_position)
        if k == steps or expert.done:
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
    length = len(arrays["states"])
    episode = Episode(
        stamps_s=np.arange(length) * world.embodiment.step_period_s,
        instructions=(instruction,) * length,
        states=arrays["states"],
        actions=arrays["actions"],
        labelled=arrays["labelled"],
        success=world.episode().success,
        extra={
            TOOL: arrays["tool"],
            CLOSING: arrays["closing"],
            "seed": np.full(length, seed),
        },
    )
    return episode, arrays["frames"]


def _bursts(
    rng: np.random.Generator, probability: float, pinch: float, most: float
) -> Iterator[tuple[np.ndarray | None, bool]]:
    """Endless sequence of (None, False), the expert acts, and of runs of one random tool
    displacement of `most` m a step at most.

    In a share `pinch` of the runs the tool stands and the gripper closes.
    """
    while True:
        if rng.random() >= probability:
            yield None, False
            continue
        direction = rng.normal(size=3) * [1, 1, 0.7]
        displacement = direction / np.linalg.norm(direction) * rng.uniform(0.3, 1.0) * most
        closes = bool(pinch) and bool(rng.random() < pinch)
        for _ in range(rng.integers(2, 6)):
            yield (np.zeros(3), True) if closes else (displacement, False)
