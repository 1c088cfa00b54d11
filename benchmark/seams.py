"""What happens where one chunk follows another, by inference delay and chunking mode, on the same
observations.

    python -m benchmark.seams --plot docs/seams.png --json docs/results/seams.json

Two things are measured at every seam. *Wanted*: how far the new plan is from the one under way at
the instant from which it is followed; the arm would jump by that without joining. *Commanded*: what
is left of it for a controller behind safety filter and gate, tick by tick (`testing/ticks.py`),
and the largest acceleration that joining needed. Frames are those of the step that has been
executed, so an arm that stands and thinks goes on seeing the same; joints are where the plan has
brought them.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmark.seams_plot import plot
from testing.ticks import POINTS, Controllers
from wam_ros.core.chunks import Timeline
from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.files import require_writable, write_json
from wam_ros.core.latency import LatencyWindow, offered
from wam_ros.core.policy import Policy, Request, abilities_of
from wam_ros.core.types import NS, ActionChunk, JointState, KinematicState, Observation
from wam_ros.data.folder import open_episodes
from wam_ros.models import load_policy
from wam_ros.models.dreamzero.small.config import load_model_config
from wam_ros.robot.model import load_safety_model
from wam_ros.runtime.prediction import predict
from wam_ros.runtime.results import EngineResult
from wam_ros.runtime.scheduler import InferenceScheduler
from wam_ros.runtime.session import InferenceSession
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.machine.playback import Playback
from wam_ros.train.closed_loop import ENSEMBLE, make_observation

MODES = {"synchronous": "synchronous", "naive": "replace", ENSEMBLE: "replace", "guided": "guided"}
MODES |= {"trained prefix": "prefix", "look-ahead": "lookahead"}
DELAYS_MS = (0, 100, 200, 300, 600, 1000)
START_NS = 10**15


@dataclass
class Seams:
    """All seams of one mode at one delay; rows are (position, velocity, acceleration)."""

    wanted: list[np.ndarray] = field(default_factory=list)
    ticks: dict[str, list[np.ndarray]] = field(default_factory=lambda: {p: [] for p in POINTS})
    # largest within half a second of each seam
    acceleration: list[float] = field(default_factory=list)
    decisions: dict[str, int] = field(default_factory=dict)
    timing: str = ""

    def count(self, what: str) -> None:
        """One more chunk of which this became."""
        self.decisions[what] = self.decisions.get(what, 0) + 1

    def figures(self) -> dict:
        """Largest and median wanted jump, largest share of a tick's limits, largest
        acceleration.
        """
        wanted = np.array(self.wanted or [[0.0] * 3])
        return {
            "timing": self.timing,
            "seams": len(self.wanted),
            "wanted_max": wanted.max(axis=0).round(5).tolist(),
            "wanted_median": np.median(wanted, axis=0).round(5).tolist(),
            "ticks_max": {
                p: np.max(rows or [[0.0] * 3], axis=0).round(4).tolist()
                for p, rows in self.ticks.items()
            },
            "acceleration_max": round(max(self.acceleration, default=0.0), 3),
            "decisions": self.decisions,
        }


@dataclass(frozen=True)
class Late:
    """How late answers are, and how often one is wanted."""

    delay_ms: int
    jitter: float  # up to this share later
    every: int  # control steps between two predictions, at least

    def draw_ns(self, rng: np.random.Generator) -> int:
        """The delay of one answer."""
        return round(self.delay_ms * NS / 1e3 * (1 + self.jitter * rng.random()))


class Replay:
    """Plays one recording to a policy whose answers come late."""

    def __init__(
        self, policy: Policy, robot: Embodiment, guard: SafetyFilter, mode: str, late: Late
    ) -> None:
        self.policy, self.robot, self.guard, self.late = policy, robot, guard, late
        window = LatencyWindow(100, 0)
        window.add(late.delay_ms / 1e3 * (1 + late.jitter))
        self.timeline = Timeline(ENSEMBLE if mode == ENSEMBLE else "latest")
        self.scheduler = InferenceScheduler(
            robot,
            window,
            execute_steps=late.every,
            abilities=abilities_of(policy),
            chunking=MODES[mode],
            lead_s=guard.params.lead_s,
            timeline=self.timeline,
        )
        self.session = InferenceSession(
            robot, policy.name, policy.checkpoint_hash, bytes(16), self.scheduler
        )
        self.arm = np.array([j not in robot.gripper_joints for j in robot.joint_names])
        self._answer: tuple[int, EngineResult] | None = None  # due in ns

    def run(
        self, frames: np.ndarray, states: np.ndarray, rng: np.random.Generator, seams: Seams
    ) -> None:
        """One recording (K + 1, V, H, W, 3), (K + 1, A)."""
        step_ns, line = round(self.robot.step_period_s * NS), self.timeline
        playback, controllers = Playback(), Controllers(self.guard.model, states[0])
        playback.hold(states[0])
        for k in range(20 * len(frames)):
            now = START_NS + k * step_ns
            while self._answer is not None and self._answer[0] <= now:
                (at, result), self._answer = self._answer, None
                self._insert(result, at, playback, controllers, seams)
                if (look := self.scheduler.next_look()) is not None:
                    self._ask(*look, at, rng)
            executed = round(line.executed(now))
            if executed >= len(frames):
                break
            state = line.sample(now) or KinematicState.at_rest(states[0])
            effort = np.zeros(states.shape[1])
            joints = JointState(now, self.robot.joint_names, state.q, state.dq, effort)
            seen = make_observation(self.robot, now, frames[executed], joints)
            request = self.session.observe(seen)
            if request is not None:
                self._ask(seen, request, now, rng)
        seams.timing = str(self.scheduler.timing)

    def _ask(self, seen: Observation, request: Request, now: int, rng: np.random.Generator) -> None:
        output = predict(self.policy, seen, request)
        if output is not None:
            self._answer = (
                now + self.late.draw_ns(rng),
                EngineResult(seen, "", 1, output, request=request),
            )

    def _insert(
        self,
        result: EngineResult,
        at: int,
        playback: Playback,
        controllers: Controllers,
        seams: Seams,
    ) -> None:
        line, follow = self.timeline, at + round(self.guard.params.lead_s * NS)
        before = line.sample(follow)
        chunk, _ = self.session.chunk(result, at)
        if line.chunk is not chunk:
            seams.count("expired")
            return
        chunk = dataclasses.replace(chunk, positions=line.upcoming(chunk.anchor_ns, chunk.n_steps))
        if before is not None:
            jump = plan_at(chunk, follow) - before
            seams.wanted.append(np.array([np.abs(a)[self.arm].max() for a in jump.arrays]))
        self._command(
            chunk=chunk,
            now=at,
            start=follow,
            playback=playback,
            controllers=controllers,
            seams=seams,
            counts=before is not None,
        )

    def _command(
        self,
        chunk: ActionChunk,
        now: int,
        start: int,
        playback: Playback,
        controllers: Controllers,
        seams: Seams,
        counts: bool,
    ) -> None:
        verdict = self.guard.filter(chunk, playback.at(start), start, now_ns=now)
        trajectory = verdict.trajectory
        seams.count(verdict.decision.name.lower())
        if trajectory is None:
            return
        playback.play(trajectory)
        refusal, ticks = controllers.take(trajectory, now, self.arm)
        if refusal:
            seams.count(refusal)
        elif counts:
            for points, found in ticks.items():
                seams.ticks[points].append(found)
            near = trajectory.t <= 0.5
            seams.acceleration.append(float(np.abs(trajectory.ddq[near][:, self.arm]).max()))


def plan_at(chunk: ActionChunk, now_ns: int) -> KinematicState:
    """What a plan alone wants at an instant; its acceleration is known from the second step on."""
    bare = Timeline(blend_s=0.0)
    bare.insert(chunk, chunk.anchor_ns)
    known_ns = max(now_ns, chunk.anchor_ns + 2 * chunk.step_period_ns)
    now, known = bare.sample(now_ns), bare.sample(known_ns)
    assert now is not None and known is not None
    return KinematicState(now.q, now.dq, known.ddq)


def record(embodiment: Embodiment, n: int) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Frames, states and instructions of `n` demonstrations made here and now."""
    from wam_ros.sim.world import World
    from wam_ros.train.record import RecordSim, record_episode

    world = World(embodiment)
    rows = [
        record_episode(world, 960_000 + i, RecordSim(Path(), burst=0.0, nudge=0.0))
        for i in range(n)
    ]
    world.close()
    return [(frames, e.states, e.instructions[0]) for e, frames in rows]


