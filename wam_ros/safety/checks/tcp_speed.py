"""Every tool frame stays below the highest speed, between samples too."""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import Reason
from wam_ros.safety.checks.base import ToolCheck
from wam_ros.safety.finding import Measure
from wam_ros.safety.motion.bounds import ToolBounds
from wam_ros.safety.motion.motion import Motion

PATH_SHARE = 0.9  # joints stop at different rates, so the tool may gain a little speed in a stop


def measure(motion: Motion, tools: ToolBounds) -> Measure:
    """Measure the highest speed that a tool may have in each interval."""
    most = tools.params.tcp_speed * (1.0 if motion.stopping else PATH_SHARE)
    n = len(motion)
    inside = np.concatenate(([False], motion.inside))
    speed = np.zeros(n)
    for tool, reach in enumerate(tools.reach):
        # an upper bound; where it does not do, the speed itself
        own = np.abs(motion.dq) @ reach
        own[1:] = np.maximum(own[1:], motion.peaks[0] @ reach * motion.inside)
        fast = own > tools.params.tcp_speed * PATH_SHARE
        if fast.any():
            # both ends of an interval are looked at
            looked = fast | np.append(fast[1:] & inside[1:], False)
            at = np.zeros(n)
            at[looked] = np.linalg.norm(
                tools.motion(motion.q[looked], motion.dq[looked], tool)[1], axis=1
            )
            between = np.maximum(at[:-1], at[1:]) + _bow(motion, reach, tools.turns)
            own[fast] = np.minimum(
                own, np.maximum(at, np.concatenate(([0.0], between * motion.inside)))
            )[fast]
        speed = np.maximum(speed, own)
    allowed = np.full(n, most)
    return Measure(
        reason=Reason.TCP_SPEED,
        ratio=speed / allowed,
        measured=speed,
        allowed=allowed,
        subject=np.zeros(n, int),
        units=("m/s",),
    )


def _bow(motion: Motion, reach: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """(N - 1,) m/s that a tool's velocity may leave the straight line between those of two samples.

    An eighth of the second derivative of that velocity. A point changes with the joints i, j, k at
    most by the reach of the outer one, which the sum of their reaches is never below.
    """
    speed, acceleration, jerk = motion.peaks
    turn = speed @ turns
    move = speed @ reach
    mixed = turn * (acceleration @ reach) + (acceleration @ turns) * move
    return motion.dt**2 / 8 * (jerk @ reach + 3 * mixed + 3 * turn**2 * move)


CHECK = ToolCheck(measure, power=1)
