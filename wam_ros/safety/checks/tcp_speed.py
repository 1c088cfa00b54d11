"""The tool frame stays below its highest speed."""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import Reason
from wam_ros.safety.bounds import Bounds
from wam_ros.safety.motion import Measure, Motion

STAGE = "motion"
POWER = 1  # of the time scale
PATH_SHARE = 0.9  # joints stop at different rates, so the tool may gain a little speed in a stop


def check(motion: Motion, bounds: Bounds) -> Measure:
    """Measure the speed at every sample."""
    speed = np.abs(motion.dq) @ bounds.model.tool_reach  # an upper bound; where it does not do, the speed itself
    fast = speed > bounds.params.tcp_speed * PATH_SHARE
    if fast.any():
        _, velocity = bounds.model.tool_motion(motion.q[fast], motion.dq[fast])
        speed[fast] = np.linalg.norm(velocity, axis=1)
    allowed = np.full(len(motion), bounds.params.tcp_speed * (1.0 if motion.stopping else PATH_SHARE))
    return Measure(Reason.TCP_SPEED, speed / allowed, speed, allowed, np.zeros(len(motion), int), ("m/s",), POWER)
