"""Links keep their clearance from each other, between samples too."""

from __future__ import annotations

from wam_ros.core.types import Reason
from wam_ros.safety.checks.base import DistanceCheck
from wam_ros.safety.finding import Measure
from wam_ros.safety.motion.bounds import DistanceBounds
from wam_ros.safety.motion.clearance import prove_clearance
from wam_ros.safety.motion.motion import Motion


def measure(motion: Motion, distances: DistanceBounds) -> Measure:
    """Prove the distances along every piece."""
    return prove_clearance(motion, distances)[Reason.SELF_COLLISION]


CHECK = DistanceCheck(measure, power=0)
