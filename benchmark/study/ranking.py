"""Does imagination tell a good chunk from a bad one? At every look the model's own chunk, others
that are led astray, and one that stands still are imagined, each as a plan that is committed whole,
and each is executed from the very same state of the simulator.

    python -m benchmark.study.ranking --model tiny --tasks pick_block --work /data/study \\
        --json docs/results/study_ranking.json

What counts is what is left to do when a chunk ends: from the tool to the wanted thing, and from
there to where it is wanted; in cm. It is read off the last imagined frame by
`benchmark.study.reader`. Of two chunks of one moment that differ by more than a centimetre, which
is the better one? Guessing is right in half of them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmark.study.outcomes import TOOL, each_task, learned, places_of, wanted
from benchmark.study.reader import Reader
from wam_ros.core.errors import WamError
from wam_ros.core.intervals import wilson_interval
from wam_ros.core.policy import Request
from wam_ros.core.types import NS, Observation
from wam_ros.models.dreamzero.small.policy import DreamZeroPolicy
from wam_ros.runtime.prediction import predict
from wam_ros.sim.drive import StepDriver
from wam_ros.sim.libero.suites import OFFICIAL
from wam_ros.sim.worlds import SimulatedRobot, make_world
from wam_ros.train.closed_loop import make_observation
from wam_ros.train.record import observe

ASTRAY = 4  # chunks of each moment that are led astray
OFFSET = 0.25  # rad at most, of each joint of the arm at the end of such a chunk
APART = 0.01  # m between two chunks of which one is called better
LIFT = 0.12  # m, that `pick_block` wants its block higher


def main() -> None:
    """Do what is missing, then print the table."""
    _print(each_task(__doc__, _measure))


def _measure(args: argparse.Namespace, policy: DreamZeroPolicy, task: str) -> dict[str, Any]:
    world = make_world(policy.embodiment, task)
    reader = learned(args.work, args.learn, policy, world, task)
    moments = []
    for seed in range(OFFICIAL, OFFICIAL + args.episodes):
        moments += list(_follow(policy, world, seed, reader, args.max_steps))
    world.close()
    return ranked(np.array(moments)) | {
        "reads_cm": {name: round(error, 2) for name, error in reader.error_cm.items()},
        "astray_rad": OFFSET,
    }


def ranked(moments: np.ndarray) -> dict[str, Any]:
    """What is said of moments (N, 3, C): what C chunks leave to do, in m, as read off the imagined
    frame, as read off the frame that came, and as it is; the first chunk is the model's own.
    """
    imagined, read, came = moments.transpose(1, 0, 2)
    chosen = came[np.arange(len(came)), imagined.argmin(axis=1)]
    return {
        "moments": len(moments),
        "imagined": _right(imagined, came),
        "reader alone": _right(read, came),
        # cm left, in the mean: of the model's own chunk, of the one that is imagined best, of the
        # best and of all
        "own_cm": round(100 * float(came[:, 0].mean()), 2),
        "chosen_cm": round(100 * float(chosen.mean()), 2),
        "best_cm": round(100 * float(came.min(axis=1).mean()), 2),
        "all_cm": round(100 * float(came.mean()), 2),
    }


def _right(told: np.ndarray, came: np.ndarray) -> dict[str, Any]:
    """How often the better one of two chunks is told, (N, C) each."""
    a, b = np.array(list(combinations(range(came.shape[1]), 2))).T
    apart = np.abs(came[:, a] - came[:, b]) > APART
    same = (told[:, a] < told[:, b]) == (came[:, a] < came[:, b])
    pairs, right = int(apart.sum()), int((same & apart).sum())
    share = {"pairs": pairs, "right": round(right / max(1, pairs), 4)}
    return share | {"right_95": [round(x, 4) for x in wilson_interval(right, max(1, pairs))]}


def _follow(
    policy: DreamZeroPolicy,
    world: SimulatedRobot,
    seed: int,
    reader: Reader,
    most: int,
) -> Iterator[np.ndarray]:
    """For each chunk of an episode, of it and of those in its place, (3, C) m left to do: see
    `ranked`.
    """
    robot = world.embodiment
    rng = np.random.default_rng(seed)
    policy.reset(world.reset(seed))
    thing, goal = wanted(world), _place(world)
    left = Left(policy, reader, thing, goal)
    step = 0
    while step < (most or round(world.limit_s / robot.step_period_s)):
        if world.episode().success:
            break
        stamp_ns = round(step * robot.step_period_s * NS)
        seen = make_observation(robot, stamp_ns, observe(world, robot), world.joint_state())
        own = predict(policy, seen, Request(step=step))
        assert own is not None
        chunks = [own.positions, *_worse(world, own.positions, rng)]
        imagined = [_imagined(policy, seen, step, rows, left) for rows in chunks]
        began = _state(world)
        came: list[tuple[float, float]] = []
        for rows in chunks[::-1]:  # the model's own last: from there it goes on
            _restore(world, began)
            driver = StepDriver(world)
            for target in rows:
                driver.to(target)
            read = left.read(observe(world, robot))
            came.append((read, left.of(places_of(world))))
        yield np.array([imagined, *zip(*came[::-1], strict=True)])
        step += len(own.positions)


def _worse(world: SimulatedRobot, rows: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Chunks (T, A) that are led astray more and more, and one that stands still."""
    limits = world.robot.limits
    arm = np.array([n not in world.embodiment.gripper_joints for n in world.joint_names])
    ramp = np.arange(1, len(rows) + 1)[:, None] / len(rows)
    offsets = rng.uniform(-OFFSET, OFFSET, (ASTRAY, 1, rows.shape[1])) * arm
    astray = np.clip(rows + ramp * offsets, limits.lower, limits.upper)
    return [*astray, np.tile(world.q, (len(rows), 1))]


