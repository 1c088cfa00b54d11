"""A MuJoCo table with one arm, three blocks and two cameras: a robot for whoever has none."""

from __future__ import annotations

from dataclasses import dataclass, field

import mujoco
import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError, require_known
from wam_ros.core.types import NS, JointState
from wam_ros.sim.gl import BACKEND
from wam_ros.sim.scene import build_spec
from wam_ros.sim.tasks import make_task

# of the limit, which its drive allows itself: the other finger pulls, too, through the mimic joint
GRIPPER_SPEED = 0.9


@dataclass(frozen=True)
class EpisodeState:
    """What the simulator knows of the running episode; a model never sees it."""

    seed: int
    instruction: str
    t_s: float
    success: bool
    wrong: bool
    nudged: bool
    # limit name -> number of simulated steps beyond it
    violations: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class SimObject:
    """A box on the table."""

    name: str
    position: np.ndarray  # (3,) m in the base frame
    wxyz: np.ndarray  # (4,)
    size: np.ndarray  # (3,) m, full edges
    rgba: np.ndarray  # (4,) in [0, 1]


class World:
    """One simulated robot and its table. Not thread-safe.

    Args:
        embodiment: the arm; its URDF is the one description for kinematics, limits and inertia.
        task: name in `TASKS`.
        camera_size: height and width of rendered images, px.
        timestep_s: physics step.
        render: False saves the GL context when no image is asked for.

    Raises:
        WamError: no GL back end works, or the URDF cannot be read.
    """

    def __init__(
        self,
        embodiment: Embodiment,
        task: str = "pick_block",
        camera_size: tuple[int, int] = (128, 128),
        timestep_s: float = 0.002,
        render: bool = True,
    ) -> None:
        self.embodiment = embodiment
        self.joint_names = embodiment.joint_names
        self.task = make_task(task)
        self.camera_size = camera_size
        spec = build_spec(embodiment, self.task, camera_size, timestep_s)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        joints = [self._id(mujoco.mjtObj.mjOBJ_JOINT, n) for n in self.joint_names]
        self._qadr = self.model.jnt_qposadr[joints]
        self._vadr = self.model.jnt_dofadr[joints]
        self._range = self.model.jnt_range[joints]
        # joint -> column of its target; followers come last
        driven = {n: i for i, n in enumerate(self.joint_names)}
        driven |= {
            follower: driven[leader]
            for follower, leader in followers_of(self.model, self.joint_names)
        }
        self._actuators = np.array([self._id(mujoco.mjtObj.mjOBJ_ACTUATOR, n) for n in driven])
        self._column = np.array(list(driven.values()))
        self._driven_qadr = self.model.jnt_qposadr[self.model.actuator_trnid[self._actuators, 0]]
        self._effort = self.model.jnt_actfrcrange[joints][:, 1]
        self._velocity_limit = velocity_limits(embodiment)
        self._tool = self._id(mujoco.mjtObj.mjOBJ_BODY, embodiment.tool_frame)
        self._table_geom = self._id(mujoco.mjtObj.mjOBJ_GEOM, "table")
        self._is_robot = self.model.geom_contype == 1
        own = self._actuators[: len(joints)]
        gains = self.model.actuator_gainprm[own, 0]
        damping = -self.model.actuator_biasprm[own, 2]
        # s: feeding the target velocity forward cancels the servo's lag
        self._lead = damping / gains
        self._is_gripper = np.isin(self.joint_names, embodiment.gripper_joints)
        # N per m/s, of a finger that nothing touches
        resistance = damping + self.model.dof_damping[self._vadr]
        self._longest_error = np.where(
            self._is_gripper, resistance * GRIPPER_SPEED * self._velocity_limit / gains, np.inf
        )
        self._renderer: mujoco.Renderer | None = (
            _make_renderer(self.model, camera_size) if render else None
        )
        self.seed = -1
        self.instruction = ""
        self._violations: dict[str, int] = {}
        self._rng = np.random.default_rng(0)
        self.reset(0)

    def _id(self, kind: mujoco.mjtObj, name: str) -> int:
        index = mujoco.mj_name2id(self.model, kind, name)
        if index < 0:
            raise WamError(
                f"the simulated world has no {kind.name.removeprefix('mjOBJ_').lower()} '{name}'"
            )
        return index

    @property
    def time_s(self) -> float:
        """Simulated time since the last reset."""
        return float(self.data.time)

    @property
    def q(self) -> np.ndarray:
        """(A,) measured joint positions, rad or m."""
        return self.data.qpos[self._qadr].copy()

    @property
    def tool_position(self) -> np.ndarray:
        """(3,) tool centre point in the base frame, m."""
        return self.data.xpos[self._tool].copy()

    def reset(self, seed: int, colour: str = "", nudge: bool = False) -> str:
        """Place arm and blocks for `seed`; the arm rests at a random pose. Returns the instruction.

        `colour` overrides which block the instruction names (same scene); `nudge` lets the named
        block jump once.
        """
        self._rng = np.random.default_rng(seed)
        mujoco.mj_resetData(self.model, self.data)
        self.seed = seed
        self._violations = {}
        q0 = self.task.place(self, self._rng, colour, nudge)
        self.data.qpos[self._driven_qadr] = q0[self._column]
        self.servo(q0, np.zeros_like(q0))
        mujoco.mj_forward(self.model, self.data)
        self.instruction = self.task.instruction
        return self.instruction

    def servo(self, q: np.ndarray, dq: np.ndarray) -> None:
        """Set joint targets, (A,) rad or m and their rates; they hold until the next call."""
        self._target = q + self._lead * dq
        self._target_rate = np.array(dq)

    def step(self, n: int = 1) -> None:
        """Advance the physics by `n` time steps, checking every one against the robot's limits."""
        for _ in range(n):
            self._drive()
            mujoco.mj_step(self.model, self.data)
            self._check_limits()
        self.task.update(self, self._rng)

    def _drive(self) -> None:
        """Hand the targets to the servos; a gripper's drive limits its own speed, as a real one's
        does.

        Without that limit a finger that an object held back shoots off when it lets go. The arm's
        servos have none: a target that leaps shall be seen as the motion that it would cause.
        """
        q = self.data.qpos[self._driven_qadr]
        error = self._longest_error[self._column]
        self.data.ctrl[self._actuators] = np.clip(self._target[self._column], q - error, q + error)

    def _check_limits(self) -> None:
        q = self.data.qpos[self._qadr]
        dq = self.data.qvel[self._vadr]
        tolerance = 1e-3  # rad or m: MuJoCo's joint stops are soft springs
        self._count(
            "position",
            bool(np.any((q < self._range[:, 0] - tolerance) | (q > self._range[:, 1] + tolerance))),
        )
        # else a limited drive hid what was asked for
        told = np.where(self._is_gripper, self._target_rate, 0.0)
        self._count(
            "velocity",
            bool(np.any(np.maximum(np.abs(dq), np.abs(told) - 1e-9) > self._velocity_limit)),
        )
        effort = np.abs(self.data.qfrc_actuator[self._vadr])
        self._count("effort", bool(np.any((effort >= self._effort - 1e-9) & ~self._is_gripper)))
        pairs = self.data.contact.geom
        inside = self.data.contact.dist < 0
        on_table = (pairs == self._table_geom).any(axis=1) & self._is_robot[pairs].any(axis=1)
        self._count("table contact", bool(np.any(on_table & inside)))

    def _count(self, name: str, violated: bool) -> None:
        if violated:
            self._violations[name] = self._violations.get(name, 0) + 1

    def joint_state(self, stamp_ns: int | None = None) -> JointState:
        """Measured joints; the stamp defaults to simulated time."""
        return JointState(
            stamp_ns=round(self.time_s * NS) if stamp_ns is None else stamp_ns,
            joint_names=self.joint_names,
            positions=self.q,
            velocities=self.data.qvel[self._vadr].copy(),
            efforts=self.data.qfrc_actuator[self._vadr].copy(),
        )

    def render(self, camera: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB image of one camera."""
        require_known("camera", camera, self.embodiment.view_names)
        if self._renderer is None:
            raise WamError("this world was made with render=False")
        self._renderer.update_scene(self.data, camera)
        return self._renderer.render()

    def camera_info(self, camera: str) -> dict:
        """Pinhole calibration: width, height [px], K (3, 3), frame_id."""
        index = self._id(mujoco.mjtObj.mjOBJ_CAMERA, camera)
        height, width = self.camera_size
        focal = 0.5 * height / np.tan(np.deg2rad(self.model.cam_fovy[index]) / 2)
        k = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        return {"width": width, "height": height, "K": k, "frame_id": f"{camera}_optical_frame"}

    def objects(self) -> list[SimObject]:
        """The boxes that can be moved, for drawing."""
        boxes = []
        for g in np.flatnonzero(self.model.geom_type == mujoco.mjtGeom.mjGEOM_BOX):
            body = self.model.geom_bodyid[g]
            first = self.model.body_jntadr[body]
            if first >= 0 and self.model.jnt_type[first] == mujoco.mjtJoint.mjJNT_FREE:
                at = self.data.body(body)
                size = 2 * self.model.geom_size[g]
                rgba = self.model.geom_rgba[g]
                boxes.append(
                    SimObject(
                        self.model.body(body).name, at.xpos.copy(), at.xquat.copy(), size, rgba
                    )
                )
        return boxes

    def episode(self) -> EpisodeState:
        """State of the episode as the simulator measures it."""
        return EpisodeState(
            seed=self.seed,
            instruction=self.instruction,
            t_s=self.time_s,
            success=self.task.success,
            wrong=self.task.wrong,
            nudged=self.task.nudged,
            violations=dict(self._violations),
        )

    def close(self) -> None:
        """Free the GL context."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


def followers_of(model: mujoco.MjModel, leaders: tuple[str, ...]) -> list[tuple[str, str]]:
    """Joints that an equality constraint ties to one of `leaders` (URDF mimic): (follower,
    leader).
    """
    pairs = []
    for e in range(model.neq):
        if model.eq_type[e] == mujoco.mjtEq.mjEQ_JOINT:
            names = [model.joint(int(j)).name for j in (model.eq_obj1id[e], model.eq_obj2id[e])]
            pairs += [(a, b) for a, b in (names, names[::-1]) if b in leaders and a not in leaders]
    return pairs


def velocity_limits(embodiment: Embodiment) -> np.ndarray:
    """(A,) velocity limits of the URDF, which MuJoCo does not read."""
    import xml.etree.ElementTree as ElementTree

    root = ElementTree.parse(embodiment.urdf_path).getroot()
    limits = {j.get("name"): j.find("limit") for j in root.iter("joint")}
    return np.array([float(limits[n].get("velocity", "nan")) for n in embodiment.joint_names])  # type: ignore[union-attr]


def _make_renderer(model: mujoco.MjModel, size: tuple[int, int]) -> mujoco.Renderer:
    try:
        return mujoco.Renderer(model, *size)
    except Exception as error:  # every GL back end raises its own type
        raise WamError(
            f"no OpenGL for the simulated cameras (MUJOCO_GL={BACKEND}: {error}); "
            "install libegl1 libgl1-mesa-dri, or libosmesa6 and set MUJOCO_GL=osmesa"
        ) from error
