"""Filtering is a projection: what the filter emitted from a state and a floor passes its own checks
with the same two.
"""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import KinematicState, Reason, SafeTrajectory
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.finding import Finding
from wam_ros.safety.motion.bounds import Bounds, Floor, give_way, make_bounds
from wam_ros.safety.motion.motion import Motion


def recheck(
    safety: SafetyFilter, t: SafeTrajectory, commanded: KinematicState, floor: Floor | None = None
) -> Finding | None:
    """What is wrong with a whole trajectory from `commanded`; None when it may leave as it is."""
    names = safety.model.joint_names
    dt = safety.params.sample_s
    if t.joint_names != names or t.q.shape != (len(t.t), len(names)) or not t.finite:
        return Finding(Reason.SCHEMA, "not a trajectory of this robot")
    if len(t.t) < 2 or not np.allclose(t.t, np.arange(len(t.t)) * dt, rtol=0, atol=1e-9):
        return Finding(Reason.SCHEMA, f"not sampled every {dt} s")
    if not np.array_equal(t[0].arrays, commanded.arrays):
        return Finding(Reason.DISCONTINUITY, "does not begin in the commanded state")
    if t.dq[-1].any() or t.ddq[-1].any():
        return Finding(Reason.NO_BRAKE, "does not end at rest")
    motion = Motion(*t.arrays, dt=dt, stopping=True)
    bounds = make_bounds(safety.model, safety.params, commanded, floor)
    found = _refuted(safety, motion, bounds)
    if found is None or floor is None:
        return found
    return _refuted(safety, motion, give_way(bounds, floor))


def _refuted(safety: SafetyFilter, motion: Motion, bounds: Bounds) -> Finding | None:
    for check in safety._checks.motion.values():
        measure = check.look(motion, bounds)
        if measure.bad.any():
            sample = int(measure.bad.argmax())
            return measure.describe(sample, f"after {sample * motion.dt:.2f} s")
    return None
