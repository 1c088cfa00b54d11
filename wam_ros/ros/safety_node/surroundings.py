"""What the safety node keeps clear of and what the arm holds, as bodies to look at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from geometry_msgs.msg import Point, Pose
from rclpy.node import Node
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from wam_ros.core.embodiment import Load
from wam_ros.robot.model import SafetyModel
from wam_ros.robot.obstacles import Cloud, Obstacle
from wam_ros.ros import qos

TOPIC = "safety/surroundings"
OBSTACLE = (0.96, 0.65, 0.2, 0.5)
HELD = (0.35, 0.6, 1.0, 0.6)
PERIOD_S = 0.5  # between two messages
AT_ONCE = 20  # bodies that are made in one turn: the thread that makes them hears the stop
MOST = 100  # bodies shown
MOST_CELLS = 1000  # of one cloud
_PLANE_M = 3.0  # drawn of a plane, which has no end
_THIN_M = 0.002
_SHAPES = {"box": Marker.CUBE, "sphere": Marker.SPHERE, "cylinder": Marker.CYLINDER}

Body = Obstacle | Load


class _Shown(NamedTuple):
    """What the last message was of; the model replaces its dictionaries, never their content."""

    obstacles: dict[str, Obstacle]
    held: dict[str, Load]
    listeners: int

    def same(self, obstacles: object, held: object, listeners: int) -> bool:
        return self.obstacles is obstacles and self.held is held and self.listeners == listeners


class SurroundingsPublisher:
    """Publishes all bodies anew after a change, while somebody looks. `look` is called often.

    A mesh, and the hull of points, are left out: their files and topics show them better.

    Args:
        node: that publishes.
        model: the robot and what it is told of.
        prefix: in front of every frame of the robot.
    """

    def __init__(self, node: Node, model: SafetyModel, prefix: str = "") -> None:
        self._node = node
        self._model = model
        self._prefix = prefix
        self._made: dict[tuple[str, str], tuple[Body, list[Marker]]] = {}
        self._shown: _Shown | None = None
        self._shown_s = -PERIOD_S
        self._publisher = node.create_publisher(MarkerArray, TOPIC, qos.STATUS)

    def look(self) -> None:
        """Publish what has changed since the last message, a part of the work at a time."""
        listeners = self._publisher.get_subscription_count()
        if not listeners:
            self._shown = None
            return
        obstacles = self._model.obstacles
        held = self._model.held
        if self._shown is not None and self._shown.same(obstacles, held, listeners):
            return
        now_s = time.monotonic()
        if now_s - self._shown_s < PERIOD_S or not self._make():
            return
        self._shown_s = now_s
        self._shown = _Shown(obstacles, held, listeners)
        markers = [Marker(action=Marker.DELETEALL)]
        stamp = self._node.get_clock().now().to_msg()
        for k, marker in enumerate(m for _, made in self._made.values() for m in made):
            marker.header.stamp = stamp
            marker.id = k
            markers.append(marker)
        self._publisher.publish(MarkerArray(markers=markers))

    def clear(self) -> None:
        """Take away what is shown: an inactive node keeps clear of nothing."""
        self._shown = None
        if self._publisher.get_subscription_count():
            self._publisher.publish(MarkerArray(markers=[Marker(action=Marker.DELETEALL)]))

    def _make(self) -> bool:
        """Whether the markers of all bodies are made; some are still to be when there are many."""
        bodies = dict(list(self._bodies())[:MOST])
        self._made = {key: self._made[key] for key in bodies if key in self._made}
        left = AT_ONCE
        for key, body in bodies.items():
            made = self._made.get(key)
            if made is not None and _same(made[0], body):
                continue
            if left == 0:
                return False
            left -= 1
            self._made[key] = body, body_markers(key, body, self._frame(body))
        return True

    def _bodies(self) -> Iterator[tuple[tuple[str, str], Body]]:
        for name, obstacle in self._model.obstacles.items():
            yield ("obstacle", name), obstacle
        for name, load in self._model.held.items():
            if load.shape:
                yield ("held", name), load

    def _frame(self, body: Body) -> str:
        base = self._model.embodiment.base_frame
        return self._prefix + (body.frame if isinstance(body, Load) else base)


def _same(a: Body, b: Body) -> bool:
    """Whether nothing has changed; clouds are told anew each time."""
    return a is b or (not isinstance(a, Cloud) and a == b)


def body_markers(key: tuple[str, str], body: Body, frame: str) -> list[Marker]:
    """What is drawn of one body; `key` is its kind and its name."""
    if body.shape == "capsule":
        radius, length = body.size
        return [
            _marker(key, body, frame, Marker.CYLINDER, (2 * radius, 2 * radius, length)),
            *(
                _marker(key, body, frame, Marker.SPHERE, (2 * radius,) * 3, along=s * length / 2)
                for s in (-1.0, 1.0)
            ),
        ]
    if body.shape == "plane":
        return [_marker(key, body, frame, Marker.CUBE, (_PLANE_M, _PLANE_M, _THIN_M))]
    if body.shape == "points" and isinstance(body, Cloud):
        cells = _marker(key, body, frame, Marker.CUBE_LIST, (body.size[0],) * 3)
        step = max(1, -(-len(body.points) // MOST_CELLS))
        cells.points = [Point(x=x, y=y, z=z) for x, y, z in body.points[::step].tolist()]
        return [cells]
    if body.shape not in _SHAPES:
        return []
    size = body.size
    scale = {
        "box": size,
        "sphere": (2 * size[0],) * 3,
        "cylinder": (2 * size[0], 2 * size[0], size[-1]),
    }[body.shape]
    return [_marker(key, body, frame, _SHAPES[body.shape], scale)]


def _marker(
    key: tuple[str, str],
    body: Body,
    frame: str,
    kind: int,
    scale: tuple[float, ...],
    along: float = 0.0,
) -> Marker:
    """One marker at the pose of a body, shifted by `along` m on its z axis."""
    made = Marker(header=Header(frame_id=frame), ns=key[0], type=kind, text=key[1])
    w, x, y, z = body.orientation
    axis = np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
    px, py, pz = (np.array(body.position) + along * axis).tolist()
    made.pose = Pose()
    made.pose.position = Point(x=px, y=py, z=pz)
    o = made.pose.orientation
    o.w, o.x, o.y, o.z = (float(v) for v in body.orientation)
    made.scale.x, made.scale.y, made.scale.z = (float(v) for v in scale)
    r, g, b, a = HELD if key[0] == "held" else OBSTACLE
    made.color = ColorRGBA(r=r, g=g, b=b, a=a)
    return made
