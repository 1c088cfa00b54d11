"""Markers and point clouds as words about the surroundings, and what the safety node makes of
them.
"""

import struct
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.srv")
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from rclpy.serialization import serialize_message
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from wam_ros.core.admission import SHIPPED
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.robot.model import load_safety_model
from wam_ros.robot.obstacles import require_obstacle
from wam_ros.ros.safety_node import obstacles
from wam_ros.ros.safety_node.machine import make_machine
from wam_ros.ros.safety_node.obstacles import (
    MOST_MARKERS,
    ObstacleTopics,
    change_from_cloud,
    changes_from_bytes,
    changes_from_markers,
    load_from_request,
)
from wam_ros.ros.safety_node.parameters import SafetyNodeParams
from wam_ros.safety.machine.live import ALL, LiveWorld
from wam_ros.safety.params import SafetyParams
from wam_ros.srv import HoldObject

pytestmark = [pytest.mark.ros, pytest.mark.untimed]


def marker(kind=Marker.CUBE, **more) -> Marker:
    pose = Pose(position=Point(x=0.1, y=0.2, z=0.3), orientation=Quaternion(w=1.0))
    scale = Vector3(x=0.2, y=0.4, z=0.6)
    header = Header(stamp=Time(sec=5), frame_id="panda_link0")
    return Marker(header=header, ns="people", id=7, type=kind, pose=pose, scale=scale, **more)


def cloud(points, fields="xyz", kind=PointField.FLOAT32) -> PointCloud2:
    data = np.asarray(points, np.float32 if kind == PointField.FLOAT32 else np.float64)
    size = data.itemsize
    msg = PointCloud2(
        height=1, width=len(data), point_step=3 * size, row_step=3 * size * len(data), is_dense=True
    )
    msg.header = Header(stamp=Time(sec=5), frame_id="panda_link0")
    msg.fields = [
        PointField(name=n, offset=k * size, datatype=kind, count=1) for k, n in enumerate(fields)
    ]
    msg.data = data.tobytes()
    return msg


@pytest.mark.parametrize(
    ("kind", "shape", "size"),
    [
        (Marker.CUBE, "box", (0.2, 0.4, 0.6)),
        (Marker.SPHERE, "sphere", (0.3,)),
        (Marker.CYLINDER, "cylinder", (0.2, 0.6)),
    ],
)
def test_solid_markers_are_obstacles_at_least_their_size(kind, shape, size):
    (change,) = changes_from_markers(
        MarkerArray(markers=[marker(kind, lifetime=Duration(nanosec=500_000_000))])
    )
    assert (change.name, change.frame, change.stamp_ns, change.lifetime_s) == (
        "people/7",
        "panda_link0",
        5 * 10**9,
        0.5,
    )
    assert (change.obstacle.shape, change.obstacle.size) == (shape, size)
    assert change.obstacle.position == (0.1, 0.2, 0.3)
    require_obstacle(change.obstacle, "it")


def test_deletions_are_changes():
    removals = [
        marker(action=Marker.DELETE),
        marker(action=Marker.DELETEALL),
        Marker(action=Marker.DELETEALL),
    ]
    changes = changes_from_markers(MarkerArray(markers=removals))
    assert [c.name for c in changes] == ["people/7", "people/*", ALL]
    assert not any(c.obstacle or c.refusal for c in changes)


def test_markers_of_long_namespaces_that_begin_alike_are_different_obstacles():
    one, other = marker(), marker()
    one.ns, other.ns = ("/perception/segmentation/instances/cluster_" + k for k in "12")
    names = {c.name for c in changes_from_markers(MarkerArray(markers=[one, other]))}
    assert len(names) == 2
    one.ns = "n" * 100_000
    (change,) = changes_from_markers(MarkerArray(markers=[one]))
    assert "characters" in change.refusal


