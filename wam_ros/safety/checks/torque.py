"""Joint efforts by inverse dynamics, payload included, stay inside the effort limits with margin at every sample."""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import Reason
from wam_ros.safety.bounds import Bounds
from wam_ros.safety.motion import Measure, Motion, from_table

STAGE = "motion"
POWER = 2  # of the time scale, for the part of the effort that is not weight


def check(motion: Motion, bounds: Bounds) -> Measure:
    """Measure the worst joint of every sample."""
    tau = bounds.model.torque(motion.q, motion.dq, motion.ddq)
    units = tuple("N" if s else "Nm" for s in bounds.model.sliding)
    return from_table(Reason.TORQUE, np.abs(tau) / bounds.torque, bounds.torque, units, POWER)
