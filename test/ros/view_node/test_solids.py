import pytest

pytest.importorskip("rclpy")
pytest.importorskip("pinocchio")
from visualization_msgs.msg import Marker, MarkerArray

from wam_ros.core.errors import WamError
from wam_ros.ros.view_node.solids import MOST, solids_from_markers, solids_of_world

pytestmark = pytest.mark.ros


def marker(kind, **fields):
    made = Marker(type=kind, ns="m", id=1, **fields)
    made.scale.x, made.scale.y, made.scale.z = 0.2, 0.4, 0.6
    return made


def test_a_cube_has_its_place_size_and_colour():
    cube = marker(Marker.CUBE)
    cube.pose.position.z, cube.pose.orientation.x, cube.pose.orientation.w = 0.1, 0.6, 0.8
    cube.color.r, cube.color.a = 0.5, 1.0
    (found,) = solids_from_markers(MarkerArray(markers=[cube]))
    assert (found.name, found.shape, found.size) == ("m_1", "box", (0.2, 0.4, 0.6))
    assert (found.position, found.wxyz) == ((0.0, 0.0, 0.1), (0.8, 0.6, 0.0, 0.0))
    assert found.rgba == (0.5, 0.0, 0.0, 1.0)


def test_what_is_not_round_is_drawn_as_the_round_one_around_it():
    found = solids_from_markers(
        MarkerArray(markers=[marker(Marker.SPHERE), marker(Marker.CYLINDER)])
    )
    assert [(s.shape, s.size) for s in found] == [("sphere", (0.3,)), ("cylinder", (0.2, 0.6))]


def test_lines_and_what_is_taken_away_are_left_out():
    gone = marker(Marker.CUBE, action=Marker.DELETE)
    assert solids_from_markers(MarkerArray(markers=[marker(Marker.LINE_STRIP), gone])) == []


def test_a_flood_of_markers_has_a_bound():
    many = MarkerArray(markers=[marker(Marker.CUBE)] * (2 * MOST))
    assert len(solids_from_markers(many)) == MOST


def test_the_shipped_worlds_are_drawn():
    (table,) = solids_of_world("table")
    assert (table.name, table.shape, table.size) == ("table", "box", (1.0, 1.4, 0.4))
    assert solids_of_world("empty") == []


def test_every_shape_of_a_world_can_be_drawn(tmp_path):
    (tmp_path / "part.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    file = tmp_path / "cell.yaml"
    file.write_text(
        "obstacles:\n"
        "  a: {shape: sphere, size: [0.1], position: [1, 0, 0]}\n"
        "  b: {shape: capsule, size: [0.1, 0.5], position: [1, 0, 0]}\n"
        "  c: {shape: plane, size: [], position: [0, 0, -0.1]}\n"
        "  d: {shape: mesh, size: [1, 1, 1], position: [0, 0, 0], mesh: part.obj}\n"
    )
    sphere, capsule, plane, mesh = solids_of_world(str(file))
    assert (sphere.shape, capsule.size) == ("sphere", (0.1, 0.5))
    assert (plane.shape, plane.position) == ("box", (0.0, 0.0, -0.1))
    assert mesh.file == tmp_path / "part.obj"


def test_an_unknown_world_is_named():
    with pytest.raises(WamError, match="Did you mean 'table'"):
        solids_of_world("tabel")
