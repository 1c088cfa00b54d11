"""Ghosts along the plan, and the state of the loop in words, as markers for RViz."""

from __future__ import annotations

from geometry_msgs.msg import Point
from rclpy.node import Node
from std_msgs.msg import Header
from transforms3d.quaternions import mat2quat
from visualization_msgs.msg import Marker, MarkerArray

from wam_ros.core import palette
from wam_ros.core.embodiment import Embodiment
from wam_ros.ros import qos
from wam_ros.ros.markers import colour_msg, lifetime_msg, text_marker
from wam_ros.view.ghost import GhostArm, Part
from wam_ros.view.model import ViewModel
from wam_ros.view.summary import summarise

TOPIC = "imagination/markers"
LIFETIME_S = 1.0
# the soonest blue, the last pink: two of them are never taken for one
COLOURS: tuple[palette.RGB, ...] = ((0.3, 0.55, 1.0), (0.62, 0.4, 1.0), (1.0, 0.45, 0.8))
ALPHA = 0.35
LINES = 4  # of words, at most


class GhostPublisher:
    """Draws where the arm will be while somebody looks; without, it costs nothing.

    Args:
        node: that publishes.
        embodiment: the robot.
        prefix: in front of every frame of it.

    Raises:
        WamError: its description cannot be read.
    """

    def __init__(self, node: Node, embodiment: Embodiment, prefix: str) -> None:
        self._node = node
        self._frame = prefix + embodiment.base_frame
        self._arm = GhostArm(embodiment)
        self._shown: set[tuple[str, int]] = set()
        self._publisher = node.create_publisher(MarkerArray, TOPIC, qos.STATUS)

    @property
    def watched(self) -> bool:
        """Whether somebody looks."""
        return bool(self._publisher.get_subscription_count())

    def show(self, model: ViewModel) -> None:
        """Publish what there is now, and take away what is no more."""
        now = self._node.get_clock().now()
        header = Header(stamp=now.to_msg(), frame_id=self._frame)
        markers = self._words(model, header)
        if (plan := model.plan(now.nanoseconds)) is not None:
            for k, parts in enumerate(self._arm.along(*plan, model.joints)):
                for part in parts:
                    markers += part_markers(part, header, f"ghost {k + 1}", COLOURS[k])
        shown = {(m.ns, m.id) for m in markers}
        markers += [
            Marker(header=header, ns=name, id=number, action=Marker.DELETE)
            for name, number in sorted(self._shown - shown)
        ]
        self._shown = shown
        self._publisher.publish(MarkerArray(markers=markers))

    def _words(self, model: ViewModel, header: Header) -> list[Marker]:
        """The state beside the arm, one marker a line: RViz centres several lines of one marker by
        the sum of their widths.
        """
        reach_m = self._arm.reach_m
        height = 0.06 * reach_m
        return [
            text_marker(
                header,
                "state",
                k,
                text=text,
                position=(-0.5 * reach_m, 0.0, 1.2 * reach_m - 1.4 * k * height),
                height=height,
                colour=colour,
                lifetime_s=LIFETIME_S,
            )
            for k, (text, colour) in enumerate(summarise(model)[:LINES])
        ]


def part_markers(part: Part, header: Header, name: str, colour: palette.RGB) -> list[Marker]:
    """A body of a ghost, as one marker or as the three of a capsule."""
    solid = part.solid
    size = solid.size
    first = 3 * part.number
    if solid.shape == "box":
        shapes = [(Marker.CUBE, size, 0.0)]
    elif solid.shape == "sphere":
        shapes = [(Marker.SPHERE, (2 * size[0],) * 3, 0.0)]
    elif solid.shape == "cylinder":
        shapes = [(Marker.CYLINDER, (2 * size[0], 2 * size[0], size[1]), 0.0)]
    elif solid.shape == "capsule":
        radius, length = size
        ball = (2 * radius,) * 3
        shapes = [
            (Marker.CYLINDER, (2 * radius, 2 * radius, length), 0.0),
            (Marker.SPHERE, ball, length / 2),
            (Marker.SPHERE, ball, -length / 2),
        ]
    else:
        shapes = [(Marker.MESH_RESOURCE, size, 0.0)]
    w, x, y, z = (float(v) for v in mat2quat(part.pose[:3, :3]))
    markers = []
    for k, (kind, scale, along) in enumerate(shapes):
        marker = Marker(header=header, ns=name, id=first + k, type=kind)
        px, py, pz = (part.pose[:3, 3] + along * part.pose[:3, 2]).tolist()
        marker.pose.position = Point(x=px, y=py, z=pz)
        o = marker.pose.orientation
        o.w = w
        o.x = x
        o.y = y
        o.z = z
        marker.scale.x, marker.scale.y, marker.scale.z = (float(v) for v in scale)
        marker.color = colour_msg(colour, ALPHA)
        marker.lifetime = lifetime_msg(LIFETIME_S)
        marker.mesh_resource = solid.uri
        markers.append(marker)
    return markers