def load(robot: Embodiment, folder: Path, n: int) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """The same of up to `n` demonstrations of a data set that nothing disturbed."""
    episodes, found = open_episodes(folder), []
    for i, e in enumerate(episodes):
        if e.labelled[:-1].all() and len(found) < n:
            frames = np.stack(list(episodes.stacked(i, robot.view_names)))
            found.append((frames, e.states, e.instructions[0]))
    return found


def study(
    policy: Policy, robot: Embodiment, recordings: list, jitter: float, every: int
) -> dict[str, dict]:
    """Figures by mode and delay in ms; a mode that the model cannot do is left out, with the
    reason.
    """
    guard, found = SafetyFilter(load_safety_model(robot)), {}
    for mode, name in MODES.items():
        if not offered(name, abilities_of(policy)):
            found[mode] = {
                "refused": f"'{policy.name}' cannot do '{name}': its weights were not trained "
                "for it"
            }
            continue
        found[mode] = {}
        for delay in DELAYS_MS:
            seams, rng = Seams(), np.random.default_rng(0)
            for frames, states, instruction in recordings:
                policy.reset(instruction)
                Replay(policy, robot, guard, mode, Late(delay, jitter, every)).run(
                    frames, states, rng, seams
                )
            found[mode][delay] = seams.figures()
    return found


