"""Joint positions stay inside their limits with margin, at every instant."""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import Reason
from wam_ros.safety.checks.base import JointCheck
from wam_ros.safety.finding import Measure
from wam_ros.safety.motion.bounds import JointBounds
from wam_ros.safety.motion.motion import Motion

ROUNDING = 1e-9  # rad or m


def outside(points: np.ndarray, joints: JointBounds) -> np.ndarray:
    """(..., N - 1, A) how far Bezier points (6, ..., N - 1, A) leave the limits; rad or m, 0
    inside.
    """
    return np.maximum(
        np.maximum(joints.lower - points.min(axis=0), points.max(axis=0) - joints.upper), 0.0
    )


def measure(motion: Motion, joints: JointBounds) -> Measure:
    """Measure the worst joint of every interval."""
    beyond = np.vstack(
        (np.zeros_like(motion.q[:1]), outside(motion.bezier, joints) * motion.inside[:, None])
    )
    beyond[0] = outside(motion.q[None, :1], joints)[0]
    rows = np.arange(len(beyond))
    subject = beyond.argmax(axis=1)
    over = beyond[rows, subject]
    q = motion.q[rows, subject]
    # nearer the upper one
    high = q - joints.lower[subject] > joints.upper[subject] - q
    allowed = np.where(high, joints.upper[subject], joints.lower[subject])
    measured = allowed + np.where(high, over, -over)
    ratio = np.where(over > ROUNDING, 2.0, 0.0)
    ratio[np.isnan(over)] = np.inf
    return Measure(
        reason=Reason.POSITION,
        ratio=ratio,
        measured=measured,
        allowed=allowed,
        subject=subject,
        units=joints.units,
        joints=joints.names,
    )


CHECK = JointCheck(measure, power=0)
