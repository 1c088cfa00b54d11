"""Ghosts along the plan, the ways that were not chosen, and the state of the loop in words, as
markers for RViz.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from geometry_msgs.msg import Point
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from wam_ros.core import palette
from wam_ros.core.embodiment import Embodiment
from wam_ros.ros import qos
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.markers import colour_msg, lifetime_msg, text_marker
from wam_ros.ros.view_node.listener import JOINTS
from wam_ros.ros.view_node.picture import Picture
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


class GhostPublisher(Picture):
    """Draws where the arm will be.

    Args:
        node: that publishes.
        embodiment: the robot.
        prefix: in front of every frame of it.
        hz: times a second.
        on_matched: called when somebody begins or ceases to look.

    Raises:
        WamError: its description cannot be read.
    """

    hears = frozenset(
        (
            *("observation", "action_chunk", "imagined_future", "safety_report", "wam_status"),
            *(JOINTS, "candidates", "safe_trajectory"),
        )
    )

    def __init__(
        self,
        node: WamNode,
        embodiment: Embodiment,
        prefix: str,
        *,
        hz: float,
        on_matched: Callable[[], None],
    ) -> None:
        super().__init__(node, MarkerArray, TOPIC, profile=qos.STATUS, hz=hz, on_matched=on_matched)
        self._frame = prefix + embodiment.base_frame
        self._arm = GhostArm(embodiment)
        self._shown: set[tuple[str, int]] = set()
        self._made: dict[tuple[int, int], list[Marker]] = {}  # by ghost and body

    def show(self, model: ViewModel) -> None:
        """Publish what there is now, and take away what is no more."""
        now = self._node.get_clock().now()
        header = Header(stamp=now.to_msg(), frame_id=self._frame)
        markers = self._words(model, header)
        if (plan := model.plan(now.nanoseconds)) is not None:
            for k, parts in enumerate(self._arm.along(*plan, model.joints)):
                turns = quaternions_of([part.pose[:3, :3] for part in parts])
                for part, turn in zip(parts, turns, strict=True):
                    markers += self._ghost(k, part, turn, header)
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

    def _ghost(self, k: int, part: Part, turn: Sequence[float], header: Header) -> list[Marker]:
        """A body of the k-th ghost; its markers are kept, for making one takes as long as sending
        it.
        """
        key = k, part.number
        if key not in self._made:
            self._made[key] = part_markers(part, f"ghost {k + 1}", COLOURS[k])
        put(self._made[key], part, turn, header)
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


def quaternions_of(rotations: Sequence[np.ndarray]) -> list[list[float]]:
    """(w, x, y, z) of each of rotations (3, 3): of all at once what takes a tenth of a
    millisecond of one.

    The largest eigenvector of a symmetric matrix (Bar-Itzhack, New Method for Extracting the
    Quaternion from a Rotation Matrix, 2000), as in transforms3d.
    """
    if not rotations:
        return []
    m = np.stack(rotations)
    k = np.zeros((len(m), 4, 4))
    k[:, 1:, 1:] = m + m.swapaxes(1, 2)
    k[:, 0, 0] = np.trace(m, axis1=1, axis2=2)
    k[:, 1:, 1:] -= k[:, :1, :1] * np.eye(3)
    skew = np.stack([m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]], 1)
    k[:, 0, 1:] = k[:, 1:, 0] = skew
    _, vectors = np.linalg.eigh(k)
    largest: list[list[float]] = vectors[:, :, -1].tolist()
    return largest


def put(markers: list[Marker], part: Part, turn: Sequence[float], header: Header) -> None:
    """Where the markers of a body are now; `turn` is the quaternion (w, x, y, z) of its pose."""
    w, x, y, z = turn
    half = part.solid.size[1] / 2 if len(markers) == 3 else 0.0
    for marker, along in zip(markers, (0.0, half, -half), strict=False):
        px, py, pz = (part.pose[:3, 3] + along * part.pose[:3, 2]).tolist()
        marker.header = header
        marker.pose.position = Point(x=px, y=py, z=pz)
        o = marker.pose.orientation
        o.w, o.x, o.y, o.z = w, x, y, z
