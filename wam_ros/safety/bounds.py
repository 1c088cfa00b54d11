"""What is allowed from where the robot stands: limits with margins, never tighter than the state it starts in."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from wam_ros.safety.model import SafetyModel
from wam_ros.safety.params import SafetyParams

ESCAPE = 1e-4  # m: a start inside a clearance may come nearer by this, so that leaving can be proven


@dataclass(frozen=True)
class Commanded:
    """State that the robot is commanded to have at one instant."""

    q: np.ndarray  # (A,) rad or m
    dq: np.ndarray  # (A,)
    ddq: np.ndarray  # (A,)


@dataclass
class Nearest:
    """Smallest distance that was computed."""

    distance: float = float("inf")  # m
    pair: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Bounds:
    """Allowed values for one chunk; arrays (A,) unless noted."""

    lower: np.ndarray
    upper: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray
    jerk: np.ndarray
    torque: np.ndarray
    clearance: np.ndarray  # (P,) m
    outside: float  # m, how far outside the workspace the tool may be, because it starts there
    model: SafetyModel
    params: SafetyParams
    nearest: Nearest = field(default_factory=Nearest)


def position_bounds(model: SafetyModel, params: SafetyParams) -> tuple[np.ndarray, np.ndarray]:
    """Position limits (A,) with their margins."""
    margin = np.where(model.sliding, params.position_margin_m, params.position_margin_rad)
    return model.limits.lower + margin, model.limits.upper - margin


def make_bounds(model: SafetyModel, params: SafetyParams, start: Commanded, floor: np.ndarray | None = None) -> Bounds:
    """Allowed values for motion from `start`.

    A start inside a margin, or nearer to a body than its clearance, must be free to leave: the bound gives way to the
    start, but never beyond the robot's own limit.

    Args:
        model: the robot.
        params: margins.
        start: where the motion begins.
        floor: (P,) m, clearances of an earlier answer; they are not lowered again, so that many chunks, each allowed to
            come a little nearer, cannot creep into a body.
    """
    limits = model.limits
    lower, upper = position_bounds(model, params)
    lower = np.minimum(lower, np.clip(start.q, limits.lower, None))
    upper = np.maximum(upper, np.clip(start.q, None, limits.upper))
    wanted = np.where(model.pairs.world, model.pairs.clearance, params.self_clearance_m) + params.distance_error_m
    distance = model.distances(start.q)
    clearance = np.where((distance < wanted) & (distance > 0), np.maximum(distance - ESCAPE, 0.0), wanted)
    if floor is not None and len(floor) == len(clearance):
        clearance = np.maximum(clearance, np.minimum(floor, wanted))
    return Bounds(
        lower,
        upper,
        limits.velocity * params.velocity_fraction,
        limits.acceleration * params.acceleration_fraction,
        limits.jerk * params.jerk_fraction,
        limits.effort * params.torque_fraction,
        clearance,
        _outside(model, params, start),
        model,
        params,
    )


def _outside(model: SafetyModel, params: SafetyParams, start: Commanded) -> float:
    if not params.workspace:
        return 0.0
    boxes = np.reshape(params.workspace, (-1, 6))
    tool = model.tool_motion(start.q[None], start.dq[None])[0]
    return max(0.0, float(np.maximum(boxes[:, :3] - tool, tool - boxes[:, 3:]).max(axis=1).min()))
