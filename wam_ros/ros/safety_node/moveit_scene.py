"""MoveIt's planning scene as what stands around the robot, and as a second opinion on what is about
to move.

Only this file knows `moveit_py` (2.12.3 to 2.15), and only when it is asked for. The scene's
objects, its octomap, what is attached to the robot and what its allowed-collision matrix forgives
become obstacles and held objects of the safety filter, which proves its distances from them as from
any other. Self-collision pairs stay the filter's own.
"""

from __future__ import annotations

import atexit
import copy
import ctypes
import dataclasses
import functools
import itertools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from wam_ros.core.embodiment import Load
from wam_ros.core.errors import WamError, require_known
from wam_ros.core.resources import share_dir
from wam_ros.core.types import SafeTrajectory, SafetyState
from wam_ros.robot.model import SafetyModel
from wam_ros.robot.obstacles import Cloud, Obstacle
from wam_ros.robot.pose import Pose, facing, make_pose, placed, pose_from_matrix
from wam_ros.ros.safety_node.descriptions import why_no_description
from wam_ros.ros.safety_node.move_group import ASIDE, WHOLE, MoveGroup
from wam_ros.ros.safety_node.octomap_reader import OctomapReader
from wam_ros.ros.safety_node.solids import shape_of
from wam_ros.safety.machine.answers import Emission
from wam_ros.safety.machine.live import MOVEIT, Change
from wam_ros.safety.machine.machine import SafetyMachine

SOURCE = MOVEIT
PREFIX = SOURCE + "/"
SCENE = PREFIX + "scene"  # name of the doubt when the scene cannot be read
OCTOMAP = "<octomap>"  # what MoveIt calls it in its allowed-collision matrix
EVERY = 5  # samples between the states of a second opinion
NODE = "safety_moveit"  # whose parameters MoveIt reads


# the end of one would be the end of the C++ context, and with it of every other in the process
@functools.cache
def load_moveit(namespace: str = "") -> Any:
    """A running `MoveItPy`: the node `safety_moveit`, with config/moveit.yaml and the
    `--params-file`s of the process.

    Its own copy of the scene is published aside: `monitored_planning_scene` is move_group's and
    nobody else's. It listens aside, too, where `MoveGroup` hears in its place. It is never taken
    apart: its destructor ends in a segmentation fault (2.12.4), after the node has come to a clean
    end.

    Raises:
        WamError: moveit_py is not installed, a description of the robot is missing, or it does not
            start with these parameters.
    """
    try:
        from moveit.planning import MoveItPy
    except ImportError as error:
        words = "install ros-$ROS_DISTRO-moveit-py or choose 'builtin'"
        raise WamError(f"collision_backend 'moveit' needs moveit_py ({error}); {words}") from error
    given = [after for flag, after in itertools.pairwise(sys.argv) if flag == "--params-file"]
    files = [str(share_dir() / "config" / "moveit.yaml"), *given]
    if missing := why_no_description(NODE, namespace, files):
        raise WamError(
            f"MoveIt does not start: {missing}; or give the text to {NODE} in a parameter file"
        )
    try:
        moveit = MoveItPy(
            node_name=NODE,
            name_space=namespace,
            launch_params_filepaths=files,
            provide_planning_service=False,
            remappings={topic: f"{NODE}/{topic}" for topic in ASIDE},
        )
    except Exception as error:  # whatever pybind11 made of a C++ exception
        words = " ".join(str(error).split())[:300]
        advice = (
            "its planner is missing: install ros-$ROS_DISTRO-moveit-planners-ompl, or name yours "
            f"under planning_pipelines of {NODE}"
            if "planning pipelines" in words
            else "robot_description and robot_description_semantic are there: do they fit each "
            "other? Its log says more"
        )
        raise WamError(f"MoveIt (2.12.3 or newer) does not start: {words}; {advice}") from error
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(moveit))
    atexit.register(moveit.shutdown)  # its threads end before the process does
    return moveit


