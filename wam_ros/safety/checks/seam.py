"""The first step still due is near where the robot is commanded to be."""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import Reason
from wam_ros.safety.finding import Finding
from wam_ros.safety.motion.bounds import Bounds
from wam_ros.safety.motion.path import Waypoints

STAGE = "seam"


def check(way: Waypoints, first_due: int, commanded: np.ndarray, bounds: Bounds) -> Finding | None:
    """Refuse a jump. Grippers are exempt: many policies only know open and closed."""
    model = bounds.model
    params = bounds.params
    allowed = np.where(model.sliding, params.seam_m, params.seam_rad) + bounds.velocity * max(
        0.0, float(way.times()[first_due])
    )
    jump = np.abs(way.q[first_due] - commanded)
    excess = np.where(model.gripper, 0.0, jump / allowed)
    joint = int(excess.argmax())
    if excess[joint] <= 1.0:
        return None
    name = model.joint_names[joint]
    unit = model.units[joint]
    words = (
        f"{name} would jump {jump[joint]:.3f} {unit} to step {first_due}, allowed "
        f"{allowed[joint]:.3f} {unit}"
    )
    return Finding(
        reason=Reason.DISCONTINUITY,
        words=words,
        joint=name,
        step=first_due,
        measured=float(jump[joint]),
        allowed=float(allowed[joint]),
        unit=unit,
    )
