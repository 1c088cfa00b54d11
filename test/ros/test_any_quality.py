"""Every publisher of a topic is heard, and none prints that it is not; over DDS."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("pinocchio")

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Bool, Int32
from std_srvs.srv import Trigger

from wam_ros.msg import SafetyReport
from wam_ros.nodes.safety_node import SafetyNode
from wam_ros.ros import qos
from wam_ros.ros.any_quality import AnyQuality
from wam_ros.ros.fields import read_pressed

from .conftest import DOMAIN

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
OFFERS = {
    "latched": (ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL),
    "reliable": (ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE),
    "best_effort": (ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE),
    "latched_best_effort": (ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.TRANSIENT_LOCAL),
}


def profile(name):
    reliability, durability = OFFERS[name]
    return QoSProfile(depth=10, reliability=reliability, durability=durability)


def listen(arena, topic="words"):
    """A node of its own that hears a topic of any quality, and the list of numbers it heard."""
    heard = []
    node = Node("listener", context=arena.context)
    arena.nodes.append(node)
    arena.executor.add_node(node)
    hear = lambda data: heard.append(deserialize_message(data, Int32).data)  # noqa: E731
    return AnyQuality(node, Int32, topic, hear, depth=10), heard


def offer(arena, name, topic="words"):
    return arena.observer.create_publisher(Int32, topic, profile(name))


@pytest.mark.parametrize("name", OFFERS)
@pytest.mark.parametrize("first", ["publisher", "listener"])
def test_a_publisher_is_heard_whatever_it_offers_and_whoever_came_first(arena, capfd, name, first):
    publisher = offer(arena, name) if first == "publisher" else None
    _, heard = listen(arena)
    publisher = publisher or offer(arena, name)
    numbers = iter(range(10_000))
    arena.until(lambda: heard, lambda: publisher.publish(Int32(data=next(numbers))))
    arena.spin(2 * AnyQuality.LOOK_S)  # others are asked for more by now
    arena.until(lambda: 10_000 in heard, lambda: publisher.publish(Int32(data=10_000)))
    assert "QoS" not in capfd.readouterr().err


def test_what_a_latched_publisher_said_before_is_heard_also_beside_one_that_is_not(arena):
    offer(arena, "latched").publish(Int32(data=7))
    offer(arena, "reliable")
    _, heard = listen(arena)
    arena.until(lambda: 7 in heard)
    offer(arena, "latched").publish(Int32(data=8))
    arena.until(lambda: 8 in heard)


def test_reliable_publishers_of_both_kinds_may_come_in_any_order_and_are_heard_without_a_word(
    arena, capfd
):
    listener, heard = listen(arena)
    offer(arena, "latched").publish(Int32(data=1))
    arena.until(lambda: 1 in heard and listener.asks("latched"))
    arena.until(lambda: not listener.asks("latched"))  # it is not new any more
    volatile = offer(arena, "reliable")
    arena.until(lambda: 2 in heard, lambda: volatile.publish(Int32(data=2)))
    arena.spin(2 * AnyQuality.LOOK_S)
    assert listener.asks("reliable")
    assert "QoS" not in capfd.readouterr().err


def test_a_reliable_publisher_is_heard_reliably_beside_one_that_is_not(arena):
    listener, heard = listen(arena)
    poor = offer(arena, "best_effort")
    arena.until(lambda: 1 in heard, lambda: poor.publish(Int32(data=1)))
    good = offer(arena, "reliable")
    arena.until(lambda: listener.asks("reliable"))
    for number, publisher in ((2, poor), (3, good)):
        arena.until(
            lambda n=number: n in heard, lambda p=publisher, n=number: p.publish(Int32(data=n))
        )
    arena.observer.destroy_publisher(good)
    arena.until(lambda: not listener.asks("reliable"))


def test_words_come_in_the_order_in_which_one_publisher_said_them_and_the_last_one_last(arena):
    listener, heard = listen(arena)
    publisher = offer(arena, "latched")
    arena.until(lambda: listener.asks("reliable"))
    arena.until(lambda: 0 in heard, lambda: publisher.publish(Int32(data=0)))
    for number in range(1, 200):
        publisher.publish(Int32(data=number))
        arena.spin(0.002)
    arena.until(lambda: heard[-1] == 199)
    arena.spin(0.2)
    assert heard[-1] == 199
    assert set(range(200)) <= set(heard)


PUBLISHER = """
import sys, time
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool
from visualization_msgs.msg import MarkerArray
reliability, durability = sys.argv[1:]
rclpy.init()
node = rclpy.create_node("button_" + sys.argv[1] + "_" + sys.argv[2])
profile = QoSProfile(
    depth=1, reliability=ReliabilityPolicy[reliability], durability=DurabilityPolicy[durability]
)
button = node.create_publisher(Bool, "estop", profile)
scene = node.create_publisher(MarkerArray, "obstacles", profile)
scene.publish(MarkerArray())
node.create_timer(0.05, lambda: button.publish(Bool(data=True)))
rclpy.spin(node)
"""


@pytest.mark.parametrize("name", OFFERS)
def test_a_button_and_a_scene_in_a_process_of_their_own_print_nothing_and_are_heard(
    arena, tmp_path, name
):
    reports = arena.listen(SafetyReport, "safety_report", qos.STATUS)
    log = tmp_path / "button.log"
    words = [policy.name for policy in OFFERS[name]]
    with log.open("w") as file:
        button = subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, *words],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "ROS_DOMAIN_ID": str(DOMAIN)},
        )
    arena.processes["button"] = button
    arena.add(SafetyNode)
    pressed = lambda: any(r.state == SafetyReport.STATE_ESTOP for r in reports)  # noqa: E731
    arena.until(pressed)
    assert "still pressed" in arena.call(Trigger, "safety_node/reset").message
    arena.spin(2 * AnyQuality.LOOK_S)
    assert log.read_text() == ""


def test_what_cannot_be_read_as_a_button_is_a_press():
    assert [read_pressed(serialize_message(Bool(data=d))) for d in (False, True)] == [False, True]
    assert read_pressed(b"")
    assert read_pressed(b"\0\1\0\0")
