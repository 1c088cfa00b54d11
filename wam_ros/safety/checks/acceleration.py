"""Joint accelerations stay inside their limits with margin, at every instant."""

from __future__ import annotations

from wam_ros.core.types import Reason
from wam_ros.safety.motion.bounds import Bounds
from wam_ros.safety.motion.motion import Measure, Motion, joint_measure

STAGE = "motion"
POWER = 2  # of the time scale


def check(motion: Motion, bounds: Bounds) -> Measure:
    """Measure the worst joint of every interval."""
    units = tuple(f"{u}/s^2" for u in bounds.model.units)
    return joint_measure(
        reason=Reason.ACCELERATION,
        value=motion.peaks[1],
        allowed=bounds.acceleration,
        units=units,
        power=POWER,
        inside=motion.inside,
    )
