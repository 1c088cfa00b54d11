"""MuJoCo looks at what the filter emitted: other geometry, other dynamics, its own idea of which
links may meet.
"""

from __future__ import annotations

import itertools

import mujoco
import numpy as np

from wam_ros.core.interpolation import Curve
from wam_ros.core.types import NS, SafeTrajectory
from wam_ros.robot.model import SafetyModel
from wam_ros.robot.obstacles import load_world
from wam_ros.safety.params import SafetyParams
from wam_ros.sim.arm import arm_spec, load_dynamics

WATCHED = 0.06  # m; pairs nearer than this are measured
ACCURACY = 1e-5  # m, of its distances
CONSTANT = 2e-5  # m; a distance that varies less is fixed by construction
KINDS = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
}


class SecondEngine:
    """One robot and its world as MuJoCo reads them from the same files.

    Every two links that are not neighbours are watched, also those that the filter leaves out.
    Contacts within WATCHED are found but make no force, so that inverse dynamics is that of the
    robot alone.
    """

    def __init__(self, model: SafetyModel) -> None:
        self.model = model
        spec = _read(model)
        self.obstacles = load_world(model.embodiment.world).obstacles
        for name, o in self.obstacles.items():
            size = (
                [s / 2 for s in o.size]
                if o.shape == "box"
                else [o.size[0], *(s / 2 for s in o.size[1:])]
            )
            spec.worldbody.add_geom(
                name=name,
                type=KINDS[o.shape],
                size=size + [0.0] * (3 - len(size)),
                pos=o.position,
                quat=o.orientation,
            )
        for k, geom in enumerate(spec.geoms):
            geom.name = geom.name or f"geom{k}"
            geom.contype, geom.conaffinity = 1, 0  # no pairs but those named below
        for a, b in self._free_pairs(spec):
            spec.add_pair(geomname1=a, geomname2=b, margin=0.0, gap=WATCHED)
        spec.option.timestep, spec.option.integrator = (
            0.001,
            mujoco.mjtIntegrator.mjINT_IMPLICITFAST,
        )
        self.mj = spec.compile()
        self.mj.opt.disableflags |= (
            mujoco.mjtDisableBit.mjDSBL_LIMIT | mujoco.mjtDisableBit.mjDSBL_FRICTIONLOSS
        )
        self.data = mujoco.MjData(self.mj)
        self.spread, self.offset = _followers(self.mj, model)
        self.link = [self.mj.body(int(b)).name for b in self.mj.geom_bodyid]
        world = [self.mj.geom(g).name in self.obstacles for g in range(self.mj.ngeom)]
        self.wanted = np.array(
            [
                self.obstacles[self.mj.geom(g).name].clearance if w else 0.0
                for g, w in zip(range(self.mj.ngeom), world, strict=True)
            ]
        )
        self.told = model.embodiment.link_clearance
        self.is_world = np.array(world)
        self.is_box = self.mj.geom_type == mujoco.mjtGeom.mjGEOM_BOX
        self.is_mesh = self.mj.geom_type == mujoco.mjtGeom.mjGEOM_MESH
        # m per rad or m per m
        self.reach = np.array([_reach(self.mj, j) for j in range(self.mj.njnt)])

    def _free_pairs(self, spec: mujoco.MjSpec) -> list[tuple[str, str]]:
        """Names of the pairs of geoms that some joint can bring together."""
        mj = spec.compile()
        data = mujoco.MjData(mj)
        spread, offset = _followers(mj, self.model)
        weld = mj.body_weldid[mj.geom_bodyid]
        parent = mj.body_weldid[mj.body_parentid[weld]]
        gripper = {
            int(mj.body_weldid[mj.jnt_bodyid[j]])
            for j in range(mj.njnt)
            if np.abs(spread[j]) @ self.model.gripper > 0
        }
        judged = zip(self.model.judged.names, self.model.judged.reasons, strict=True)
        told = {frozenset(names) for names, reason in judged if reason == "Told"}
        candidates = []
        for a, b in itertools.combinations(range(mj.ngeom), 2):
            near = weld[a] == weld[b] or parent[a] == weld[b] or parent[b] == weld[a]
            fingers = weld[a] in gripper and weld[b] in gripper and parent[a] == parent[b]
            base = {mj.geom(g).name in self.obstacles for g in (a, b)}
            if base == {True, False}:  # an obstacle meets whatever moves
                near = weld[a] == weld[b]
            links = frozenset(mj.body(int(mj.geom_bodyid[g])).name for g in (a, b))
            if not near and not fingers and links not in told:
                candidates.append((a, b))
        rows = []
        for q in self.model.random_q(60, seed=5):
            data.qpos[:] = spread @ q + offset
            mujoco.mj_kinematics(mj, data)
            rows.append(
                [
                    mujoco.mj_geomDistance(mj, data, a, b, distmax=10.0, fromto=None)
                    for a, b in candidates
                ]
            )
        varies = np.ptp(np.array(rows), axis=0) > CONSTANT
        return [
            (mj.geom(a).name, mj.geom(b).name)
            for (a, b), v in zip(candidates, varies, strict=True)
            if v
        ]

    def torque(self, q: np.ndarray, dq: np.ndarray, ddq: np.ndarray) -> np.ndarray:
        """(N, A) efforts [Nm or N] of a motion (N, A), with the damping and friction that are told
        or with none of both, whichever are larger.
        """
        mj, data, spread, flags = self.mj, self.data, self.spread, self.mj.opt.disableflags
        every_q, every_v, every_a = q @ spread.T + self.offset, dq @ spread.T, ddq @ spread.T
        tau, damper = np.empty_like(every_v), np.empty_like(every_v)
        at_q, at_v, at_a = data.qpos, data.qvel, data.qacc
        inverse, damping = data.qfrc_inverse, data.qfrc_damper
        mj.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
        for k in range(len(q)):
            at_q[:] = every_q[k]
            at_v[:] = every_v[k]
            at_a[:] = every_a[k]
            mujoco.mj_inverse(mj, data)
            tau[k] = inverse
            damper[k] = damping
        tau += damper
        against = mj.dof_frictionloss * np.sign(every_v) - damper
        mj.opt.disableflags = flags
        tau, with_it = tau @ spread, (tau + against) @ spread
        return np.where(np.abs(with_it) > np.abs(tau), with_it, tau)

    def distances(self, q: np.ndarray) -> list[tuple[float, float, str]]:
        """(distance m, its own clearance m or 0 as of all links, words) of every pair within
        WATCHED at q (A,).
        """
        found = self._contacts(self.spread @ q + self.offset)
        return [(d, w, self._words(a, b)) for d, w, a, b in found]

    def pose(self, q: np.ndarray) -> np.ndarray:
        """(G, 3) m: centres of all bodies at q (A,)."""
        self.data.qpos[:] = self.spread @ q + self.offset
        mujoco.mj_kinematics(self.mj, self.data)
        return self.data.geom_xpos.copy()

    def too_near(self, t: SafeTrajectory, params: SafetyParams, finer: int = 10) -> str:
        """Words for the worst pair below its clearance at the samples or between them, `finer`
        times as many; or ''.

        Where all pairs are farther apart than the joints can bring them until a later sample, it
        goes on from that one (conservative advancement): those left out are proven, not skipped.
        """
        q = np.vstack([between(t, np.arange(finer) / finer).reshape(-1, t.q.shape[1]), t.q[-1:]])
        moves = q @ self.spread.T
        # m, at most, since the first sample
        gone = np.cumsum(np.abs(np.diff(moves, axis=0)) @ self.reach)
        gone = np.concatenate([[0.0], gone])
        poses = moves + self.offset
        unseen = WATCHED - max(params.self_clearance_m, self.wanted.max(), *self.told.values())
        worst, who, k = 0.0, (-1, -1), 0
        while k < len(q):
            found = [
                (d - (w or params.self_clearance_m), (a, b))
                for d, w, a, b in self._contacts(poses[k])
            ]
            spare, pair = min(found, default=(unseen, (-1, -1)))
            if spare + ACCURACY < worst:
                worst, who = spare + ACCURACY, pair
            k = max(k + 1, int(gone.searchsorted(gone[k] + min(spare, unseen))))
        if worst == 0.0:
            return ""
        return f"{self._words(*who)}: {ACCURACY - worst:.6f} m too near"

    def replay(self, t: SafeTrajectory, strength: float = 1.0) -> tuple[float, float]:
        """Drive the arm along a trajectory with motors that have no more than their effort limits.

        A computed-torque servo (feedforward of the wanted motion, 20 rad/s), clipped at the limits,
        in steps of 1 ms.

        Args:
            t: what to follow.
            strength: share of the effort limits that the motors have.

        Returns:
            Largest error of a joint (rad or m), and the largest effort asked for as a share of what
            the motors have.
        """
        mj, data, curve = self.mj, self.data, Curve.from_trajectory(t)
        efforts = [self.model.joints.urdf.joints[mj.joint(j).name].effort for j in range(mj.njnt)]
        limit = strength * np.array(efforts)
        flags, step = mj.opt.disableflags, round(mj.opt.timestep * NS)
        mj.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
        mujoco.mj_resetData(mj, data)
        data.qpos[:], data.qvel[:] = self.spread @ t.q[0] + self.offset, self.spread @ t.dq[0]
        error = asked = 0.0
        for now in range(t.start_ns, t.start_ns + round(t.t[-1] * NS) + step, step):
            wanted = [self.spread @ x for x in curve.at(now).arrays]
            lag, slip = wanted[0] + self.offset - data.qpos, wanted[1] - data.qvel
            error = max(error, float(np.abs(lag).max()))
            data.qacc[:] = wanted[2] + 400.0 * lag + 40.0 * slip
            mujoco.mj_inverse(mj, data)
            tau = data.qfrc_inverse.copy()
            asked = max(asked, float((np.abs(tau) / limit).max()))
            data.qfrc_applied[:] = np.clip(tau, -limit, limit)
            mujoco.mj_step(mj, data)
        mj.opt.disableflags = flags
        data.qfrc_applied[:] = 0.0
        return error, asked

    def _contacts(self, qpos: np.ndarray) -> list[tuple[float, float, int, int]]:
        """(distance m, its own clearance m or 0 as of all links, both bodies) of every pair within
        WATCHED at a configuration (nq,).
        """
        mj, data = self.mj, self.data
        data.qpos[:] = qpos
        mujoco.mj_kinematics(mj, data)
        mujoco.mj_comPos(mj, data)
        mujoco.mj_collision(mj, data)
        out: list[tuple[float, float, int, int]] = []
        if data.ncon == 0:
            return out
        seen = set()
        contact = data.contact
        for d, (a, b) in zip(contact.dist.tolist(), contact.geom.tolist(), strict=True):
            # its contacts of boxes and meshes that do not touch are no distances
            if (self.is_box[a] and self.is_box[b]) or self.is_mesh[a] or self.is_mesh[b]:
                if (a, b) in seen:
                    continue
                seen.add((a, b))
                d = mujoco.mj_geomDistance(mj, data, a, b, distmax=WATCHED, fromto=None)
            links = frozenset((self.link[a], self.link[b]))
            own = self.told.get(links, 0.0)
            out.append((d, max(self.wanted[a], self.wanted[b], own), a, b))
        return out

    def _words(self, a: int, b: int) -> str:
        """Two bodies by name."""
        return " to ".join(
            self.mj.geom(g).name if self.is_world[g] else self.link[g] for g in (a, b)
        )


