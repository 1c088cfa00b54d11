"""What a person sees of the surroundings as safety knows them."""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("pinocchio")
from visualization_msgs.msg import Marker, MarkerArray

from testing.markers import why_not_drawable
from wam_ros.core.embodiment import Load, load_embodiment
from wam_ros.robot.model import load_safety_model
from wam_ros.robot.obstacles import Cloud, Obstacle
from wam_ros.ros import qos
from wam_ros.ros.safety_node import surroundings
from wam_ros.ros.safety_node.surroundings import SurroundingsPublisher, body_markers

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
FAR = (0.0, 1.0, 1.0)
BOX = Obstacle("box", (0.1, 0.2, 0.3), FAR)


@pytest.fixture
def model():
    return load_safety_model(load_embodiment("panda"))


class Clock:
    """A steady clock that a test sets."""

    def __init__(self):
        self.now_s = 100.0

    def monotonic(self):
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(surroundings, "time", made)
    return made


class Counted:
    """A publisher with as many listeners as a test wants."""

    def __init__(self):
        self.listeners, self.messages = 1, []

    def get_subscription_count(self):
        return self.listeners

    def publish(self, message):
        self.messages.append(message)


@pytest.fixture
def told(arena, model, clock):
    """A publisher's `look`, and what it has published."""
    publisher = SurroundingsPublisher(arena.observer, model, "left/")
    counted = publisher._publisher = Counted()

    def look():
        clock.now_s += 1.0
        publisher.look()
        return counted.messages

    return look, counted


def names(message):
    return [(m.ns, m.text) for m in message.markers[1:]]


def test_after_a_change_all_bodies_are_told_once(told, model):
    look, _ = told
    assert names(look()[0]) == [("obstacle", "table")]
    assert len(look()) == 1, "nothing has changed"
    table = dict(model.obstacles)
    model.set_obstacles({**table, "box": BOX})
    assert names(look()[1]) == [("obstacle", "table"), ("obstacle", "box")]
    model.set_obstacles(table)
    message = look()[2]
    assert names(message) == [("obstacle", "table")]
    assert message.markers[0].action == Marker.DELETEALL
    assert [m.id for m in message.markers[1:]] == [0]


def test_who_comes_later_is_told_too_and_nobody_costs_nothing(told, model):
    look, counted = told
    look()
    counted.listeners = 2
    assert len(look()) == 2
    counted.listeners = 0
    model.set_obstacles({"box": BOX})
    assert len(look()) == 2
    counted.listeners = 1
    assert names(look()[2]) == [("obstacle", "box")]


def test_changes_that_come_fast_are_told_twice_a_second(told, model, clock):
    look, counted = told
    look()
    for k in range(20):
        model.set_obstacles({f"box {k}": BOX})
        clock.now_s -= 0.95  # 0.05 s go by
        look()
    assert len(counted.messages) == 2


def test_a_crowd_is_made_a_part_at_a_time_and_has_a_bound(told, model, monkeypatch):
    made = []
    real = surroundings.body_markers
    monkeypatch.setattr(surroundings, "body_markers", lambda *a: made.append(a) or real(*a))
    look, counted = told
    model.set_obstacles({f"box {k}": BOX for k in range(150)})
    turns = 0
    while not counted.messages:
        before = len(made)
        look()
        assert len(made) - before <= surroundings.AT_ONCE
        turns += 1
    assert turns == surroundings.MOST / surroundings.AT_ONCE
    assert len(counted.messages[0].markers) == 1 + surroundings.MOST
    model.set_obstacles({**model.obstacles, "box 0": Obstacle("sphere", (0.1,), FAR)})
    before = len(made)
    look()
    assert len(made) - before == 1, "what has not changed is not made again"


def test_what_is_held_moves_with_its_link(told, model):
    look, _ = told
    load = Load("panda_hand", 0.2, shape="box", size=(0.05, 0.05, 0.05), position=(0.0, 0.0, 0.2))
    model.set_obstacles({}, {"cup": load, "ballast": Load("panda_hand", 0.2)})
    message = look()[0]
    assert names(message) == [("held", "cup")]
    assert message.markers[1].header.frame_id == "left/panda_hand"
    assert message.markers[1].pose.position.z == 0.2


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        (BOX, [Marker.CUBE]),
        (Obstacle("sphere", (0.1,), FAR), [Marker.SPHERE]),
        (Obstacle("cylinder", (0.1, 0.5), FAR), [Marker.CYLINDER]),
        (Obstacle("capsule", (0.1, 0.5), FAR), [Marker.CYLINDER, Marker.SPHERE, Marker.SPHERE]),
        (Obstacle("plane", (), FAR), [Marker.CUBE]),
        (Cloud("points", (0.02,), FAR, points=np.zeros((5000, 3))), [Marker.CUBE_LIST]),
        (Obstacle("mesh", (1.0, 1.0, 1.0), FAR, mesh="x.stl"), []),
    ],
    ids=lambda value: value.shape if isinstance(value, Obstacle) else "",
)
def test_every_shape_is_drawn_as_what_rviz_knows(body, kinds):
    made = body_markers(("obstacle", "x"), body, "base")
    assert [m.type for m in made] == kinds
    for number, marker in enumerate(made):
        marker.id = number
    assert why_not_drawable(MarkerArray(markers=made), {"base"}, lasting=True) == []
    for marker in made:
        assert marker.header.frame_id == "base"
        assert min(marker.scale.x, marker.scale.y, marker.scale.z) > 0
        assert len(marker.points) <= 1000


def test_the_caps_of_a_capsule_lie_on_its_axis():
    turned = Obstacle("capsule", (0.1, 1.0), FAR, (np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0))
    _, low, high = body_markers(("obstacle", "x"), turned, "base")
    np.testing.assert_allclose(
        [[m.pose.position.x, m.pose.position.y, m.pose.position.z] for m in (low, high)],
        [[-0.5, 1.0, 1.0], [0.5, 1.0, 1.0]],
        atol=1e-9,
    )


def test_the_node_tells_them_over_dds(arena):
    from wam_ros.nodes.safety_node import SafetyNode

    heard = arena.listen(MarkerArray, "safety/surroundings", qos.STATUS)
    node = arena.add(SafetyNode, dry_run=True)
    arena.until(lambda: heard)
    assert names(heard[-1]) == [("obstacle", "table")]
    heard.clear()
    node.trigger_deactivate()
    arena.until(lambda: heard)
    (cleared,) = heard[-1].markers
    assert cleared.action == Marker.DELETEALL, "an inactive node keeps clear of nothing"
