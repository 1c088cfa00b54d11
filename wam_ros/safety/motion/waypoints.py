"""The steps of a chunk as waypoints on the clock of its trajectory, and the seam at which they
begin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wam_ros.core.angles import unwrap_towards
from wam_ros.core.embodiment import joint_order
from wam_ros.core.types import NS, ActionChunk, KinematicState, Reason
from wam_ros.safety.finding import Finding
from wam_ros.safety.motion.bounds import Bounds, JointBounds
from wam_ros.safety.params import SafetyParams

# steps stay this far inside; between samples a path differs a little from its spline
SHORT_RAD = 1e-5
SHORT_M = 1e-6


@dataclass(frozen=True)
class Waypoints:
    """Steps of a chunk in model order, on a clock that is zero at the start of the trajectory."""

    first_s: float  # time of row 0; negative when it is already due
    period_s: float
    q: np.ndarray  # (n, A)
    dq: np.ndarray | None = None  # (n, A) if the chunk says so

    def times(self) -> np.ndarray:
        """(n,) s."""
        return self.first_s + self.period_s * np.arange(len(self.q))

    def head(self, n: int) -> Waypoints:
        """The first n steps."""
        return Waypoints(
            self.first_s, self.period_s, self.q[:n], None if self.dq is None else self.dq[:n]
        )


@dataclass(frozen=True, kw_only=True)
class Seam:
    """Where a chunk begins, beside what the robot is commanded to do then."""

    way: Waypoints
    first_due: int  # index of the first step that is not already due
    start: KinematicState  # commanded at the start of the trajectory
    joints: JointBounds
    params: SafetyParams
    clamped: Finding | None  # the step that was moved farthest to its limit


def make_seam(chunk: ActionChunk, start_ns: int, start: KinematicState, bounds: Bounds) -> Seam:
    """Steps in model order on the clock of the trajectory; those a little outside the position
    limits are moved to them.

    Joints that turn without end go on from where they are, whatever turn the policy counts from.
    """
    joints = bounds.joints
    params = bounds.params
    columns = joint_order(tuple(chunk.joint_names), joints.names)
    q = np.asarray(chunk.positions, dtype=float)[:, columns]
    dq = None if chunk.velocities is None else np.asarray(chunk.velocities, dtype=float)[:, columns]
    first_s = (chunk.anchor_ns + chunk.step_period_ns - start_ns) / NS
    period_s = chunk.step_period_ns / NS
    due = int(np.argmax(first_s + period_s * np.arange(len(q)) > 0))
    q = unwrap_towards(q, start.q, joints.endless, due)
    short = np.where(joints.sliding, SHORT_M, SHORT_RAD)
    inside = np.clip(q, joints.lower + short, np.maximum(joints.upper - short, joints.lower))
    off = np.abs(inside - q)
    near = off <= np.where(joints.sliding, params.clamp_m, params.clamp_rad)
    way = Waypoints(first_s, period_s, np.where(near, inside, q), dq)
    moved = np.where(near, off, 0.0)
    clamped = None
    if moved.max() > 2 * SHORT_RAD:
        step, joint = np.unravel_index(int(moved.argmax()), moved.shape)
        name = joints.names[joint]
        unit = joints.units[joint]
        clamped = Finding(
            Reason.POSITION,
            f"{name} moved by {moved[step, joint]:.4f} {unit} to its limit at step {step}",
            joint=name,
            step=int(step),
            measured=float(q[step, joint]),
            allowed=float(inside[step, joint]),
            unit=unit,
        )
    return Seam(
        way=way,
        first_due=due,
        start=start,
        joints=joints,
        params=params,
        clamped=clamped,
    )
