"""Every body is convex; one of which no hull can be made is refused by name."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.tools import BODY, CUBE, load_urdf, pendulum, write_mesh
from wam_ros.core.embodiment import Load
from wam_ros.core.errors import Problems, WamError
from wam_ros.robot.meshes import hull_of, require_volume
from wam_ros.robot.model import load_safety_model
from wam_ros.robot.obstacles import Obstacle
from wam_ros.robot.shapes import read_bodies


def test_a_mesh_that_is_missing_is_refused_by_name(tmp_path):
    body = BODY.format(name="arm", x=0.5).replace(
        '<sphere radius="0.05"/>', '<mesh filename="gone.stl"/>'
    )
    with pytest.raises(WamError, match=r"gone\.stl"):
        load_safety_model(pendulum(tmp_path, body=body))


def test_a_mesh_becomes_its_convex_hull(tmp_path):
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * 0.05
    lines = [f"v {x} {y} {z}" for x, y, z in corners]
    faces = [
        "f 1 2 4",
        "f 1 4 3",
        "f 5 8 6",
        "f 5 7 8",
        "f 1 6 2",
        "f 1 5 6",
        "f 3 4 8",
        "f 3 8 7",
        "f 1 3 7",
        "f 1 7 5",
    ]
    (tmp_path / "cube.obj").write_text("\n".join([*lines, *faces, "f 2 6 8", "f 2 8 4"]))
    body = BODY.format(name="arm", x=0.5).replace(
        '<sphere radius="0.05"/>', '<mesh filename="cube.obj"/>'
    )
    model = load_safety_model(pendulum(tmp_path, body=body))
    model.set_obstacles({"wall": Obstacle("box", (0.1, 1.0, 1.0), (0.8, 0.0, 0.0))})
    assert model.distances(np.zeros(1))[0] == pytest.approx(0.8 - 0.05 - 0.55, abs=1e-6)


def robot(folder, geometry: str):
    return pendulum(
        folder, body=BODY.format(name="arm", x=0.5).replace('<sphere radius="0.05"/>', geometry)
    )


ODD = [
    ([(x, y, 0.3 * x) for x, y, _ in CUBE], "no volume; give it a thickness"),
    ([(np.nan, 0, 0), *CUBE[1:]], "not finite"),
]


@pytest.mark.parametrize(("corners", "words"), ODD)
def test_a_mesh_of_which_no_hull_can_be_made_is_refused_by_link_and_file(tmp_path, corners, words):
    odd = write_mesh(tmp_path / "odd.obj", corners)
    with pytest.raises(WamError, match=rf"'arm'.*odd\.obj.*{words}"):
        load_safety_model(robot(tmp_path, f'<mesh filename="{odd}"/>'))


@pytest.mark.parametrize(("corners", "words"), ODD)
def test_a_mesh_obstacle_of_which_no_hull_can_be_made_is_refused_by_name(tmp_path, corners, words):
    odd, world = write_mesh(tmp_path / "odd.obj", corners), tmp_path / "world.yaml"
    world.write_text(
        f"obstacles: {{plate: {{shape: mesh, mesh: {odd}, size: [1, 1, 1], position: [2, 0, 0]}}}}"
    )
    with pytest.raises(WamError, match=f"'plate'.*{words}"):
        load_safety_model(pendulum(tmp_path), str(world))


def test_a_mesh_with_volume_and_a_robot_that_is_wrong_elsewhere_are_for_the_loader(tmp_path):
    cube = write_mesh(tmp_path / "cube.obj", CUBE)
    assert load_safety_model(robot(tmp_path, f'<mesh filename="{cube}"/>')).links == ["arm"]
    with pytest.raises(WamError, match=r"link 'arm': gone\.stl cannot be read: there is no file"):
        load_safety_model(robot(tmp_path, '<mesh filename="gone.stl"/>'))
    with pytest.raises(WamError, match="no velocity limit"):
        load_safety_model(pendulum(tmp_path, joint='<limit lower="-1" upper="1" effort="5"/>'))


@pytest.mark.parametrize(
    ("load", "word"),
    [
        (Load("no_such_link", 1.0), "unknown frame 'no_such_link'"),
        (Load("arm", -1.0), "load 'tool': mass -1"),
        (Load("arm", float("inf")), "load 'tool': mass inf"),
        (Load("arm", 1.0, shape="ball", size=(1.0,)), "load 'tool'"),
        (Load("arm", 1.0, shape="box", size=(1.0,)), "3 positive sizes"),
    ],
)
def test_a_tool_that_makes_no_sense_is_refused(tmp_path, load, word):
    with pytest.raises(WamError, match=word):
        load_safety_model(dataclasses.replace(pendulum(tmp_path), loads={"tool": load}))


@given(st.integers(0, 10**6), st.floats(-6, 0), st.floats(-3, 2))
@settings(max_examples=60, deadline=None)
def test_what_has_a_volume_however_thin_has_a_hull(seed, thin, size):
    rng = np.random.default_rng(seed)
    corners = rng.normal(size=(rng.integers(8, 40), 3)) * (1.0, 1.0, 10**thin)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    points = 10**size * corners @ turn
    require_volume(points, "it")
    assert hull_of(points, "it").num_points >= 4
    with pytest.raises(WamError, match="no volume"):
        require_volume(10**size * (corners * (1, 1, 0)) @ turn, "it")


def test_a_cylinder_with_a_ball_at_both_ends_is_one_capsule(tmp_path):
    """As makers write capsules; a ball of another size or at another place is one of its own."""
    part = '<collision><origin xyz="0.5 0 {z}"/><geometry>{kind}</geometry></collision>'
    cylinder = part.format(z=0, kind='<cylinder radius="0.05" length="0.2"/>')

    def shapes(*balls: tuple[float, float]) -> list[type]:
        ends = [part.format(z=z, kind=f'<sphere radius="{radius}"/>') for z, radius in balls]
        body = BODY.format(name="arm", x=0.5)
        body = body[: body.index("<collision>")] + cylinder + "".join(ends) + "</link>"
        toy = pendulum(tmp_path, body=body)
        found = read_bodies(toy, load_urdf(toy.urdf_path), Problems("toy"))
        return sorted(type(shape.geometry).__name__ for shape in found)

    assert shapes((0.1, 0.05), (-0.1, 0.05)) == ["Capsule"]
    assert shapes((0.1, 0.05)) == ["Cylinder", "Sphere"]
    assert shapes((0.1, 0.05), (-0.1, 0.04)) == ["Cylinder", "Sphere", "Sphere"]
    assert shapes((0.1, 0.05), (-0.11, 0.05)) == ["Cylinder", "Sphere", "Sphere"]


def test_a_robot_without_a_body_is_refused(tmp_path):
    body = BODY.format(name="arm", x=0.5)
    body = body[: body.index("<collision>")] + "</link>"
    with pytest.raises(WamError, match="no link has a body, neither to meet nor to look at"):
        load_safety_model(pendulum(tmp_path, body=body))
