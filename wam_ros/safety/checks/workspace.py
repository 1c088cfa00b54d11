"""The tool frame stays inside one of the allowed boxes, between samples too."""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import Reason
from wam_ros.safety.bounds import Bounds
from wam_ros.safety.motion import Measure, Motion, peaks

STAGE = "motion"


def check(motion: Motion, bounds: Bounds) -> Measure:
    """Measure how far outside the nearest box the tool may come in each interval."""
    n, boxes = len(motion), np.reshape(bounds.params.workspace, (-1, 6))
    subject = np.zeros(n, int)
    if len(boxes) == 0:
        return Measure(Reason.WORKSPACE, np.zeros(n), np.zeros(n), np.zeros(n), subject, ("m",))
    position, _ = bounds.model.tool_motion(motion.q, motion.dq)
    beyond = np.maximum(boxes[:, None, :3] - position, position - boxes[:, None, 3:]).max(axis=2)  # (B, N)
    bow = np.concatenate(([0.0], _bow(motion, bounds)))
    both = np.maximum(beyond, np.concatenate((beyond[:, :1], beyond[:, :-1]), axis=1)) + bow
    over = both.min(axis=0) - bounds.outside
    return Measure(Reason.WORKSPACE, np.where(over > 0, 2.0, 0.0), over, np.zeros(n), subject, ("m outside",))


def _bow(motion: Motion, bounds: Bounds) -> np.ndarray:
    """(N - 1,) m that the tool may leave the straight line between two samples: an eighth of its second difference.

    The acceleration of a point is at most the sum of reach x |ddq|, and for every two joints |dq| |dq| x the reach of
    the outer one.
    """
    reach = bounds.model.tool_reach
    speed = peaks(motion.bezier, motion.dt, 1) * motion.dt
    change = peaks(motion.bezier, motion.dt, 2) * motion.dt**2
    return (change @ reach + speed.sum(axis=1) * (speed @ reach)) / 8 * motion.inside
