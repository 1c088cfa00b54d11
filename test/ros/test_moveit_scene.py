"""The planning scene of MoveIt, as far as its Python bindings 2.14 show it, in front of the safety filter.

MoveIt itself does not run here. The stand-ins below have only methods, properties and argument names of its bindings,
and messages with the fields that it fills in.
"""

import struct
import sys
import weakref
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.srv")
from geometry_msgs.msg import Point, Pose, Quaternion
from shape_msgs.msg import Mesh, Plane, SolidPrimitive

from test.safety.rig import Rig
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.types import Decision, Reason, SafetyState
from wam_ros.ros.moveit_scene import MoveItBackend, MoveItScene, load_moveit
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.model import load_safety_model

pytestmark = pytest.mark.ros


def pose(x=0.0, y=0.0, z=0.0) -> Pose:
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(w=1.0))


def collision_object(name, at, primitives=(), meshes=(), planes=()):
    """moveit_msgs/CollisionObject as `planning_scene_message` fills it."""
    poses = {k: [pose()] * len(v) for k, v in (("primitive", primitives), ("mesh", meshes), ("plane", planes))}
    return SimpleNamespace(
        id=name,
        pose=at,
        primitives=list(primitives),
        primitive_poses=poses["primitive"],
        meshes=list(meshes),
        mesh_poses=poses["mesh"],
        planes=list(planes),
        plane_poses=poses["plane"],
    )


def box(*size) -> SolidPrimitive:
    return SolidPrimitive(type=SolidPrimitive.BOX, dimensions=list(size))


class Scene:
    """PlanningScene, and its monitor and its lock at once."""

    def __init__(self):
        matrix = SimpleNamespace(entry_names=[], entry_values=[], default_entry_names=[], default_entry_values=[])
        octomap = SimpleNamespace(octomap=SimpleNamespace(data=[], resolution=0.0, binary=False, id=""), origin=pose())
        self.planning_scene_message = SimpleNamespace(
            allowed_collision_matrix=matrix,
            robot_state=SimpleNamespace(attached_collision_objects=[]),
            world=SimpleNamespace(collision_objects=[], octomap=octomap),
        )
        self.base = np.eye(4)  # pose of panda_link0 in the planning frame
        self.current_state, self.valid, self.asked, self.locked = object(), True, [], False
        self.told = []  # messages given to the monitor

    def read_only(self):
        return self

    def __enter__(self):
        self.locked = True
        return self

    def __exit__(self, kind, value, trace):
        self.locked = False

    def knows_frame_transform(self, frame_id):
        return frame_id == "panda_link0"

    def get_frame_transform(self, frame_id):
        return self.base

    def new_planning_scene_message(self, scene):
        self.told.append(scene)
        return True

    def is_path_valid(self, trajectory, joint_model_group_name, verbose=False, invalid_index=None):
        assert self.locked
        if not isinstance(invalid_index, list):
            raise TypeError("is_path_valid(): incompatible function arguments")  # its own default, None, is none
        self.asked.append((trajectory, joint_model_group_name))
        return self.valid


class RobotTrajectory:
    """moveit.core.robot_trajectory.RobotTrajectory."""

    def __init__(self, robot_model):
        self.msg = None

    def get_robot_trajectory_msg(self, joint_filter=()):
        return SimpleNamespace(joint_trajectory=None)

    def set_robot_trajectory_msg(self, robot_state, msg):
        self.msg = msg
        return self


@pytest.fixture
def scene(monkeypatch):
    core = ModuleType("moveit.core.robot_trajectory")
    core.RobotTrajectory = RobotTrajectory
    for name in ("moveit", "moveit.core"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "moveit.core.robot_trajectory", core)
    return Scene()


@pytest.fixture
def rig():
    model = load_safety_model(load_embodiment("panda"))
    return Rig(SafetyFilter(model), np.array(model.embodiment.home))


