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
from wam_ros.ros.view_node.picture import Picture
from wam_ros.ros.view_node.wire import WireMarker, markers_to_wire
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
            *("candidates", "safe_trajectory"),
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
        self._made: dict[tuple[int, int], list[WireMarker]] = {}  # by ghost and body
        self._gone: dict[tuple[str, int], WireMarker] = {}
        self._said: dict[int, tuple[tuple[str, palette.RGB], WireMarker]] = {}  # by line

    def show(self, model: ViewModel) -> None:
        """Publish what there is now, and take away what is no more."""
        now_ns = self._node.get_clock().now().nanoseconds
        markers = self._words(model)
        if (plan := model.plan(now_ns)) is not None:
            ghosts = self._arm.along(*plan, model.joints_seen())
            parts = [(k, part) for k, ghost in enumerate(ghosts) for part in ghost]
            turns = quaternions_of([part.pose[:3, :3] for _, part in parts])
            for (k, part), turn in zip(parts, turns, strict=True):
                markers += self._ghost(k, part, turn)
        ways = [w for q in model.not_chosen(now_ns) for w in self._arm.tool_paths(q)]
        markers += [WireMarker(thin_line(way, k, self._frame)) for k, way in enumerate(ways)]
        shown = {marker.key for marker in markers}
        markers += [self._farewell(key) for key in sorted(self._shown - shown)]
        self._shown = shown
        self._publisher.publish(markers_to_wire(markers, now_ns))

    def _farewell(self, key: tuple[str, int]) -> WireMarker:
        """What takes a marker away, by its name and number."""
        if key not in self._gone:
            name, number = key
            header = Header(frame_id=self._frame)
            marker = Marker(header=header, ns=name, id=number, action=Marker.DELETE)
            self._gone[key] = WireMarker(marker)
        return self._gone[key]

    def _ghost(self, k: int, part: Part, turn: Sequence[float]) -> list[WireMarker]:
        """A body of the k-th ghost, turned by the quaternion (w, x, y, z)."""
        key = k, part.number
        if key not in self._made:
            made = part_markers(part, f"ghost {k + 1}", COLOURS[k], self._frame)
            self._made[key] = [WireMarker(marker) for marker in made]
        markers = self._made[key]
        for marker, place in zip(markers, places_of(part, len(markers)), strict=True):
            marker.move(place, turn)
        return markers

    def _words(self, model: ViewModel) -> list[WireMarker]:
        """The state beside the arm, one marker a line: RViz centres several lines of one marker by
        the sum of their widths.
        """
        reach_m = self._arm.reach_m
        height = 0.06 * reach_m
        lines = summarise(model)[:LINES]
        for k, line in enumerate(lines):
            if k in self._said and self._said[k][0] == line:
                continue
            text, colour = line
            marker = text_marker(
                Header(frame_id=self._frame),
                "state",
                k,
                text=text,
                position=(-0.5 * reach_m, 0.0, 1.2 * reach_m - 1.4 * k * height),
                height=height,
                colour=colour,
                lifetime_s=LIFETIME_S,
            )
            self._said[k] = line, WireMarker(marker)
        return [self._said[k][1] for k in range(len(lines))]


def thin_line(points: np.ndarray, number: int, frame: str) -> Marker:
    """The way (N, 3) m of a tool in a candidate that was not chosen."""
    header = Header(frame_id=frame)
    marker = Marker(header=header, ns="not chosen", id=number, type=Marker.LINE_STRIP)
    marker.points = [Point(x=x, y=y, z=z) for x, y, z in points.tolist()]
    marker.pose.orientation.w = 1.0
    marker.scale.x = THIN_M
    marker.color = colour_msg(NOT_CHOSEN, ALPHA)
    marker.lifetime = lifetime_msg(LIFETIME_S)
    return marker


def part_markers(part: Part, name: str, colour: palette.RGB, frame: str) -> list[Marker]:
    """A body of a ghost, as one marker or as the three of a capsule: the cylinder, and the balls at
    its ends. `places_of` says where they are.
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
        header = Header(frame_id=frame)
        marker = Marker(header=header, ns=name, id=3 * part.number + k, type=kind)
        marker.scale.x, marker.scale.y, marker.scale.z = (float(v) for v in scale)
        marker.color = colour_msg(colour, ALPHA)
        marker.lifetime = lifetime_msg(LIFETIME_S)
        marker.mesh_resource = part.solid.uri
        markers.append(marker)
    return markers


def quaternions_of(rotations: Sequence[np.ndarray]) -> list[list[float]]:
    """(w, x, y, z) of each of rotations (3, 3): of all at once what takes a tenth of a
    millisecond of one.

    A column of 4 q q', which is linear in the rotation (Shepperd, Quaternion from Rotation Matrix,
    1978); of four the one with the largest square, for one may be of zeros.
    """
    if not rotations:
        return []
    m = np.stack(rotations)
    k = np.empty((len(m), 4, 4))
    k[:, 1:, 1:] = m + m.swapaxes(1, 2)
    trace = np.trace(m, axis1=1, axis2=2)
    k[:, 0, 0] = 1 + trace
    k[:, (1, 2, 3), (1, 2, 3)] += (1 - trace)[:, None]
    skew = np.stack([m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]], 1)
    k[:, 0, 1:] = k[:, 1:, 0] = skew
    largest = k[:, (0, 1, 2, 3), (0, 1, 2, 3)].argmax(1)
    column = k[np.arange(len(m)), :, largest]
    found: list[list[float]] = (column / np.linalg.norm(column, axis=1, keepdims=True)).tolist()
    return found


def places_of(part: Part, count: int) -> list[list[float]]:
    """Where the `count` markers of a body are, (x, y, z) m each."""
    centre = part.pose[:3, 3]
    if count == 1:
        return [centre.tolist()]
    along = part.solid.size[1] / 2 * part.pose[:3, 2]
    return [centre.tolist(), (centre + along).tolist(), (centre - along).tolist()]
