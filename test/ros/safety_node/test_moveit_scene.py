"""The planning scene of MoveIt in front of the safety filter. MoveIt itself does not run here: see
`moveit_fakes`.
"""

import gc
import struct
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.srv")
from geometry_msgs.msg import Point
from shape_msgs.msg import Mesh, Plane, SolidPrimitive

from testing.rig import Rig
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.types import Decision, Reason, SafetyState
from wam_ros.robot.model import load_safety_model
from wam_ros.ros.safety_node import moveit_scene
from wam_ros.ros.safety_node.moveit_scene import MoveItBackend, MoveItScene, load_moveit
from wam_ros.safety.filter import SafetyFilter

from .conftest import finish_reading
from .moveit_fakes import (
    AttachedCollisionObject,
    MoveGroupNode,
    MoveItPy,
    PlanningScene,
    PlanningSceneMessage,
    PlanningSceneWorld,
    box,
    collision_object,
    install,
    moveit,
    pose,
    say,
)

pytestmark = [pytest.mark.ros, pytest.mark.untimed]


@pytest.fixture
def scene(monkeypatch):
    install(monkeypatch)
    load_moveit.cache_clear()
    monkeypatch.setattr(MoveItPy, "scene", PlanningScene())
    monkeypatch.setattr(moveit_scene, "why_no_description", lambda *given: "")
    return MoveItPy.scene


@pytest.fixture
def rig():
    model = load_safety_model(load_embodiment("panda"))
    return Rig(SafetyFilter(model), np.array(model.embodiment.home))


@pytest.fixture
def backend(scene, rig):
    reader = MoveItScene(rig.filter.model, "panda_arm")
    return MoveItBackend(MoveGroupNode(lambda: rig.now), rig.machine, rig.keep, reader, 10.0)


def obstacle(rig, name):
    return rig.machine.model.obstacles[f"moveit/{name}"]


def test_objects_come_move_and_go_with_the_scene(scene, rig, backend):
    bodies = scene.message.world.collision_objects
    cone = SolidPrimitive(type=SolidPrimitive.CONE, dimensions=[0.4, 0.1])
    bodies.append(collision_object("shelf", pose(1.0, 0.2, 0.3), [box(0.1, 0.2, 0.3), cone]))
    scene.base[:3, 3] = (0.0, 0.0, 0.5)
    backend.tell()
    assert obstacle(rig, "shelf/0").size == (0.1, 0.2, 0.3)
    assert obstacle(rig, "shelf/0").position == pytest.approx((1.0, 0.2, -0.2)), (
        "the base stands half a metre high"
    )
    assert (obstacle(rig, "shelf/1").shape, obstacle(rig, "shelf/1").size) == (
        "cylinder",
        (0.1, 0.4),
    )
    bodies[0].pose = pose(1.5, 0.2, 0.3)
    backend.tell()
    assert obstacle(rig, "shelf/0").position[0] == pytest.approx(1.5)
    bodies.clear()
    backend.tell()
    assert set(rig.machine.model.obstacles) == {"table"}


SHELF = collision_object("shelf", pose(1.0, 0.2, 0.3), [box(0.1, 0.2, 0.3)])


@pytest.mark.parametrize(
    ("topic", "message"),
    [
        ("collision_object", SHELF),
        ("planning_scene", PlanningSceneMessage(world=PlanningSceneWorld([SHELF]))),
        ("planning_scene_world", PlanningSceneWorld([SHELF])),
    ],
)
def test_an_object_told_on_any_topic_of_the_scene_counts_without_a_move_group(
    rig, backend, topic, message
):
    say(backend._scene.monitor, backend._node, topic, message)
    backend.tell()
    assert obstacle(rig, "shelf/0").size == (0.1, 0.2, 0.3)


def test_an_attached_object_told_on_its_topic_counts_without_a_move_group(rig, backend):
    can = collision_object("can", pose(z=0.15), [box(0.05, 0.05, 0.2)])
    attached = AttachedCollisionObject("panda_hand", can)
    say(backend._scene.monitor, backend._node, "attached_collision_object", attached)
    backend.tell()
    assert "moveit/can/0" in rig.machine.model.held


def test_meshes_become_hulls_and_planes_are_solid_behind(scene, rig, backend):
    corners = [Point(x=x, y=y, z=z) for x in (0.0, 0.1) for y in (0.0, 0.1) for z in (0.0, 0.1)]
    wall = Plane(coef=[-1.0, 0.0, 0.0, 0.0])  # at x = 1.2, with the robot in front of it
    scene.message.world.collision_objects += [
        collision_object("cube", pose(0.9, 0.0, 0.5), meshes=[Mesh(vertices=corners)]),
        collision_object("wall", pose(1.2), planes=[wall]),
    ]
    backend.tell()
    model, q = rig.machine.model, rig.home
    hand = {
        b: d
        for (a, b), d in zip(model.pairs.names, model.distances(q), strict=True)
        if a == "panda_hand"
    }
    link1 = {
        b: d
        for (a, b), d in zip(model.pairs.names, model.distances(q), strict=True)
        if a == "panda_link1"
    }
    assert 0.1 < hand["moveit/cube/0"] < 0.5
    assert 1.0 < link1["moveit/wall/0"] < 1.2


def test_what_the_collision_matrix_forgives_may_touch_and_nothing_else(scene, rig, backend):
    matrix = scene.message.allowed_collision_matrix
    matrix.entry_names = ["panda_hand", "panda_link5", "cup"]
    rows = ([0, 1, 1], [1, 0, 0], [1, 0, 0])
    matrix.entry_values = [SimpleNamespace(enabled=[bool(x) for x in row]) for row in rows]
    scene.message.world.collision_objects.append(
        collision_object("cup", pose(0.0, 1.0, 0.5), [box(0.1, 0.1, 0.1)])
    )
    backend.tell()
    assert obstacle(rig, "cup/0").ignore == ("panda_hand",)
    matrix.default_entry_names, matrix.default_entry_values = ["panda_link6", "cup"], [True, True]
    matrix.entry_names, matrix.entry_values = [], []
    backend.tell()
    assert "panda_link6" in obstacle(rig, "cup/0").ignore


def show_octomap(scene, cell=(0, 0, 0)):
    """The scene's map has one solid voxel, `cell` of those beside the origin, in the positive
    octant.
    """
    leaf = struct.pack("<fB", 1.0, 0)
    for level in range(16):
        side = sum((c >> level & 1) << axis for axis, c in enumerate(cell))
        leaf = struct.pack("<fB", 1.0, 1 << (7 if level == 15 else side)) + leaf
    octomap = scene.message.world.octomap
    octomap.octomap.data, octomap.octomap.resolution = list(np.frombuffer(leaf, np.int8)), 0.05
    octomap.octomap.id, octomap.origin = "OcTree", pose(1.0, 0.0, 0.5)


def tell_what_is_read(backend):
    """Tell, let the thread read the map to its end, and tell that."""
    backend.tell()
    finish_reading(backend._scene._octomap)
    backend.tell()


def test_occupied_voxels_of_the_octomap_are_points(scene, rig, backend):
    show_octomap(scene)
    tell_what_is_read(backend)
    cloud = obstacle(rig, "<octomap>")
    assert cloud.points == pytest.approx(np.full((1, 3), 0.025))
    assert cloud.position == pytest.approx((1.0, 0.0, 0.5))
    octomap = scene.message.world.octomap.octomap
    octomap.data = octomap.data[:-1]
    tell_what_is_read(backend)
    assert "middle of a node" in rig.machine.surroundings.live.why_not_known(rig.now)
    octomap.data = []
    backend.tell()
    assert rig.machine.surroundings.live.why_not_known(rig.now) == ""
    assert set(rig.machine.model.obstacles) == {"table"}


def test_a_stop_is_heard_while_an_octomap_is_read_and_the_one_before_counts(
    scene, rig, backend, gate
):
    show_octomap(scene)
    tell_what_is_read(backend)
    rig.moving()
    gate.clear()
    show_octomap(scene, (20, 0, 0))
    backend.tell()
    assert obstacle(rig, "<octomap>").points[0, 0] == pytest.approx(0.025)
    assert rig.machine.surroundings.live.why_not_known(rig.now) == ""
    assert rig.machine.estop(rig.now).trajectory is not None
    gate.set()
    finish_reading(backend._scene._octomap)
    backend.tell()
    assert obstacle(rig, "<octomap>").points[0, 0] == pytest.approx(20 * 0.05 + 0.025)


