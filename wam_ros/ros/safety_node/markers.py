"""What the safety node shows: where the tool will go, what was slowed and cut, how it would stop,
what is nearest.
"""

from __future__ import annotations

import time

import numpy as np
from geometry_msgs.msg import Point, PoseStamped
from nav_msgs.msg import Path
from rclpy.node import Node
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from wam_ros.core import palette
from wam_ros.core.errors import WamError
from wam_ros.core.types import ActionChunk, Reason
from wam_ros.robot.model import SafetyModel
from wam_ros.ros import qos
from wam_ros.ros.markers import colour_msg, lifetime_msg, text_marker
from wam_ros.safety.verdict import Verdict

# m
WIDTH = 0.012
TEXT = 0.035
# a picture of a verdict that no other followed fades: the model may think for a while
LIFETIME_S = 3.0
MAX_POINTS = 20  # of one line


class MarkerPublisher:
    """Publishes pictures of verdicts while somebody looks, at most `hz` times per second; 0 is
    never.

    Args:
        node: that publishes.
        model: the robot.
        hz: at most.
        prefix: in front of the base frame, as of every frame that the robot's state publisher
            sends.
    """

    def __init__(self, node: Node, model: SafetyModel, hz: float, prefix: str = "") -> None:
        self._node = node
        self._model = model
        self._frame = prefix + model.embodiment.base_frame
        self._period_ns = 1e9 / hz if hz else float("inf")
        self._shown_ns = 0
        self._markers = node.create_publisher(MarkerArray, "safety/markers", qos.STATUS)
        self._ghost = node.create_publisher(Path, "safety/ghost_path", qos.STATUS)

    def show(self, verdict: Verdict | None, chunk: ActionChunk) -> None:
        """Draw a verdict and the chunk it is about; seldom enough not to delay the next one."""
        now_ns = time.monotonic_ns()
        if verdict is None or now_ns - self._shown_ns < self._period_ns:
            return
        self._shown_ns = now_ns
        header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=self._frame)
        if self._markers.get_subscription_count():
            self._markers.publish(safety_markers(self._model, verdict, header))
        if self._ghost.get_subscription_count() and not verdict.reasons & (
            Reason.NONFINITE | Reason.SHAPE
        ):
            try:
                columns = self._model.order(chunk.joint_names)
            except WamError:
                return
            self._ghost.publish(ghost_path(self._model, chunk.positions[:, columns], header))


def tool_path(model: SafetyModel, q: np.ndarray, tool: int = 0) -> np.ndarray:
    """(M, 3) m: where a tool frame goes along joint path `q` (N, A), thinned to a few points in
    order; `tool` counts the arms.
    """
    if len(q) == 0:
        return np.zeros((0, 3))
    rows = np.unique(np.linspace(0, len(q) - 1, min(len(q), MAX_POINTS)).round().astype(int))
    return model.tool_motion(q[rows], np.zeros((len(rows), q.shape[1])), tool)[0]


def nearest_points(model: SafetyModel, q: np.ndarray, pair: tuple[str, str]) -> np.ndarray:
    """(2, 3) m: the nearest points of a named pair, where it is nearest along q (N, A); (0, 3)
    without such a pair.
    """
    indices = [i for i, names in enumerate(model.pairs.names) if tuple(names) == tuple(pair)]
    if not indices or len(q) == 0:
        return np.zeros((0, 3))
    found: tuple[float, np.ndarray] = (np.inf, np.zeros((0, 3)))
    for row in model.full_q(
        q[np.unique(np.linspace(0, len(q) - 1, MAX_POINTS).round().astype(int))]
    ):
        model.place(row)
        for index in indices:
            distance = model.distance(index)
            if distance < found[0]:
                found = distance, model.measured.nearest_points(index)
    return found[1]


def safety_markers(model: SafetyModel, verdict: Verdict, header: Header) -> MarkerArray:
    """Paths of every tool by a verdict: accepted green, yellow when slowed; its stop blue, what was
    cut red; the nearest pair orange, in words.
    """
    accepted = stop = np.zeros((0, len(model.joint_names)))
    nearest = np.zeros((0, 3))
    if verdict.trajectory is not None:
        t = verdict.trajectory.t
        q = verdict.trajectory.q
        accepted = q[t <= verdict.accepted_s + 1e-9]
        stop = q[t >= verdict.accepted_s - 1e-9]
        nearest = nearest_points(model, q, verdict.nearest_pair)
    markers = []
    for tool in range(len(model.tools)):
        accepted_line = tool_path(model, accepted, tool)
        cut_line = tool_path(model, verdict.refused, tool)
        if len(cut_line):  # from where it is left, so that a single step is a line too
            cut_line = np.concatenate((accepted_line[-1:], cut_line))
        colour = palette.SLOWED if verdict.scale > 1.0 else palette.ACCEPTED
        markers += [
            _line(header, ("accepted", tool), colour, accepted_line),
            _line(header, ("cut", tool), palette.CUT, cut_line),
            _line(header, ("stop", tool), palette.STOP, tool_path(model, stop, tool)),
        ]
    markers.append(_line(header, ("nearest", 0), palette.NEAREST, nearest))
    return MarkerArray(markers=[*markers, _words(header, nearest, verdict)])


def _words(header: Header, nearest: np.ndarray, verdict: Verdict) -> Marker:
    """Names and distance of the nearest pair, written beside it."""
    text = ""
    middle = np.zeros(3)
    if len(nearest):
        middle = nearest.mean(axis=0) + TEXT * np.eye(3)[2]
        apart = float(np.linalg.norm(nearest[1] - nearest[0]))
        text = f"{' to '.join(verdict.nearest_pair)} {1000 * apart:.0f} mm"
    return text_marker(
        header,
        "distance",
        0,
        text=text,
        position=middle,
        height=TEXT,
        colour=palette.NEAREST,
        lifetime_s=LIFETIME_S,
    )


def _line(header: Header, name: tuple[str, int], colour: palette.RGB, points: np.ndarray) -> Marker:
    marker = Marker(header=header, ns=name[0], id=name[1], type=Marker.LINE_STRIP)
    marker.action = Marker.ADD if len(points) > 1 else Marker.DELETE
    marker.pose.orientation.w = 1.0
    marker.lifetime = lifetime_msg(LIFETIME_S)
    marker.scale.x = WIDTH
    marker.color = colour_msg(colour)
    marker.points = [Point(x=float(x), y=float(y), z=float(z)) for x, y, z in points]
    return marker


def ghost_path(model: SafetyModel, positions: np.ndarray, header: Header) -> Path:
    """The first tool's path along (T, A) joint positions as the model proposed them, before it was
    checked.
    """
    poses = []
    for x, y, z in tool_path(model, positions):
        pose = PoseStamped(header=header)
        pose.pose.position = Point(x=float(x), y=float(y), z=float(z))
        pose.pose.orientation.w = 1.0
        poses.append(pose)
    return Path(header=header, poses=poses)
