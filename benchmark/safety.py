"""What the safety filter costs per chunk, per check, and against the bare library calls of the same work."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pinocchio as pin

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import ActionChunk
from wam_ros.safety import load_checks
from wam_ros.safety.bounds import Commanded, make_bounds
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.model import SafetyModel, load_safety_model
from wam_ros.safety.motion import Motion

START = 10**18


def times_ms(call: Callable[..., object], *rows: tuple) -> np.ndarray:
    """Milliseconds of one call for each row of arguments."""
    out = []
    for row in rows:
        began = time.perf_counter()
        call(*row)
        out.append((time.perf_counter() - began) * 1e3)
    return np.array(out)


def smooth_chunk(model: SafetyModel, steps: int, period: float, seed: int) -> ActionChunk:
    """A calm wave around home with a little noise."""
    rng, home = np.random.default_rng(seed), np.array(model.embodiment.home)
    t = np.arange(1, steps + 1)[:, None] * period
    size = np.where(model.gripper, 0.0, 0.2)
    q = home + size * np.sin(t * rng.uniform(0.5, 1.2, len(home))) + rng.normal(size=(steps, len(home))) * size * 0.005
    return ActionChunk(START - round(1.2 * period * 1e9), round(period * 1e9), model.joint_names, q)


def raw_calls(model: SafetyModel, motion: Motion, bodies: int) -> None:
    """Inverse dynamics at every sample and every distance at `bodies` of them."""
    full, v, a = model.full_q(motion.q), model.full_v(motion.dq), model.full_v(motion.ddq)
    for rows in zip(full, v, a, strict=True):
        pin.rnea(model.pin, model.data, *rows)
    for k in np.linspace(0, len(full) - 1, bodies).astype(int):
        pin.computeDistances(model.pin, model.data, model.geometry, model.geometry_data, full[k])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embodiment", default="panda")
    parser.add_argument("--repeats", type=int, default=200)
    args = parser.parse_args()
    model = load_safety_model(load_embodiment(args.embodiment))
    panda, home = SafetyFilter(model), np.array(model.embodiment.home)
    start = Commanded(home, home * 0, home * 0)
    print(f"{model.embodiment.name}: {len(model.joint_names)} joints, {len(model.pairs.names)} pairs")
    for steps, period in ((8, 0.1), (24, 0.066), (48, 0.033)):
        chunks = [(smooth_chunk(model, steps, period, seed), start, START) for seed in range(args.repeats)]
        took = times_ms(panda.filter, *chunks)
        verdicts = [panda.filter(*c) for c in chunks[:20]]
        t = verdicts[0].trajectory
        motion = Motion(panda.params.sample_s, t.q, t.dq, t.ddq)
        raw = times_ms(raw_calls, *[(model, motion, 20)] * 50)
        counts = dict(Counter(v.decision.name for v in verdicts))
        p50, p99 = np.percentile(took, [50, 99])
        print(f"{steps:3d} steps  p50 {p50:5.2f} ms  p99 {p99:5.2f} ms  {p50 / np.median(raw):4.1f} x raw  {counts}")
    bounds = make_bounds(model, panda.params, start)
    for check in load_checks("motion"):
        fresh = [(Motion(motion.dt, motion.q, motion.dq, motion.ddq), bounds) for _ in range(50)]
        name = check.__name__.rsplit(".", 1)[1]
        print(f"    {name:16s} {np.median(times_ms(check.check, *fresh)):6.3f} ms for {len(motion)} samples")


if __name__ == "__main__":
    main()