class MoveItPy:
    """moveit.planning.MoveItPy, whose end is the end of what keeps the scene up to date."""

    made: ClassVar[dict] = {}

    def __init__(
        self,
        node_name="moveit_py",
        name_space="",
        launch_params_filepaths=(),
        config_dict=None,
        provide_planning_service=True,
        remappings=None,
    ):
        self.made.update(name=node_name, space=name_space, service=provide_planning_service, remappings=remappings)
        self.made.update(files=list(launch_params_filepaths))
        self.scene = Scene()

    def get_robot_model(self):
        return SimpleNamespace(joint_model_group_names=["panda_arm", "hand"])

    def get_planning_scene_monitor(self):
        return self.scene


def moveit(scene):
    made = MoveItPy()
    made.scene = scene
    return made


class MoveGroupNode:
    """A node beside a move_group: the client of its service and what listens to its topic."""

    def __init__(self, rig):
        self._rig, self.here, self.asked, self.hear = rig, False, [], None

    def get_clock(self):
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=self._rig.now))

    def create_timer(self, period, call):
        pass

    def create_client(self, kind, name):
        assert name == "get_planning_scene"
        return SimpleNamespace(service_is_ready=lambda: self.here, call_async=self._ask)

    def create_subscription(self, kind, topic, callback, profile):
        assert topic == "monitored_planning_scene"
        self.hear = callback

    def _ask(self, request):
        return SimpleNamespace(add_done_callback=self.asked.append)

    def answer(self, scene):
        response = SimpleNamespace(scene=scene)
        self.asked.pop()(SimpleNamespace(result=lambda: response))


@pytest.fixture
def backend(scene, rig, monkeypatch):
    messages, services = ModuleType("moveit_msgs.msg"), ModuleType("moveit_msgs.srv")
    messages.PlanningScene = SimpleNamespace
    services.GetPlanningScene = SimpleNamespace(Request=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "moveit_msgs", ModuleType("moveit_msgs"))
    monkeypatch.setitem(sys.modules, "moveit_msgs.msg", messages)
    monkeypatch.setitem(sys.modules, "moveit_msgs.srv", services)
    reader = MoveItScene(rig.filter.model, "panda_arm", moveit(scene))
    backend = MoveItBackend(MoveGroupNode(rig), rig.machine, rig.keep, reader, 10.0)
    backend.node = backend._node
    return backend


def obstacle(rig, name):
    return rig.machine.model.obstacles[f"moveit/{name}"]


def test_objects_come_move_and_go_with_the_scene(scene, rig, backend):
    bodies = scene.planning_scene_message.world.collision_objects
    cone = SolidPrimitive(type=SolidPrimitive.CONE, dimensions=[0.4, 0.1])
    bodies.append(collision_object("shelf", pose(1.0, 0.2, 0.3), [box(0.1, 0.2, 0.3), cone]))
    scene.base[:3, 3] = (0.0, 0.0, 0.5)
    backend.tell()
    assert obstacle(rig, "shelf/0").size == (0.1, 0.2, 0.3)
    assert obstacle(rig, "shelf/0").position == pytest.approx((1.0, 0.2, -0.2)), "the base stands half a metre high"
    assert (obstacle(rig, "shelf/1").shape, obstacle(rig, "shelf/1").size) == ("cylinder", (0.1, 0.4))
    bodies[0].pose = pose(1.5, 0.2, 0.3)
    backend.tell()
    assert obstacle(rig, "shelf/0").position[0] == pytest.approx(1.5)
    bodies.clear()
    backend.tell()
    assert set(rig.machine.model.obstacles) == {"table"}


def test_meshes_become_hulls_and_planes_are_solid_behind(scene, rig, backend):
    corners = [Point(x=x, y=y, z=z) for x in (0.0, 0.1) for y in (0.0, 0.1) for z in (0.0, 0.1)]
    wall = Plane(coef=[-1.0, 0.0, 0.0, 1.2])  # x = 1.2, with the robot in front of it
    scene.planning_scene_message.world.collision_objects += [
        collision_object("cube", pose(0.9, 0.0, 0.5), meshes=[Mesh(vertices=corners)]),
        collision_object("wall", pose(), planes=[wall]),
    ]
    backend.tell()
    model, q = rig.machine.model, rig.home
    hand = {b: d for (a, b), d in zip(model.pairs.names, model.distances(q), strict=True) if a == "panda_hand"}
    link1 = {b: d for (a, b), d in zip(model.pairs.names, model.distances(q), strict=True) if a == "panda_link1"}
    assert 0.1 < hand["moveit/cube/0"] < 0.5
    assert 1.0 < link1["moveit/wall/0"] < 1.2


