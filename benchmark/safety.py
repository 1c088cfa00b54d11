"""What the safety filter costs per chunk, per check, and beside the bare library calls of the same
work.

    python -m benchmark.safety --json safety.json

Two sets of bare pinocchio and coal calls stand beside it, with nothing around them:

- made: those that the filter itself made for the chunk (inverse dynamics, mass matrices,
  kinematics, distances), recorded with their arguments and replayed. They are few: a bound on how
  far links move spares most distances.
- sampled: inverse dynamics, kinematics and the distances of all pairs at every sample of the
  trajectory that is emitted, as a filter without such bounds has to. It proves less: nothing
  between samples, and one stop, not one for every step.

The path, its limits and the planning of stops are in neither. Times are of the processor, so that
what else the machine does is not counted; `--wall` is the clock on the wall. The robots come as
capsules and boxes; as hulls they are convex hulls of points on these, as meshes triangles of those
hulls. The filter takes the hull of a mesh when it is loaded, so its meshes cost what hulls do; the
last kind shows what they would cost if they were kept.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import coal
import numpy as np
import pinocchio as pin

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.files import write_json
from wam_ros.core.types import ActionChunk, KinematicState, SafeTrajectory
from wam_ros.robot.meshes import hull_of
from wam_ros.robot.model import SafetyModel, load_safety_model
from wam_ros.robot.obstacles import Cloud, Obstacle
from wam_ros.safety.checks import load_checks
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.motion import Motion

START = 10**18
RECORDED = (
    "rnea",
    "rneaInParallel",
    "crba",
    "updateGeometryPlacements",
    "computeDistance",
    "forwardKinematics",
    "updateFramePlacement",
    "getFrameVelocity",
)
SETTINGS = (
    ("panda", 24, 0.066),
    ("panda", 48, 0.033),
    ("ur5e", 24, 0.066),
    ("bimanual", 24, 0.066),
)
# and among what
BODIES = {"capsules": ("none", "boxes", "points"), "hulls": ("boxes",), "meshes": ("boxes",)}
clock = time.process_time


def times_ms(call: Callable[..., object], *rows: tuple) -> np.ndarray:
    """Milliseconds of one call for each row of arguments."""
    out = []
    for row in rows:
        began = clock()
        call(*row)
        out.append((clock() - began) * 1e3)
    return np.array(out)


def smooth_chunk(model: SafetyModel, steps: int, period: float, seed: int) -> ActionChunk:
    """A calm wave around home with a little noise."""
    rng, home = np.random.default_rng(seed), np.array(model.embodiment.home)
    t = np.arange(1, steps + 1)[:, None] * period
    size = np.where(model.gripper, 0.0, 0.2)
    q = (
        home
        + size * np.sin(t * rng.uniform(0.5, 1.2, len(home)))
        + rng.normal(size=(steps, len(home))) * size * 0.005
    )
    return ActionChunk(START - round(1.2 * period * 1e9), round(period * 1e9), model.joint_names, q)


def add_obstacles(model: SafetyModel, kind: str, count: int = 10) -> None:
    """Stand obstacles on a ring that the arm at home does not touch."""
    added: dict[str, Obstacle] = {}
    rng = np.random.default_rng(0)
    for k in range(count if kind != "none" else 0):
        turn = 2 * np.pi * (k + 0.5) / count
        place = (0.9 * np.cos(turn), 0.9 * np.sin(turn), 0.1 + 0.08 * k)
        if kind == "boxes":
            added[f"obstacle {k}"] = Obstacle("box", (0.1, 0.1, 0.3), place)
        elif kind == "points":
            points = np.array(place) + rng.uniform(-0.15, 0.15, (2000, 3))
            added[f"obstacle {k}"] = Cloud("points", (0.02,), (0.0, 0.0, 0.0), points=points)
    model.set_obstacles({**model.obstacles, **added})


def remake(model: SafetyModel, bodies: str, points: int = 120) -> None:
    """Replace the robot's capsules and boxes by hulls of points on them, or by meshes of the
    triangles of those.
    """
    turns = np.random.default_rng(0).normal(size=(points, 3))
    turns /= np.linalg.norm(turns, axis=1)[:, None]
    for body in model._robot_bodies if bodies != "capsules" else []:
        shape = body.geometry
        if isinstance(shape, coal.Capsule):
            surface = turns * shape.radius + np.sign(turns[:, 2:]) * np.array(
                [0, 0, shape.halfLength]
            )
        elif isinstance(shape, coal.Box):
            surface = np.array(np.meshgrid(*([-1, 1],) * 3)).reshape(3, -1).T * shape.halfSide
        else:
            continue
        hull = hull_of(surface, body.name)
        body.geometry = as_mesh(hull) if bodies == "meshes" else hull
        body.geometry.computeLocalAABB()


def as_mesh(hull: coal.Convex) -> coal.BVHModelOBBRSS:
    """The triangles of a hull."""
    mesh, corners, triangles = coal.BVHModelOBBRSS(), coal.StdVec_Vec3s(), coal.StdVec_Triangle()
    corners.extend(list(hull.points()))
    triangles.extend([hull.polygons(k) for k in range(hull.num_polygons)])
    mesh.beginModel(len(triangles), len(corners))
    mesh.addSubModel(corners, triangles)
    mesh.endModel()
    return mesh


@contextlib.contextmanager
def recorded() -> Iterator[list[tuple[Callable[..., Any], tuple]]]:
    """The bare calls that are made meanwhile, with their arguments."""
    calls: list[tuple[Callable[..., Any], tuple]] = []
    originals = {name: getattr(pin, name) for name in RECORDED}

    def record(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            calls.append((original, args))
            return original(*args)

        return call

    for name, original in originals.items():
        setattr(pin, name, record(original))
    try:
        yield calls
    finally:
        for name, original in originals.items():
            setattr(pin, name, original)


def replay(calls: list[tuple[Callable[..., Any], tuple]]) -> None:
    """Make the recorded calls again."""
    for call, args in calls:
        call(*args)


def sampled(model: SafetyModel, t: SafeTrajectory) -> float:
    """Milliseconds of the bare calls at every sample of a trajectory."""
    robot, data, groups = model.pin, model.data, model.measured.groups
    states = list(zip(model.full_q(t.q), model.full_v(t.dq), model.full_v(t.ddq), strict=True))

    def calls() -> None:
        for q, dq, ddq in states:
            pin.rnea(robot, data, q, dq, ddq)
            for bodies, bodies_data in groups:
                pin.computeDistances(robot, data, bodies, bodies_data, q)

    return float(times_ms(calls, ())[0])


def measure(
    name: str, steps: int, period: float, bodies: str, obstacles: str, repeats: int
) -> dict[str, Any]:
    """Figures of one setting, the checks one by one for hulls; times in ms."""
    model = load_safety_model(load_embodiment(name))
    remake(model, bodies)
    add_obstacles(model, obstacles)
    safety, home = SafetyFilter(model), np.array(model.embodiment.home)
    start = KinematicState.at_rest(home)
    rows = [(smooth_chunk(model, steps, period, seed), start, START) for seed in range(repeats)]
    verdicts = [safety.filter(*row) for row in rows[:20]]
    took = np.concatenate([times_ms(safety.filter, row) for row in rows])
    made = []
    for row in rows[:: max(1, repeats // 30)]:
        with recorded() as calls:
            safety.filter(*row)
        made.append(times_ms(replay, (calls,))[0])
    emitted = [v.trajectory for v in verdicts if v.trajectory is not None]
    all_pairs = [
        sampled(model, t)
        for t in emitted[: 2 if bodies == "meshes" or obstacles == "points" else 10]
    ]
    return {
        "embodiment": name,
        "steps": steps,
        "joints": len(home),
        "bodies": bodies,
        "obstacles": obstacles,
        "pairs": len(model.pairs.names),
        "p50_ms": float(np.percentile(took, 50)),
        "p99_ms": float(np.percentile(took, 99)),
        "made_ms": float(np.median(made)),
        "sampled_ms": float(np.median(all_pairs)),
        "decisions": dict(Counter(v.decision.name.lower() for v in verdicts)),
        "checks_ms": checks_ms(safety, emitted[0]) if bodies == "hulls" and emitted else {},
    }


def show(found: dict[str, Any]) -> None:
    """One line, and one for each check."""
    p50, p99, few, many = (found[f"{key}_ms"] for key in ("p50", "p99", "made", "sampled"))
    counts = " ".join(f"{k}:{v}" for k, v in found["decisions"].items())
    print(
        f"{found['embodiment']:9s} {found['steps']}x{found['joints']:<3d} {found['bodies']:8s} "
        f"{found['obstacles']:6s}"
        f" {found['pairs']:4d} pairs  p50 {p50:6.2f} ms  p99 {p99:6.2f} ms  {p50 / few:5.1f} x "
        f"made {few:6.2f} ms"
        f"  {p50 / many:5.2f} x sampled {many:7.1f} ms  {counts}",
        flush=True,
    )
    for name, ms in found["checks_ms"].items():
        print(f"    {name:16s} {ms:6.3f} ms")


def checks_ms(safety: SafetyFilter, t: SafeTrajectory, repeats: int = 30) -> dict[str, float]:
    """What each check costs for one trajectory, in the order of the filter: what one works out, the
    next ones find.
    """
    checks, took = load_checks().motion, []
    bounds = make_bounds(safety.model, safety.params, t[0])
    for _ in range(repeats):
        motion = Motion(*t.arrays, dt=safety.params.sample_s)
        took.append([times_ms(check.look, (motion, bounds))[0] for check in checks.values()])
    return dict(zip(checks, np.median(took, axis=0).tolist(), strict=True))


def main() -> None:
    """Measure every setting that is asked for."""
    global clock
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--embodiment", choices=sorted({name for name, *_ in SETTINGS}), help="only this one"
    )
    parser.add_argument(
        "--bodies", nargs="+", choices=BODIES, default=list(BODIES), help="only these"
    )
    parser.add_argument("--repeats", type=int, default=200, help="chunks of each setting")
    parser.add_argument(
        "--wall", action="store_true", help="time on the wall instead of the processor's"
    )
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    if args.repeats < 1:
        parser.error("--repeats must be at least 1")
    clock = time.perf_counter if args.wall else time.process_time
    gc.freeze()
    facts, found = {"clock": "wall" if args.wall else "processor", "repeats": args.repeats}, []
    for name, steps, period in SETTINGS:
        for bodies in args.bodies if args.embodiment in (None, name) else ():
            for obstacles in BODIES[bodies]:
                repeats = args.repeats if bodies != "meshes" else min(20, args.repeats)
                found.append(measure(name, steps, period, bodies, obstacles, repeats))
                show(found[-1])
                if args.json:  # after every setting: a long run that is ended leaves what it has
                    write_json(args.json, facts | {"settings": found})


if __name__ == "__main__":
    main()
