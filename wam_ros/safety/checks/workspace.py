"""Every tool frame stays inside one of the allowed boxes and on the right side of every plane,
between samples too.
"""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import Reason
from wam_ros.safety.checks.base import ToolCheck
from wam_ros.safety.finding import Measure
from wam_ros.safety.motion.bounds import ToolBounds, beyond_workspace
from wam_ros.safety.motion.motion import Motion


def measure(motion: Motion, tools: ToolBounds) -> Measure:
    """Measure how far outside the allowed space a tool may come in each interval."""
    n = len(motion)
    params = tools.params
    subject = np.zeros(n, int)
    over = np.zeros(n)
    if not params.workspace and not params.planes:
        return Measure(
            reason=Reason.WORKSPACE,
            ratio=over,
            measured=over,
            allowed=over,
            subject=subject,
            units=("m",),
        )
    over = np.full(n, -np.inf)
    for tool, reach in enumerate(tools.reach):
        position, _ = tools.motion(motion.q, motion.dq, tool)
        beyond = beyond_workspace(params, position)  # (B, N)
        bow = np.concatenate(([0.0], _bow(motion, reach, tools.turns)))
        both = np.maximum(beyond, np.concatenate((beyond[:, :1], beyond[:, :-1]), axis=1)) + bow
        over = np.maximum(over, both.min(axis=0) - tools.outside[tool])
    return Measure(
        reason=Reason.WORKSPACE,
        ratio=np.where(over <= 0, 0.0, 2.0),
        measured=over,
        allowed=np.zeros(n),
        subject=subject,
        units=("m outside",),
    )


def _bow(motion: Motion, reach: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """(N - 1,) m that a tool may leave the straight line between two samples: an eighth of its
    second difference.

    The acceleration of a point is at most the sum of reach x |ddq|, and for every two joints |dq|
    |dq| x the reach of the outer one, which the sum of their reaches is never below.
    """
    speed = motion.peaks[0] * motion.dt
    change = motion.peaks[1] * motion.dt**2
    return (change @ reach + 2 * (speed @ turns) * (speed @ reach)) / 8 * motion.inside


CHECK = ToolCheck(measure, power=0)
