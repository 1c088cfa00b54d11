"""Bodies that a parser drops, or of which no hull can be made, are refused by name before either
happens.
"""

from __future__ import annotations

import numpy as np
import pytest

from testing.tools import BODY, pendulum
from wam_ros import cli
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.robot.model import load_safety_model

CUBE = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
FACES = (
    "f 1 2 4\nf 1 4 3\nf 5 8 6\nf 5 7 8\nf 1 6 2\nf 1 5 6\nf 3 4 8\nf 3 8 7\nf 1 3 7\nf 1 7 "
    "5\nf 2 6 8\nf 2 8 4\n"
)


def written(path, corners) -> str:
    path.write_text("".join(f"v {x} {y} {z}\n" for x, y, z in 0.1 * np.array(corners)) + FACES)
    return path.name


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
    odd = written(tmp_path / "odd.obj", corners)
    with pytest.raises(WamError, match=rf"'arm'.*odd\.obj.*{words}"):
        load_safety_model(robot(tmp_path, f'<mesh filename="{odd}"/>'))


@pytest.mark.parametrize(("corners", "words"), ODD)
def test_a_mesh_obstacle_of_which_no_hull_can_be_made_is_refused_by_name(tmp_path, corners, words):
    odd, world = written(tmp_path / "odd.obj", corners), tmp_path / "world.yaml"
    world.write_text(
        f"obstacles: {{plate: {{shape: mesh, mesh: {odd}, size: [1, 1, 1], position: [2, 0, 0]}}}}"
    )
    with pytest.raises(WamError, match=f"'plate'.*{words}"):
        load_safety_model(pendulum(tmp_path), str(world))


@pytest.mark.parametrize(
    "geometry", ['<capsule radius="0.05" length="0.2"/>', '<spere radius="0.05"/>']
)
def test_a_collision_body_that_a_parser_drops_is_refused_by_link_and_kind(tmp_path, geometry):
    more = f"<collision><geometry>{geometry}</geometry></collision></link>"
    body = BODY.format(name="arm", x=0.5).replace("</link>", more)
    with pytest.raises(WamError, match=rf"'arm'.*<{geometry[1:6]}.*use one of box"):
        load_safety_model(pendulum(tmp_path, body=body))


def test_a_mesh_with_volume_and_a_robot_that_is_wrong_elsewhere_are_for_the_loader(tmp_path):
    cube = written(tmp_path / "cube.obj", CUBE)
    assert load_safety_model(robot(tmp_path, f'<mesh filename="{cube}"/>')).links == ["arm"]
    with pytest.raises(WamError, match=r"link 'arm': mesh gone\.stl cannot be read; put it into"):
        load_safety_model(robot(tmp_path, '<mesh filename="gone.stl"/>'))
    with pytest.raises(WamError, match="no velocity limit"):
        load_safety_model(pendulum(tmp_path, joint='<limit lower="-1" upper="1" effort="5"/>'))


def test_the_command_says_so_in_one_line(tmp_path, capsys):
    odd, world = written(tmp_path / "odd.obj", ODD[0][0]), tmp_path / "world.yaml"
    world.write_text(
        f"obstacles: {{plate: {{shape: mesh, mesh: {odd}, size: [1, 1, 1], position: [2, 0, 0]}}}}"
    )
    home = np.array(load_embodiment("panda").home)[None]
    chunks = {"positions": home[None], "q0": home, "dq0": 0 * home, "step_period": 0.1}
    np.savez(
        tmp_path / "in.npz", **chunks, joint_names=np.array(load_embodiment("panda").joint_names)
    )
    words = ["safety", "filter", tmp_path / "in.npz", tmp_path / "out.npz", "--world", world]
    assert cli.main([str(w) for w in words]) == 2
    error = capsys.readouterr().err
    assert "obstacle 'plate'" in error
    assert error.count("\n") == 1
