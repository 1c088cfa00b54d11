"""The chunk whose farthest imagined frame looks most like a picture of the goal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.core.images import mse
from wam_ros.core.policy import PolicyOutput
from wam_ros.runtime.values import Value


def make(goal: np.ndarray | None) -> Value:
    """Scores against `goal` (V, H, W, 3) uint8: less the mean squared error, in [-1, 0].

    Raises:
        WamError: there is no goal.
    """
    if goal is None:
        raise WamError("the value 'goal_image' needs a goal image")

    def score(candidates: Sequence[PolicyOutput]) -> np.ndarray:
        for c in candidates:
            if not len(c.frames) or c.frames.shape[1:] != goal.shape:
                raise WamError(
                    f"the goal image is {goal.shape}, the model imagines frames "
                    f"{c.frames.shape[1:]}"
                )
        return np.array([-mse(c.frames[-1], goal) for c in candidates])

    return score
