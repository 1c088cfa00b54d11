"""What happens where one chunk follows another, by inference delay and chunking mode, on the same observations.

    python benchmark/seams.py --plot docs/seams.png --json docs/results/seams.json

Two things are measured at every seam. *Plans*: how far the new chunk is from the motion under way, which is what the
arm would be made to jump by without joining. *Commanded*: the same for the trajectories that leave the safety filter,
and the largest acceleration that joining needed. Frames are those of the step that has been executed, so an arm that
stands and thinks goes on seeing the same; joints are where the plan has brought them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from wam_ros.core.chunks import Timeline
from wam_ros.core.embodiment import Embodiment, load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.latency import LatencyWindow, offered
from wam_ros.core.policy import Policy, abilities_of
from wam_ros.core.types import NS, ActionChunk, JointState
from wam_ros.data.episodes import load_episodes
from wam_ros.models import load_policy
from wam_ros.models.dreamzero.config import load_model_config
from wam_ros.runtime.prediction import predict
from wam_ros.runtime.results import EngineResult
from wam_ros.runtime.session import InferenceSession
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.model import load_safety_model
from wam_ros.safety.playback import Playback
from wam_ros.train.closed_loop import ENSEMBLE, make_observation

MODES = {"synchronous": "synchronous", "naive": "replace", ENSEMBLE: "replace", "guided": "guided"}
MODES |= {"lookahead": "lookahead", "trained prefix": "prefix"}
DELAYS_MS = (0, 100, 300, 600, 1000)
START_NS = 10**15
UNITS = ("rad", "rad/s", "rad/s²")


@dataclass
class Seams:
    """All seams of one mode at one delay; rows are (position, velocity, acceleration)."""

    plans: list[np.ndarray] = field(default_factory=list)
    commanded: list[np.ndarray] = field(default_factory=list)
    acceleration: list[float] = field(default_factory=list)  # largest within half a second of each seam
    decisions: dict[str, int] = field(default_factory=dict)
    timing: str = ""

    def figures(self) -> dict:
        """Largest and median jump of the plans, largest of the commanded motion."""
        plans, commanded = np.array(self.plans or [[0.0] * 3]), np.array(self.commanded or [[0.0] * 3])
        return {
            "timing": self.timing,
            "seams": len(self.plans),
            "plan_max": plans.max(axis=0).round(5).tolist(),
            "plan_median": np.median(plans, axis=0).round(5).tolist(),
            "commanded_max": commanded.max(axis=0).tolist(),
            "acceleration_max": round(max(self.acceleration, default=0.0), 3),
            "decisions": self.decisions,
        }


class Replay:
    """Plays one recording to a policy whose answers come late."""

    def __init__(self, policy: Policy, robot: Embodiment, guard: SafetyFilter, mode: str, delay_ms: int, jitter: float):
        self.policy, self.robot, self.guard = policy, robot, guard
        self.delay_ns, self.jitter = delay_ms * NS // 1000, jitter
        window = LatencyWindow(100, 0)
        window.add(delay_ms / 1e3 * (1 + jitter))
        self.session = InferenceSession(
            robot, policy.name, policy.checkpoint_hash, bytes(16), window, 0.05, 4, abilities_of(policy), MODES[mode]
        )
        self.session.timeline = Timeline(ENSEMBLE if mode == ENSEMBLE else "latest")
        self.arm = np.array([j not in robot.gripper_joints for j in robot.joint_names])

    def run(self, frames: np.ndarray, states: np.ndarray, rng: np.random.Generator, seams: Seams) -> None:
        """One recording (K + 1, V, H, W, 3), (K + 1, A)."""
        step_ns, line = round(self.robot.step_period_s * NS), self.session.timeline
        playback, waiting = Playback(), []
        playback.hold(states[0])
        for k in range(20 * len(frames)):
            now = START_NS + k * step_ns
            while waiting and waiting[0][0] <= now:
                at, result = waiting.pop(0)
                self._insert(result, at, playback, seams)
            executed = round(line.executed(now))
            if executed >= len(frames):
                break
            still = np.zeros(states.shape[1])
            q, dq, _ = line.sample(now) or (states[0], still, still)
            joints = JointState(now, self.robot.joint_names, q, dq, still)
            seen = make_observation(self.robot, now, frames[executed], joints)
            request = self.session.observe(seen)
            output = None if request is None else predict(self.policy, seen, request)
            if output is not None:
                late = round(self.delay_ns * (1 + self.jitter * rng.random()))
                waiting.append((now + late, EngineResult(seen, "", 1, output, request=request)))
        seams.timing = str(self.session.timing)

    def _insert(self, result: EngineResult, at: int, playback: Playback, seams: Seams) -> None:
        line = self.session.timeline
        before = line.sample(at)
        chunk, _ = self.session.chunk(result, at)
        if line.chunk is not chunk:
            seams.decisions["EXPIRED"] = seams.decisions.get("EXPIRED", 0) + 1
            return
        rows = line.upcoming(chunk.anchor_ns, chunk.n_steps)
        if before is not None:
            bare = Timeline(blend_s=0.0)
            bare.insert(dataclasses.replace(chunk, positions=rows), at)
            jump = [np.abs(a - b)[self.arm].max() for a, b in zip(before, bare.sample(at), strict=True)]
            seams.plans.append(np.array(jump))
        self._command(dataclasses.replace(chunk, positions=rows), at, playback, seams, before is not None)

    def _command(self, chunk: ActionChunk, now: int, playback: Playback, seams: Seams, counts: bool) -> None:
        start = now + round(self.guard.params.lead_s * NS)
        held = playback.at(start)
        verdict = self.guard.filter(chunk, held, start, now_ns=now)
        seams.decisions[verdict.decision.name] = seams.decisions.get(verdict.decision.name, 0) + 1
        trajectory = verdict.trajectory
        if trajectory is None:
            return
        first = (trajectory.q[0], trajectory.dq[0], trajectory.ddq[0])
        playback.play(trajectory)
        if counts:
            jump = [np.abs(a - b)[self.arm].max() for a, b in zip((held.q, held.dq, held.ddq), first, strict=True)]
            seams.commanded.append(np.array(jump))
            near = trajectory.t <= 0.5
            seams.acceleration.append(float(np.abs(trajectory.ddq[near][:, self.arm]).max()))


def record(embodiment: Embodiment, n: int) -> list[tuple[np.ndarray, np.ndarray, str]]:
    """Frames, states and instructions of `n` demonstrations made here and now."""
    from wam_ros.sim.world import World
    from wam_ros.train.record import RecordSim, record_episode

    world = World(embodiment)
    rows = [record_episode(world, 960_000 + i, RecordSim(Path(), burst=0.0, nudge=0.0)) for i in range(n)]
    world.close()
    return [(r["frames"], r["states"], str(r["instructions"])) for r in rows]


def study(policy: Policy, robot: Embodiment, recordings: list, jitter: float) -> dict[str, dict[int, dict]]:
    """Figures by mode and delay in ms; a mode that the model cannot do is left out, with the reason."""
    guard, found = SafetyFilter(load_safety_model(robot)), {}
    for mode, name in MODES.items():
        if not offered(name, abilities_of(policy)):
            found[mode] = {"refused": f"'{policy.name}' cannot do '{name}': its weights were not trained for it"}
            continue
        found[mode] = {}
        for delay in DELAYS_MS:
            seams, rng = Seams(), np.random.default_rng(0)
            for frames, states, instruction in recordings:
                policy.reset(instruction)
                Replay(policy, robot, guard, mode, delay, jitter).run(frames, states, rng, seams)
            found[mode][delay] = seams.figures()
    return found


def show(found: dict[str, dict]) -> None:
    """Print the table."""
    table = Table(title="largest jump at a seam, arm joints: position rad, velocity rad/s, acceleration rad/s²")
    for column in ("mode", "delay ms", "runs as", "seams", "plans", "commanded", "largest acceleration", "decisions"):
        table.add_column(column)
    for mode, cells in found.items():
        for delay, c in cells.items():
            if delay == "refused":
                table.add_row(mode, "", c)
                continue
            plans, made = ("  ".join(f"{v:.2g}" for v in c[k]) for k in ("plan_max", "commanded_max"))
            said = ", ".join(f"{n} {w.lower()}" for w, n in c["decisions"].items())
            timing = c["timing"].removeprefix("mode=")
            table.add_row(mode, str(delay), timing, str(c["seams"]), plans, made, f"{c['acceleration_max']:.2f}", said)
    Console(width=170).print(table)


def plot(found: dict[str, dict], path: Path) -> None:
    """Jumps of the plans by delay, and what the safety filter makes of them."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError as error:
        raise WamError("--plot needs matplotlib: pip install matplotlib") from error
    figure, axes = pyplot.subplots(1, 4, figsize=(15, 4.2), layout="constrained")
    ran = {m: c for m, c in found.items() if "refused" not in c}
    for i, mode in enumerate(ran):
        x = np.arange(len(DELAYS_MS)) + (i - len(ran) / 2 + 0.5) * 0.16
        sync = np.array([c["timing"].startswith("mode=SYNC") and mode != "synchronous" for c in ran[mode].values()])
        values = np.array([[*c["plan_max"], c["acceleration_max"]] for c in ran[mode].values()]).T
        for axis, row in zip(axes, values, strict=True):
            bars = axis.bar(x, np.maximum(row, 1e-4), 0.15, label=mode, color=f"C{i}")
            for bar, given_way in zip(bars, sync, strict=True):
                bar.set(hatch="////" if given_way else None, alpha=0.45 if given_way else 1.0)
    titles = [f"plans: jump of {n}" for n in ("position [rad]", "velocity [rad/s]", "acceleration [rad/s²]")]
    for axis, title in zip(axes, [*titles, "after the safety filter:\nlargest acceleration [rad/s²]"], strict=True):
        axis.set_title(title, fontsize=10)
        axis.set_xticks(range(len(DELAYS_MS)), [str(d) for d in DELAYS_MS])
        axis.set_xlabel("inference delay [ms]")
        axis.grid(axis="y", alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(ran), fontsize=9)
    worst = np.max([c["commanded_max"] for cells in ran.values() for c in cells.values()], axis=0)
    jumps = ", ".join(f"{v:.0e} {u}" for v, u in zip(worst, UNITS, strict=True))
    figure.suptitle(f"Seams between chunks. Largest jump of the commanded motion: {jumps}. Hatched: stops and thinks")
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--checkpoint", default="")
    parser.add_argument("--demos", type=Path, help="folder of wam record-sim; without it a few are recorded first")
    parser.add_argument("--episodes", type=int, default=3)
    parser.add_argument("--steps", type=int, default=32, help="control steps of each recording")
    parser.add_argument("--jitter", type=float, default=0.15, help="answers are up to this share later than the delay")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    robot = load_embodiment(load_model_config(args.model).embodiment)
    policy = load_policy(args.model, args.checkpoint, robot)
    if args.demos:
        e = load_episodes(args.demos)[0]
        calm = np.flatnonzero(e.labelled.all(axis=1))[: args.episodes]  # without disturbances
        recordings = [(e.frames[i], e.states[i], str(e.instructions[i])) for i in calm]
    else:
        recordings = record(robot, args.episodes)
    recordings = [(f[: args.steps], q[: args.steps], text) for f, q, text in recordings]
    found = study(policy, robot, recordings, args.jitter)
    show(found)
    if args.json:
        facts = {"checkpoint": policy.checkpoint_hash, "episodes": len(recordings), "jitter": args.jitter}
        args.json.write_text(json.dumps(facts | {"modes": found}, indent=1) + "\n")
    if args.plot:
        plot(found, args.plot)


if __name__ == "__main__":
    main()