def between(t: SafeTrajectory, shares: np.ndarray) -> np.ndarray:
    """Positions (N - 1, S, A) at the shares (S,) of every interval, by the Hermite form of the
    quintic.
    """
    h = np.diff(t.t)[:, None]
    u = shares
    u2, u3, u4, u5 = u**2, u**3, u**4, u**5
    form = np.stack(
        [
            1 - 10 * u3 + 15 * u4 - 6 * u5,
            u - 6 * u3 + 8 * u4 - 3 * u5,
            (u2 - 3 * u3 + 3 * u4 - u5) / 2,
            10 * u3 - 15 * u4 + 6 * u5,
            -4 * u3 + 7 * u4 - 3 * u5,
            (u3 - 2 * u4 + u5) / 2,
        ],
        axis=1,
    )
    ends = (t.q[:-1], h * t.dq[:-1], h * h * t.ddq[:-1], t.q[1:], h * t.dq[1:], h * h * t.ddq[1:])
    return form @ np.stack(ends, axis=1)  # (S, 6) with (N - 1, 6, A)


def _read(model: SafetyModel) -> mujoco.MjSpec:
    """The robot as MuJoCo reads it from its description; where that has meshes, of which MuJoCo
    knows neither COLLADA nor packages, as the simulated arm has it, without what drives that.
    """
    if model.joints.urdf.root.find(".//mesh") is None:
        spec = mujoco.MjSpec.from_file(str(model.embodiment.urdf_path))
        spec.compiler.fusestatic = False
        spec.compiler.discardvisual = True
        return spec
    spec = arm_spec(load_dynamics(model.embodiment))
    drawn = [g for g in spec.geoms if not (g.contype or g.conaffinity)]
    for element in (*drawn, *spec.equalities, *spec.actuators):
        spec.delete(element)
    for body in spec.bodies:
        body.gravcomp = 0.0
    for joint in spec.joints:
        joint.armature = 0.0
        joint.actfrclimited = mujoco.mjtLimited.mjLIMITED_FALSE
    return spec


