"""Every tool frame stays below the highest speed."""

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
    model, most = bounds.model, bounds.params.tcp_speed * (1.0 if motion.stopping else PATH_SHARE)
    speed = np.zeros(len(motion))
    for tool, reach in enumerate(model.tool_reach):
        own = np.abs(motion.dq) @ reach  # an upper bound; where it does not do, the speed itself
        fast = own > bounds.params.tcp_speed * PATH_SHARE
        if fast.any():
            _, velocity = model.tool_motion(motion.q[fast], motion.dq[fast], tool)
            own[fast] = np.linalg.norm(velocity, axis=1)
        speed = np.maximum(speed, own)
    allowed = np.full(len(motion), most)
    return Measure(Reason.TCP_SPEED, speed / allowed, speed, allowed, np.zeros(len(motion), int), ("m/s",), POWER)
