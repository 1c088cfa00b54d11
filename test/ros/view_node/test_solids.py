import pytest

pytest.importorskip("rclpy")
pytest.importorskip("pinocchio")
from geometry_msgs.msg import Point
from visualization_msgs.msg import Marker, MarkerArray

from wam_ros.core.errors import WamError
from wam_ros.ros.view_node.solids import (
    MOST,
    MOST_CELLS,
    lines_from_markers,
    solids_from_markers,
    solids_of_world,
)

pytestmark = [pytest.mark.ros, pytest.mark.untimed]


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


def test_voxels_are_drawn_and_have_a_bound():
    cells = marker(Marker.CUBE_LIST)
    cells.points = [Point(x=float(k)) for k in range(3 * MOST_CELLS)]
    (found,) = solids_from_markers(MarkerArray(markers=[cells]))
    assert (found.shape, found.size, len(found.cells)) == ("points", (0.2,), MOST_CELLS)
    assert found.described()["cells"][:6] == [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]


def test_a_body_moves_with_the_link_that_its_frame_names():
    cube = marker(Marker.CUBE, text="cup")
    cube.header.frame_id = "left/panda_hand"
    (found,) = solids_from_markers(MarkerArray(markers=[cube]))
    assert (found.name, found.described()["frame"]) == ("cup", "panda_hand")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_body_or_a_line_that_is_nowhere_is_left_out(number):
    lost, flat, line = marker(Marker.CUBE), marker(Marker.CUBE), marker(Marker.LINE_STRIP)
    lost.pose.position.y = number
    flat.scale.z = 0.0
    line.points = [Point(), Point(z=number)]
    message = MarkerArray(markers=[lost, flat, line])
    assert solids_from_markers(message) == []
    assert lines_from_markers(message) == []


def test_lines_have_their_name_colour_and_points_and_words_have_theirs():
    line = marker(Marker.LINE_STRIP)
    line.points = [Point(x=1.0), Point(x=2.0)]
    line.color.r = 2.0  # beyond what a colour is
    words = marker(Marker.TEXT_VIEW_FACING, text="hand to table 23 mm")
    gone = marker(Marker.LINE_STRIP, action=Marker.DELETE)
    found = lines_from_markers(MarkerArray(markers=[line, words, gone, marker(Marker.CUBE)]))
    assert found == [
        {
            "name": "m",
            "rgba": (1.0, 0.0, 0.0, 0.0),
            "points": [(1.0, 0.0, 0.0), (2.0, 0.0, 0.0)],
        },
        {"name": "m", "rgba": (0.0, 0.0, 0.0, 0.0), "text": "hand to table 23 mm"},
    ]


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