@pytest.mark.parametrize("size", [np.nan, -5.0, 0.0])
@pytest.mark.parametrize("kind", [Marker.CUBE, Marker.SPHERE, Marker.CYLINDER])
@pytest.mark.parametrize("axis", "xyz")
def test_a_size_that_is_none_in_any_direction_is_refused_and_not_outvoted_by_the_others(
    kind, axis, size
):
    odd = marker(kind)
    setattr(odd.scale, axis, size)
    (change,) = changes_from_markers(MarkerArray(markers=[odd]))
    assert "must be positive" in change.refusal


@pytest.mark.parametrize(
    ("odd", "word"),
    [
        (marker(Marker.ARROW), "type 0"),
        (marker(Marker.MESH_RESOURCE), "type 10"),
        (marker(action=77), "action 77"),
        (marker(frame_locked=True), "service hold"),
    ],
)
def test_what_is_no_obstacle_is_refused_by_name(odd, word):
    (change,) = changes_from_markers(MarkerArray(markers=[odd]))
    assert change.obstacle is None
    assert word in change.refusal


def test_too_many_markers_are_refused_as_one():
    (change,) = changes_from_markers(MarkerArray(markers=[marker()] * (MOST_MARKERS + 1)))
    assert "at most" in change.refusal


def test_markers_without_end_are_refused_before_their_reading_silences_who_watches_the_arm(
    monkeypatch,
):
    most = serialize_message(MarkerArray(markers=[marker()] * MOST_MARKERS))
    assert len(changes_from_bytes(most)) == MOST_MARKERS
    lines = Marker(type=Marker.LINE_LIST, points=[Point()] * 50_000)
    endless = serialize_message(MarkerArray(markers=[lines]))
    monkeypatch.setattr(obstacles, "deserialize_message", lambda *_: pytest.fail("it was read"))
    (change,) = changes_from_bytes(endless)
    assert "bytes of markers, at most" in change.refusal


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\1\0\0\xff\xff\xff\x7f"])
def test_bytes_that_are_no_markers_are_refused(data):
    (change,) = changes_from_bytes(data)
    assert "no markers" in change.refusal


@pytest.mark.parametrize("kind", [PointField.FLOAT32, PointField.FLOAT64])
def test_every_point_of_a_cloud_lies_in_a_voxel(kind):
    points = np.random.default_rng(0).uniform(-1, 1, (1000, 3))
    change = change_from_cloud(cloud(points, kind=kind), 0.1, 0.5)
    assert (
        len(change.obstacle.points) < 1000 or len(np.unique(change.obstacle.points, axis=0)) == 1000
    )
    gap = np.abs(points[:, None] - change.obstacle.points).max(axis=2).min(axis=1)
    assert (gap <= 0.05 + 1e-6).all()


def test_points_that_were_not_measured_or_are_far_away_are_left_out_and_an_empty_room_is_told_too():
    change = change_from_cloud(
        cloud([[np.nan, 0, 0], [np.inf, 0, 0], [1e6, 0, 0], [0.5, 0, 0]]), 0.1, 0.5
    )
    assert change.obstacle.points == pytest.approx(np.array([[0.55, 0.05, 0.05]]))
    change = change_from_cloud(cloud(np.zeros((0, 3))), 0.1, 0.5)
    assert np.abs(change.obstacle.points).min() > 40


NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    "points",
    [
        [[NAN] * 3],
        [[NAN] * 3] * 1000,
        [[-INF] * 3],
        [[NAN, 0.1, 0.2], [0.1, NAN, INF], [0.1, 0.2, NAN]],
    ],
)
@pytest.mark.parametrize("kind", [PointField.FLOAT32, PointField.FLOAT64])
def test_a_cloud_without_one_measured_point_is_a_blind_sensor_and_no_empty_room(points, kind):
    change = change_from_cloud(cloud(points, kind=kind), 0.1, 0.5)
    assert change.obstacle is None
    assert (
        change.refusal == f"obstacle_points is blind: none of its {len(points)} points was measured"
    )


