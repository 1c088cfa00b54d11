"""The chunk at whose imagined end the model holds the task most likely for done, and least for
failed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wam_ros.core.policy import PolicyOutput
from wam_ros.runtime.values import Value


def make(_goal: np.ndarray | None) -> Value:
    """Scores: probability of done less that of failed, in [-1, 1]; NaN where the model does not
    say.
    """
    return score


def score(candidates: Sequence[PolicyOutput]) -> np.ndarray:
    """(N,) values of candidates."""
    return np.array([c.outlook.done_ahead - c.outlook.failed_ahead for c in candidates])
