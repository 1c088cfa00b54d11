"""The steps of a chunk as waypoints on the clock of its trajectory."""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import NS, ActionChunk, Reason
from wam_ros.safety.finding import Finding
from wam_ros.safety.motion.bounds import Bounds
from wam_ros.safety.motion.path import Waypoints

# steps stay this far inside; between samples a path differs a little from its spline
SHORT_RAD = 1e-5
SHORT_M = 1e-6


def waypoints(
    chunk: ActionChunk, start_ns: int, bounds: Bounds
) -> tuple[Waypoints, Finding | None]:
    """Steps in model order; those a little outside the position limits are moved to them."""
    columns = bounds.model.order(tuple(chunk.joint_names))
    q = np.asarray(chunk.positions, dtype=float)[:, columns]
    dq = None if chunk.velocities is None else np.asarray(chunk.velocities, dtype=float)[:, columns]
    first_s = (chunk.anchor_ns + chunk.step_period_ns - start_ns) / NS
    short = np.where(bounds.model.sliding, SHORT_M, SHORT_RAD)
    inside = np.clip(q, bounds.lower + short, np.maximum(bounds.upper - short, bounds.lower))
    off = np.abs(inside - q)
    near = off <= np.where(bounds.model.sliding, bounds.params.clamp_m, bounds.params.clamp_rad)
    way = Waypoints(first_s, chunk.step_period_ns / NS, np.where(near, inside, q), dq)
    moved = np.where(near, off, 0.0)
    if moved.max() <= 2 * SHORT_RAD:
        return way, None
    step, joint = np.unravel_index(int(moved.argmax()), moved.shape)
    name = bounds.model.joint_names[joint]
    unit = bounds.model.units[joint]
    words = f"{name} moved by {moved[step, joint]:.4f} {unit} to its limit at step {step}"
    measured = float(q[step, joint])
    allowed = float(inside[step, joint])
    return way, Finding(
        reason=Reason.POSITION,
        words=words,
        joint=name,
        step=int(step),
        measured=measured,
        allowed=allowed,
        unit=unit,
    )
