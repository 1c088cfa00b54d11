"""Whether numbers that are said to be a robot's joints can be."""

from __future__ import annotations

import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import Problems, WamError, require_known
from wam_ros.robot.urdf import read_urdf

# share of a joint's travel, and rad or m, by which what was recorded may lie outside its limits:
# other units lie farther out
BEYOND = 0.1
AT_LEAST = 0.25


def reach(e: Embodiment) -> tuple[np.ndarray, np.ndarray]:
    """(2, A) lower and upper limits of the joints from the URDF, in rad or m, and (A,) how far
    beyond them a number may lie; a joint without limits has infinite ones.

    Raises:
        WamError: the description cannot be read or lacks a joint.
    """
    problems = Problems(e.urdf_path)
    known = read_urdf(e.urdf_path, problems).joints
    problems.require_none()
    joints = [known[require_known(f"joint of {e.urdf}", name, known)] for name in e.joint_names]
    limits = np.array([[j.lower for j in joints], [j.upper for j in joints]])
    return limits, np.maximum(BEYOND * (limits[1] - limits[0]), AT_LEAST)


def require_reachable(what: str, e: Embodiment, ends: np.ndarray, differences: np.ndarray) -> None:
    """Refuse a range of numbers of another robot or in other units.

    Args:
        what: the numbers are, for the error.
        e: the robot.
        ends: (2, A) the lowest and the highest of each joint, rad or m.
        differences: (A,) True where they are differences of positions.

    Raises:
        WamError: a position beyond the URDF's limits, or a difference longer than the whole travel;
            names the joint.
    """
    limits, slack = reach(e)
    travel = limits[1] - limits[0]
    bounds = np.where(differences, np.stack([-travel, travel]), limits)
    require_between(what, e, ends, (bounds, slack))


def require_between(
    what: str, e: Embodiment, ends: np.ndarray, bounds: tuple[np.ndarray, np.ndarray]
) -> None:
    """`require_reachable` of positions by what `reach` found, for who asks often."""
    within, slack = bounds
    wrong = (ends[0] < within[0] - slack) | (ends[1] > within[1] + slack)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise WamError(
            f"{what} of '{e.joint_names[i]}' reaches from {ends[0, i]:.4g} to {ends[1, i]:.4g}, "
            f"{e.name} from {within[0, i]:.4g} to {within[1, i]:.4g} rad or m: in degrees, or of "
            "another robot"
        )