class MoveItScene:
    """Reads the planning scene. Not thread-safe; MoveIt's own thread keeps the scene up to date
    behind a lock.

    Args:
        model: the robot as the filter sees it.
        group: joint model group that a second opinion is about; empty: all links are looked at.
        moveit: a `MoveItPy`; None starts one. It is kept: without it the scene would stand still.
        namespace: of the topics that MoveIt listens to.

    Attributes:
        words: that MoveIt judges, about what and where.

    Raises:
        WamError: MoveIt is not there, does not start, or has no such group.
    """

    def __init__(
        self, model: SafetyModel, group: str = "", moveit: Any = None, namespace: str = ""
    ) -> None:
        self._moveit = load_moveit(namespace) if moveit is None else moveit
        self._robot = self._moveit.get_robot_model()
        self._model = model
        self._group = group
        self.monitor = self._moveit.get_planning_scene_monitor()
        judged = f"group '{group}'" if group else "all links"
        self.words = f"MoveIt judges too: {judged}, in namespace '{namespace or '/'}'"
        if group:
            require_known("joint model group", group, list(self._robot.joint_model_group_names))
        self._links = set(model.links)
        self._known: set[str] = set()
        self._octomap = OctomapReader()

    def read(self, now_ns: int) -> tuple[list[Change], dict[str, Load] | None]:
        """What has to be told to the filter, and everything that is attached. An unreadable scene
        is a doubt, and None is known of what is attached.
        """
        try:
            with self.monitor.read_only() as scene:
                to_base = self._to_base(scene)
                msg = scene.planning_scene_message
            obstacles = self._obstacles(msg, to_base, now_ns)
            held = dict(
                load for body in msg.robot_state.attached_collision_objects for load in _loads(body)
            )
        except Exception as error:  # a scene that cannot be read may hold anything
            words = (
                f"MoveIt's planning scene cannot be read: {type(error).__name__} {str(error)[:200]}"
            )
            return [Change(SCENE, None, refusal=words, source=SOURCE)], None
        frame = self._model.embodiment.base_frame
        changes = [Change(SCENE, None, source=SOURCE)]
        changes += [Change(name, None, source=SOURCE) for name in self._known - set(obstacles)]
        changes += [
            Change(name, obstacle, frame, now_ns, source=SOURCE)
            for name, obstacle in obstacles.items()
        ]
        self._known = set(obstacles)
        return changes, held

    def why_not_valid(self, trajectory: SafeTrajectory) -> str:
        """Why MoveIt would not execute a trajectory; empty when it would."""
        from moveit.core.robot_trajectory import RobotTrajectory

        rows = [*range(0, len(trajectory.t) - 1, EVERY), len(trajectory.t) - 1]
        points = [
            JointTrajectoryPoint(
                positions=trajectory.q[k].tolist(), time_from_start=_duration(trajectory.t[k])
            )
            for k in rows
        ]
        try:
            with self.monitor.read_only() as scene:
                state = copy.copy(scene.current_state)
                msg = RobotTrajectory(self._robot).get_robot_trajectory_msg()
                msg.joint_trajectory = JointTrajectory(
                    joint_names=list(trajectory.joint_names), points=points
                )
                path = RobotTrajectory(self._robot).set_robot_trajectory_msg(state, msg)
                # None, its default, is not taken
                valid = scene.is_path_valid(path, self._group, False, [])
        except Exception as error:
            return f"MoveIt could not look at it: {type(error).__name__} {str(error)[:200]}"
        judged = f" for group '{self._group}'" if self._group else ""
        return "" if valid else f"MoveIt's planning scene does not allow it{judged}"

    def _to_base(self, scene: Any) -> Pose:
        """Pose of the planning frame in the base frame."""
        frame = self._model.embodiment.base_frame
        if not scene.knows_frame_transform(frame):
            raise WamError(f"it has no frame '{frame}', the robot's base_frame")
        return pose_from_matrix(np.asarray(scene.get_frame_transform(frame))).inverse()

    def _obstacles(self, msg: Any, to_base: Pose, now_ns: int) -> dict[str, Obstacle]:
        forgiven = _forgiven(msg.allowed_collision_matrix, self._links)
        out: dict[str, Obstacle] = {}
        for body in msg.world.collision_objects:
            pose = to_base * _pose(body.pose)
            for k, obstacle in enumerate(_shapes(body, pose, forgiven(body.id))):
                out[f"{PREFIX}{body.id}/{k}"] = obstacle
        cloud = self._cloud(msg.world.octomap, to_base, forgiven(OCTOMAP), now_ns)
        if cloud is not None:
            out[PREFIX + OCTOMAP] = cloud
        return out

    def _cloud(
        self, octomap: Any, to_base: Pose, ignore: tuple[str, ...], now_ns: int
    ) -> Cloud | None:
        """What is solid of the octomap, as far as it has been read; None: nothing."""
        msg = octomap.octomap
        data = np.asarray(msg.data, dtype=np.int8).tobytes()
        if not data:
            self._octomap.forget()
            return None
        if msg.binary or msg.id != "OcTree":
            raise WamError(
                f"octomap of kind '{msg.id}', binary {msg.binary}; expected a full OcTree"
            )
        place = placed(to_base * _pose(octomap.origin))
        solid = self._octomap.voxels(data, msg.resolution, place, now_ns)
        if not len(solid.points):
            return None
        return Cloud("points", (solid.edge,), *solid.place, ignore=ignore, points=solid.points)


