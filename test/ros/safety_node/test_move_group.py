"""What move_group knows of the planning scene, in the scene that the safety filter reads."""

import pytest

pytest.importorskip("rclpy")
from wam_ros.core.types import NS
from wam_ros.ros.safety_node.move_group import PATIENCE_S, PULSE_S, MoveGroup

from .moveit_fakes import (
    AttachedCollisionObject,
    CollisionObject,
    MoveGroupNode,
    PlanningScene,
    PlanningSceneMessage,
    PlanningSceneMonitor,
    PlanningSceneWorld,
    box,
    collision_object,
    install,
    pose,
)

pytestmark = [pytest.mark.ros, pytest.mark.untimed]


@pytest.fixture
def node():
    return MoveGroupNode(lambda: 0)


@pytest.fixture
def scene():
    return PlanningScene()


@pytest.fixture
def monitor(scene):
    return PlanningSceneMonitor(scene)


class Polled(MoveGroup):
    """Ten times a second."""

    now_ns = 10**15

    def poll(self):
        self.now_ns += NS // 10
        return super().poll(self.now_ns)


@pytest.fixture
def group(node, monitor, monkeypatch):
    install(monkeypatch)
    return Polled(node, monitor)


def message(*names, diff=False, operation=CollisionObject.ADD, frame="world"):
    made = PlanningSceneMessage(is_diff=diff)
    made.world.collision_objects = [
        collision_object(n, primitives=[box(0.1, 0.1, 0.1)], frame=frame) for n in names
    ]
    for body in made.world.collision_objects:
        body.operation = operation
    return made


def seen(scene):
    message = scene.message
    held = [a.object.id for a in message.robot_state.attached_collision_objects]
    return sorted(b.id for b in message.world.collision_objects), held


def answered(group, node, *names):
    node.here = True
    group.poll()
    node.asked[-1].answer(message(*names))
    assert group.poll() == ""


def test_a_whole_scene_is_seen_at_once_and_replaces_what_was(group, node, scene):
    scene.message = message("old")
    scene.message.world.octomap.octomap.data = [1]
    scene.message.robot_state.attached_collision_objects = [
        AttachedCollisionObject("panda_hand", collision_object("can"))
    ]
    whole = message("shelf", "cup")
    whole.robot_state.attached_collision_objects = [
        AttachedCollisionObject(
            "panda_hand", collision_object("pen", pose(), [box(0.01, 0.01, 0.1)])
        )
    ]
    node.here = True
    group.poll()
    node.asked[-1].answer(whole)
    assert seen(scene) == (["cup", "shelf"], ["pen"])
    assert not scene.message.world.octomap.octomap.data
    node.hear["monitored_planning_scene"](message("table"))
    assert seen(scene) == (["table"], [])


def test_scenes_on_the_topic_of_everybody_are_heard_here(group, node, scene):
    node.hear["planning_scene"](message("shelf"))
    assert seen(scene)[0] == ["shelf"]
    node.hear["planning_scene"](message("cup", diff=True))
    assert seen(scene)[0] == ["cup", "shelf"]


def test_a_world_replaces_the_world_and_leaves_what_is_attached(group, node, scene, monitor):
    node.hear["planning_scene"](message("shelf"))
    scene.message.world.octomap.octomap.data = [1]
    scene.message.robot_state.attached_collision_objects = [
        AttachedCollisionObject("panda_hand", collision_object("can"))
    ]
    node.hear["planning_scene_world"](message("cup", "table").world)
    assert seen(scene) == (["cup", "table"], ["can"])
    assert not scene.message.world.octomap.octomap.data
    assert monitor.frames, "its objects may be in any frame that tf knows"
    node.hear["planning_scene_world"](message("pen", frame="elsewhere").world)
    assert "did not take 'pen'" in group.poll()
    node.hear["planning_scene_world"](PlanningSceneWorld())
    assert group.poll() == ""
    assert seen(scene) == ([], ["can"])


def test_an_object_told_alone_is_a_doubt_when_it_is_not_taken(group, node, scene, monitor):
    (cup,) = message("cup", frame="elsewhere").world.collision_objects
    node.hear["collision_object"](cup)
    assert monitor.frames, "it may be in any frame that tf knows"
    assert "did not take 'cup'" in group.poll()
    (cup,) = message("cup").world.collision_objects
    node.hear["collision_object"](cup)
    assert group.poll() == ""
    assert seen(scene)[0] == ["cup"]
    (cup,) = message("cup", operation=CollisionObject.REMOVE).world.collision_objects
    node.hear["collision_object"](cup)
    assert seen(scene)[0] == []


