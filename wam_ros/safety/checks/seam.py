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
    model, params = bounds.model, bounds.params
    allowed = np.where(model.sliding, params.seam_m, params.seam_rad) + bounds.velocity * max(
        0.0, float(way.times()[first_due])
    )
    jump = np.abs(way.q[first_due] - commanded)
    excess = np.where(model.gripper, 0.0, jump / allowed)
    joint = int(excess.argmax())
    if excess[joint] <= 1.0:
        return None
    name, unit = model.joint_names[joint], model.units[joint]
    words = f"{name} would jump {jump[joint]:.3f} {unit} to step {first_due}, allowed {allowed[joint]:.3f} {unit}"
    return Finding(Reason.DISCONTINUITY, words, name, first_due, float(jump[joint]), float(allowed[joint]), unit)
