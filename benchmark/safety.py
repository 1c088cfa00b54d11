"""What the safety filter costs per chunk, per check, and against the bare library calls of the same work.

The bare calls are those of pinocchio and coal that the filter itself made for the same chunk - inverse dynamics,
kinematics, distances - recorded with their arguments and replayed with nothing around them; the path, its limits and
the planning of stops are not among them. Times are of the processor, so that what else the machine does is not counted;
`--wall` is the clock on the wall.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import coal
import numpy as np
import pinocchio as pin

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import ActionChunk
from wam_ros.safety import load_checks
from wam_ros.safety.bounds import Commanded, make_bounds
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.model import SafetyModel, load_safety_model
from wam_ros.safety.motion import Motion
from wam_ros.safety.world import Cloud, Obstacle

START = 10**18
RECORDED = ("rnea", "updateGeometryPlacements", "computeDistance", "forwardKinematics")
SETTINGS = (("panda", 24, 0.066), ("panda", 48, 0.033), ("ur5e", 24, 0.066), ("bimanual", 24, 0.066))
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
    q = home + size * np.sin(t * rng.uniform(0.5, 1.2, len(home))) + rng.normal(size=(steps, len(home))) * size * 0.005
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


def as_hulls(model: SafetyModel, points: int = 120) -> None:
    """Replace the robot's capsules and boxes by convex hulls of points on them, as meshes would become."""
    turns = np.random.default_rng(0).normal(size=(points, 3))
    turns /= np.linalg.norm(turns, axis=1)[:, None]
    for body in model._robot_bodies:
        shape = body.geometry
        if isinstance(shape, coal.Capsule):
            surface = turns * shape.radius + np.sign(turns[:, 2:]) * np.array([0, 0, shape.halfLength])
        elif isinstance(shape, coal.Box):
            surface = np.array(np.meshgrid(*([-1, 1],) * 3)).reshape(3, -1).T * shape.halfSide
        else:
            continue
        cloud = coal.StdVec_Vec3s()
        cloud.extend(list(surface))
        body.geometry = coal.Convex.convexHull(cloud, True, "Qt")
        body.geometry.computeLocalAABB()


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


def measure(
    name: str, steps: int, period: float, obstacles: str, repeats: int, hulls: bool
) -> tuple[SafetyFilter, Motion | None]:
    """Print one line; returns the filter and the last motion it let through."""
    model = load_safety_model(load_embodiment(name))
    if hulls:
        as_hulls(model)
    add_obstacles(model, obstacles)
    safety, home = SafetyFilter(model), np.array(model.embodiment.home)
    start = Commanded(home, home * 0, home * 0)
    rows = [(smooth_chunk(model, steps, period, seed), start, START) for seed in range(repeats)]
    verdicts = [safety.filter(*row) for row in rows[:20]]
    took, bare = [], []
    for row in rows:
        took.append(times_ms(safety.filter, row)[0])
    for row in rows[:: max(1, repeats // 30)]:
        with recorded() as calls:
            safety.filter(*row)
        bare.append(times_ms(replay, (calls,))[0])
    p50, p99, raw = np.percentile(took, 50), np.percentile(took, 99), float(np.median(bare))
    counts = " ".join(f"{k}:{v}" for k, v in Counter(v.decision.name for v in verdicts).items())
    size = f"{steps}x{len(home)}"
    print(
        f"{name:9s} {size:6s} {obstacles:7s} {len(model.pairs.names):4d} pairs  p50 {p50:6.2f} ms  p99 {p99:6.2f} ms"
        f"  bare calls {raw:5.2f} ms  {p50 / raw:4.1f} x  {counts}",
        flush=True,
    )
    t = next((v.trajectory for v in verdicts if v.trajectory is not None), None)
    return safety, None if t is None else Motion(safety.params.sample_s, t.q, t.dq, t.ddq)


def main() -> None:
    global clock
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embodiment", help="only this one")
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--hulls", action="store_true", help="the robot's bodies as convex hulls")
    parser.add_argument("--wall", action="store_true", help="time on the wall instead of the processor's")
    args = parser.parse_args()
    clock = time.perf_counter if args.wall else time.process_time
    gc.freeze()
    safety, motion = None, None
    for name, steps, period in SETTINGS:
        if args.embodiment not in (None, name):
            continue
        for obstacles in ("none", "boxes", "points"):
            safety, motion = measure(name, steps, period, obstacles, args.repeats, args.hulls)
            if obstacles != "boxes" or motion is None:
                continue
            bounds = make_bounds(safety.model, safety.params, Commanded(motion.q[0], motion.dq[0], motion.ddq[0]))
            for check in load_checks("motion"):
                fresh = [(Motion(motion.dt, motion.q, motion.dq, motion.ddq), bounds) for _ in range(30)]
                took = np.median(times_ms(check.check, *fresh))
                print(f"    {check.__name__.rsplit('.', 1)[1]:16s} {took:6.3f} ms for {len(motion)} samples")


if __name__ == "__main__":
    main()