def _followers(mj: mujoco.MjModel, model: SafetyModel) -> tuple[np.ndarray, np.ndarray]:
    """(nq, A) and (nq,): joint positions of MuJoCo from commanded ones, read from the description
    again.
    """
    spread, offset = np.zeros((mj.nq, len(model.joint_names))), np.zeros(mj.nq)
    for j in range(mj.njnt):
        joint, factor, shift = model.joints.urdf.joints[mj.joint(j).name], 1.0, 0.0
        while joint.mimic:
            shift += factor * joint.offset
            factor *= joint.multiplier
            joint = model.joints.urdf.joints[joint.mimic]
        spread[j, model.joint_names.index(joint.name)], offset[j] = factor, shift
    return spread, offset


def _reach(mj: mujoco.MjModel, joint: int) -> float:
    """How far a unit of a joint moves any point of what it carries: 1 for a slide, else the
    farthest such point [m].
    """
    if mj.jnt_type[joint] == mujoco.mjtJoint.mjJNT_SLIDE:
        return 1.0
    farthest = 0.0
    for geom in range(mj.ngeom):
        far, body = (
            float(np.linalg.norm(mj.geom_pos[geom]) + mj.geom_rbound[geom]),
            int(mj.geom_bodyid[geom]),
        )
        while body and body != mj.jnt_bodyid[joint]:
            slides = [
                j
                for j in range(mj.njnt)
                if mj.jnt_bodyid[j] == body and mj.jnt_type[j] == mujoco.mjtJoint.mjJNT_SLIDE
            ]
            far += float(
                np.linalg.norm(mj.body_pos[body])
                + sum(np.abs(mj.jnt_range[j]).max() for j in slides)
            )
            body = int(mj.body_parentid[body])
        farthest = (
            max(farthest, far + float(np.linalg.norm(mj.jnt_pos[joint]))) if body else farthest
        )
    return farthest
