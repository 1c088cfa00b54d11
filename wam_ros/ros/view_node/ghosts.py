"""Ghosts along the plan, the ways that were not chosen, and the state of the loop in words, as
markers for RViz.
"""

from __future__ import annotations

import numpy as np
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
NOT_CHOSEN: palette.RGB = (0.8, 0.8, 0.85)
THIN_M = 0.002


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
        self._made: dict[tuple[int, int], list[Marker]] = {}  # by ghost and body
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
                    markers += self._ghost(k, part, header)
        for q in model.not_chosen(now.nanoseconds):
            for points in self._arm.tool_paths(q):
                number = sum(m.ns == "not chosen" for m in markers)
                markers.append(thin_line(points, number, header))
        shown = {(m.ns, m.id) for m in markers}
        markers += [
            Marker(header=header, ns=name, id=number, action=Marker.DELETE)
            for name, number in sorted(self._shown - shown)
        ]
        self._shown = shown
        self._publisher.publish(MarkerArray(markers=markers))

    def _ghost(self, k: int, part: Part, header: Header) -> list[Marker]:
        """A body of the k-th ghost; its markers are kept, for making one takes as long as sending
        it.
        """
        key = k, part.number
        if key not in self._made:
            self._made[key] = part_markers(part, f"ghost {k + 1}", COLOURS[k])
        put(self._made[key], part, header)
        return self._made[key]

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


def thin_line(points: np.ndarray, number: int, header: Header) -> Marker:
    """The way (N, 3) m of a tool in a candidate that was not chosen."""
    marker = Marker(header=header, ns="not chosen", id=number, type=Marker.LINE_STRIP)
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in points.tolist()]
    marker.pose.orientation.w = 1.0
    marker.scale.x = THIN_M
    marker.color = colour_msg(NOT_CHOSEN, ALPHA)
    marker.lifetime = lifetime_msg(LIFETIME_S)
    return marker


def part_markers(part: Part, name: str, colour: palette.RGB) -> list[Marker]:
    """A body of a ghost, as one marker or as the three of a capsule: the cylinder, and the balls at
    its ends. `put` says where they are.
    """
    size = part.solid.size
    shapes: list[tuple[int, tuple[float, ...]]]
    if part.solid.shape == "box":
        shapes = [(Marker.CUBE, size)]
    elif part.solid.shape == "sphere":
        shapes = [(Marker.SPHERE, (2 * size[0],) * 3)]
    elif part.solid.shape == "cylinder":
        shapes = [(Marker.CYLINDER, (2 * size[0], 2 * size[0], size[1]))]
    elif part.solid.shape == "capsule":
        ball = (2 * size[0],) * 3
        shapes = [(Marker.CYLINDER, (2 * size[0], 2 * size[0], size[1]))]
        shapes += [(Marker.SPHERE, ball)] * 2
    else:
        shapes = [(Marker.MESH_RESOURCE, size)]
    markers = []
    for k, (kind, scale) in enumerate(shapes):
        marker = Marker(ns=name, id=3 * part.number + k, type=kind)
        marker.scale.x, marker.scale.y, marker.scale.z = (float(v) for v in scale)
        marker.color = colour_msg(colour, ALPHA)
        marker.lifetime = lifetime_msg(LIFETIME_S)
        marker.mesh_resource = part.solid.uri
        markers.append(marker)
    return markers


def put(markers: list[Marker], part: Part, header: Header) -> None:
    """Where the markers of a body are now."""
    w, x, y, z = mat2quat(part.pose[:3, :3]).tolist()
    half = part.solid.size[1] / 2 if len(markers) == 3 else 0.0
    for marker, along in zip(markers, (0.0, half, -half), strict=False):
        px, py, pz = (part.pose[:3, 3] + along * part.pose[:3, 2]).tolist()
        marker.header = header
        marker.pose.position = Point(x=px, y=py, z=pz)
        o = marker.pose.orientation
        o.w, o.x, o.y, o.z = w, x, y, z
