"""The arm does not move deeper into a singularity of its tool.

Joint commands stay well defined at a singularity, so this is off by default; it matters when what
runs below this filter controls the tool in Cartesian space.
"""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import Reason
from wam_ros.safety.checks.base import ToolCheck
from wam_ros.safety.finding import Measure
from wam_ros.safety.motion.bounds import ToolBounds
from wam_ros.safety.motion.motion import Motion

EVERY_S = 0.05  # the measure changes slowly


def measure(motion: Motion, tools: ToolBounds) -> Measure:
    """Measure the smallest singular value; moving away from a singularity is free."""
    n = len(motion)
    threshold = tools.params.singularity
    ratio = np.zeros(n)
    measured = np.full(n, np.nan)
    if threshold > 0 and not motion.stopping:
        step = max(1, round(EVERY_S / motion.dt))
        arm = ~tools.gripper
        before = _smallest(tools, motion.q[0], arm)
        for i in [*range(step, n - 1, step), n - 1]:
            measured[i] = _smallest(tools, motion.q[i], arm)
            ratio[i] = threshold / max(measured[i], 1e-12) if measured[i] < before else 0.0
            before = measured[i]
    return Measure(
        reason=Reason.SINGULARITY,
        ratio=ratio,
        measured=measured,
        allowed=np.full(n, threshold),
        subject=np.zeros(n, int),
        units=("",),
    )


def _smallest(tools: ToolBounds, q: np.ndarray, arm: np.ndarray) -> float:
    """Smallest singular value of any arm; an arm of fewer than six joints has as many values as
    joints.
    """
    least = np.inf
    for tool in range(len(tools.reach)):
        jacobian = tools.jacobian(q, tool)
        # the joints of this arm
        moving = arm & jacobian.any(axis=0)
        least = min(least, float(np.linalg.svd(jacobian[:, moving], compute_uv=False)[-1]))
    return least


CHECK = ToolCheck(measure, power=0)
