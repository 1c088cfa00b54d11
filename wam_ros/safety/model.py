"""The robot as the safety filter sees it: limits, dynamics, bodies and obstacles. Built once, then only asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pinocchio as pin

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import UnknownNameError, WamError
from wam_ros.core.resources import config_path, urdf_path
from wam_ros.safety.pairs import (
    SAMPLES,
    Pairs,
    body_reach,
    may_collide,
    path_joints,
    point_reach,
    read_disabled,
    select_pairs,
)
from wam_ros.safety.shapes import load_shapes, obstacle_shape
from wam_ros.safety.urdf import UrdfJoint, read_urdf, resolve_mimic
from wam_ros.safety.world import Obstacle, load_world

SEED = 20240229  # of the configurations that decide which pairs can meet


@dataclass(frozen=True)
class Payload:
    """What the tool carries."""

    mass: float = 0.0  # kg
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)  # m in the tool frame


@dataclass(frozen=True)
class Limits:
    """The robot's own limits, without margins; every array (A,), in rad or m."""

    lower: np.ndarray
    upper: np.ndarray
    velocity: np.ndarray
    effort: np.ndarray
    acceleration: np.ndarray
    jerk: np.ndarray


class SafetyModel:
    """Kinematics, dynamics and distances of one robot among its obstacles. Not thread-safe: one thread owns it.

    Joint arrays are in the order of `joint_names`; q, dq and ddq are (A,) or (N, A).
    """

    def __init__(self, embodiment: Embodiment, obstacles: dict[str, Obstacle], folder: Path, payload: Payload) -> None:
        self.embodiment = embodiment
        self.joint_names = embodiment.joint_names
        path = embodiment.urdf_path
        self.urdf = read_urdf(path)
        self._source = resolve_mimic(self.urdf, self.joint_names)
        self.pin = _build(path)
        self.limits = _limits(embodiment, self.urdf, self._source)
        self.sliding = np.array([self.urdf[n].sliding for n in self.joint_names])
        self.gripper = np.array([n in embodiment.gripper_joints for n in self.joint_names])
        self.units = tuple("m" if s else "rad" for s in self.sliding)
        self._map_joints()
        self.tool = self._frame(embodiment.tool_frame)
        base = self._frame(embodiment.base_frame)
        if self.pin.frames[base].parentJoint != 0:
            raise WamError(f"base_frame '{embodiment.base_frame}' moves with joint; obstacles need a frame that stands")
        _add_payload(self.pin, self.tool, payload)
        self.data = self.pin.createData()
        self.damping = np.array(self.pin.damping)
        self.friction = np.array(self.pin.upperDryFrictionLimit)
        self.tool_reach = self._tool_reach()
        self._robot_bodies = load_shapes(self.pin, path)
        self._base, self._folder = self.pin.frames[base].placement, folder
        self._self_pairs = self._choose_self_pairs()
        self.set_obstacles(obstacles)
        self._require_home_free()

    def set_obstacles(self, obstacles: dict[str, Obstacle]) -> None:
        """Replace everything that stands around the robot."""
        bodies = [obstacle_shape(name, o, self._base, self._folder) for name, o in obstacles.items()]
        for body in bodies:
            body.geometry.computeLocalAABB()
        pairs, clearance = list(self._self_pairs), [0.0] * len(self._self_pairs)
        n = len(self._robot_bodies)
        for k, obstacle in enumerate(obstacles.values()):
            moving = [i for i, b in enumerate(self._robot_bodies) if b.parentJoint > 0]
            pairs += [(i, n + k) for i in moving]
            clearance += [obstacle.clearance] * len(moving)
        self.bodies = [*self._robot_bodies, *bodies]
        self.geometry, self.geometry_data = self._geometry(pairs)
        self.pairs = self._describe(pairs, np.array(clearance))

    def full_q(self, q: np.ndarray) -> np.ndarray:
        """Configurations (N, nq) of the whole model for q (N, A)."""
        every = q @ self._spread.T + self._offset
        if self._all_plain:
            return every
        out = np.empty((len(q), self.pin.nq))
        for column, (start, turns) in enumerate(self._slots):
            if turns:
                out[:, start], out[:, start + 1] = np.cos(every[:, column]), np.sin(every[:, column])
            else:
                out[:, start] = every[:, column]
        return out

    def full_v(self, v: np.ndarray) -> np.ndarray:
        """Velocities or accelerations (N, nv) of the whole model for (N, A)."""
        return v @ self._spread.T

    def torque(self, q: np.ndarray, dq: np.ndarray, ddq: np.ndarray) -> np.ndarray:
        """Efforts (N, A) [Nm or N] that the motion needs: inverse dynamics, damping and friction of the joints."""
        fq, fv, fa = self.full_q(q), self.full_v(dq), self.full_v(ddq)
        rnea, model, data = pin.rnea, self.pin, self.data
        tau = np.array([rnea(model, data, a, b, c) for a, b, c in zip(fq, fv, fa, strict=True)])
        return (tau + self.damping * fv + self.friction * np.sign(fv)) @ self._spread

    def tool_motion(self, q: np.ndarray, dq: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position (N, 3) m and velocity (N, 3) m/s of the tool frame in the universe."""
        fq, fv = self.full_q(q), self.full_v(dq)
        position, velocity = np.empty((len(q), 3)), np.empty((len(q), 3))
        model, data, tool, world = self.pin, self.data, self.tool, pin.LOCAL_WORLD_ALIGNED
        for i in range(len(q)):
            pin.forwardKinematics(model, data, fq[i], fv[i])
            position[i] = pin.updateFramePlacement(model, data, tool).translation
            velocity[i] = pin.getFrameVelocity(model, data, tool, world).linear
        return position, velocity

    def tool_jacobian(self, q: np.ndarray) -> np.ndarray:
        """(6, A) Jacobian of the tool frame at q (A,); linear rows first, world-aligned."""
        full = self.full_q(q[None])[0]
        return pin.computeFrameJacobian(self.pin, self.data, full, self.tool, pin.LOCAL_WORLD_ALIGNED) @ self._spread

    def place(self, full_q: np.ndarray) -> None:
        """Move all bodies to configuration (nq,); `distance` then answers for it."""
        pin.updateGeometryPlacements(self.pin, self.data, self.geometry, self.geometry_data, full_q)

    def distance(self, pair: int) -> float:
        """Distance [m] of a pair at the last `place`; negative when they overlap."""
        return float(pin.computeDistance(self.geometry, self.geometry_data, pair).min_distance)

    def distances(self, q: np.ndarray) -> np.ndarray:
        """(P,) distances [m] of all pairs at q (A,)."""
        self.place(self.full_q(q[None])[0])
        return np.array([self.distance(p) for p in range(len(self.pairs.names))])

    def order(self, names: tuple[str, ...]) -> np.ndarray:
        """Columns of `names` in model order.

        Raises:
            WamError: a joint missing, unknown or named twice.
        """
        if sorted(names) != sorted(self.joint_names):
            missing = [n for n in self.joint_names if n not in names]
            if missing:
                raise WamError(f"joint '{missing[0]}' is missing")
            wrong = next((n for n in names if n not in self.joint_names), names[0])
            raise UnknownNameError("joint", wrong, self.joint_names)
        return np.array([names.index(n) for n in self.joint_names])

    def _map_joints(self) -> None:
        """Matrix from commanded joints to all joints, and where each sits in a pinocchio configuration."""
        self._spread = np.zeros((self.pin.nv, len(self.joint_names)))
        self._offset = np.zeros(self.pin.nv)
        self._slots = [(0, False)] * self.pin.nv
        for joint, name in enumerate(self.pin.names):
            if joint == 0:
                continue
            leader, factor, offset = self._source[name]
            column = self.pin.joints[joint].idx_v
            self._spread[column, self.joint_names.index(leader)] = factor
            self._offset[column] = offset
            self._slots[column] = (self.pin.joints[joint].idx_q, self.pin.joints[joint].nq == 2)
        self._all_plain = self.pin.nq == self.pin.nv

    def _frame(self, name: str) -> int:
        if not self.pin.existFrame(name):
            raise UnknownNameError("frame", name, [f.name for f in self.pin.frames])
        return int(self.pin.getFrameId(name))

    def _tool_reach(self) -> np.ndarray:
        """(A,) m per rad or m per m: farthest the tool frame moves per unit travel of each joint."""
        frame = self.pin.frames[self.tool]
        joints = [j for j in self.pin.supports[frame.parentJoint] if j > 0]
        return point_reach(self.pin, frame.placement.translation, 0.0, joints) @ np.abs(self._spread)

    def _geometry(self, pairs: list[tuple[int, int]]) -> tuple[pin.GeometryModel, pin.GeometryData]:
        geometry = pin.GeometryModel()
        for body in self.bodies:
            geometry.addGeometryObject(body)
        for a, b in pairs:
            geometry.addCollisionPair(pin.CollisionPair(a, b))
        return geometry, geometry.createData()

    def _choose_self_pairs(self) -> list[tuple[int, int]]:
        bodies = self.bodies = self._robot_bodies
        fingers = {self.pin.getJointId(n) for n, s in self._source.items() if s[0] in self.embodiment.gripper_joints}
        disabled = read_disabled(urdf_path(self.embodiment.srdf)) if self.embodiment.srdf else set()
        pairs = [
            (i, j)
            for i in range(len(bodies))
            for j in range(i + 1, len(bodies))
            if may_collide(self.pin, bodies[i].parentJoint, bodies[j].parentJoint, fingers)
            and frozenset((_link(bodies[i]), _link(bodies[j]))) not in disabled
        ]
        if disabled or not pairs:
            return pairs
        self.geometry, self.geometry_data = self._geometry(pairs)

        def distances(full: np.ndarray) -> np.ndarray:
            self.place(full)
            return np.array([self.distance(p) for p in range(len(pairs))])

        return select_pairs(pairs, distances, self.full_q(self.random_q(SAMPLES)))

    def random_q(self, n: int, seed: int = SEED) -> np.ndarray:
        """(n, A) configurations inside the limits, always the same for a seed."""
        low, high = np.maximum(self.limits.lower, -np.pi), np.minimum(self.limits.upper, np.pi)
        return np.random.default_rng(seed).uniform(low, high, (n, len(self.joint_names)))

    def _describe(self, pairs: list[tuple[int, int]], clearance: np.ndarray) -> Pairs:
        reach = np.zeros((len(pairs), self.pin.nv))
        for row, (a, b) in enumerate(pairs):
            only_a, only_b = path_joints(self.pin, self.bodies[a].parentJoint, self.bodies[b].parentJoint)
            reach[row] = body_reach(self.pin, self.bodies[a], only_a) + body_reach(self.pin, self.bodies[b], only_b)
        first, second = (np.array([p[k] for p in pairs], dtype=int) for k in (0, 1))
        names = tuple((_link(self.bodies[a]), _link(self.bodies[b])) for a, b in pairs)
        world = second >= len(self._robot_bodies)
        return Pairs(first, second, names, clearance, reach @ np.abs(self._spread), world)

    def _require_home_free(self) -> None:
        distances = self.distances(np.array(self.embodiment.home))
        if len(distances) and distances.min() <= 0:
            a, b = self.pairs.names[int(distances.argmin())]
            raise WamError(f"{self.embodiment.name}: {a} and {b} overlap at home; correct home, srdf or world")


def load_safety_model(embodiment: Embodiment, world: str | None = None, payload: Payload | None = None) -> SafetyModel:
    """Build the model of a robot and what stands around it.

    Args:
        embodiment: the robot.
        world: name or file of a world; None takes the embodiment's own.
        payload: what the tool carries.

    Raises:
        WamError: limits, inertias, frames, meshes or obstacles that are missing or make no sense.
    """
    name = embodiment.world if world is None else world
    obstacles = load_world(name).obstacles
    return SafetyModel(embodiment, obstacles, config_path("worlds", name).parent, payload or Payload())


def _link(body: pin.GeometryObject) -> str:
    return str(body.name).rsplit("#", 1)[0]


def _build(path: Path) -> pin.Model:
    try:
        return pin.buildModelFromUrdf(str(path))
    except (ValueError, RuntimeError) as error:
        raise WamError(f"{path}: {' '.join(str(error).split())}") from error


def _limits(e: Embodiment, joints: dict[str, UrdfJoint], source: dict[str, tuple[str, float, float]]) -> Limits:
    lower = np.array([joints[n].lower for n in e.joint_names])
    upper = np.array([joints[n].upper for n in e.joint_names])
    velocity = np.array([joints[n].velocity for n in e.joint_names])
    for name, (leader, factor, offset) in source.items():
        if name == leader or factor == 0:
            continue
        k, follower = e.joint_names.index(leader), joints[name]
        low, high = sorted(((follower.lower - offset) / factor, (follower.upper - offset) / factor))
        lower[k], upper[k] = max(lower[k], low), min(upper[k], high)
        velocity[k] = min(velocity[k], follower.velocity / abs(factor))
    effort = np.array([joints[n].effort for n in e.joint_names])
    return Limits(lower, upper, velocity, effort, np.array(e.max_acceleration), np.array(e.max_jerk))


def _add_payload(model: pin.Model, tool: int, payload: Payload) -> None:
    if payload.mass < 0 or not np.isfinite([payload.mass, *payload.centre]).all():
        raise WamError(f"payload mass {payload.mass} kg must be finite and not negative")
    if payload.mass > 0:
        frame = model.frames[tool]
        centre = frame.placement.act(np.array(payload.centre))
        body = pin.Inertia(payload.mass, centre, np.zeros((3, 3)))
        model.appendBodyToJoint(frame.parentJoint, body, pin.SE3.Identity())
