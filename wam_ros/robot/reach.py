"""Poses near home that a robot reaches with its tools, by inverse kinematics, and that it can move
between: what a script does that knows the robot and nothing of a task.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.robot.dynamics import Dynamics
from wam_ros.robot.model import HOLDING, SafetyModel

COLOURS = ("red", "green", "blue")  # what the poses are called
SEED = 20240411
DAMPING = 1e-2  # m per rad: inverse kinematics near a singularity
POSTURE = 0.1  # of the way home, that the joints go where the tool does not care
ITERATIONS = 120
STRIDE = 0.1  # m that the tools go at most in one of them
STANDS = 1e-6  # rad or m; joints that move less go nowhere
NEAR = 5e-4  # m; a tool that is so near has reached its place
FAR = 0.3  # of the distance from the first joint to the tool, that the tool goes from home
# m that it goes at least and at most
LEAST_M = 0.03
MOST_M = 0.25
TRIES = 80  # places for each of these distances
APART = 0.7  # of that distance, between two poses, and of them from home
MARGIN = 0.05  # of the range of a joint, kept from its ends
ROOM_RAD = 0.05  # and no more than this
STEP = 0.06  # rad or a tenth of it in m, between two looks on a way
CLEAR = 0.008  # m more than the filter keeps, or as much as at home
GRIP = 0.85  # of the way to the farther end of a gripper's range


@dataclass(frozen=True)
class Pose:
    """Where the joints are, and with them the tools."""

    name: str  # of COLOURS
    q: np.ndarray  # (A,) rad or m; grippers as at home
    gripped: np.ndarray  # (A,) the same, grippers at their other end
    tools: np.ndarray  # (K, 3) m in the base frame


def find_poses(model: SafetyModel) -> tuple[Pose, ...]:
    """A pose for each of `COLOURS`; the straight ways in joints between home and them are free.

    Always the same for a robot and what stands around it.

    Raises:
        WamError: there are none near home.
    """
    distance = float(np.clip(FAR * _length(model), LEAST_M, MOST_M))
    while distance >= LEAST_M / 3:
        found = _find_at(model, distance)
        if len(found) == len(COLOURS):
            return found
        distance /= 2
    raise WamError(
        f"'{model.embodiment.name}' has no {len(COLOURS)} poses near its home between which it can "
        "move freely; choose another home"
    )


def solve(robot: Dynamics, q: np.ndarray, tools: np.ndarray) -> np.ndarray:
    """Joints (A,) near `q` that bring the tools to (K, 3) m in the base frame, or towards it where
    that is out of reach.

    Damped least squares (Buss, "Introduction to inverse kinematics", 2004); where the tools do not
    care, joints go towards home. Grippers stay.
    """
    home = np.array(robot.embodiment.home)
    base = robot.pin.frames[robot.frame(robot.embodiment.base_frame)].placement
    moving = ~robot.gripper
    low, high = room(robot)
    wanted = np.array([base.act(t) for t in tools])
    for _ in range(ITERATIONS):
        at = np.array([robot.tool_motion(q[None], 0 * q[None], k)[0][0] for k in range(len(tools))])
        error = (wanted - at).ravel()
        if np.abs(error).max() < NEAR / 2:
            break
        error *= min(1.0, STRIDE / np.linalg.norm(error))
        jacobian = np.vstack([robot.tool_jacobian(q, k)[:3] for k in range(len(tools))])[:, moving]
        inverse = jacobian.T @ np.linalg.inv(
            jacobian @ jacobian.T + DAMPING**2 * np.eye(len(error))
        )
        posture = POSTURE * (home - q)[moving]
        before = q
        q = q.copy()
        q[moving] += inverse @ error + posture - inverse @ (jacobian @ posture)
        q = np.clip(q, low, high)
        if np.abs(q - before).max() < STANDS:
            break
    return q


def room(robot: Dynamics) -> tuple[np.ndarray, np.ndarray]:
    """(A,) lowest and highest position a script uses; home is always inside."""
    limits = robot.limits
    home = np.array(robot.embodiment.home)
    span = limits.upper - limits.lower
    keep = np.minimum(ROOM_RAD, MARGIN * np.where(np.isfinite(span), span, np.inf))
    return np.minimum(limits.lower + keep, home), np.maximum(limits.upper - keep, home)


def tools_at(robot: Dynamics, q: np.ndarray) -> np.ndarray:
    """(K, 3) m of every tool in the base frame."""
    base = robot.pin.frames[robot.frame(robot.embodiment.base_frame)].placement
    count = len(robot.tools)
    return np.array(
        [base.actInv(robot.tool_motion(q[None], 0 * q[None], k)[0][0]) for k in range(count)]
    )


def _length(robot: Dynamics) -> float:
    """M from the first joint of an arm to its tool at home; of the shortest arm."""
    home = np.array(robot.embodiment.home)
    at = [robot.tool_motion(home[None], 0 * home[None], k)[0][0] for k in range(len(robot.tools))]
    lengths = []
    for k, tool in enumerate(robot.tools):
        chain = [j for j in robot.pin.supports[robot.pin.frames[tool].parentJoint] if j > 0]
        first = robot.data.oMi[chain[0]].translation if chain else np.zeros(3)
        lengths.append(float(np.linalg.norm(at[k] - first)))
    return min(lengths)


def _find_at(model: SafetyModel, distance: float) -> tuple[Pose, ...]:
    """Poses whose tools are about `distance` m from where they are at home."""
    rng = np.random.default_rng(SEED)
    home = np.array(model.embodiment.home)
    at_home = tools_at(model, home)
    ways = _Ways(model)
    found: list[Pose] = []
    for _ in range(TRIES):
        offset = rng.normal(size=(len(at_home), 3))
        offset *= distance / np.linalg.norm(offset, axis=1, keepdims=True)
        q = solve(model, home, at_home + offset)
        # a tool with few joints comes near the place, and that is where it is sent
        tools = tools_at(model, q)
        if np.linalg.norm(tools - at_home, axis=1).max() > (2 - APART) * distance:
            continue
        others = (at_home, *(p.tools for p in found))
        if min(np.linalg.norm(o - tools, axis=1).min() for o in others) < APART * distance:
            continue
        gripped = _gripped(model, q)
        if not all(ways.free(a, q) for a in (home, *(p.q for p in found))):
            continue
        if not ways.free(q, gripped):
            gripped = q
        found.append(Pose(COLOURS[len(found)], q, gripped, tools))
        if len(found) == len(COLOURS):
            break
    return tuple(found)


def _gripped(robot: Dynamics, q: np.ndarray) -> np.ndarray:
    """The same with every gripper near the end of its range that is farther from home."""
    low, high = room(robot)
    other = np.where(high - q > q - low, high, low)
    moves = robot.gripper & np.isfinite(other)
    return np.where(moves, q + GRIP * (other - q), q)


class _Ways:
    """Judges straight ways in joints: distances and efforts."""

    def __init__(self, model: SafetyModel) -> None:
        self._model = model
        home = np.array(model.embodiment.home)
        least = model.pairs.clearance + CLEAR
        # home may be nearer to something than a way should be
        self._least = np.minimum(least, model.distances(home) - 1e-4)

    def free(self, a: np.ndarray, b: np.ndarray) -> bool:
        """Whether nothing comes too near, and every joint holds its part, on the way."""
        model = self._model
        unit = np.where(model.sliding, 0.1, 1.0) * STEP
        count = 1 + int(np.ceil(np.abs((b - a) / unit).max()))
        # the end first: it is the likeliest not to be free
        ways = np.linspace(b, a, count + 1)
        effort = np.abs(model.torque(ways, 0 * ways, 0 * ways))
        if (effort > HOLDING * model.limits.effort).any():
            return False
        return all((model.distances(q) >= self._least).all() for q in ways)