def worst_ticks(found: dict[str, dict]) -> dict[str, np.ndarray]:
    """(3,) largest shares over all modes and delays, by what points carry."""
    cells = [c for row in found.values() if "refused" not in row for c in row.values()]
    return {p: np.max([c["ticks_max"][p] for c in cells], axis=0) for p in POINTS}


def show(found: dict[str, dict]) -> None:
    """Print the tables."""
    table = Table(
        title="largest jump at a seam, arm joints: position rad, velocity rad/s, acceleration "
        "rad/s²"
    )
    for column in (
        "mode",
        "delay ms",
        "runs as",
        "seams",
        "wanted",
        "commanded: largest acceleration",
        "decisions",
    ):
        table.add_column(column)
    for mode, cells in found.items():
        for delay, c in cells.items():
            if delay == "refused":
                table.add_row(mode, "", c)
                continue
            wanted = "  ".join(f"{v:.2g}" for v in c["wanted_max"])
            said = ", ".join(f"{n} {w}" for w, n in c["decisions"].items())
            timing = c["timing"].removeprefix("mode=")
            table.add_row(
                mode,
                str(delay),
                timing,
                str(c["seams"]),
                wanted,
                f"{c['acceleration_max']:.2f}",
                said,
            )
    console = Console(width=170)
    console.print(table)
    ticks = Table(
        "points carry",
        "position",
        "velocity",
        "acceleration",
        title="commanded: largest change per tick",
    )
    for points, row in worst_ticks(found).items():
        ticks.add_row(points, *(f"{v:.2f} of the limit" for v in row))
    console.print(ticks)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--checkpoint", default="")
    parser.add_argument(
        "--demos", type=Path, help="folder of wam record-sim; without it a few are recorded first"
    )
    parser.add_argument("--episodes", type=int, default=3)
    parser.add_argument("--steps", type=int, default=32, help="control steps of each recording")
    parser.add_argument(
        "--every", type=int, default=4, help="control steps between two predictions, at least"
    )
    parser.add_argument(
        "--jitter",
        type=float,
        default=0.15,
        help="answers are up to this share later than the delay",
    )
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    for option in ("plot", "json"):
        require_writable(f"--{option}", getattr(args, option))
    if args.plot and importlib.util.find_spec("matplotlib") is None:
        parser.error("--plot needs matplotlib: pip install matplotlib")
    robot = load_embodiment(load_model_config(args.model).embodiment)
    policy = load_policy(args.model, args.checkpoint, robot)
    if args.demos:
        recordings = load(robot, args.demos, args.episodes)
    else:
        recordings = record(robot, args.episodes)
    recordings = [(f[: args.steps], q[: args.steps], text) for f, q, text in recordings]
    found = study(policy, robot, recordings, args.jitter, args.every)
    show(found)
    if args.json:
        facts = {
            "checkpoint": policy.checkpoint_hash,
            "episodes": len(recordings),
            "jitter": args.jitter,
        }
        write_json(args.json, facts | {"every": args.every, "modes": found})
    if args.plot:
        plot(found, worst_ticks(found), args.plot)


if __name__ == "__main__":
    try:
        main()
    except WamError as problem:
        raise SystemExit(f"error: {problem}") from None