def test_what_is_held_stays_held_while_the_scene_cannot_be_read(scene, rig, backend):
    scene.message.robot_state.attached_collision_objects.append(
        AttachedCollisionObject(
            "panda_hand", collision_object("can", pose(z=0.15), [box(0.05, 0.05, 0.2)])
        )
    )
    backend.tell()
    good = scene.message
    scene.message = None
    backend.tell()
    assert "cannot be read" in rig.machine.surroundings.live.why_not_known(rig.now)
    assert "moveit/can/0" in rig.machine.model.held
    scene.message = good
    backend.tell()
    assert rig.machine.surroundings.live.why_not_known(rig.now) == ""


def test_attached_objects_are_held_and_let_go_of(scene, rig, backend):
    attached = AttachedCollisionObject(
        "panda_hand", collision_object("can", pose(z=0.15), [box(0.05, 0.05, 0.2)])
    )
    scene.message.robot_state.attached_collision_objects.append(attached)
    backend.tell()
    assert rig.machine.model.held["moveit/can/0"].position == pytest.approx((0.0, 0.0, 0.15))
    assert any("moveit/can/0" in pair for pair in rig.machine.model.pairs.names)
    attached.link_name = "panda_claw"
    backend.tell()
    assert "panda_claw" in rig.machine.surroundings.live.why_not_known(rig.now)
    scene.message.robot_state.attached_collision_objects.clear()
    backend.tell()
    assert rig.machine.model.held == {}
    assert rig.machine.surroundings.live.why_not_known(rig.now) == ""


def test_what_is_picked_up_stops_being_an_obstacle_and_the_motion_goes_on(scene, rig, backend):
    bodies = scene.message.world.collision_objects
    bodies.append(collision_object("can", pose(2.0, 0.0, 0.4), [box(0.02, 0.02, 0.02)]))
    backend.tell()
    rig.moving()
    can = collision_object("can", pose(z=0.15), [box(0.02, 0.02, 0.02)])
    bodies.clear()
    scene.message.robot_state.attached_collision_objects.append(
        AttachedCollisionObject("panda_claw", can)
    )
    backend.tell()
    assert "panda_claw" in rig.machine.surroundings.live.why_not_known(rig.now)
    scene.message.robot_state.attached_collision_objects[0].link_name = "panda_hand"
    backend.tell()
    assert rig.machine.surroundings.live.why_not_known(rig.now) == ""
    assert rig.state == SafetyState.ARMED
    assert "moveit/can/0" in rig.machine.model.held


def test_a_scene_that_cannot_be_read_is_a_doubt_until_it_can(scene, rig, backend):
    backend.tell()
    good = scene.message
    scene.message = None
    backend.tell()
    assert "cannot be read" in rig.armed().chunk().report.sentence
    scene.message = good
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
    assert (refused.report.decision, refused.report.reasons) == (
        Decision.REJECT,
        Reason.ENV_COLLISION,
    )
    assert "does not allow it for group 'panda_arm'" in refused.report.sentence
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


def test_moveit_is_started_in_the_namespace_and_leaves_the_monitored_scene_to_move_group(
    scene, rig, monkeypatch
):
    monkeypatch.setattr(sys, "argv", ["safety_node", "--ros-args", "--params-file", "/mine.yaml"])
    MoveItScene(rig.filter.model, namespace="/cell")
    topics = ("planning_scene", "monitored_planning_scene", "planning_scene_world")
    aside = {topic: f"safety_moveit/{topic}" for topic in (*topics, "collision_object")}
    shipped, mine = MoveItPy.made.pop("files")
    assert mine == "/mine.yaml"
    assert list(yaml.safe_load(Path(shipped).read_text())) == ["/**/safety_moveit"]
    assert MoveItPy.made == {
        "name": "safety_moveit",
        "space": "/cell",
        "service": False,
        "remappings": aside,
    }


