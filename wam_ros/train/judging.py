"""Episodes of policies in simulated worlds, one after another or in several processes: what came of
each, and what all of them say.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.intervals import wilson_interval
from wam_ros.core.policy import Policy, abilities_of
from wam_ros.core.types import NS
from wam_ros.models import load_policy
from wam_ros.runtime.values import make_value
from wam_ros.sim.drive import StepDriver
from wam_ros.sim.outcomes import OUTCOMES, STOPPED, WORST
from wam_ros.sim.tasks.pick_block import COLOURS
from wam_ros.sim.worlds import SimulatedRobot, make_expert, make_world
from wam_ros.train.closed_loop import ClosedLoop, Delay, Witness, make_observation
from wam_ros.train.films import Film
from wam_ros.train.record import observe
from wam_ros.train.through_nodes import ALONE, run_through_nodes

if TYPE_CHECKING:
    from wam_ros.train.evaluate import Eval

EXPERT = "expert"  # in the place of a model: the script that demonstrates the task
SHARD = 5  # episodes that are run, and kept, together
ALL = "all"  # in the place of a task: what all of them say together


@dataclass(frozen=True)
class Judged:
    """A policy by its name, as it was asked for."""

    model: str
    checkpoint: str = ""

    @property
    def label(self) -> str:
        """Tells it from the others."""
        return " ".join(filter(None, (self.model, self.checkpoint)))


@dataclass(frozen=True)
class Job:
    """Episodes that are run together."""

    policy: Judged
    task: str
    seeds: tuple[int, ...]


class Judge:
    """Runs jobs; keeps the world and the policy of the last one, which take seconds to make.

    Args:
        args: how policies are run.
        robot: name or file of the embodiment.
    """

    def __init__(self, args: Eval, robot: str) -> None:
        self.args = args
        self.robot = robot
        self.embodiment: Embodiment = load_embodiment(robot)
        self._policy: tuple[Judged, Policy] | None = None
        self._hashes: dict[Judged, str] = {}
        self._world: tuple[str, SimulatedRobot] | None = None

    def policy(self, judged: Judged) -> Policy:
        """The policy of a name; raises `WamError` as `load_policy` does."""
        if self._policy is None or self._policy[0] != judged:
            self._policy = None  # two may be more than there is memory for
            policy = load_policy(
                judged.model,
                judged.checkpoint,
                self.embodiment,
                threads=self.args.threads,
                steps=self.args.steps,
                memory=self.args.memory,
                imagine=self.args.imagine,
            )
            most = abilities_of(policy).candidates
            if self.args.candidates > most:
                raise WamError(
                    f"--candidates {self.args.candidates}: '{policy.name}' predicts at most {most}"
                )
            self._policy = judged, policy
        return self._policy[1]

    def hash_of(self, judged: Judged) -> str:
        """Which weights a policy has; raises `WamError` as `load_policy` does."""
        if judged not in self._hashes:
            self._hashes[judged] = self.policy(judged).checkpoint_hash
            if self.args.loop != ALONE:
                self._policy = None  # it is loaded again, where it runs
        return self._hashes[judged]

    def run(self, job: Job) -> list[dict[str, Any]]:
        """What came of each episode of a job.

        Raises:
            WamError: the policy cannot be loaded or fails, the world cannot be opened, or the loop
                does not complete.
        """
        facts: dict[str, Any] = {"policy": job.policy.label, "task": job.task}
        if job.policy.model != EXPERT:
            facts["checkpoint_hash"] = self.hash_of(job.policy)
        if self.args.loop != ALONE:
            return [facts | row for row in self._through_nodes(job)]
        return [facts | self._alone(job.policy, job.task, seed) for seed in job.seeds]

    def film(self, judged: Judged, row: dict[str, Any], file: Path) -> None:
        """Run an episode once more, and write what is seen of it.

        Raises:
            WamError: as `run`, or the film cannot be written.
        """
        if self.args.loop != ALONE:
            self._through_nodes(Job(judged, row["task"], (row["seed"],)), file)
            return
        film = Film(row["instruction"])
        came = self._alone(judged, row["task"], row["seed"], film)
        film.write(file, f"{row['task']}, seed {row['seed']}: {came['outcome']}")

    def _through_nodes(self, job: Job, film: Path | None = None) -> list[dict[str, Any]]:
        return run_through_nodes(
            model=job.policy.model,
            checkpoint=job.policy.checkpoint,
            embodiment=self.embodiment,
            robot=self.robot,
            task=job.task,
            seeds=job.seeds,
            args=self.args,
            film=film,
        )

    def _alone(
        self, judged: Judged, task: str, seed: int, witness: Witness | None = None
    ) -> dict[str, Any]:
        world = self._world_of(task)
        if judged.model == EXPERT:
            return run_expert(world, seed, self.args, witness)
        return run_episode(self.policy(judged), world, seed, self.args, witness)

    def _world_of(self, task: str) -> SimulatedRobot:
        if self._world is None or self._world[0] != task:
            self.close()
            self._world = task, make_world(self.embodiment, task)
        return self._world[1]

    def close(self) -> None:
        """Free the world."""
        if self._world is not None:
            self._world[1].close()
        self._world = None


_judge: Judge  # of a process of the pool


def _begin(args: Eval, robot: str) -> None:
    global _judge
    _judge = Judge(args, robot)


def _run(job: Job) -> list[dict[str, Any]]:
    try:
        return _judge.run(job)
    except WamError as error:
        # its subclasses do not survive the way to the other process
        raise WamError(str(error)) from None


def run_jobs(judge: Judge, jobs: Sequence[Job]) -> Iterator[list[dict[str, Any]]]:
    """The episodes of each job, in their order: by this process, or by as many as are asked for.
    What comes out is the same.
    """
    with contextlib.ExitStack() as stack:
        stack.callback(judge.close)
        if judge.args.workers == 1:
            yield from map(judge.run, jobs)
            return
        pool = get_context("spawn").Pool(judge.args.workers, _begin, (judge.args, judge.robot))
        yield from stack.enter_context(pool).imap(_run, jobs)


def _place(world: SimulatedRobot, seed: int, args: Eval) -> str:
    instruction = world.reset(seed, nudge=args.nudge)
    if args.swap:
        instruction = world.reset(seed, other_colour(instruction), args.nudge)
    return instruction


def other_colour(instruction: str) -> str:
    """The colour after the one that the instruction names."""
    names = list(COLOURS)
    return names[(next(i for i, n in enumerate(names) if n in instruction) + 1) % len(names)]


def _most_steps(world: SimulatedRobot, args: Eval) -> int:
    return args.max_steps or round(world.limit_s / world.embodiment.step_period_s)


def run_episode(
    policy: Policy,
    world: SimulatedRobot,
    seed: int,
    args: Eval,
    witness: Witness | None = None,
) -> dict[str, Any]:
    """One episode of a policy; a chunk is there `delay` steps after the observation it was
    predicted from.
    """
    policy.reset(_place(world, seed, args))
    loop = ClosedLoop(
        policy=policy,
        world=world,
        chunking=args.chunking,
        every=args.every,
        delay=Delay(args.delay, args.jitter),
        seed=seed,
        candidates=args.candidates,
        value=make_value(args.value) if args.candidates > 1 else None,
        sparse=witness is None,
        witness=witness,
    )
    most = _most_steps(world, args)
    moving = step = 0
    modes: set[str] = set()
    while moving < most and step < most * (2 + args.delay + args.jitter):
        modes |= {chunk.chunking_mode.name.lower() for chunk in loop.step()}
        moving = moving + loop.moving
        step = step + 1
        if world.episode().success:
            break
    return _came_of(world, step) | {"modes": sorted(modes), "timing": str(loop.scheduler.timing)}


def run_expert(
    world: SimulatedRobot, seed: int, args: Eval, witness: Witness | None = None
) -> dict[str, Any]:
    """One episode of the script that demonstrates a task; it looks in each control step."""
    _place(world, seed, args)
    expert = make_expert(world)
    driver = StepDriver(world)
    step = 0
    while step < _most_steps(world, args) and not world.episode().success:
        if witness is not None:
            robot = world.embodiment
            stamp_ns = round(step * robot.step_period_s * NS)
            frames = observe(world, robot)
            witness.saw(make_observation(robot, stamp_ns, frames, world.joint_state()))
        driver.to(expert.act())
        step = step + 1
    return _came_of(world, step)


def _came_of(world: SimulatedRobot, steps: int) -> dict[str, Any]:
    state = world.episode()
    return {
        "seed": state.seed,
        "instruction": state.instruction,
        "outcome": state.outcome,
        "success": state.success,
        "wrong": state.wrong,
        "nudged": state.nudged,
        "steps": steps,
        "violations": state.violations,
    }


def summarise(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the episodes of each policy say of each task, and of all where there are several."""
    found = []
    for policy in dict.fromkeys(row["policy"] for row in rows):
        own = [row for row in rows if row["policy"] == policy]
        tasks = list(dict.fromkeys(row["task"] for row in own))
        for task in tasks:
            found.append(_summary(policy, task, [row for row in own if row["task"] == task]))
        if len(tasks) > 1:
            found.append(_summary(policy, ALL, own))
    return found