def test_what_the_collision_matrix_forgives_may_touch_and_nothing_else(scene, rig, backend):
    matrix = scene.planning_scene_message.allowed_collision_matrix
    matrix.entry_names = ["panda_hand", "panda_link5", "cup"]
    rows = ([0, 1, 1], [1, 0, 0], [1, 0, 0])
    matrix.entry_values = [SimpleNamespace(enabled=[bool(x) for x in row]) for row in rows]
    scene.planning_scene_message.world.collision_objects.append(
        collision_object("cup", pose(0.0, 1.0, 0.5), [box(0.1, 0.1, 0.1)])
    )
    backend.tell()
    assert obstacle(rig, "cup/0").ignore == ("panda_hand",)
    matrix.default_entry_names, matrix.default_entry_values = ["panda_link6", "cup"], [True, True]
    matrix.entry_names, matrix.entry_values = [], []
    backend.tell()
    assert "panda_link6" in obstacle(rig, "cup/0").ignore


def test_occupied_voxels_of_the_octomap_are_points(scene, rig, backend):
    leaf = struct.pack("<fB", 1.0, 0)
    for level in range(16):  # the voxel beside the origin, in the positive octant
        leaf = struct.pack("<fB", 1.0, 1 << (7 if level == 15 else 0)) + leaf
    octomap = scene.planning_scene_message.world.octomap
    octomap.octomap.data, octomap.octomap.resolution = list(np.frombuffer(leaf, np.int8)), 0.05
    octomap.octomap.id, octomap.origin = "OcTree", pose(1.0, 0.0, 0.5)
    backend.tell()
    cloud = obstacle(rig, "<octomap>")
    assert cloud.points == pytest.approx(np.full((1, 3), 0.025))
    assert cloud.position == pytest.approx((1.0, 0.0, 0.5))
    octomap.octomap.data = octomap.octomap.data[:-1]
    backend.tell()
    assert "middle of a node" in rig.machine.surroundings.live.doubt(rig.now)


def test_attached_objects_are_held_and_let_go_of(scene, rig, backend):
    attached = SimpleNamespace(
        link_name="panda_hand", object=collision_object("can", pose(z=0.15), [box(0.05, 0.05, 0.2)])
    )
    scene.planning_scene_message.robot_state.attached_collision_objects.append(attached)
    backend.tell()
    assert rig.machine.model.held["moveit/can/0"].position == pytest.approx((0.0, 0.0, 0.15))
    assert any("moveit/can/0" in pair for pair in rig.machine.model.pairs.names)
    attached.link_name = "panda_claw"
    backend.tell()
    assert "panda_claw" in rig.machine.surroundings.live.doubt(rig.now)
    scene.planning_scene_message.robot_state.attached_collision_objects.clear()
    backend.tell()
    assert rig.machine.model.held == {}
    assert rig.machine.surroundings.live.doubt(rig.now) == ""


def test_what_is_picked_up_stops_being_an_obstacle_and_the_motion_goes_on(scene, rig, backend):
    bodies = scene.planning_scene_message.world.collision_objects
    bodies.append(collision_object("can", pose(2.0, 0.0, 0.4), [box(0.02, 0.02, 0.02)]))
    backend.tell()
    rig.moving()
    can = collision_object("can", pose(z=0.15), [box(0.02, 0.02, 0.02)])
    bodies.clear()
    scene.planning_scene_message.robot_state.attached_collision_objects.append(
        SimpleNamespace(link_name="panda_claw", object=can)
    )
    backend.tell()
    assert "panda_claw" in rig.machine.surroundings.live.doubt(rig.now)
    scene.planning_scene_message.robot_state.attached_collision_objects[0].link_name = "panda_hand"
    backend.tell()
    assert rig.machine.surroundings.live.doubt(rig.now) == ""
    assert rig.state == SafetyState.ARMED
    assert "moveit/can/0" in rig.machine.model.held