class MoveItBackend:
    """Tells a safety machine at a fixed rate what MoveIt's scene holds, and lets MoveIt veto what
    would leave.

    Args:
        node: whose timer it is.
        machine: is told.
        emit: what to do with an emission of the machine.
        scene: to read.
        hz: readings per second.
    """

    def __init__(
        self,
        node: Node,
        machine: SafetyMachine,
        emit: Callable[[Emission], None],
        scene: MoveItScene,
        hz: float,
    ) -> None:
        self._node = node
        self._machine = machine
        self._emit = emit
        self._scene = scene
        self._move_group = MoveGroup(node, scene.monitor)
        self._said = ""  # in the log
        self._reported: tuple[str, bool] | None = None
        self._refused: set[str] = set()  # attached objects that could not be held
        machine.filter.second_opinion = scene.why_not_valid
        node.create_timer(1 / hz, self.tell)

    def tell(self) -> None:
        """Read the scene once."""
        now_ns = self._node.get_clock().now().nanoseconds
        why = self._move_group.poll(now_ns)
        awaited = Change(PREFIX + WHOLE, None, refusal=why, source=SOURCE)
        changes, attached = self._scene.read(now_ns)
        machine = self._machine
        if attached is None:  # what is held stays held: a stop has to be proven for it, too
            attached = {n: v for n, v in machine.model.held.items() if n.startswith(PREFIX)}
        for name in [
            n
            for n in {*machine.model.held, *self._refused}
            if n.startswith(PREFIX) and n not in attached
        ]:
            self._hold(name, None, now_ns)
        emission = machine.on_obstacles([awaited, *changes], now_ns)
        if emission is not None:
            self._emit(emission)
        for name, load in attached.items():  # after what was picked up is no obstacle any more
            if machine.model.held.get(name) != load:
                self._hold(name, load, now_ns)
        self._say(why, now_ns)

    def _say(self, why: str, now_ns: int) -> None:
        """Who judges and whose scene it is, in the log and in a report, when that is another one
        and when somebody begins to listen.
        """
        words = why or f"{self._scene.words}, {self._move_group.words}"
        log = self._node.get_logger()
        if words != self._said:
            self._said = words
            # one line for each: rclpy tells the severities of a logger's calls by their lines
            if why:
                log.warning(words)
            else:
                log.info(words)
        now = (words, self._machine.state != SafetyState.DISABLED)
        if not why and now != self._reported:
            self._reported = now
            report = dataclasses.replace(self._machine.heartbeat(now_ns), sentence=words)
            self._emit(Emission(None, report))

    def _hold(self, name: str, load: Load | None, now_ns: int) -> None:
        answer = self._machine.hold(name, load, now_ns)
        refusal = "" if answer.ok else answer.message
        (self._refused.discard if answer.ok else self._refused.add)(name)
        self._machine.on_obstacles(
            [Change(f"{name} in the gripper", None, refusal=refusal, source=SOURCE)], now_ns
        )
        if answer.trajectory is not None:
            self._emit(Emission(answer.trajectory, self._machine.tick(now_ns).report))


