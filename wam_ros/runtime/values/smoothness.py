"""The calmest chunk: least mean squared second difference of its steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wam_ros.core.policy import PolicyOutput
from wam_ros.runtime.values import Value


def make(_goal: np.ndarray | None) -> Value:
    """Scores in (rad or m per step^2)^2, 0 for straight lines and negative for all others."""
    return score


def score(candidates: Sequence[PolicyOutput]) -> np.ndarray:
    """(N,) values of candidates; those of fewer than three steps are straight."""
    bends = [np.diff(c.positions, n=2, axis=0) for c in candidates]
    return np.array([-float(np.mean(b**2)) if b.size else 0.0 for b in bends])
