"""Damped least-squares inverse kinematics for a tool that points down, on MuJoCo's Jacobians."""

from __future__ import annotations

import mujoco
import numpy as np
from transforms3d.quaternions import qinverse, qmult, quat2axangle

from wam_ros.core.embodiment import Embodiment

DAMPING = 1e-3
POSTURE_GAIN = 0.1
POSE = 6  # numbers of a pose: an arm with fewer joints cannot have any
# of an arm with fewer
PLACE_WEIGHT = 100.0  # rad of direction that weigh as much as a metre of position
STEP_WEIGHT = 0.02  # of a radian of a joint
MOST_TURN = 0.3  # rad of the tool in one iteration
ROOM = 0.03  # rad from the ends of joints: one often stands there, as the tool cannot point freely


def solve_ik(
    model: mujoco.MjModel,
    embodiment: Embodiment,
    q: np.ndarray,
    position: np.ndarray,
    iterations: int = 8,
    data: mujoco.MjData | None = None,
    yaw: float = 0.0,
    lean: float = 0.0,
) -> np.ndarray:
    """Joints (A,) that bring the tool to `position` (3,) m pointing down and turned by `yaw` rad
    about the vertical, starting from `q`; before that turn it leans by `lean` rad about the x axis
    of the base.

    Buss, "Introduction to inverse kinematics with Jacobian transpose, pseudoinverse and damped
    least squares methods" (2004); the null space pulls towards the embodiment's home posture. With
    fewer than six joints the position comes first, and the tool points as nearly so as the arm can.
    The gripper is left as it is.
    """
    data = mujoco.MjData(model) if data is None else data
    joints = [model.joint(n) for n in embodiment.joint_names]
    qadr = np.array([j.qposadr[0] for j in joints])
    vadr = np.array([j.dofadr[0] for j in joints])
    arm = np.array([n not in embodiment.gripper_joints for n in embodiment.joint_names])
    tool = model.body(embodiment.tool_frame).id
    home = np.array(embodiment.home)
    turned = [np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2)]
    leant = [np.cos(lean / 2), np.sin(lean / 2), 0.0, 0.0]
    wanted = qmult(turned, qmult(leant, [0.0, 1.0, 0.0, 0.0]))
    lower, upper = model.jnt_range[[j.id for j in joints]].T
    q = q.copy()
    jacobian = np.zeros((6, model.nv))
    for _ in range(iterations):
        data.qpos[qadr] = q
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        error = np.concatenate(
            [position - data.xpos[tool], _rotation_error(data.xquat[tool], wanted)]
        )
        mujoco.mj_jacBody(model, data, jacobian[:3], jacobian[3:], tool)
        j = jacobian[:, vadr[arm]]
        if arm.sum() < POSE:
            least = (lower + ROOM - q)[arm]
            q[arm] += _place_first(j, error, least, (upper - ROOM - q)[arm])
        else:
            inverse = j.T @ np.linalg.inv(j @ j.T + DAMPING * np.eye(6))
            posture = POSTURE_GAIN * (home - q)[arm]
            q[arm] += inverse @ error + posture - inverse @ (j @ posture)
        q = np.clip(q, lower, upper)
    return q


def _place_first(
    jacobian: np.ndarray, error: np.ndarray, least: np.ndarray, most: np.ndarray
) -> np.ndarray:
    """The step (n,) within `least` and `most` (n,) rad that mends the position [m] of an error (6,)
    and, far less in earnest, its rotation [rad].
    """
    weights = np.repeat([PLACE_WEIGHT, 1.0], 3)
    turn = np.linalg.norm(error[3:])
    weighted = weights * error
    weighted[3:] *= min(1.0, MOST_TURN / (turn + 1e-9))
    rows = weights[:, None] * jacobian
    n = len(least)
    step = np.zeros((n, 1))
    mujoco.mju_boxQP(
        res=step,
        R=np.zeros((n, n + 7)),
        index=None,
        H=rows.T @ rows + STEP_WEIGHT**2 * np.eye(n),
        g=-(rows.T @ weighted)[:, None],
        lower=least[:, None],
        upper=most[:, None],
    )
    return step[:, 0]


def _rotation_error(current: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(3,) rotation vector in the world frame that turns `current` into `wanted` (quaternions
    wxyz).
    """
    axis, angle = quat2axangle(qmult(wanted, qinverse(current)))
    return axis * (angle if angle <= np.pi else angle - 2 * np.pi)
