"""The chunk whose imagined outcome the other candidates agree with most: an odd one out is rarely
what will happen.

Minimum expected distance to the other samples, as in minimum Bayes risk decoding (Kumar and Byrne,
2004).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wam_ros.core.policy import PolicyOutput
from wam_ros.runtime.values import Value


def make(_goal: np.ndarray | None) -> Value:
    """Scores: less the mean squared distance of the imagined frames to those of all candidates, in
    [-1, 0].
    """
    return score


def score(candidates: Sequence[PolicyOutput]) -> np.ndarray:
    """(N,) values of candidates; all equal where nothing is imagined."""
    frames = np.stack([c.frames.reshape(-1) for c in candidates]).astype(np.float32) / 255
    if not frames.shape[1]:
        return np.zeros(len(candidates))
    return -np.array([np.mean((frames - own) ** 2) for own in frames])
