"""Random and hostile chunks against the filter on every robot; a second engine judges what leaves.

What must hold for every chunk stands here once: the tests look at some chunks,
`benchmark.safety_properties` at a million.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from testing.hostile import moving_states, random_path, random_pose, spoiled
from testing.proof import beyond, fine, offences
from testing.recheck import recheck
from testing.second_engine import SecondEngine
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import ActionChunk, Decision, KinematicState, Reason, SafeTrajectory
from wam_ros.robot.model import SafetyModel, load_safety_model
from wam_ros.safety.checks import CHECKS
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.motion.bounds import Floor
from wam_ros.safety.params import SafetyParams
from wam_ros.safety.verdict import Verdict

ROBOTS = ("panda", "ur5e", "so101", "bimanual")
START = 10**18  # ns
HOPS = 4  # chunks of one chain; each begins somewhere on the trajectory of the one before
RARE = 10  # every so many chains the properties that need the filter again are looked at
REFUSING = ("position", "workspace", "singularity", "self_collision", "environment")


def robot_name(robot: str) -> str:
    """What a robot is called that is given by its name or as a file."""
    return Path(robot).stem


@dataclass
class Case:
    """One chunk, the state it came in, and the answer."""

    chunk: ActionChunk
    start: KinematicState
    start_ns: int
    floor: Floor | None
    verdict: Verdict
    spoiled: bool = False


@dataclass
class Tally:
    """What ran on one robot."""

    chunks: int = 0
    seconds: float = 0.0
    decisions: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    units: int = 0  # runs of seeds that are counted in it

    def add(self, other: Tally) -> None:
        """Count what another one counted."""
        self.chunks += other.chunks
        self.seconds += other.seconds
        self.units += other.units
        self.violations += other.violations
        for mine, theirs in ((self.decisions, other.decisions), (self.reasons, other.reasons)):
            for name, times in theirs.items():
                mine[name] = mine.get(name, 0) + times


class Robot:
    """A robot, its filters with ordinary and with narrow parameters, and the engine that judges
    them.
    """

    def __init__(self, name: str) -> None:
        self.name = robot_name(name)
        self.model: SafetyModel = load_safety_model(load_embodiment(name))
        self.engine = SecondEngine(self.model)
        home = np.array(self.model.embodiment.home)
        tools = [
            self.model.tool_motion(home[None], 0 * home[None], k)[0][0]
            for k in range(len(self.model.tools))
        ]
        low, high = np.min(tools, axis=0) - 0.15, np.max(tools, axis=0) + 0.15
        hold = (
            np.abs(self.model.torque(home[None], 0 * home[None], 0 * home[None]))[0]
            / self.model.limits.effort
        )
        narrow = SafetyParams(
            workspace=(*low, *high),
            planes=(0.3, 0.1, 1.0, float(low[2])),
            tcp_speed=0.3,
            singularity=0.02,
            # effort limits of others may be placeholders, far above what any pose needs
            torque_fraction=float(np.clip(1.5 * hold.max(), 0.05, 0.9)),
        )
        self.filters = (SafetyFilter(self.model), SafetyFilter(self.model, narrow))

    def chain(self, seed: int) -> Iterator[tuple[SafetyFilter, Case]]:
        """Chunks one after another, from a random pose or a random state in motion."""
        rng = np.random.default_rng(seed)
        used = self.filters[seed % 4 == 3]
        q0 = random_pose(self.model, rng, clear=10 ** rng.uniform(-3.3, -2.05))
        state, at_ns, floor = KinematicState.at_rest(q0), START, None
        if rng.uniform() < 0.1:
            state = KinematicState(
                q0, rng.normal(size=len(q0)) * used.model.limits.velocity * 0.4, 0 * q0
            )
        for _ in range(HOPS):
            n, period = (
                int(rng.choice([1, 2, 8, 8, 24])),
                float(rng.choice([0.02, 0.066, 0.1, 0.1, 0.25])),
            )
            path = random_path(self.model, rng, state.q, n)
            age = rng.uniform(-0.05, rng.choice([period, n * period * 0.9]))
            anchor = at_ns - round(age * 1e9)
            chunk = ActionChunk(anchor, round(period * 1e9), self.model.joint_names, path)
            bad = rng.uniform() < 0.05
            chunk = spoiled(chunk, rng) if bad else chunk
            verdict = used.filter(chunk, state, at_ns, floor=floor)
            yield (
                used,
                Case(
                    chunk=chunk,
                    start=state,
                    start_ns=at_ns,
                    floor=floor,
                    verdict=verdict,
                    spoiled=bad,
                ),
            )
            if verdict.trajectory is None:
                return
            floor = verdict.floor
            ((at_ns, state),) = moving_states(verdict.trajectory, rng, 1)

    def emitted(self, seeds: range) -> Iterator[tuple[SafetyFilter, Case]]:
        """The answers of the chains of these seeds that move the arm."""
        for seed in seeds:
            for used, case in self.chain(seed):
                if case.verdict.trajectory is not None:
                    yield used, case

    def faults(self, used: SafetyFilter, case: Case) -> list[str]:
        """What is wrong with an answer by itself."""
        verdict, t = case.verdict, case.verdict.trajectory
        bad = []
        if verdict.reasons & Reason.WATCHDOG:
            bad.append(f"the filter failed: {verdict.sentence}")
        if case.spoiled and verdict.decision != Decision.REJECT:
            bad.append("a broken message was not refused")
        if t is None:
            if verdict.decision not in (Decision.REJECT, Decision.BRAKE):
                bad.append("accepted without a trajectory")
            return bad
        bad += offences(self.model, used.params, t, case.start, distances=False)
        tau = self.engine.torque(t.q, t.dq, t.ddq)
        bad += beyond(
            self.model,
            "effort (second engine)",
            tau,
            self.model.limits.effort * used.params.torque_fraction,
        )
        near = self.engine.too_near(t, used.params)
        if near and not self._began_inside(case, used.params):
            bad.append(f"too near (second engine): {near}")
        if used.params.workspace:
            bad += self._tool_faults(t, case.floor, used.params)
        if recheck(used, t, case.start, case.floor) is not None:
            bad.append("its own answer is not accepted again")
        return bad

    def deeper_faults(self, used: SafetyFilter, case: Case, rng: np.random.Generator) -> list[str]:
        """What is wrong with an answer beside other answers of the filter."""
        if case.spoiled:
            return []
        bad, model, t = [], self.model, case.verdict.trajectory
        if t is not None:
            q, dq, ddq, _ = fine(t)
            allowed = model.limits.effort * used.params.torque_fraction
            bad += beyond(
                model,
                "effort between samples (second engine)",
                self.engine.torque(q, dq, ddq),
                allowed,
            )
        order = rng.permutation(len(model.joint_names))
        names = tuple(model.joint_names[k] for k in order)
        shuffled = dataclasses.replace(
            case.chunk, joint_names=names, positions=case.chunk.positions[:, order]
        )
        other = used.filter(shuffled, case.start, case.start_ns, floor=case.floor)
        if not _same(case.verdict, other):
            bad.append("another order of the joints gives another answer")
        kept = [n for n in CHECKS if n not in REFUSING or rng.uniform() < 0.5]
        fewer = SafetyFilter(model, used.params, tuple(kept))
        if (
            fewer.filter(case.chunk, case.start, case.start_ns, floor=case.floor).decision
            > case.verdict.decision
        ):
            bad.append(f"without {sorted(set(CHECKS) - set(kept))} the answer is more severe")
        return bad

    def _began_inside(self, case: Case, params: SafetyParams) -> bool:
        wanted = np.where(
            self.model.pairs.own_clearance, self.model.pairs.clearance, params.self_clearance_m
        )
        return bool((self.model.distances(case.start.q) < wanted).any())

    def _tool_faults(
        self, t: SafeTrajectory, floor: Floor | None, params: SafetyParams
    ) -> list[str]:
        """Tool outside its box or plane, or too fast, unless it or the motion before it began
        so.
        """
        bad = []
        low, high = np.array(params.workspace[:3]), np.array(params.workspace[3:6])
        normal = np.array(params.planes[:3])
        q, dq = fine(t)[:2]
        for tool in range(len(self.model.tools)):
            place, rate = self.model.tool_motion(q, dq, tool)
            out = np.maximum(low - place, place - high).max(axis=1)
            out = np.maximum(out, (params.planes[3] - place @ normal) / np.linalg.norm(normal))
            before = 0.0 if floor is None else float(floor.outside[tool])
            if out.max() > max(0.0, out[0], before) + 2e-4:
                bad.append(f"tool {tool} is {out.max():.5f} m outside, began {out[0]:.5f} m")
            speed = np.linalg.norm(rate, axis=1)
            if speed.max() > max(params.tcp_speed, speed[0]) * (1 + 1e-3):
                bad.append(
                    f"tool {tool} moves at {speed.max():.4f} m/s, allowed {params.tcp_speed} m/s"
                )
        return bad


def _same(a: Verdict, b: Verdict) -> bool:
    if (a.decision, a.scale, a.steps_accepted) != (b.decision, b.scale, b.steps_accepted):
        return False
    if a.trajectory is None or b.trajectory is None:
        return a.trajectory is b.trajectory
    return all(
        np.array_equal(getattr(a.trajectory, k), getattr(b.trajectory, k))
        for k in ("t", "q", "dq", "ddq")
    )


def attack(robot: Robot, seeds: range) -> Tally:
    """Run a chain for each seed."""
    began, tally = time.perf_counter(), Tally()
    for seed in seeds:
        for hop, (used, case) in enumerate(robot.chain(seed)):
            tally.chunks += 1
            count(tally.decisions, [case.verdict.decision.name.lower()])
            count(tally.reasons, case.verdict.reasons.names())
            bad = robot.faults(used, case)
            if seed % RARE == 0:
                bad += robot.deeper_faults(used, case, np.random.default_rng(seed))
            tally.violations += [f"{robot.name} seed {seed} chunk {hop}: {words}" for words in bad]
    tally.seconds = time.perf_counter() - began
    return tally


def count(table: dict[str, int], names: list[str]) -> None:
    """Add one for each name."""
    for name in names:
        table[name] = table.get(name, 0) + 1