@pytest.mark.parametrize(
    "points", [np.zeros((0, 3)), [[INF] * 3], [[NAN] * 3, [INF] * 3], [[INF, -INF, 0]], [[1e4] * 3]]
)
def test_no_points_at_all_or_rays_that_found_nothing_are_an_empty_room(points):
    change = change_from_cloud(cloud(points), 0.1, 0.5)
    assert not change.refusal
    assert np.abs(change.obstacle.points).min() > 40


def test_a_blind_sensor_is_in_doubt_by_name_until_it_sees_again():
    live = LiveWorld(load_safety_model(load_embodiment("panda")), SafetyParams())
    seeing, blind = (
        change_from_cloud(cloud(p), 0.1, 0.5) for p in ([[2.0, 2.0, 2.0]], [[NAN] * 3] * 300)
    )
    now_ns = 5 * 10**9
    live.take(seeing, now_ns)
    assert not live.why_not_known(now_ns)
    live.take(blind, now_ns)
    assert "obstacle_points is blind" in live.why_not_known(now_ns)
    assert "points" in live.obstacles(), "what was seen last still stands there"
    live.take(seeing, now_ns)
    assert not live.why_not_known(now_ns)


def test_clouds_whose_sizes_contradict_each_other_are_refused():
    short, missing, wide, odd = (
        cloud([[0, 0, 0]]),
        cloud([[0, 0, 0]], "xyw"),
        cloud([[0, 0, 0]]),
        cloud([[0, 0, 0]]),
    )
    short.data = struct.pack("<f", 1.0)
    wide.width = 2**31
    odd.fields[0].offset = 100
    for msg, word in (
        (short, "4 bytes"),
        (missing, "no floating point field z"),
        (wide, "at most"),
        (odd, "bytes"),
    ):
        change = change_from_cloud(msg, 0.1, 0.5)
        assert change.obstacle is None
        assert word in change.refusal


def test_a_request_to_hold_says_what_a_load_is():
    request = HoldObject.Request(
        name="can", frame="panda_hand", mass=0.5, shape="cylinder", size=[0.03, 0.1]
    )
    load = load_from_request(request)
    assert (load.frame, load.mass, load.size, load.orientation) == (
        "panda_hand",
        0.5,
        (0.03, 0.1),
        (1.0, 0.0, 0.0, 0.0),
    )
    request.release = True
    assert load_from_request(request) is None


def test_a_world_with_a_plate_that_has_no_hull_does_not_configure_the_safety_node(tmp_path):
    (tmp_path / "plate.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nf 1 2 3\nf 2 3 4\n")
    world = tmp_path / "world.yaml"
    world.write_text(
        "obstacles: {plate: {shape: mesh, mesh: plate.obj, size: [1, 1, 1], position: [2, 0, 0]}}"
    )
    with pytest.raises(WamError, match="'plate'.*no volume"):
        make_machine(SafetyNodeParams(world=str(world)), SHIPPED, SafetyParams())


def test_clouds_take_no_more_than_half_of_the_time(arena, monkeypatch):
    machine, _ = make_machine(SafetyNodeParams(), SHIPPED, SafetyParams())
    now_s = 100.0
    taken = []

    def take(changes, now_ns):
        nonlocal now_s
        taken.append(now_s)
        now_s += 0.05
        return None

    monkeypatch.setattr(machine, "on_obstacles", take)
    monkeypatch.setattr(obstacles, "time", SimpleNamespace(monotonic=lambda: now_s))
    topics = ObstacleTopics(arena.observer, machine, None, None, voxel_m=0.1, lifetime_s=0.5)
    for _ in range(100):  # at 100 Hz, each 0.05 s of work
        topics._on_cloud(cloud([[2.0, 2.0, 2.0]]))
        now_s += 0.01
    gaps = np.diff(taken)
    assert len(gaps) > 5
    assert (gaps >= 0.1 - 1e-9).all()
    assert (gaps <= 0.1 + 0.011).all(), "and no longer than they must"