def test_changes_between_question_and_answer_are_told_again_after_it(group, node, scene):
    node.here = True
    assert "has not answered" in group.poll()
    node.hear["monitored_planning_scene"](message("cup", diff=True))
    node.asked[-1].answer(message("shelf"))
    assert group.poll() == ""
    assert seen(scene)[0] == ["cup", "shelf"]


def test_a_move_group_that_is_gone_is_a_doubt_until_it_is_back_and_its_former_answer_is_late(
    group, node, scene
):
    node.here = True
    group.poll()
    node.here = False
    for _ in range(3):
        assert "move_group is gone: /get_planning_scene" in group.poll()
    node.here = True
    assert "has not answered" in group.poll()
    before, now = node.asked
    assert node.given_up == [before]
    before.answer(message("old"))
    assert "has not answered" in group.poll()
    now.answer(message("new"))
    assert group.poll() == ""
    assert seen(scene)[0] == ["new"]


def test_one_that_was_followed_and_died_is_a_doubt(group, node):
    answered(group, node, "shelf")
    node.here = False
    assert "move_group is gone" in group.poll()


def test_one_that_is_there_and_silent_is_a_doubt_until_it_tells_its_whole_scene(group, node, scene):
    answered(group, node, "shelf")
    polls = 0
    while (why := group.poll()) == "":
        polls += 1
        assert polls < 100
    assert "has not answered" in why
    assert polls <= 10 * (PULSE_S + PATIENCE_S) + 1
    assert [question.components for question in node.asked] == [0, 1, 0]
    node.asked[1].answer(message())
    assert "has not answered" in group.poll(), "the pulse of before is late"
    node.asked[2].answer(message("cup"))
    assert group.poll() == ""
    assert seen(scene)[0] == ["cup"]


def test_one_that_answers_is_asked_for_little_and_never_doubted(group, node, scene):
    answered(group, node, "shelf")
    for _ in range(100):
        assert group.poll() == ""
        node.asked[-1].answer(message("not all of it"))
    assert {question.components for question in node.asked[1:]} == {1}
    assert len(node.asked) < 100 * 0.1 / PULSE_S + 2
    assert seen(scene)[0] == ["shelf"]


def test_a_question_that_was_lost_is_asked_again(group, node):
    node.here = True
    for _ in range(round(10 * PATIENCE_S) + 2):
        assert "has not answered" in group.poll()
    assert len(node.asked) == 2


@pytest.mark.parametrize("what", ["/get_planning_scene", "/monitored_planning_scene"])
def test_two_who_tell_the_scene_are_a_doubt_and_the_one_that_stays_is_asked_again(
    group, node, what
):
    answered(group, node, "shelf")
    node.offers[what] = 2
    assert f"{what} comes from 2 nodes" in group.poll()
    node.offers[what] = 1
    assert "has not answered" in group.poll()
    assert len(node.asked) == 2


def test_an_object_that_is_not_taken_is_a_doubt_until_it_is_taken_or_gone(group, node):
    answered(group, node, "shelf")
    hear = node.hear["monitored_planning_scene"]
    hear(message("cup", diff=True, frame="elsewhere"))
    assert "did not take 'cup'" in group.poll()
    hear(message("cup", diff=True, operation=CollisionObject.REMOVE))
    assert group.poll() == ""
    hear(message("pen", diff=True, operation=CollisionObject.MOVE))
    assert "did not take 'pen'" in group.poll()
    hear(message("pen", diff=True))
    assert group.poll() == ""


def test_whoever_does_not_take_the_whole_scene_is_asked_for_it_again_now_and_then(group, node):
    node.here = True
    group.poll()
    node.asked[-1].answer(message("shelf", frame="elsewhere"))
    for _ in range(round(10 * PATIENCE_S) + 1):
        assert "did not take 'shelf'" in group.poll()
    assert len(node.asked) == 2
    node.asked[-1].answer(message("shelf"))
    assert group.poll() == ""


def test_what_is_gone_already_may_be_removed_again_without_a_doubt(group, node, scene):
    answered(group, node)
    change = message("cup", diff=True)
    change.world.collision_objects += message(
        "gone", operation=CollisionObject.REMOVE
    ).world.collision_objects
    node.hear["monitored_planning_scene"](change)
    assert group.poll() == ""
    assert seen(scene)[0] == ["cup"]
