"""Poses of a tool become joints, one row after another: what a policy that knows no joints means.

Each row begins at the joints of the row before, so that a path of poses becomes a path of joints
and never another way to hold the same pose. What the joints do on it is proven like any chunk.
"""

from __future__ import annotations

import math

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.robot.dynamics import Dynamics
from wam_ros.wire.packing import WireError

DAMPING = 1e-2  # m and rad per rad, near a singularity
ITERATIONS = 60
STRIDE = 0.1  # m and rad that the tool goes at most in one of them
NEAR_M = 1e-3  # that a tool may be off its place
NEAR_RAD = 1e-2


def rotation_of(kind: str, numbers: np.ndarray) -> np.ndarray:
    """(3, 3) of a rotation as it is told; rpy about fixed axes, x first.

    Raises:
        WireError: a quaternion without length.
    """
    if kind == "axis_angle":
        angle = float(np.linalg.norm(numbers))
        return _turn(numbers / angle, angle) if angle > 1e-12 else np.eye(3)
    if kind == "rpy":
        roll, pitch, yaw = (
            _turn(axis, float(a)) for axis, a in zip(np.eye(3), numbers, strict=True)
        )
        return yaw @ pitch @ roll
    length = float(np.linalg.norm(numbers))
    if length < 1e-3:
        raise WireError("the actions have a quaternion of length 0")
    vector = numbers[:3] / length
    half = float(np.linalg.norm(vector))
    if half < 1e-12:
        return np.eye(3)
    return _turn(vector / half, 2 * math.atan2(half, float(numbers[3]) / length))


class ToolPath:
    """Inverse kinematics of one arm by damped least squares (Buss, 2004). One thread.

    Args:
        robot: with one tool.

    Raises:
        WamError: it has several.
    """

    def __init__(self, robot: Dynamics) -> None:
        if len(robot.tools) != 1:
            raise WamError("poses of a tool are for a robot with one tool")
        self._robot = robot
        base = robot.pin.frames[robot.frame(robot.embodiment.base_frame)].placement
        self._base_turn = np.array(base.rotation)
        self._base_at = np.array(base.translation)
        self._moving = ~robot.gripper

    def pose(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Place (3,) m and rotation (3, 3) of the tool in the base frame, for q (A,)."""
        at, turn, _ = self._state(q)
        return at, turn

    def joints(
        self, q: np.ndarray, rows: np.ndarray, rotation: str, incremental: bool
    ) -> np.ndarray:
        """(T, A) joints from q (A,) on; grippers stay.

        Args:
            q: where the arm was observed.
            rows: (T, 3 + n) m and the numbers of `rotation`, in the base frame.
            rotation: as a contract names it.
            incremental: whether a row is a difference from the row before; the tool turns about
                the axes of the base frame then.

        Raises:
            WireError: a pose is out of reach.
        """
        at, turn = self.pose(q)
        path = np.empty((len(rows), len(q)))
        for k, row in enumerate(rows):
            told = rotation_of(rotation, row[3:])
            at = at + row[:3] if incremental else row[:3]
            turn = told @ turn if incremental else told
            q = self._reach(q, at, turn, k)
            path[k] = q
        return path

    def _reach(self, q: np.ndarray, at: np.ndarray, turn: np.ndarray, row: int) -> np.ndarray:
        limits = self._robot.limits
        for _ in range(ITERATIONS):
            now_at, now_turn, jacobian = self._state(q)
            error = np.concatenate((at - now_at, _vector(turn @ now_turn.T)))
            far_m = float(np.linalg.norm(error[:3]))
            far_rad = float(np.linalg.norm(error[3:]))
            if far_m < NEAR_M / 10 and far_rad < NEAR_RAD / 10:
                break
            error *= min(1.0, STRIDE / float(np.linalg.norm(error)))
            square = jacobian @ jacobian.T + DAMPING**2 * np.eye(6)
            q = q.copy()
            q[self._moving] += jacobian.T @ np.linalg.solve(square, error)
            q[self._moving] = np.clip(q, limits.lower, limits.upper)[self._moving]
        if not (far_m <= NEAR_M and far_rad <= NEAR_RAD):  # nor what is no number
            raise WireError(
                f"the pose of row {row} is out of reach: the tool comes within {1e3 * far_m:.0f} "
                f"mm and {math.degrees(far_rad):.1f} degrees of it"
            )
        return q

    def _state(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Place, rotation and Jacobian (6, moving) of the tool in the base frame."""
        jacobian = self._robot.tool_jacobian(q)[:, self._moving]
        placed = self._robot.data.oMf[self._robot.tools[0]]
        back = self._base_turn.T
        at = back @ (np.array(placed.translation) - self._base_at)
        return at, back @ np.array(placed.rotation), np.kron(np.eye(2), back) @ jacobian


def _turn(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rodrigues' formula, for a unit axis."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * (cross @ cross)


def _vector(turn: np.ndarray) -> np.ndarray:
    """Axis times angle of a rotation."""
    lean = 0.5 * np.array(
        [turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]
    )
    sine = float(np.linalg.norm(lean))
    angle = math.atan2(sine, (float(np.trace(turn)) - 1) / 2)
    if sine > 1e-9:
        return lean * (angle / sine)
    if angle < 1.0:
        return lean
    axis = np.sqrt(np.maximum(0.0, (np.diag(turn) + 1) / 2))  # half a turn: either way round
    return axis * angle
