"""What makes one candidate better than another. To add a value: one file with `make`, one line
here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

import numpy as np

from wam_ros.core.errors import WamError, require_known
from wam_ros.core.policy import PolicyOutput

# candidates -> (N,) scores, the highest is best
Value = Callable[[Sequence[PolicyOutput]], np.ndarray]

VALUES = {
    "consensus": "wam_ros.runtime.values.consensus",
    "goal_image": "wam_ros.runtime.values.goal_image",
    "outlook": "wam_ros.runtime.values.outlook",
    "smoothness": "wam_ros.runtime.values.smoothness",
}


def make_value(name: str, goal: np.ndarray | None = None) -> Value:
    """The value of this name.

    Args:
        name: in `VALUES`.
        goal: (V, H, W, 3) uint8 pictures of the wished-for end, for values that compare with it.

    Raises:
        WamError: unknown name, or a goal is needed and missing.
    """
    module = importlib.import_module(VALUES[require_known("value", name, VALUES)])
    return module.make(goal)


def load_goal(path: str) -> np.ndarray | None:
    """(V, H, W, 3) uint8 pictures of the goal from an .npy file; None for no path.

    Raises:
        WamError: no such file, or something else in it.
    """
    if not path:
        return None
    try:
        goal = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise WamError(f"cannot read the goal image '{path}': {error}") from error
    if (
        not isinstance(goal, np.ndarray)
        or goal.dtype != np.uint8
        or goal.ndim != 4
        or goal.shape[-1] != 3
    ):
        raise WamError(f"'{path}' is no goal image: expected uint8 (V, H, W, 3)")
    return goal
