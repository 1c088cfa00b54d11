"""What stands around the robot is read strictly, and kept clear of as what it is."""

from __future__ import annotations

import numpy as np
import pytest

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.robot.model import load_safety_model
from wam_ros.robot.obstacles import Cloud, Obstacle, load_world, read_points


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{shape: ball, size: [1], position: [0, 0, 0]}", "sphere"),
        ("{shape: box, size: [1, 1], position: [0, 0, 0]}", "3 positive sizes"),
        ("{shape: box, size: [1, 1, -1], position: [0, 0, 0]}", "3 positive sizes"),
        ("{shape: box, size: [1, 1, 1], position: [0, 0, .nan]}", "finite"),
        (
            "{shape: box, size: [1, 1, 1], position: [0, 0, 0], orientation: [1, 1, 0, 0]}",
            "quaternion",
        ),
        ("{shape: box, size: [1, 1, 1], position: [0, 0, 0], margin: 1}", "clearance"),
        ("{shape: mesh, size: [1, 1, 1], position: [0, 0, 0], mesh: gone.stl}", "gone.stl"),
    ],
)
def test_a_world_that_makes_no_sense_is_refused(tmp_path, model, text, word):
    (tmp_path / "w.yaml").write_text(f"obstacles: {{thing: {text}}}")
    with pytest.raises(WamError, match=word):
        load_safety_model(model.embodiment, str(tmp_path / "w.yaml"))


def test_a_plane_is_solid_below(home):
    model = load_safety_model(load_embodiment("panda"))
    tip = model.distances(home)[
        [n == ("panda_leftfinger", "table") for n in model.pairs.names]
    ].min()
    floor = Obstacle("plane", (), (0.0, 0.0, -0.1), ignore=("panda_link1",))
    model.set_obstacles({"floor": floor})
    found = model.distances(home)[
        [n == ("panda_leftfinger", "floor") for n in model.pairs.names]
    ].min()
    assert found == pytest.approx(tip + 0.1, abs=1e-6)
    assert ("panda_link1", "floor") not in model.pairs.names


def test_a_shipped_world_is_found_by_name_and_another_one_named_with_the_choices():
    assert load_world("table").obstacles["table"].shape == "box"
    with pytest.raises(WamError, match=r"nowhere.*table"):
        load_world("nowhere")


def test_the_hull_of_a_file_is_a_mesh(tmp_path):
    (tmp_path / "w.yaml").write_text(
        "obstacles: {thing: {shape: hull, size: [], position: [0, 0, 0]}}"
    )
    with pytest.raises(WamError, match=r"'thing'.*is a mesh"):
        load_world(str(tmp_path / "w.yaml"))


def test_points_of_a_file_stand_where_they_are_put(tmp_path, model, home):
    np.save(tmp_path / "points.npy", np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 5.0]]))
    (tmp_path / "w.yaml").write_text(
        "obstacles: {dust: {shape: points, size: [0.02], position: [0, 0, 0.95], mesh: points.npy, "
        "clearance: 0, ignore: []}}"
    )
    dusty = load_safety_model(model.embodiment, str(tmp_path / "w.yaml"))
    ball = load_safety_model(model.embodiment, "empty")
    ball.set_obstacles({"ball": Obstacle("sphere", (0.001,), (0.0, 0.0, 0.95))})
    near = dusty.distances(home)[dusty.pairs.names.index(("panda_link3", "dust"))]
    true = ball.distances(home)[ball.pairs.names.index(("panda_link3", "ball"))]
    assert near == pytest.approx(true, abs=0.02 * np.sqrt(3))


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.zeros((0, 3)), "expected finite points"),
        (np.zeros((4, 2)), "expected finite points"),
        (np.zeros(3), "expected finite points"),
        (np.array([[0.0, np.nan, 0.0]]), "expected finite points"),
        (np.array([[0.0, 1e7, 0.0]]), "expected finite points"),
        (np.array([[0.0, 601.0, 0.0]]), "601 m away do not fit into voxels of 0.02 m"),
    ],
)
def test_points_that_no_voxels_can_hold_are_refused_with_the_file(tmp_path, points, words):
    np.save(tmp_path / "points.npy", points)
    with pytest.raises(WamError, match=rf"points\.npy: .*{words}"):
        read_points(tmp_path / "points.npy", 0.02)


@pytest.mark.parametrize("content", [b"", b"solid cube", b"\x93NUMPY\x01\x00"])
def test_a_file_that_holds_no_points_is_refused_by_name(tmp_path, content):
    (tmp_path / "points.npy").write_bytes(content)
    with pytest.raises(WamError, match=r"points\.npy"):
        read_points(tmp_path / "points.npy", 0.02)


def test_clouds_are_the_same_when_their_points_are():
    def cloud(*points):
        return Cloud("points", (0.02,), (0.0, 0.0, 0.0), points=np.array(points))

    assert cloud((0, 0, 1)) == cloud((0, 0, 1))
    assert cloud((0, 0, 1)) != cloud((0, 0, 2))
    assert cloud((0, 0, 1)) != Obstacle("points", (0.02,), (0.0, 0.0, 0.0))