def _forgiven(matrix: Any, links: set[str]) -> Any:
    """A function that gives the links which may touch an object; an entry of a pair goes before a
    default.
    """
    index = {name: k for k, name in enumerate(matrix.entry_names)}
    defaults = dict(zip(matrix.default_entry_names, matrix.default_entry_values, strict=True))

    def allowed(link: str, name: str) -> bool:
        if link in index and name in index:
            return bool(matrix.entry_values[index[link]].enabled[index[name]])
        if link in defaults and name in defaults:
            return bool(defaults[link] and defaults[name])
        return bool(defaults.get(link, defaults.get(name, False)))

    return lambda name: tuple(sorted(link for link in links if allowed(link, name)))


def _shapes(body: Any, pose: Pose, ignore: tuple[str, ...]) -> list[Obstacle]:
    """Everything that a collision object consists of; MoveIt keeps one of which it could build
    nothing as empty.
    """
    out: list[Obstacle] = []
    for primitive, at in zip(body.primitives, body.primitive_poses, strict=True):
        shape, size = shape_of(primitive)
        out.append(Obstacle(shape, size, *placed(pose * _pose(at)), ignore=ignore))
    for mesh, at in zip(body.meshes, body.mesh_poses, strict=True):
        out.append(
            Cloud("hull", (), *placed(pose * _pose(at)), ignore=ignore, points=_vertices(mesh))
        )
    for plane, at in zip(body.planes, body.plane_poses, strict=True):
        out.append(
            Obstacle("plane", (), *placed(_plane(pose * _pose(at), plane.coef)), ignore=ignore)
        )
    if not out:
        raise WamError(f"'{body.id}' has no shape that MoveIt knows")
    return out


def _plane(pose: Pose, coefficients: Any) -> Pose:
    """A plane a x + b y + c z + d = 0 with its z axis towards the robot's base: what is behind it
    counts as solid.

    MoveIt hands d to FCL, whose planes are a x + b y + c z = d: it checks the mirror image of one
    that has an offset.
    """
    normal = np.array(coefficients[:3], dtype=float)
    length = float(np.linalg.norm(normal))
    if not length > 0 or coefficients[3] != 0:
        raise WamError(
            "a plane without a normal, or with an offset: MoveIt mirrors that; put it into the "
            "pose instead"
        )
    normal = pose.rotation @ (normal / length)
    point = pose.translation
    normal = normal if normal @ -point >= 0 else -normal
    return facing(normal, point)


def _loads(attached: Any) -> list[tuple[str, Load]]:
    """An attached object as loads on its link; meshes count as the box around them. MoveIt tells no
    mass.
    """
    out: list[tuple[str, Load]] = []
    for shape in _shapes(attached.object, _pose(attached.object.pose), ()):
        kind = shape.shape
        size = shape.size
        position = shape.position
        if isinstance(shape, Cloud):
            low = shape.points.min(axis=0)
            high = shape.points.max(axis=0)
            x, y, z = (
                float(v) for v in make_pose(position, shape.orientation).act((low + high) / 2)
            )
            kind = "box"
            size = tuple(float(v) for v in np.maximum(high - low, 1e-4))
            position = (x, y, z)
        load = Load(
            attached.link_name,
            0.0,
            shape=kind,
            size=size,
            position=position,
            orientation=shape.orientation,
        )
        out.append((f"{PREFIX}{attached.object.id}/{len(out)}", load))
    return out


def _vertices(mesh: Any) -> np.ndarray:
    return np.array([(v.x, v.y, v.z) for v in mesh.vertices], dtype=float).reshape(-1, 3)


def _pose(msg: Any) -> Pose:
    p = msg.position
    o = msg.orientation
    return make_pose((p.x, p.y, p.z), (o.w, o.x, o.y, o.z))


def _duration(seconds: float) -> Duration:
    ns = round(float(seconds) * 1e9)
    return Duration(sec=ns // 10**9, nanosec=ns % 10**9)
