"""Joint efforts by inverse dynamics, loads included, stay inside the effort limits with margin,
between samples too.
"""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import Reason
from wam_ros.safety.checks.base import EffortCheck
from wam_ros.safety.finding import Measure, measure_ratios
from wam_ros.safety.motion.bounds import EffortBounds
from wam_ros.safety.motion.motion import Motion


def measure(motion: Motion, efforts: EffortBounds) -> Measure:
    """Measure the worst joint of every interval."""
    free = efforts.free_torque(motion.q, motion.dq, motion.ddq)
    tau = np.abs(efforts.resisted(free, motion.dq))
    # In an interval friction begins or ends at once, where a joint comes to rest or turns round:
    # the most is at one of the four pairs of an effort and a velocity of its ends.
    ends = ((free[1:], motion.dq[:-1]), (free[:-1], motion.dq[1:]))
    across = [np.abs(efforts.resisted(*pair)) for pair in ends]
    most = np.maximum.reduce([tau[1:], tau[:-1], *across])
    tau[1:] = np.where(motion.inside[:, None], most, tau[1:])
    off = _uneven(motion)
    near = ~(tau[1:] + off @ efforts.most_inertia <= efforts.limits).all(axis=1)
    rows = np.flatnonzero(near & motion.inside)
    if len(rows):
        tau[rows + 1] += np.einsum("kij,kj->ki", efforts.inertia(motion.q[rows]), off[rows])
    return measure_ratios(
        reason=Reason.TORQUE,
        ratio=tau / efforts.limits,
        limits=efforts.limits,
        joints=efforts.names,
        units=efforts.units,
    )


def _uneven(motion: Motion) -> np.ndarray:
    """(N - 1, A) how far the acceleration inside an interval may leave the straight line between
    its ends.

    It is a cubic whose inner Bezier points lie d1 and d2 off that line: 3 u (1 - u) ((1 - u) d1 + u
    d2) off it, at most 3/4 of the larger one, and 4/9 where they lie on either side. That times the
    mass matrix is what comes on top of the efforts at the ends; what else changes in an interval is
    of second order in its length.
    """
    points = motion.differences[1] * (20.0 / motion.dt**2)  # (4, N - 1, A)
    d1, d2 = (points[k] - ((3 - k) * points[0] + k * points[3]) / 3 for k in (1, 2))
    return np.maximum(np.abs(d1), np.abs(d2)) * np.where(d1 * d2 < 0, 4 / 9, 3 / 4)


# slowing helps by the part of an effort that is not weight
CHECK = EffortCheck(measure, power=2)