def test_a_scene_that_cannot_be_read_is_a_doubt_until_it_can(scene, rig, backend):
    backend.tell()
    good = scene.planning_scene_message
    scene.planning_scene_message = None
    backend.tell()
    assert "cannot be read" in rig.armed().chunk().report.sentence
    scene.planning_scene_message = good
    backend.tell()
    assert rig.chunk().report.decision == Decision.PASS


def test_moveit_may_veto_motion_but_not_a_stop(scene, rig, backend):
    rig.armed()
    assert rig.chunk().report.decision == Decision.PASS
    path, group = scene.asked[-1]
    assert group == "panda_arm"
    assert list(path.msg.joint_trajectory.joint_names) == list(rig.machine.model.joint_names)
    assert list(path.msg.joint_trajectory.points[-1].positions) == list(rig.emitted[-1].q[-1])
    scene.valid = False
    refused = rig.chunk()
    assert (refused.report.decision, refused.report.reasons) == (Decision.REJECT, Reason.ENV_COLLISION)
    assert "does not allow it" in refused.report.sentence
    assert refused.trajectory is None
    assert rig.machine.estop(rig.now + 10**8).trajectory is not None
    scene.is_path_valid = None
    assert "could not look at it" in rig.machine.filter.second_opinion(rig.emitted[0])


def test_without_moveit_it_says_what_to_install_or_choose(monkeypatch):
    monkeypatch.setitem(sys.modules, "moveit", None)
    with pytest.raises(WamError, match=r"needs moveit_py .* choose 'builtin'"):
        load_moveit()


def test_an_unknown_group_is_refused_with_the_choices(scene, rig):
    with pytest.raises(WamError, match="Did you mean 'panda_arm'"):
        MoveItScene(rig.filter.model, "panda_am", moveit(scene))


def test_moveit_lives_as_long_as_its_scene_is_read(scene, rig):
    made = moveit(scene)
    alive = weakref.ref(made)
    reader = MoveItScene(rig.filter.model, "panda_arm", made)
    del made
    assert alive() is not None
    del reader
    assert alive() is None


def test_moveit_is_started_in_the_namespace_and_leaves_the_monitored_scene_to_move_group(rig, monkeypatch):
    planning = ModuleType("moveit.planning")
    planning.MoveItPy = MoveItPy
    monkeypatch.setitem(sys.modules, "moveit", ModuleType("moveit"))
    monkeypatch.setitem(sys.modules, "moveit.planning", planning)
    monkeypatch.setattr(sys, "argv", ["safety_node", "--ros-args", "--params-file", "/mine.yaml"])
    MoveItScene(rig.filter.model, namespace="/cell")
    aside = {"monitored_planning_scene": "safety_moveit/monitored_planning_scene"}
    shipped, mine = MoveItPy.made.pop("files")
    assert mine == "/mine.yaml"
    assert list(yaml.safe_load(Path(shipped).read_text())) == ["/**/safety_moveit"]
    assert MoveItPy.made == {"name": "safety_moveit", "space": "/cell", "service": False, "remappings": aside}


def test_the_whole_scene_of_move_group_is_asked_for_and_awaited(scene, rig, backend):
    backend.tell()
    assert rig.armed().chunk().report.decision == Decision.PASS, "without a move_group there is nothing to wait for"
    backend.node.here = True
    backend.tell()
    assert "move_group has not answered" in rig.machine.surroundings.live.doubt(rig.now)
    backend.node.hear("a change that is newer than the answer")
    backend.node.answer("everything")
    backend.tell()
    assert rig.machine.surroundings.live.doubt(rig.now) == ""
    newer = "a change that is newer than the answer"
    assert scene.told == [newer, "everything", newer]
    backend.node.hear("another")
    backend.tell()
    assert scene.told[3:] == ["another"]
    assert not backend.node.asked
    backend.node.here = False
    backend.tell()
    backend.node.here = True
    backend.tell()
    assert len(backend.node.asked) == 1, "a move_group that came back is asked again"
