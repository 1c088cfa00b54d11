"""The first step still due is near where the robot is commanded to be."""

from __future__ import annotations

import numpy as np

from wam_ros.core.angles import turns_in_words
from wam_ros.core.types import Reason
from wam_ros.safety.checks.base import SeamCheck
from wam_ros.safety.finding import Finding
from wam_ros.safety.motion.waypoints import Seam


def refuse(seam: Seam) -> Finding | None:
    """Refuse a jump. Grippers are exempt: many policies only know open and closed."""
    joints = seam.joints
    step = seam.first_due
    reach = joints.velocity * max(0.0, float(seam.way.times()[step]))
    allowed = np.where(joints.sliding, seam.params.seam_m, seam.params.seam_rad) + reach
    jump = np.abs(seam.way.q[step] - seam.start.q)
    excess = np.where(joints.gripper, 0.0, jump / allowed)
    joint = int(excess.argmax())
    if excess[joint] <= 1.0:
        return None
    name = joints.names[joint]
    unit = joints.units[joint]
    turning = not joints.sliding[joint]
    turns = turns_in_words(float(jump[joint]), float(allowed[joint])) if turning else ""
    words = (
        f"{name} would jump {jump[joint]:.3f} {unit} to step {step}, allowed "
        f"{allowed[joint]:.3f} {unit}{turns}"
    )
    return Finding(
        Reason.DISCONTINUITY,
        words,
        joint=name,
        step=step,
        measured=float(jump[joint]),
        allowed=float(allowed[joint]),
        unit=unit,
    )


CHECK = SeamCheck(refuse)