def test_moveit_is_started_once_per_process_and_ends_with_it_but_is_never_taken_apart(
    scene, monkeypatch
):
    at_exit = []
    monkeypatch.setattr("atexit.register", at_exit.append)
    first, count = weakref.ref(load_moveit("/cell")), MoveItPy.count
    assert load_moveit("/cell") is first(), "a node that is configured again"
    assert MoveItPy.count == count
    assert at_exit.pop() == first().shutdown
    load_moveit.cache_clear()
    gc.collect()
    assert first() is not None, "its destructor would crash the process at its end"


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("Unable to configure planning scene monitor", "do they fit each other"),
        ("Failed to load planning pipelines from parameter server", "its planner is missing"),
    ],
)
def test_moveit_that_does_not_start_says_what_it_lacks(scene, monkeypatch, words, advice):
    def refuse(**options):
        raise RuntimeError(words)

    monkeypatch.setattr(sys.modules["moveit.planning"], "MoveItPy", refuse)
    with pytest.raises(WamError, match=f"{words}; .*{advice}"):
        load_moveit()


def test_a_description_that_is_missing_is_named_before_moveit_starts(scene, monkeypatch):
    count = MoveItPy.count
    asked = []

    def missing(*given):
        asked.append(given)
        return "robot_description did not come on /cell/robot_description"

    monkeypatch.setattr(moveit_scene, "why_no_description", missing)
    with pytest.raises(WamError, match="did not come on /cell/robot_description; or give"):
        load_moveit("/cell")
    assert MoveItPy.count == count
    assert asked[0][:2] == ("safety_moveit", "/cell")


def test_who_judges_and_whose_scene_it_is_are_said_once_in_the_log_and_in_a_report(rig, backend):
    reports = []
    backend._emit = lambda output: reports.append(output.report.sentence)
    node = backend._node
    for _ in range(3):
        backend.tell()
    words = "MoveIt judges too: group 'panda_arm', in namespace '/', no move_group found on /get"
    assert len(node.logged) == len(reports) == 1
    assert node.logged[0].startswith(words)
    assert reports[0].startswith(words)
    node.here = True
    backend.tell()
    assert "has not answered" in node.logged[1]
    node.asked[-1].answer(PlanningSceneMessage())
    for _ in range(3):
        backend.tell()
    assert len(node.logged) == 3
    assert "the scene of the move_group on /get_planning_scene" in node.logged[2]
    assert reports[-1] == node.logged[2]


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"planes": [Plane(coef=[0.0, 0.0, 1.0, 0.05])]}, "MoveIt mirrors that"),
        ({"primitives": []}, "'odd' has no shape that MoveIt knows"),
        (
            {
                "meshes": [
                    Mesh(vertices=[Point(x=x, y=y, z=0.5) for x in (0.0, 0.1) for y in (0.0, 0.1)])
                ]
            },
            "no volume",
        ),
    ],
)
def test_what_moveit_itself_gets_wrong_is_a_doubt(scene, rig, backend, shapes, words):
    scene.message.world.collision_objects.append(collision_object("odd", **shapes))
    backend.tell()
    assert words in rig.machine.surroundings.live.why_not_known(rig.now)


def test_nothing_moves_before_move_group_has_told_its_whole_scene(scene, rig, backend):
    backend.tell()
    assert rig.armed().chunk().report.decision == Decision.PASS, (
        "without a move_group there is nothing to wait for"
    )
    node = backend._node
    node.here = True
    backend.tell()
    assert "move_group has not answered" in rig.machine.surroundings.live.why_not_known(rig.now)
    whole = PlanningSceneMessage()
    whole.world.collision_objects.append(
        collision_object("shelf", pose(1.0, 0.2, 0.3), [box(0.1, 0.2, 0.3)])
    )
    node.asked[-1].answer(whole)
    backend.tell()
    assert rig.machine.surroundings.live.why_not_known(rig.now) == ""
    assert obstacle(rig, "shelf/0"), "known as soon as motion is allowed again"


def test_a_move_group_that_dies_stops_the_arm(scene, rig, backend):
    node = backend._node
    node.here = True
    backend.tell()
    node.asked[-1].answer(PlanningSceneMessage())
    backend.tell()
    rig.moving()
    node.here = False
    backend.tell()
    stop = rig.machine.tick(rig.now)
    assert stop.trajectory is not None
    assert "move_group is gone" in rig.chunk().report.sentence
