"""Kinematics and inverse dynamics of a robot in terms of the joints that are commanded."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable

import numpy as np
import pinocchio as pin

from wam_ros.core.embodiment import Embodiment, Load, joint_order
from wam_ros.core.errors import UnknownNameError, WamError
from wam_ros.robot.joints import Joints
from wam_ros.robot.pairs import point_reach
from wam_ros.robot.urdf import Urdf

LINK = pin.FrameType.BODY  # frames of links; a joint may have the same name


class Dynamics:
    """A robot without its shapes. Not thread-safe.

    Joint arrays are in the order of `joint_names`; q, dq and ddq are (A,) or (N, A). Joints that
    follow others move with them, parked ones stand, sensed ones stand where `sense` was told,
    continuous joints turn without end.
    """

    def __init__(self, embodiment: Embodiment, joints: Joints) -> None:
        # called between two computations of long work, so that its owner hears what does not wait;
        # it may raise to end the work
        self.between: Callable[[], None] = _nothing
        self.embodiment = embodiment
        self.joint_names = embodiment.joint_names
        self.joints = joints
        self._source = joints.source
        self.pin = _build(joints)
        self.limits = joints.limits
        chosen = [joints.urdf.joints[n] for n in self.joint_names]
        self.sliding = np.array([j.sliding for j in chosen])
        self.endless = np.array([j.kind == "continuous" for j in chosen])
        self.sprung = np.array([n in embodiment.supported_by_spring for n in self.joint_names])
        self.gripper = np.array([n in embodiment.gripper_joints for n in self.joint_names])
        self.units = tuple("m" if s else "rad" for s in self.sliding)
        sensed = [joints.urdf.joints[n] for n in embodiment.sensed]
        self.sensed_names = tuple(embodiment.sensed)
        self.sensed_sliding = np.array([j.sliding for j in sensed], dtype=bool)
        self.sensed_endless = np.array([j.kind == "continuous" for j in sensed], dtype=bool)
        # (S, 2) rad or m
        self.sensed_range = np.array([(j.lower, j.upper) for j in sensed]).reshape(-1, 2)
        self._map_joints()
        self.tools = [self.frame(name) for name in embodiment.tool_frames]
        self._bare = [inertia.copy() for inertia in self.pin.inertias]
        self._unloaded = _Efforts(self.pin)  # whose own weight springs carry
        self.carry({})
        self.data = self.pin.createData()
        # (A,) Nm s/rad or N s/m, and Nm or N: of all joints that one moves
        self.damping = self.pin.damping @ self._spread**2
        self.friction = self.pin.upperDryFrictionLimit @ np.abs(self._spread)
        # (K, A) m per rad or m per m
        self.tool_reach = np.array([self._reach(tool) for tool in self.tools])

    def full_q(self, q: np.ndarray) -> np.ndarray:
        """Configurations (N, nq) of the whole model for q (N, A)."""
        return self._placed(q @ self._spread.T + self._offset)

    def _placed(self, every: np.ndarray) -> np.ndarray:
        """(N, nq) for the positions of all joints (N, nv)."""
        if self._all_plain:
            return every
        out = np.empty((len(every), self.pin.nq))
        for column, (start, turns) in enumerate(self._slots):
            if turns:
                out[:, start] = np.cos(every[:, column])
                out[:, start + 1] = np.sin(every[:, column])
            else:
                out[:, start] = every[:, column]
        return out

    def full_v(self, v: np.ndarray) -> np.ndarray:
        """Velocities or accelerations (N, nv) of the whole model for (N, A)."""
        return v @ self._spread.T

    def torque(self, q: np.ndarray, dq: np.ndarray, ddq: np.ndarray) -> np.ndarray:
        """Efforts (N, A) [Nm or N] that the motion needs, whatever there is of the damping and the
        friction that are told: `free_torque`, `resisted`.
        """
        return self.resisted(self.free_torque(q, dq, ddq), dq)

    def free_torque(self, q: np.ndarray, dq: np.ndarray, ddq: np.ndarray) -> np.ndarray:
        """Efforts (N, A) [Nm or N] of joints that turn freely: inverse dynamics, less what springs
        carry.
        """
        fq = self.full_q(q)
        fv = self.full_v(dq)
        tau = self._efforts.of(fq, fv, self.full_v(ddq)) @ self._spread
        if self.sprung.any():
            weight = self._unloaded.of(fq, 0 * fv, 0 * fv) @ self._spread
            tau[:, self.sprung] -= weight[:, self.sprung]
        return tau

    def resisted(self, tau: np.ndarray, dq: np.ndarray) -> np.ndarray:
        """Efforts (N, A) `tau` of joints that turn freely, with damping and friction where these
        add to them. A joint that slows, or holds back its weight, is not helped by them: there may
        be less than is told, of a warm gear, or where the value only calms a simulation.
        """
        held_back = tau + self.damping * dq + self.friction * np.sign(dq)
        return np.where(np.abs(held_back) > np.abs(tau), held_back, tau)

    def inertia(self, q: np.ndarray) -> np.ndarray:
        """(N, A, A) absolute entries of the mass matrix at q (N, A); kg m^2, kg m or kg."""
        upper = np.empty((len(q), self.pin.nv, self.pin.nv))
        for i, full in enumerate(self.full_q(q)):
            self.between()
            upper[i] = pin.crba(self.pin, self.data, full)
        upper = np.triu(np.abs(upper))  # the lower triangle is not always filled in
        spread = np.abs(self._spread)
        return spread.T @ np.maximum(upper, upper.swapaxes(1, 2)) @ spread

    def tool_motion(
        self, q: np.ndarray, dq: np.ndarray, tool: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Position (N, 3) m and velocity (N, 3) m/s of a tool frame in the universe; `tool` counts
        the arms.
        """
        fq = self.full_q(q)
        fv = self.full_v(dq)
        position = np.empty((len(q), 3))
        velocity = np.empty((len(q), 3))
        model = self.pin
        data = self.data
        frame = self.tools[tool]
        world = pin.LOCAL_WORLD_ALIGNED
        for i in range(len(q)):
            self.between()
            pin.forwardKinematics(model, data, fq[i], fv[i])
            position[i] = pin.updateFramePlacement(model, data, frame).translation
            velocity[i] = pin.getFrameVelocity(model, data, frame, world).linear
        return position, velocity

    def tool_jacobian(self, q: np.ndarray, tool: int = 0) -> np.ndarray:
        """(6, A) Jacobian of a tool frame at q (A,); linear rows first, world-aligned."""
        full = self.full_q(q[None])[0]
        frame = self.tools[tool]
        return (
            pin.computeFrameJacobian(self.pin, self.data, full, frame, pin.LOCAL_WORLD_ALIGNED)
            @ self._spread
        )

    def order(self, names: tuple[str, ...]) -> np.ndarray:
        """Columns of `names` in model order.

        Raises:
            WamError: a joint missing, unknown or named twice.
        """
        return joint_order(names, self.joint_names)

    def random_q(self, n: int, seed: int) -> np.ndarray:
        """(n, A) configurations inside the limits, always the same for a seed."""
        low = np.maximum(self.limits.lower, -np.pi)
        high = np.minimum(self.limits.upper, np.pi)
        turned = low >= high  # what is allowed lies more than half a turn from zero
        low = np.where(turned, self.limits.lower, low)
        high = np.where(turned, self.limits.upper, high)
        return np.random.default_rng(seed).uniform(low, high, (n, len(self.joint_names)))

    def random_full_q(self, n: int, seed: int) -> np.ndarray:
        """(n, nq) the same with sensed joints anywhere in their own range."""
        low = np.maximum(self.sensed_range[:, 0], -np.pi)
        high = np.minimum(self.sensed_range[:, 1], np.pi)
        low, high = np.where(low < high, (low, high), self.sensed_range.T)
        sensed = np.random.default_rng([seed, 1]).uniform(low, high, (n, len(low)))
        every = self.random_q(n, seed) @ self._spread.T + self._offset
        return self._placed(every + (sensed - self.sensed) @ self._sway.T)

    def sense(self, positions: np.ndarray) -> None:
        """Stand where the sensed joints (S,) are now [rad or m]."""
        self.sensed = np.array(positions, dtype=float)
        self._offset = self._offset_unsensed + self._sway @ self.sensed

    def joint(self, name: str) -> int:
        """Index of a joint that moves."""
        return int(self.pin.getJointId(called(self.joints.urdf, name)))

    def frame(self, name: str) -> int:
        """Index of the frame of a link.

        Raises:
            UnknownNameError: the robot has none of this name.
        """
        if not self.pin.existFrame(name, LINK):
            links = [f.name for f in self.pin.frames if f.type == LINK]
            raise UnknownNameError("frame", name, links)
        return int(self.pin.getFrameId(name, LINK))

    def _map_joints(self) -> None:
        """Matrix from commanded joints to all joints, and where each sits in a pinocchio
        configuration.
        """
        self._spread = np.zeros((self.pin.nv, len(self.joint_names)))
        self._offset = np.zeros(self.pin.nv)
        self._slots = [(0, False)] * self.pin.nv
        for name, (leader, factor, offset) in self._source.items():
            joint = self.joint(name)
            column = self.pin.joints[joint].idx_v
            self._spread[column, self.joint_names.index(leader)] = factor
            self._offset[column] = offset
            self._slots[column] = (self.pin.joints[joint].idx_q, self.pin.joints[joint].nq == 2)
        # (nv, S) what a sensed joint moves, per unit of its own
        self._sway: np.ndarray = np.zeros((self.pin.nv, len(self.sensed_names)))
        self.sensed = np.array(list(self.embodiment.sensed.values()), dtype=float)  # (S,)
        for name, (leader, factor, offset) in self.joints.sensed.items():
            joint = self.joint(name)
            column = self.pin.joints[joint].idx_v
            self._sway[column, self.sensed_names.index(leader)] = factor
            self._offset[column] = offset
            self._slots[column] = (self.pin.joints[joint].idx_q, self.pin.joints[joint].nq == 2)
        self._offset_unsensed: np.ndarray = self._offset
        self.sense(self.sensed)
        # (nv,) bool: a commanded joint moves it
        self._commanded: np.ndarray = np.any(self._spread != 0, axis=1)
        # (A,) travel of all joints that one moves, per unit of its own
        self.turns = np.abs(self._spread).sum(axis=0)
        self._all_plain = self.pin.nq == self.pin.nv

    def _reach(self, tool: int) -> np.ndarray:
        """(A,) farthest a tool frame moves per unit travel of each joint."""
        frame = self.pin.frames[tool]
        joints = [j for j in self.pin.supports[frame.parentJoint] if j > 0]
        return point_reach(self.pin, frame.placement.translation, 0.0, joints) @ np.abs(
            self._spread
        )

    def carry(self, held: dict[str, Load]) -> None:
        """Be as heavy as the robot with its own loads and what it holds.

        Raises:
            WamError: a mass or frame that makes no sense; then nothing is changed.
        """
        self.require_loads(held)
        bodies = []
        for load in (*held.values(), *self.embodiment.loads.values()):
            frame = self.pin.frames[self.frame(load.frame)]
            centre = frame.placement.act(np.array(load.centre))
            bodies.append((frame.parentJoint, pin.Inertia(load.mass, centre, np.zeros((3, 3)))))
        for joint, inertia in enumerate(self._bare):
            self.pin.inertias[joint] = inertia
        for joint, body in bodies:
            if body.mass > 0:
                self.pin.appendBodyToJoint(joint, body, pin.SE3.Identity())
        self._efforts = _Efforts(self.pin)
        self.most_inertia = self._bound_inertia()

    def require_loads(self, held: dict[str, Load]) -> None:
        """Raise `WamError` where a load's mass or frame makes no sense."""
        for name, load in {**held, **self.embodiment.loads}.items():
            self.frame(load.frame)
            if not (0 <= load.mass < np.inf and np.isfinite(load.centre).all()):
                raise WamError(
                    f"load '{name}': mass {load.mass} kg must be finite and not negative, its "
                    "centre finite"
                )

    def _bound_inertia(self) -> np.ndarray:
        """(A, A) what no absolute entry of the mass matrix passes, whatever the configuration."""
        most = np.zeros((self.pin.nv, self.pin.nv))
        for joint, body in enumerate(self.pin.inertias):
            moved_by = [j for j in self.pin.supports[joint] if j > 0]
            reach = point_reach(self.pin, np.array(body.lever), 0.0, moved_by)
            turns = np.isin(np.arange(self.pin.nv), [self.pin.joints[j].idx_v for j in moved_by])
            most += body.mass * np.outer(reach, reach) + np.linalg.eigvalsh(body.inertia)[
                -1
            ] * np.outer(turns, turns)
        return np.abs(self._spread).T @ most @ np.abs(self._spread)


