import pytest

pytest.importorskip("rclpy")
from geometry_msgs.msg import Point
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from testing.markers import why_not_drawable
from wam_ros.core import palette
from wam_ros.ros.markers import text_marker

pytestmark = [pytest.mark.ros, pytest.mark.untimed]


def cube(**fields):
    made = Marker(header=Header(frame_id="base"), type=Marker.CUBE, **fields)
    made.pose.orientation.w = made.color.a = 1.0
    made.scale.x = made.scale.y = made.scale.z = 0.1
    made.lifetime.sec = 1
    return made


def words(text):
    return text_marker(
        Header(frame_id="base"),
        "words",
        0,
        text=text,
        position=(0, 0, 1),
        height=0.05,
        colour=palette.WHITE,
        lifetime_s=1.5,
    )


def why(*markers):
    return " ".join(why_not_drawable(MarkerArray(markers=list(markers)), {"base"}))


def test_what_rviz_draws_is_found_good():
    assert why(cube(), words("25 mm")) == ""
    assert why(Marker(action=Marker.DELETEALL), cube(id=1), cube(id=2)) == ""


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda m: setattr(m.pose.position, "x", float("nan")), "a number that is none"),
        (lambda m: setattr(m.header, "frame_id", "left/base"), "unknown"),
        (lambda m: setattr(m.header, "frame_id", "/base"), "unknown"),
        (lambda m: setattr(m.pose.orientation, "w", 0.0), "no rotation"),
        (lambda m: setattr(m.color, "a", 0.0), "seen through"),
        (lambda m: setattr(m.lifetime, "sec", 0), "no lifetime"),
        (lambda m: setattr(m.scale, "y", 0.0), "no extent"),
        (lambda m: setattr(m, "type", Marker.LINE_STRIP), "one point"),
        (lambda m: setattr(m, "type", Marker.MESH_RESOURCE), "no file"),
        (lambda m: setattr(m, "type", Marker.TRIANGLE_LIST), "triangles"),
        (lambda m: setattr(m, "texture_resource", "embedded://x"), "a texture"),
        (lambda m: setattr(m, "colors", [m.color]), "colours of no points"),
        (lambda m: setattr(m, "type", Marker.ARROW), "not looked into"),
    ],
)
def test_what_rviz_refuses_or_draws_wrongly_is_named(spoil, said):
    made = cube()
    spoil(made)
    assert said in why(made)


def test_one_id_twice_and_words_that_fly_apart_are_named():
    assert "came twice" in why(cube(), cube())
    apart = words("nearest 25 mm")
    apart.scale.x = 0.0
    assert "fly apart" in why(apart)
    lines = words("a")
    lines.text = "a\nb"
    assert "ASCII" in why(lines)


def test_any_words_become_one_line_that_rviz_can_draw():
    for text, drawn in (
        ("pick up\n the  block", "pick up the block"),
        ("hebe den Würfel\x07", "hebe den W?rfel?"),
        ("a" * 999, "a" * 120),
    ):
        assert words(text).text == drawn
        assert why(words(text)) == ""
    assert words(" \n").action == Marker.DELETE, "nothing to say takes away what was said"


def test_a_line_points_and_whole_triangles_are_good():
    line = cube()
    line.type = Marker.LINE_STRIP
    line.points = [Point(), Point(x=1.0)]
    assert why(line) == ""
