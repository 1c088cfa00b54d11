"""A robot in MuJoCo, what stands around it, the objects of a task and cameras: a robot for whoever
has none.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import mujoco
import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError, require_known
from wam_ros.core.types import NS, JointState
from wam_ros.robot.obstacles import load_world
from wam_ros.sim.arm import TOUCHES, load_dynamics
from wam_ros.sim.gl import BACKEND
from wam_ros.sim.outcomes import DROPPED, NO_GRASP, SUCCESS, TIMEOUT, WRONG
from wam_ros.sim.robots import require_simulated
from wam_ros.sim.scene import build_spec, lower_floor
from wam_ros.sim.tasks import make_task

LIMIT_S = 6.4  # of an episode's motion, for who judges policies
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
    # whether what is asked for was ever off its place; None: nothing is to be lifted
    lifted: bool | None = None
    held: bool = False  # whether it is in the hand

    @property
    def outcome(self) -> str:
        """What the episode counts as if it ends now, one of `outcomes.OUTCOMES`."""
        if self.success:
            return SUCCESS
        if self.wrong:
            return WRONG
        if self.lifted is None:
            return TIMEOUT
        if not self.lifted:
            return NO_GRASP
        return TIMEOUT if self.held else DROPPED


@dataclass(frozen=True)
class SimObject:
    """A box on the table."""

    name: str
    position: np.ndarray  # (3,) m in the base frame
    wxyz: np.ndarray  # (4,)
    size: np.ndarray  # (3,) m, full edges
    rgba: np.ndarray  # (4,) in [0, 1]


class World:
    """One simulated robot and what stands around it. Not thread-safe.

    Args:
        embodiment: the robot; its URDF is the one description for kinematics, limits and inertia.
        task: name in `TASKS`.
        camera_size: height and width of rendered images, px, of cameras that have no size of
            their own.
        timestep_s: physics step.
        render: False saves the GL context when no image is asked for.

    Raises:
        WamError: no GL back end works, or the URDF cannot be read.
    """

    limit_s = LIMIT_S

    def __init__(
        self,
        embodiment: Embodiment,
        task: str = "pick_block",
        camera_size: tuple[int, int] = (128, 128),
        timestep_s: float = 0.002,
        render: bool = True,
    ) -> None:
        require_simulated(embodiment)
        self.embodiment = embodiment
        self.joint_names = embodiment.joint_names
        self.robot = load_dynamics(embodiment)
        self.task = make_task(task)
        self.task.get_ready(self.robot)
        self.camera_size = camera_size
        self.timestep_s = timestep_s
        spec = build_spec(self.robot, self.task, camera_size, timestep_s)
        self.model = compile_spec(spec, embodiment)
        self.data = mujoco.MjData(self.model)
        joints = [self._id(mujoco.mjtObj.mjOBJ_JOINT, n) for n in self.joint_names]
        self._qadr = self.model.jnt_qposadr[joints]
        self._vadr = self.model.jnt_dofadr[joints]
        # joint -> what drives it; followers come last
        source = self.robot.joints.source
        driven = [*self.joint_names, *(n for n in source if n not in self.joint_names)]
        self._actuators = np.array([self._id(mujoco.mjtObj.mjOBJ_ACTUATOR, n) for n in driven])
        self._column = np.array([self.joint_names.index(source[n][0]) for n in driven])
        self._factor = np.array([source[n][1] for n in driven])
        self._offset = np.array([source[n][2] for n in driven])
        self._driven_qadr = self.model.jnt_qposadr[self.model.actuator_trnid[self._actuators, 0]]
        self._tools = [self._id(mujoco.mjtObj.mjOBJ_BODY, n) for n in embodiment.tool_frames]
        # obstacles that the filter knows, by their geoms
        known = load_world(embodiment.world).obstacles
        names = {g: self.model.geom(g).name for g in range(self.model.ngeom)}
        self._around = {g: name for g, name in names.items() if name in known}
        self._is_robot = self.model.geom_contype == TOUCHES["contype"]
        gains = self.model.actuator_gainprm[self._actuators, 0]
        damping = -self.model.actuator_biasprm[self._actuators, 2]
        # s: feeding the target velocity forward cancels the servo's lag
        self._lead = damping / gains
        self._is_gripper = np.isin(self.joint_names, embodiment.gripper_joints)
        # N per m/s, of a finger that nothing touches
        vadr = self.model.jnt_dofadr[self.model.actuator_trnid[self._actuators, 0]]
        resistance = damping + self.model.dof_damping[vadr]
        fastest = np.abs(self._factor) * self.robot.limits.velocity[self._column]
        self._longest_error = np.where(
            self._is_gripper[self._column], resistance * GRIPPER_SPEED * fastest / gains, np.inf
        )
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}
        if render:
            sizes = {self._size_of(n) for n in embodiment.view_names}
            self._renderers = {size: _make_renderer(self.model, size) for size in sizes}
        self.seed = -1
        self.instruction = ""
        self._violations: dict[str, int] = {}
        self._rng = np.random.default_rng(0)
        self.put(np.array(embodiment.home))
        lower_floor(self.model, self.data)
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
        """(3,) tool centre point of the first arm in the base frame, m."""
        return self.tool_positions[0]

    @property
    def tool_positions(self) -> np.ndarray:
        """(K, 3) tool centre point of every arm in the base frame, m."""
        return self.data.xpos[self._tools].copy()

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
        self.put(q0)
        self.instruction = self.task.instruction
        return self.instruction

    def put(self, q: np.ndarray) -> None:
        """Let the robot stand at (A,) rad or m, its drives holding it there."""
        self.data.qpos[self._driven_qadr] = self._spread(q)
        self.servo(q, np.zeros_like(q))
        mujoco.mj_forward(self.model, self.data)

    def _spread(self, q: np.ndarray) -> np.ndarray:
        """Positions of every joint with a drive."""
        return self._factor * q[self._column] + self._offset

    def servo(self, q: np.ndarray, dq: np.ndarray) -> None:
        """Set joint targets, (A,) rad or m and their rates; they hold until the next call."""
        self._target = self._spread(q) + self._lead * self._factor * dq[self._column]
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
        error = self._longest_error
        self.data.ctrl[self._actuators] = np.clip(self._target, q - error, q + error)

    def _check_limits(self) -> None:
        q = self.data.qpos[self._qadr]
        dq = self.data.qvel[self._vadr]
        limits = self.robot.limits
        tolerance = 1e-3  # rad or m: MuJoCo's joint stops are soft springs
        self._count(
            "position",
            bool(np.any((q < limits.lower - tolerance) | (q > limits.upper + tolerance))),
        )
        # else a limited drive hid what was asked for
        told = np.where(self._is_gripper, self._target_rate, 0.0)
        self._count(
            "velocity",
            bool(np.any(np.maximum(np.abs(dq), np.abs(told) - 1e-9) > limits.velocity)),
        )
        effort = np.abs(self.data.qfrc_actuator[self._vadr])
        self._count("effort", bool(np.any((effort >= limits.effort - 1e-9) & ~self._is_gripper)))
        pairs = self.data.contact.geom[self.data.contact.dist < 0]
        met = pairs[self._is_robot[pairs].any(axis=1)].ravel()
        for name in {self._around[g] for g in met if g in self._around}:
            self._count(f"{name} contact", True)

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
        renderer = self._renderers.get(self._size_of(camera))
        if renderer is None:
            raise WamError("this world was made with render=False")
        renderer.update_scene(self.data, camera)
        return renderer.render()

    def _size_of(self, camera: str) -> tuple[int, int]:
        """Height and width of a camera's picture, px."""
        mount = next(c.mount for c in self.embodiment.cameras if c.name == camera)
        width, height = mount.size if mount and mount.size else self.camera_size[::-1]
        return height, width

    def camera_info(self, camera: str) -> dict:
        """Pinhole calibration: width, height [px], K (3, 3), frame_id."""
        index = self._id(mujoco.mjtObj.mjOBJ_CAMERA, camera)
        height, width = self._size_of(camera)
        focal = 0.5 * height / np.tan(np.deg2rad(self.model.cam_fovy[index]) / 2)
        k = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        return {"width": width, "height": height, "K": k, "frame_id": f"{camera}_optical_frame"}

    def objects(self) -> list[SimObject]:
        """The boxes of the task, for drawing."""
        boxes = []
        for g in np.flatnonzero(self.model.geom_type == mujoco.mjtGeom.mjGEOM_BOX):
            body = self.model.geom_bodyid[g]
            first = self.model.body_jntadr[body]
            free = first >= 0 and self.model.jnt_type[first] == mujoco.mjtJoint.mjJNT_FREE
            if free or self.model.body_mocapid[body] >= 0:
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
            lifted=self.task.lifted,
            held=self.task.held,
        )

    def close(self) -> None:
        """Free the GL context."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers = {}


def compile_spec(spec: mujoco.MjSpec, embodiment: Embodiment) -> mujoco.MjModel:
    """The model of a specification; raises `WamError` with MuJoCo's words."""
    try:
        return spec.compile()
    except ValueError as error:
        words = " ".join(str(error).split())
        raise WamError(f"{embodiment.urdf_path}: MuJoCo cannot simulate it: {words}") from error


def _make_renderer(model: mujoco.MjModel, size: tuple[int, int]) -> mujoco.Renderer:
    try:
        return mujoco.Renderer(model, *size)
    except Exception as error:  # every GL back end raises its own type
        raise WamError(
            f"no OpenGL for the simulated cameras (MUJOCO_GL={BACKEND}: {error}); "
            "install libegl1 libgl1-mesa-dri, or libosmesa6 and set MUJOCO_GL=osmesa"
        ) from error
