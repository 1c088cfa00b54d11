"""Poses as other parts write them: position [m] and quaternion wxyz."""

from __future__ import annotations

import numpy as np
import pinocchio as pin
from pinocchio import SE3 as Pose  # noqa: N811

from wam_ros.core.errors import WamError

Position = tuple[float, float, float]
Orientation = tuple[float, float, float, float]


def make_pose(position: tuple[float, ...], orientation: tuple[float, ...]) -> Pose:
    """A pose; the quaternion is normalised.

    Raises:
        WamError: a quaternion without a direction.
    """
    turn = np.array(orientation, dtype=float)
    if not np.isfinite(turn).all() or not np.linalg.norm(turn) > 1e-6:
        raise WamError(f"the orientation {turn.tolist()} is no quaternion")
    return Pose(pin.Quaternion(*turn).normalized().matrix(), np.array(position, dtype=float))


def pose_from_matrix(matrix: np.ndarray) -> Pose:
    """A pose from a homogeneous matrix (4, 4)."""
    return Pose(np.asarray(matrix[:3, :3], dtype=float), np.asarray(matrix[:3, 3], dtype=float))


def facing(normal: np.ndarray, point: np.ndarray) -> Pose:
    """A pose at a point (3,) whose z axis is a unit normal (3,)."""
    return Pose(pin.Quaternion.FromTwoVectors(np.array([0.0, 0.0, 1.0]), normal).matrix(), point)


def placed(pose: Pose) -> tuple[Position, Orientation]:
    """Position and quaternion of a pose."""
    x, y, z = (float(v) for v in pose.translation)
    turn = pin.Quaternion(pose.rotation)
    return (x, y, z), (float(turn.w), float(turn.x), float(turn.y), float(turn.z))
