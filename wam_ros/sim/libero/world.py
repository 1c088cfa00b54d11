"""One task of LIBERO as a simulated robot: its scene and its check, under joint targets of ours."""

from __future__ import annotations

import contextlib
import gc
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError, require_known
from wam_ros.core.types import NS, JointState
from wam_ros.sim.arm import load_dynamics
from wam_ros.sim.gl import BACKEND
from wam_ros.sim.libero.coarse import coarse_meshes
from wam_ros.sim.libero.scene import open_task, place
from wam_ros.sim.libero.suites import CAMERAS, OFFICIAL, limit_s, read_task
from wam_ros.sim.world import EpisodeState, SimObject

# LIBERO's arm has motors. These gains let it follow joint targets as robosuite's own joint position
# controller does with them; with that one's own (50, 14) it lags too far behind.
STIFFNESS = 400.0  # 1/s^2
DAMPING = 40.0  # 1/s
CHECK_STEPS = 25  # of physics between two of LIBERO's checks: 20 Hz, as it has it
SETTLE_STEPS = 250  # of physics: evaluations let objects come to rest for ten control steps
OPEN = 0.04  # m, the fingers meanwhile
# m, of our tool in LIBERO's frame of the hand, whose flange is half a millimetre shorter
TOOL = np.array([0.0, 0.0, 0.1039])
SHAPES = 0  # group of the geoms that touch; those of group 1 are seen
WRONG_LIFTED = 0.05  # m: an object that the task is not about was taken
TAKEN = 0.03  # m: one that it is about
# m: 4 mm are a pixel of 128 from 0.6 m. The arm is seen from farther away, the hand from nearer.
CELL = 0.004
ARM_CELL = 0.008
HAND_CELL = 0.002
GRID = 0.015  # m between points of what is solid


@dataclass(frozen=True)
class Box:
    """One that touches, in the base frame."""

    centre: np.ndarray  # (3,) m
    turn: np.ndarray  # (3, 3)
    half: np.ndarray  # (3,) m

    def reach(self, way: np.ndarray) -> float:
        """M along a direction (3,) of length 1, where it begins."""
        return float(self.centre @ way - np.abs(self.turn.T @ way) @ self.half)


@dataclass(frozen=True)
class Fixture:
    """What of a fixture moves, a drawer or a knob, as it is now, in the base frame."""

    slides: bool  # a drawer; else it turns
    way: np.ndarray  # (3,) of length 1: where it opens to, or the axis about which it turns on
    anchor: np.ndarray  # (3,) m on the axis
    position: float  # m or rad from its rest towards open
    range: float  # m or rad from its rest to its end
    is_open: bool  # by LIBERO's own check; of a knob: on
    boxes: tuple[Box, ...]

    @property
    def share(self) -> float:
        """Of the way that it has gone."""
        return self.position / self.range

    @property
    def outermost(self) -> Box:
        """What stands farthest out where it opens to: the handle of a drawer."""
        return max(self.boxes, key=lambda box: box.reach(self.way))

    @property
    def highest(self) -> Box:
        """What stands highest: of a knob what one takes."""
        up = np.array([0.0, 0.0, 1.0])
        return max(self.boxes, key=lambda box: box.centre[2] + np.abs(box.turn.T @ up) @ box.half)