def _imagined(
    policy: DreamZeroPolicy,
    seen: Observation,
    step: int,
    rows: np.ndarray,
    left: Left,
) -> float:
    """M left to do at the end of a plan, read off what is imagined of it."""
    future = predict(policy, seen, Request(step=step, plan=rows, committed=len(rows)))
    assert future is not None
    return left.read(future.frames[-1])


@dataclass(frozen=True)
class Left:
    """M left to do: from the tool to the thing, and from there to where it is wanted."""

    policy: DreamZeroPolicy
    reader: Reader
    thing: str
    goal: np.ndarray  # (3,) m

    def of(self, places: dict[str, np.ndarray]) -> float:
        """As things are."""
        thing, tool = places[self.thing], places[TOOL]
        return float(np.linalg.norm(tool - thing) + np.linalg.norm(self.goal - thing))

    def read(self, frames: np.ndarray) -> float:
        """As a frame shows it."""
        return self.of(self.reader(self.policy.latent_of(frames)))


def _place(world: SimulatedRobot) -> np.ndarray:
    """(3,) m, where the wanted thing is wanted."""
    goal = getattr(world, "goal", None)
    if goal is None:
        return places_of(world)[wanted(world)] + np.array([0.0, 0.0, LIFT])
    return np.array(world.place_of(goal[0][2]))  # type: ignore[attr-defined]


def _state(world: Any) -> np.ndarray:
    """All that the physics goes on from."""
    import mujoco  # after wam_ros.sim, which tells it how to draw

    kind = mujoco.mjtState.mjSTATE_INTEGRATION
    state = np.zeros(mujoco.mj_stateSize(world.model, kind))
    mujoco.mj_getState(world.model, world.data, state, kind)
    return state


def _restore(world: Any, state: np.ndarray) -> None:
    import mujoco

    mujoco.mj_setState(world.model, world.data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
    mujoco.mj_forward(world.model, world.data)


def _print(found: dict[str, Any]) -> None:
    names = ("imagined", "reader alone")
    table = Table("task", "moments", *names, "own", "imagined best", "best", "all")
    for task, row in found.items():
        right = [f"{row[n]['right']:.0%} of {row[n]['pairs']}" for n in names]
        left = [f"{row[f'{name}_cm']} cm" for name in ("own", "chosen", "best", "all")]
        table.add_row(task, str(row["moments"]), *right, *left)
    Console().print(table)


if __name__ == "__main__":
    try:
        main()
    except WamError as error:
        raise SystemExit(str(error)) from error
