"""Markers as bytes: the same as by way of messages."""

import numpy as np
import pytest

pytest.importorskip("rclpy")

from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from wam_ros.core.types import NS
from wam_ros.ros.view_node.wire import WireMarker, markers_to_wire

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
STAMP_NS = 1_700_000_000 * NS + 5


def marker(k, points=0, colours=0):
    """Names of every length shift where numbers are aligned."""
    made = Marker(ns="n" * (k % 7), id=k, type=Marker.TRIANGLE_LIST, text="t" * (k // 3 % 5))
    made.header.frame_id = "é" + "f" * (k // 2 % 9)
    made.mesh_resource = "m" * (k % 4)
    made.lifetime = Duration(sec=1, nanosec=k)
    made.scale.x = made.color.a = 0.5
    made.pose.orientation.w = 1.0
    made.points = [Point(x=float(i), y=2.0, z=3.0) for i in range(points)]
    made.colors = [ColorRGBA(r=i / 64, a=1.0) for i in range(colours)]
    return made


@pytest.mark.parametrize("points", [0, 3, 6])
def test_bytes_of_markers_that_move_are_those_of_the_messages(points):
    rng = np.random.default_rng(points)
    made = [marker(k, points, points // 3) for k in range(40)]
    wires = [WireMarker(m) for m in made]
    for round_ in range(2):  # made, and made once more of the same bytes
        stamp_ns = STAMP_NS + round_ * 3 * NS
        for m, wire in zip(made, wires, strict=True):
            m.header.stamp = Time(sec=stamp_ns // NS, nanosec=stamp_ns % NS)
            if m.id % 3:
                p, o = m.pose.position, m.pose.orientation
                p.x, p.y, p.z, o.w, o.x, o.y, o.z = rng.normal(size=7).tolist()
                wire.move((p.x, p.y, p.z), (o.w, o.x, o.y, o.z))
            if m.id % 2:
                colours = rng.integers(0, 64, (points // 3, 4)) / 64
                m.colors = [ColorRGBA(r=r, g=g, b=b, a=a) for r, g, b, a in colours.tolist()]
                wire.paint(colours)
        order = rng.permutation(len(made))[:25]  # others stand in front of it each time
        sent = markers_to_wire([wires[k] for k in order], stamp_ns)
        chosen = MarkerArray(markers=[made[k] for k in order])
        assert len(sent) == len(serialize_message(chosen))
        assert deserialize_message(sent, MarkerArray) == chosen


def test_no_markers_are_an_empty_message():
    assert deserialize_message(markers_to_wire([], STAMP_NS), MarkerArray) == MarkerArray()


def test_other_colours_than_it_has_are_refused():
    wire = WireMarker(marker(1, points=6, colours=2))
    wire.paint(np.zeros((3, 4)))
    with pytest.raises(ValueError, match="colours of 2"):
        markers_to_wire([wire], STAMP_NS)