class LiberoWorld:
    """The world of one task. Physics and success are LIBERO's own, and nothing of them is changed.

    Its arm is driven from one physics step to the next by computed torque, so that targets may come
    at any rate. Not thread-safe.

    Args:
        embodiment: the robot, `libero_panda` or one with its joints and some of its views.
        task: `SUITE/NUMBER`.
        camera_size: height and width of rendered images, px.
        render: False saves the GL context when no image is asked for.
        coarse: draw coarser meshes, which look the same at 128 px and cost a fraction.

    Raises:
        WamError: LIBERO is not installed, or no GL back end works.
    """

    def __init__(
        self,
        embodiment: Embodiment,
        task: str,
        camera_size: tuple[int, int] = (128, 128),
        render: bool = True,
        coarse: bool = False,
    ) -> None:
        suite, number = read_task(task)
        self.embodiment = embodiment
        self.joint_names = embodiment.joint_names
        self.robot = load_dynamics(embodiment)
        self.task = task
        self.limit_s = limit_s(task)
        self.camera_size = camera_size
        self._env, self._official = open_task(suite, number)
        self.instruction: str = self._env.language_instruction
        self.seed = -1
        self._success = self._wrong = self._lifted = False
        self._steps = 0  # of physics since the last reset
        self._begun_s = 0.0
        # objects that the task is not about, those that it wants elsewhere, and how high all lay
        self._others = [n for n in self.movable if n not in self._env.obj_of_interest]
        self._wanted = [s[1] for s in self.goal if len(s) == 3 and s[1] in self.movable]
        self._rest: dict[str, float] = {}
        self._violations: dict[str, int] = {}
        self._learn()
        self._renderer: mujoco.Renderer | None = None
        if render:
            with coarse_meshes(self.model, self._cells()) if coarse else contextlib.nullcontext():
                self._renderer = _make_renderer(self.model, camera_size)
        # what touches is not what is seen
        self._seen = mujoco.MjvOption()
        self._seen.geomgroup[SHAPES] = 0
        self.reset(OFFICIAL)

    def _learn(self) -> None:
        """Where in the model the robot is."""
        self.model: mujoco.MjModel = self._env.sim.model._model
        self.data: mujoco.MjData = self._env.sim.data._data
        self.timestep_s = float(self.model.opt.timestep)
        model = self.model
        joints = [model.joint(f"robot0_joint{i}").id for i in range(1, 8)]
        fingers = [model.joint(f"gripper0_finger_joint{i}").id for i in (1, 2)]
        self._qadr = model.jnt_qposadr[joints]
        self._vadr = model.jnt_dofadr[joints]
        self._finger_qadr = model.jnt_qposadr[fingers]
        self._finger_vadr = model.jnt_dofadr[fingers]
        driven = {int(model.actuator_trnid[a, 0]): a for a in range(model.nu)}
        self._motors = np.array([driven[j] for j in joints])
        self._finger_motors = np.array([driven[j] for j in fingers])
        self._most = model.actuator_ctrlrange[self._motors]
        self._base = model.body("robot0_base").id
        self._hand = model.body("robot0_right_hand").id
        first = model.body("robot0_link1").id
        gripper = model.body("gripper0_right_gripper").id
        self._robot_geoms = self._geoms_below(first)
        self._hand_geoms = self._geoms_below(gripper)
        self._wanted_geoms = np.zeros(model.ngeom, bool)
        for name in self._wanted:
            self._wanted_geoms |= self._geoms_below(self._env.env.obj_body_id[name])
        self._still_geoms = model.body_weldid[model.geom_bodyid] == 0
        self._pull = np.zeros(model.nv)
        self._weighed = np.zeros(model.nv)

    def _cells(self) -> np.ndarray:
        """(M,) m, how coarse each mesh may be."""
        cells = np.full(self.model.nmesh, CELL)
        arm = self._geoms_below(self._base)
        for geoms, cell_m in ((arm, ARM_CELL), (self._hand_geoms, HAND_CELL)):
            meshes = self.model.geom_dataid[geoms]
            cells[meshes[meshes >= 0]] = cell_m
        return cells

    def _geoms_below(self, root: int) -> np.ndarray:
        """(G,) bool: geoms of a body and of all that hangs on it."""
        below = [self._is_below(b, root) for b in range(self.model.nbody)]
        return np.array(below)[self.model.geom_bodyid]

    def _is_below(self, body: int, root: int) -> bool:
        while body not in (0, root):
            body = int(self.model.body_parentid[body])
        return body == root

    @property
    def time_s(self) -> float:
        """Simulated time since the last reset."""
        return float(self.data.time) - self._begun_s

    @property
    def q(self) -> np.ndarray:
        """(A,) measured joint positions, rad or m; of the fingers the mean."""
        left, right = self.data.qpos[self._finger_qadr]
        return np.append(self.data.qpos[self._qadr], (left - right) / 2)

    @property
    def tool_position(self) -> np.ndarray:
        """(3,) tool centre point in the base frame, m."""
        hand = self.data.xmat[self._hand].reshape(3, 3)
        return self.in_base(self.data.xpos[self._hand] + hand @ TOOL)

    @property
    def tool_yaw(self) -> float:
        """How far a hand that points down is turned about the vertical of the base, rad."""
        base = self.data.xmat[self._base].reshape(3, 3)
        ahead = base.T @ self.data.xmat[self._hand].reshape(3, 3)[:, 0]
        return float(np.arctan2(ahead[1], ahead[0]))

    def in_base(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) of LIBERO's frame in that of the robot's base, m."""
        base = self.data.xmat[self._base].reshape(3, 3)
        return (points - self.data.xpos[self._base]) @ base

    def reset(self, seed: int, colour: str = "", nudge: bool = False) -> str:
        """Place the scene of `seed`, let it come to rest; returns the instruction.

        Raises:
            WamError: LIBERO's tasks have no colours, and nothing in them is nudged.
        """
        if colour or nudge:
            raise WamError(
                f"task '{self.task}' names no colour and nudges nothing; 'pick_block' does"
            )
        place(self._env, self._official, self.task, seed)
        self.seed = seed
        self._violations = {}
        self._rest = {}
        self.servo(np.append(self.q[:-1], OPEN), np.zeros(len(self.joint_names)))
        self.step(SETTLE_STEPS)
        self._violations = {}
        self._success = self._wrong = self._lifted = False
        self._steps = 0
        self._begun_s = float(self.data.time)
        self._rest = {name: self.pose_of(name)[0][2] for name in self.movable}
        return self.instruction

    def put(self, q: np.ndarray) -> None:
        """Let the robot stand at (A,) rad or m, its drives holding it there."""
        self.data.qpos[self._qadr] = q[:-1]
        self.data.qpos[self._finger_qadr] = (q[-1], -q[-1])
        self.servo(q, np.zeros(len(q)))
        mujoco.mj_forward(self.model, self.data)

    def servo(self, q: np.ndarray, dq: np.ndarray) -> None:
        """Set joint targets, (A,) rad or m and their rates; they hold until the next call."""
        self._target = np.array(q)
        self._target_rate = np.array(dq)

    def step(self, n: int = 1) -> None:
        """Advance the physics by `n` time steps, checking every one against the robot's limits."""
        for _ in range(n):
            mujoco.mj_step1(self.model, self.data)
            self._drive()
            mujoco.mj_step2(self.model, self.data)
            self._check_limits()
            self._steps += 1
            if self._steps % CHECK_STEPS == 0:
                self._judge()

    def _judge(self) -> None:
        self._success |= bool(self._env.check_success())
        self._env._post_process()
        self._wrong |= any(self._risen(name) > WRONG_LIFTED for name in self._others)
        self._lifted |= any(self._risen(name) > TAKEN for name in self._wanted)

    def _risen(self, name: str) -> float:
        """M that an object is above where it lay; -inf before it has come to rest."""
        return float(self.pose_of(name)[0][2] - self._rest.get(name, np.inf))

    def _drive(self) -> None:
        """Torques that pull the joints to their targets: M (kp e + kd de) + what gravity and motion
        ask for.
        """
        error = self._target[:-1] - self.data.qpos[self._qadr]
        rate = self._target_rate[:-1] - self.data.qvel[self._vadr]
        self._pull[self._vadr] = STIFFNESS * error + DAMPING * rate
        mujoco.mj_mulM(self.model, self.data, self._weighed, self._pull)
        torque = self._weighed[self._vadr] + self.data.qfrc_bias[self._vadr]
        self.data.ctrl[self._motors] = np.clip(torque, *self._most.T)
        self.data.ctrl[self._finger_motors] = (self._target[-1], -self._target[-1])

    def _check_limits(self) -> None:
        q = self.data.qpos[self._qadr]
        dq = self.data.qvel[self._vadr]
        limits = self.robot.limits
        tolerance = 1e-3  # rad: MuJoCo's joint stops are soft springs
        beyond = (q < limits.lower[:-1] - tolerance) | (q > limits.upper[:-1] + tolerance)
        self._count("position", bool(np.any(beyond)))
        self._count("velocity", bool(np.any(np.abs(dq) > limits.velocity[:-1])))
        torque = self.data.ctrl[self._motors]
        low, high = self._most.T
        self._count("effort", bool(np.any((torque <= low) | (torque >= high))))
        pairs = self.data.contact.geom[self.data.contact.dist < 0]
        # the arm meets nothing in these tasks, the fingers nothing that stands fixed
        robot = self._robot_geoms[pairs]
        hand = self._hand_geoms[pairs]
        one_of_it = robot.sum(axis=1) == 1
        self._count("arm contact", bool(np.any(one_of_it & ~hand.any(axis=1))))
        still = self._still_geoms[pairs].any(axis=1)
        self._count("hand contact", bool(np.any(one_of_it & hand.any(axis=1) & still)))

    def _count(self, name: str, violated: bool) -> None:
        if violated:
            self._violations[name] = self._violations.get(name, 0) + 1

    def joint_state(self, stamp_ns: int | None = None) -> JointState:
        """Measured joints; the stamp defaults to simulated time."""
        left, right = self.data.qvel[self._finger_vadr]
        pulls = self.data.qfrc_actuator[self._finger_vadr]
        return JointState(
            stamp_ns=round(self.time_s * NS) if stamp_ns is None else stamp_ns,
            joint_names=self.joint_names,
            positions=self.q,
            velocities=np.append(self.data.qvel[self._vadr], (left - right) / 2),
            efforts=np.append(self.data.qfrc_actuator[self._vadr], (pulls[0] - pulls[1]) / 2),
        )

    def render(self, camera: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB image of one camera, the right way up."""
        require_known("camera", camera, self.embodiment.view_names)
        if self._renderer is None:
            raise WamError("this world was made with render=False")
        self._renderer.update_scene(self.data, CAMERAS[camera], self._seen)
        return self._renderer.render()

    def camera_info(self, camera: str) -> dict[str, Any]:
        """Pinhole calibration: width, height [px], K (3, 3), frame_id."""
        height, width = self.camera_size
        fov = self.model.cam_fovy[self.model.camera(CAMERAS[camera]).id]
        focal = 0.5 * height / np.tan(np.deg2rad(fov) / 2)
        k = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        return {"width": width, "height": height, "K": k, "frame_id": f"{camera}_optical_frame"}

    def pose_of(self, thing: str) -> tuple[np.ndarray, np.ndarray]:
        """(3,) m and (3, 3) of an object or fixture of the task in the base frame."""
        body = self._env.env.obj_body_id[thing]
        base = self.data.xmat[self._base].reshape(3, 3)
        turn = base.T @ self.data.xmat[body].reshape(3, 3)
        return self.in_base(self.data.xpos[body]), turn

    def points_of(self, thing: str) -> np.ndarray:
        """(N, 3) m, corners of everything that is seen of an object, in the base frame."""
        root = self._env.env.obj_body_id[thing]
        found = []
        for g in range(self.model.ngeom):
            mesh = self.model.geom_dataid[g]
            if self.model.geom_group[g] == SHAPES or mesh < 0:
                continue
            if self._is_below(int(self.model.geom_bodyid[g]), root):
                first = self.model.mesh_vertadr[mesh]
                corners = self.model.mesh_vert[first : first + self.model.mesh_vertnum[mesh]]
                turn = self.data.geom_xmat[g].reshape(3, 3)
                found.append(corners @ turn.T + self.data.geom_xpos[g])
        return self.in_base(np.concatenate(found)) if found else np.zeros((0, 3))

    def fixture_of(self, name: str) -> Fixture | None:
        """What moves of a fixture, or of that whose region is named; None where nothing does."""
        env = self._env.env
        part = env.object_sites_dict.get(name) or env.fixtures_dict.get(name)
        if part is None or len(part.joints or ()) != 1:
            return None
        joint = self.model.joint(part.joints[0]).id
        base = self.data.xmat[self._base].reshape(3, 3)
        low, high = self.model.jnt_range[joint]
        sign = 1.0 if high > -low else -1.0
        state = env.object_states_dict[name]
        slides = self.model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_SLIDE
        body = int(self.model.jnt_bodyid[joint])
        return Fixture(
            slides=bool(slides),
            way=sign * (self.data.xaxis[joint] @ base),
            anchor=self.in_base(self.data.xanchor[joint]),
            position=sign * float(self.data.qpos[self.model.jnt_qposadr[joint]]),
            range=float(max(high, -low)),
            is_open=bool(state.is_open() if slides else state.turn_on()),
            boxes=tuple(
                Box(
                    self.in_base(self.data.geom_xpos[g]),
                    base.T @ self.data.geom_xmat[g].reshape(3, 3),
                    self.model.geom_size[g].copy(),
                )
                for g in np.flatnonzero(self.model.geom_bodyid == body)
                if self.model.geom_type[g] == mujoco.mjtGeom.mjGEOM_BOX
                and self.model.geom_group[g] == SHAPES
            ),
        )

    def holds(self, state: list[str]) -> bool:
        """Whether one state of `goal` is so now, by LIBERO's own check."""
        return bool(self._env.env._eval_predicate(state))

    def solids_of(self, thing: str) -> np.ndarray:
        """(N, 3) m, a grid through the boxes that touch of a thing, in the base frame: of a wall
        only the corners are among what is seen.
        """
        root = self._env.env.obj_body_id[thing]
        found = []
        for g in range(self.model.ngeom):
            box = self.model.geom_type[g] == mujoco.mjtGeom.mjGEOM_BOX
            if not box or self.model.geom_group[g] != SHAPES:
                continue
            if self._is_below(int(self.model.geom_bodyid[g]), root):
                sides = (np.linspace(-h, h, 2 + int(2 * h / GRID)) for h in self.model.geom_size[g])
                own = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 3)
                turn = self.data.geom_xmat[g].reshape(3, 3)
                found.append(own @ turn.T + self.data.geom_xpos[g])
        return self.in_base(np.concatenate(found)) if found else np.zeros((0, 3))

    @property
    def movable(self) -> tuple[str, ...]:
        """Names of the objects that are not fixed."""
        return tuple(self._env.env.objects_dict)

    @property
    def things(self) -> tuple[str, ...]:
        """Names of the objects, and of what is fixed and has a body of its own."""
        return tuple(self._env.env.obj_body_id)

    @property
    def goal(self) -> list[list[str]]:
        """What is to be so in the end, as the task says it: `["in", thing, place]` and its like."""
        return [list(state) for state in self._env.env.parsed_problem["goal_state"]]

    def place_of(self, name: str) -> np.ndarray:
        """(3,) m, where a thing or a region is that the task names, in the base frame."""
        if name in self.things:
            return self.pose_of(name)[0]
        return self.in_base(self.data.site(name).xpos)

    def objects(self) -> list[SimObject]:
        """A box around each object, for drawing."""
        boxes = []
        for name in self.movable:
            position, turn = self.pose_of(name)
            own = (self.points_of(name) - position) @ turn
            if not len(own):
                continue
            low, high = own.min(axis=0), own.max(axis=0)
            wxyz = np.zeros(4)
            mujoco.mju_mat2Quat(wxyz, turn.ravel())
            middle = position + turn @ (low + high) / 2
            boxes.append(SimObject(name, middle, wxyz, high - low, np.array([0.7, 0.6, 0.4, 1.0])))
        return boxes

    def episode(self) -> EpisodeState:
        """State of the episode; success is LIBERO's own check, wrong is another thing lifted by
        5 cm.
        """
        return EpisodeState(
            seed=self.seed,
            instruction=self.instruction,
            t_s=self.time_s,
            success=self._success,
            wrong=self._wrong,
            nudged=False,
            violations=dict(self._violations),
            lifted=self._lifted if self._wanted else None,
            held=self._held(),
        )

    def _held(self) -> bool:
        """Whether the hand touches what the task wants elsewhere."""
        pairs = self.data.contact.geom[self.data.contact.dist < 0]
        touches = self._hand_geoms[pairs].any(axis=1) & self._wanted_geoms[pairs].any(axis=1)
        return bool(touches.any())

    def close(self) -> None:
        """Free the GL context and the scene, of which half a gigabyte is textures."""
        if self._renderer is not None:
            self._renderer.close()
        self._env.close()
        del self._renderer, self._env, self.model, self.data
        gc.collect()  # robosuite's objects hold each other


def _make_renderer(model: mujoco.MjModel, size: tuple[int, int]) -> mujoco.Renderer:
    model.vis.global_.offheight = max(model.vis.global_.offheight, size[0])
    model.vis.global_.offwidth = max(model.vis.global_.offwidth, size[1])
    try:
        return mujoco.Renderer(model, *size)
    except Exception as error:  # every GL back end raises its own type
        raise WamError(
            f"no OpenGL for the simulated cameras (MUJOCO_GL={BACKEND}: {error}); "
            "install libegl1 libgl1-mesa-dri, or libosmesa6 and set MUJOCO_GL=osmesa"
        ) from error
