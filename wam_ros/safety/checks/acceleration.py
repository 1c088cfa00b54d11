"""Joint accelerations stay inside their limits with margin, at every instant."""

from __future__ import annotations

from wam_ros.core.types import Reason
from wam_ros.safety.checks.base import JointCheck
from wam_ros.safety.finding import Measure, measure_peaks
from wam_ros.safety.motion.bounds import JointBounds
from wam_ros.safety.motion.motion import Motion


def measure(motion: Motion, joints: JointBounds) -> Measure:
    """Measure the worst joint of every interval."""
    return measure_peaks(
        reason=Reason.ACCELERATION,
        peaks=motion.peaks[1],
        inside=motion.inside,
        limits=joints.acceleration,
        joints=joints.names,
        units=tuple(f"{u}/s^2" for u in joints.units),
    )


CHECK = JointCheck(measure, power=2)