def _nothing() -> None:
    """Nothing is to be heard."""


class _Efforts:
    """Inverse dynamics of one model as it is now, many states in one call."""

    def __init__(self, model: pin.Model) -> None:
        self._model = pin.Model(model)
        self._data = self._model.createData()
        # in this thread, where pinocchio was built with OpenMP; a pool copies the model
        self.pool = pin.ModelPool(self._model, 1) if hasattr(pin, "rneaInParallel") else None

    def of(self, q: np.ndarray, v: np.ndarray, a: np.ndarray) -> np.ndarray:
        """(N, nv) efforts for q (N, nq), v and a (N, nv)."""
        if self.pool is not None:
            return pin.rneaInParallel(1, self.pool, q.T, v.T, a.T).T.reshape(v.shape)
        return np.array(
            [pin.rnea(self._model, self._data, *row) for row in zip(q, v, a, strict=True)]
        ).reshape(v.shape)


def bare_urdf(urdf: Urdf) -> ET.Element:
    """A description of what moves and weighs, and of nothing else about which a parser has opinions
    of its own: shapes, mimic joints, limits that are missing.
    """
    bare = ET.Element("robot", name=urdf.root.get("name", "robot"))
    for link in urdf.root.findall("link"):
        ET.SubElement(bare, "link", link.attrib).extend(link.findall("inertial"))
    for joint in urdf.root.findall("joint"):
        copy = ET.SubElement(bare, "joint", joint.attrib)
        copy.set("name", called(urdf, joint.get("name", "")))
        copy.extend(e for e in joint if e.tag in ("origin", "parent", "child", "axis", "dynamics"))
        ET.SubElement(copy, "limit", dict.fromkeys(("lower", "upper", "velocity", "effort"), "0"))
    return bare


