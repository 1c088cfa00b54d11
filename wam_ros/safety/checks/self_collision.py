"""Links keep their clearance from each other, between samples too."""

from __future__ import annotations

from wam_ros.core.types import Reason
from wam_ros.safety.motion.bounds import Bounds
from wam_ros.safety.motion.clearance import prove_clearance
from wam_ros.safety.motion.motion import Measure, Motion

STAGE = "motion"


def check(motion: Motion, bounds: Bounds) -> Measure:
    """Prove the distances along every piece."""
    return prove_clearance(motion, bounds)[Reason.SELF_COLLISION]