def _summary(policy: str, task: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    successes = sum(row["success"] for row in rows)
    low, high = wilson_interval(successes, len(rows))
    counts = Counter(row["outcome"] for row in rows)
    violations: Counter[str] = Counter()
    stops: Counter[str] = Counter()
    for row in rows:
        violations.update(row["violations"])
        stops.update(row.get("stops", {}))
    steps = [row["steps"] for row in rows if row["success"]]
    return {
        "policy": policy,
        "task": task,
        "episodes": len(rows),
        "success": successes / len(rows),
        "success_95": [round(low, 4), round(high, 4)],
        "wrong": sum(row["wrong"] for row in rows) / len(rows),
        "outcomes": {name: counts[name] for name in (*OUTCOMES, STOPPED) if counts[name]},
        "steps_to_success": round(float(np.mean(steps)), 1) if steps else None,
        "violations": dict(sorted(violations.items())),
        "stops": dict(sorted(stops.items())),
    }


def worst(rows: Sequence[dict[str, Any]], n: int) -> list[dict[str, Any]]:
    """At most `n` of the episodes without success: of each outcome in turn, the worst first."""
    kinds = [[row for row in rows if row["outcome"] == name] for name in WORST]
    turns = itertools.zip_longest(*kinds)
    return [row for turn in turns for row in turn if row is not None][:n]
