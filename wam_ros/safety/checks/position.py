"""Joint positions stay inside their limits with margin, at every instant."""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import Reason
from wam_ros.safety.motion.bounds import Bounds
from wam_ros.safety.motion.motion import Measure, Motion

STAGE = "motion"
ROUNDING = 1e-9  # rad or m


def outside(points: np.ndarray, bounds: Bounds) -> np.ndarray:
    """(..., N - 1, A) how far Bezier points (6, ..., N - 1, A) leave the limits; rad or m, 0
    inside.
    """
    return np.maximum(
        np.maximum(bounds.lower - points.min(axis=0), points.max(axis=0) - bounds.upper), 0.0
    )


def check(motion: Motion, bounds: Bounds) -> Measure:
    """Measure the worst joint of every interval."""
    beyond = np.vstack(
        (np.zeros_like(motion.q[:1]), outside(motion.bezier, bounds) * motion.inside[:, None])
    )
    beyond[0] = outside(motion.q[None, :1], bounds)[0]
    rows = np.arange(len(beyond))
    subject = beyond.argmax(axis=1)
    over = beyond[rows, subject]
    q = motion.q[rows, subject]
    high = q - bounds.lower[subject] > bounds.upper[subject] - q  # nearer the upper one
    allowed = np.where(high, bounds.upper[subject], bounds.lower[subject])
    measured = allowed + np.where(high, over, -over)
    ratio = np.where(over > ROUNDING, 2.0, 0.0)
    ratio[np.isnan(over)] = np.inf
    return Measure(
        reason=Reason.POSITION,
        ratio=ratio,
        measured=measured,
        allowed=allowed,
        subject=subject,
        units=bounds.model.units,
    )
