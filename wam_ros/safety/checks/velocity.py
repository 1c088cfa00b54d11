"""Joint velocities stay inside their limits with margin, at every instant."""

from __future__ import annotations

from wam_ros.core.types import Reason
from wam_ros.safety.checks.base import JointCheck
from wam_ros.safety.finding import Measure, measure_peaks
from wam_ros.safety.motion.bounds import JointBounds
from wam_ros.safety.motion.motion import Motion


def measure(motion: Motion, joints: JointBounds) -> Measure:
    """Measure the worst joint of every interval."""
    return measure_peaks(
        reason=Reason.VELOCITY,
        peaks=motion.peaks[0],
        inside=motion.inside,
        limits=joints.velocity,
        joints=joints.names,
        units=tuple(f"{u}/s" for u in joints.units),
    )


CHECK = JointCheck(measure, power=1)