def called(urdf: Urdf, joint: str) -> str:
    """What pinocchio calls a joint: where a link has the same name, it would take one for the
    other.
    """
    return f"{joint} (joint)" if joint in urdf.links() else joint


def _build(joints: Joints) -> pin.Model:
    """The model in which only joints move that do; those that stand are fixed where they are."""
    urdf = joints.urdf
    try:
        model = pin.buildModelFromXML(ET.tostring(bare_urdf(urdf), encoding="unicode"))
    except (ValueError, RuntimeError) as error:
        raise WamError(f"{urdf.path}: {' '.join(str(error).split())}") from error
    if joints.parked:
        q = pin.neutral(model)
        standing = [model.getJointId(called(urdf, name)) for name in joints.parked]
        for joint, value in zip(standing, joints.parked.values(), strict=True):
            start = model.joints[joint].idx_q
            if model.joints[joint].nq == 2:
                q[start] = np.cos(value)
                q[start + 1] = np.sin(value)
            else:
                q[start] = value
        model = pin.buildReducedModel(model, standing, q)
    lower = dict(zip(joints.commanded, joints.limits.lower, strict=True))
    upper = dict(zip(joints.commanded, joints.limits.upper, strict=True))
    for leader, _, _ in joints.sensed.values():
        lower[leader] = urdf.joints[leader].lower
        upper[leader] = urdf.joints[leader].upper
    for name, (leader, factor, offset) in {**joints.source, **joints.sensed}.items():
        joint = model.joints[model.getJointId(called(urdf, name))]
        if joint.nq == 1:
            ends = sorted((factor * lower[leader] + offset, factor * upper[leader] + offset))
            model.lowerPositionLimit[joint.idx_q], model.upperPositionLimit[joint.idx_q] = ends
    return model
