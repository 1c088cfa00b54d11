"""Words about the surroundings from topics and services. Sizes in messages are not trusted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import PointCloud2, PointField
from visualization_msgs.msg import Marker, MarkerArray

from wam_ros.core.embodiment import Load
from wam_ros.core.errors import WamError
from wam_ros.msg import SolidObstacles
from wam_ros.robot.obstacles import Cloud, Obstacle
from wam_ros.ros import qos
from wam_ros.ros.any_quality import AnyQuality
from wam_ros.ros.fields import time_to_ns
from wam_ros.ros.safety_node.solids import IDENTITY, SHAPES, changes_from_solids
from wam_ros.safety.machine.answers import Answer, Emission
from wam_ros.safety.machine.live import ALL, Change
from wam_ros.safety.machine.machine import SafetyMachine
from wam_ros.safety.machine.surroundings import LONGEST
from wam_ros.srv import HoldObject

CLOUD = "points"  # name of the obstacle that a point cloud is
TOPIC = "obstacle_points"  # where it is heard
MOST_MARKERS = 1000
# of one message of markers or solids: an emergency stop waits while it is read
MOST_BYTES = 500_000
MOST_POINTS = 300_000  # of one message: 50 ms of work for the thread that watches the arm
FAR = 50.0  # m; points farther from the origin of their frame are not in reach of any arm


def changes_from_bytes(data: bytes, kind: type = MarkerArray) -> list[Change]:
    """Those of a serialised `MarkerArray` or `SolidObstacles`, which is not read when it is too
    large to be one.
    """
    source, changes = _READERS[kind]
    refusal = (
        f"{len(data)} bytes of {source}, at most {MOST_BYTES} are read"
        if len(data) > MOST_BYTES
        else ""
    )
    try:
        if not refusal:
            return changes(deserialize_message(data, kind))
    except Exception as error:  # bytes of anybody must not end the process that watches the arm
        refusal = f"no {source}: {type(error).__name__} {str(error)[:80]}"
    return [Change(source, None, refusal=refusal, source=source)]


def changes_from_markers(msg: MarkerArray) -> list[Change]:
    """One change for each marker: cubes, spheres and cylinders are obstacles named `ns/id`.

    A sphere or cylinder that is not round counts as the round one around it. A lifetime is a
    promise to send the marker again within it. DELETEALL with a namespace is about that one alone.
    What is no obstacle is refused by the filter, by name.
    """
    if len(msg.markers) > MOST_MARKERS:
        return [
            Change(
                "markers",
                None,
                refusal=f"{len(msg.markers)} markers, at most {MOST_MARKERS} are read",
            )
        ]
    return [_change(marker) for marker in msg.markers]


_READERS: dict[type, tuple[str, Callable[[Any], list[Change]]]] = {
    MarkerArray: ("markers", changes_from_markers),
    SolidObstacles: (SHAPES, changes_from_solids),
}


def _change(marker: Marker) -> Change:
    name = f"{marker.ns}/{marker.id}"
    if marker.action == Marker.DELETEALL:
        return Change(f"{marker.ns}/{ALL}" if marker.ns else ALL, None)
    if marker.action == Marker.DELETE:
        return Change(name, None)
    stamp_ns = time_to_ns(marker.header.stamp)
    lifetime_ns = time_to_ns(marker.lifetime)
    p = marker.pose.position
    o = marker.pose.orientation
    turn = (o.w, o.x, o.y, o.z)
    scale = (marker.scale.x, marker.scale.y, marker.scale.z)
    shapes = {
        Marker.CUBE: ("box", scale),
        Marker.SPHERE: ("sphere", (max(scale) / 2,)),
        Marker.CYLINDER: ("cylinder", (max(scale[:2]) / 2, scale[2])),
    }
    refusal = ""
    if marker.action != Marker.ADD:
        refusal = f"action {marker.action} is none of ADD, DELETE, DELETEALL"
    elif marker.type not in shapes:
        refusal = f"a marker of type {marker.type} is no obstacle; use CUBE, SPHERE or CYLINDER"
    elif marker.frame_locked:
        refusal = "a marker locked to its frame moves with it; use the service hold"
    elif not all(s > 0 for s in scale):
        refusal = f"its scale {scale} must be positive in all directions"
    elif len(marker.ns) > LONGEST:
        refusal = f"its namespace has {len(marker.ns)} characters, at most {LONGEST} are read"
    if refusal:
        return Change(name, None, refusal=refusal)
    shape, size = shapes[marker.type]
    obstacle = Obstacle(shape, size, (p.x, p.y, p.z), turn if any(turn) else IDENTITY)
    return Change(name, obstacle, marker.header.frame_id, stamp_ns, lifetime_ns / 1e9)


def change_from_cloud(
    msg: PointCloud2,
    voxel_m: float,
    lifetime_s: float,
    between: Callable[[], None] = lambda: None,
) -> Change:
    """The points of a cloud as one obstacle of voxels; those that are not finite or out of reach
    are left out.

    A cloud without points tells an empty room, and so does one whose rays all came back with
    nothing: +inf by REP-117. One that has points but not a single measured one tells nothing: it is
    refused, because a blind sensor is no news.

    Args:
        msg: with float32 or float64 fields x, y, z; the robot itself must not be in it.
        voxel_m: edge of a voxel.
        lifetime_s: the next cloud must come within this.
        between: called between two parts of the work.
    """
    try:
        points = _points(msg)
        between()
        _require_sight(points)
    except WamError as error:
        return Change(CLOUD, None, refusal=str(error), source=CLOUD)
    points = points[(np.abs(points) < FAR).all(axis=1)]  # NaN is not
    between()
    if len(points) == 0:  # an empty room is also something that must be told again
        points = np.full((1, 3), FAR)
    cloud = Cloud("points", (voxel_m,), (0.0, 0.0, 0.0), points=_voxels(points, voxel_m))
    return Change(
        CLOUD, cloud, msg.header.frame_id, time_to_ns(msg.header.stamp), lifetime_s, source=CLOUD
    )


def _require_sight(points: np.ndarray) -> None:
    """Raise `WamError` when there are points (N, 3) m but none was measured: all hold NaN, or -inf
    without +inf.
    """
    seen = np.isfinite(points).all(axis=1) | (
        ~np.isnan(points).any(axis=1) & (points == np.inf).any(axis=1)
    )
    if len(points) and not seen.any():
        raise WamError(f"{TOPIC} is blind: none of its {len(points)} points was measured")


def _voxels(points: np.ndarray, edge: float) -> np.ndarray:
    """(M, 3) m, centres of the voxels that hold points (N, 3); one number per voxel sorts faster
    than three.
    """
    bits = 20
    half = 1 << 19
    x, y, z = (np.floor(points / edge).astype(np.int64) + half).T
    keys = np.unique((x << 2 * bits) | (y << bits) | z)
    cells = np.stack(
        (keys >> 2 * bits, keys >> bits & (1 << bits) - 1, keys & (1 << bits) - 1), axis=1
    )
    return (cells - half + 0.5) * edge


def _points(msg: PointCloud2) -> np.ndarray:
    """(N, 3) m of a cloud.

    Raises:
        WamError: no x, y, z of one type, or sizes that contradict each other.
    """
    fields = {f.name: f for f in msg.fields}
    kinds = {PointField.FLOAT32: "f4", PointField.FLOAT64: "f8"}
    missing = [n for n in "xyz" if n not in fields or fields[n].datatype not in kinds]
    if missing:
        raise WamError(f"PointCloud2: no floating point field {', '.join(missing)}")
    n = msg.width * msg.height
    step = msg.point_step
    if n > MOST_POINTS:
        raise WamError(
            f"PointCloud2: {n} points, at most {MOST_POINTS} are read; crop or thin the cloud"
        )
    order = ">" if msg.is_bigendian else "<"
    formats = [order + kinds[fields[a].datatype] for a in "xyz"]
    offsets = [fields[a].offset for a in "xyz"]
    ends = [o + np.dtype(f).itemsize for o, f in zip(offsets, formats, strict=True)]
    if msg.row_step != msg.width * step or len(msg.data) != n * step or max(ends) > step:
        raise WamError(
            f"PointCloud2: {len(msg.data)} bytes for {msg.width} x {msg.height} points of {step} "
            "bytes"
        )
    layout = np.dtype(
        {"names": list("xyz"), "formats": formats, "offsets": offsets, "itemsize": step}
    )
    rows = np.frombuffer(bytes(msg.data), layout)
    return np.stack([rows[a].astype(float) for a in "xyz"], axis=1)


def load_from_request(request: HoldObject.Request) -> Load | None:
    """What a request says is held; None lets go of it. Nothing is judged here."""
    if request.release:
        return None
    turn = tuple(float(x) for x in request.orientation)
    return Load(
        frame=request.frame,
        mass=request.mass,
        centre=_three(request.centre),
        shape=request.shape,
        size=tuple(request.size[:4]),
        position=_three(request.position),
        orientation=turn if any(turn) else IDENTITY,  # type: ignore[arg-type]
    )


def _three(values: Iterable[float]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z


class ObstacleTopics:
    """Feeds a safety machine from `obstacles`, `obstacle_shapes` and `obstacle_points` and the
    service `~/hold`.

    The first two are heard of publishers of any quality, latched ones too; what is told twice
    changes nothing. Clouds take no more than half of the time: one that comes before as long has
    passed as the one before it took is left out, and the next one is newer. From a real-time thread
    that never pauses the kernel takes the processor, for up to 50 ms, and nobody hears the stop.

    Args:
        node: that hears.
        machine: is told.
        emit: what to do with an emission of the machine.
        serve: what to do with an answer, for a response; returns it.
        voxel_m: edge of the voxels of a point cloud.
        lifetime_s: of a point cloud.
    """

    def __init__(
        self,
        node: Node,
        machine: SafetyMachine,
        emit: Callable[[Emission], None],
        serve: Callable[[Any, Answer], Any],
        voxel_m: float,
        lifetime_s: float,
    ) -> None:
        self._node = node
        self._machine = machine
        self._emit = emit
        self._serve = serve
        self._voxel_m = voxel_m
        self._lifetime_s = lifetime_s
        self._rests_until_s = 0.0  # no cloud before
        for topic, kind in (("obstacles", MarkerArray), (SHAPES, SolidObstacles)):
            AnyQuality(node, kind, topic, partial(self._on_bytes, kind), depth=10)
        node.create_subscription(PointCloud2, TOPIC, self._on_cloud, qos.JOINT_STATES)
        node.create_service(HoldObject, "~/hold", self._on_hold)

    def _on_bytes(self, kind: type, data: bytes) -> None:
        self._machine.filter.attention.look_up()
        self._tell(changes_from_bytes(data, kind))

    def _on_cloud(self, msg: PointCloud2) -> None:
        began_s = time.monotonic()
        if began_s < self._rests_until_s:
            return
        look_up = self._machine.filter.attention.look_up
        look_up()
        self._tell([change_from_cloud(msg, self._voxel_m, self._lifetime_s, between=look_up)])
        ended_s = time.monotonic()
        self._rests_until_s = ended_s + (ended_s - began_s)

    def _on_hold(
        self, request: HoldObject.Request, response: HoldObject.Response
    ) -> HoldObject.Response:
        return self._serve(
            response, self._machine.hold(request.name, load_from_request(request), self._now_ns())
        )

    def _tell(self, changes: list[Change]) -> None:
        self._machine.filter.attention.look_up()
        emission = self._machine.on_obstacles(changes, self._now_ns())
        doubt = self._machine.surroundings.live.why_not_known(self._now_ns())
        if doubt:
            self._node.get_logger().error(
                f"{doubt}; nothing moves until it is told properly", throttle_duration_sec=2.0
            )
        if emission is not None:
            self._emit(emission)

    def _now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds
