"""Any mesh with a volume is taken: as its hull, and as smaller bodies where that hides a cavity."""

from __future__ import annotations

import os

import numpy as np
import pytest

from wam_ros.core.errors import WamError
from wam_ros.robot import meshes
from wam_ros.robot.meshes import decompose, hull_of, mesh_hull, mesh_pieces
from wam_ros.robot.model import load_safety_model
from wam_ros.robot.obstacles import Obstacle

from .chain import boxes, chain, link, mesh, write_obj

ELL = boxes(((0, 0, 0), (0.3, 0.1, 0.1)), ((0, 0, 0), (0.1, 0.1, 0.3)))
# a floor and two walls: the hull is the whole block
TROUGH = boxes(
    ((-0.2, -0.2, 0), (0.2, 0.2, 0.02)),
    ((-0.2, -0.2, 0), (-0.15, 0.2, 0.4)),
    ((0.15, -0.2, 0), (0.2, 0.2, 0.4)),
)


def ell(folder):
    return write_obj(folder / "ell.obj", *ELL)


def test_a_mesh_that_is_not_convex_is_taken_as_its_hull(tmp_path):
    model = load_safety_model(chain(tmp_path, {"l3": link("l3", mesh(ell(tmp_path)))}))
    (body,) = [b for b in model.bodies if b.name == "l3#0"]
    corners = np.array(body.geometry.points())
    assert np.allclose(corners.max(axis=0), [0.3, 0.1, 0.3])
    assert len(corners) == 10, "the inner corner is none of the hull's"


@pytest.mark.parametrize("scale", ["1 -1 1", "-1 -1 -1", "2 1 -0.5"])
def test_a_mirrored_mesh_has_the_hull_of_its_mirrored_points(tmp_path, scale):
    model = load_safety_model(chain(tmp_path, {"l3": link("l3", mesh(ell(tmp_path), scale=scale))}))
    (body,) = [b for b in model.bodies if b.name == "l3#0"]
    wanted = ELL[0] * [float(s) for s in scale.split()]
    assert np.allclose(np.array(body.geometry.points()).min(axis=0), wanted.min(axis=0))
    assert np.allclose(np.array(body.geometry.points()).max(axis=0), wanted.max(axis=0))
    # of a mirrored hull the sides would look inwards, and nothing would be near it
    model.set_obstacles({"ball": Obstacle("sphere", (0.01,), (0.0, 0.0, 5.0))})
    q = np.zeros(3)
    gap = model.distances(q)[model.pairs.names.index(("l3", "ball"))]
    assert gap == pytest.approx(5.0 - 0.01 - 0.9 - wanted[:, 2].max(), abs=0.3)


def test_the_unit_of_a_collada_file_counts(tmp_path):
    path = tmp_path / "box.dae"
    corners, triangles = boxes(((0, 0, 0), (300, 300, 300)))
    floats = " ".join(f"{v:g}" for v in corners.ravel())
    index = " ".join(str(i) for i in triangles.ravel())
    path.write_text(
        '<?xml version="1.0"?><COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" '
        'version="1.4.1"><asset><unit name="mm" meter="0.001"/><up_axis>Z_UP</up_axis></asset>'
        '<library_geometries><geometry id="g"><mesh><source id="p"><float_array id="a" '
        f'count="{corners.size}">{floats}</float_array><technique_common><accessor source="#a" '
        f'count="{len(corners)}" stride="3"><param name="X" type="float"/><param name="Y" '
        'type="float"/><param name="Z" type="float"/></accessor></technique_common></source>'
        '<vertices id="v"><input semantic="POSITION" source="#p"/></vertices><triangles '
        f'count="{len(triangles)}"><input semantic="VERTEX" source="#v" offset="0"/><p>{index}</p>'
        "</triangles></mesh></geometry></library_geometries><library_visual_scenes><visual_scene "
        'id="s"><node id="n"><instance_geometry url="#g"/></node></visual_scene>'
        '</library_visual_scenes><scene><instance_visual_scene url="#s"/></scene></COLLADA>'
    )
    assert np.ptp(mesh_hull(path), axis=0) == pytest.approx([0.3] * 3)


@pytest.mark.parametrize("scale", ["1000 1000 1000", "1e-5 1e-5 1e-5"])
def test_a_mesh_in_another_unit_is_refused_by_link_and_size(tmp_path, scale):
    robot = chain(tmp_path, {"l3": link("l3", mesh(ell(tmp_path), scale=scale))})
    with pytest.raises(WamError, match=r"link 'l3': mesh .*ell\.obj is .* m large; the unit"):
        load_safety_model(robot)


def test_every_point_of_a_mesh_lies_in_one_of_its_pieces_and_its_cavity_in_none():
    corners, triangles = TROUGH
    pieces = [hull_of(p, "piece") for p in decompose(corners, triangles, "trough")]
    rng = np.random.default_rng(0)
    weights = rng.dirichlet([1, 1, 1], 400)
    surface = np.einsum("kn,tnd->tkd", weights, corners[triangles]).reshape(-1, 3)

    def outside(points):
        flat = np.repeat(points[:, None], 3, axis=1)  # each a triangle of no size
        return np.min([meshes._outside(p, flat) for p in pieces], axis=0)

    assert outside(surface).max() < 1e-9
    assert outside(np.array([[0.0, 0.0, 0.25], [0.05, 0.1, 0.3]])).min() > 0.02


def test_an_arm_that_stands_in_a_cavity_at_home_is_watched_against_its_walls(tmp_path):
    """The second link turns inside a trough that is fixed to the base."""
    trough = write_obj(tmp_path / "trough.obj", *TROUGH)
    base = link("base", mesh(trough, '<origin xyz="0 0 0.5"/>'), "")
    tall = {"base": base, "l1": link("l1", "")}
    robot = chain(tmp_path, tall, home=(0.0, 0.0, 0.0))
    model = load_safety_model(robot)
    pairs = [k for k, n in enumerate(model.pairs.names) if n == ("base", "l2")]
    assert len(pairs) > 1, "the trough is several bodies"
    assert model.judged.reasons.count("Always") == 0
    free = model.distances(np.zeros(3))[pairs].min()
    assert free > 0.03


def test_what_was_made_of_a_mesh_is_kept_by_its_contents(tmp_path, cache, monkeypatch):
    path = tmp_path / "trough.obj"
    write_obj(path, *TROUGH)
    hull, pieces = mesh_hull(path), mesh_pieces(path)
    assert len(list((cache / "wam_ros" / "meshes").iterdir())) == 2
    with monkeypatch.context() as patch:
        patch.setattr(meshes, "read_mesh", None)  # would fail
        assert np.array_equal(mesh_hull(path), hull)
        assert all(np.array_equal(a, b) for a, b in zip(mesh_pieces(path), pieces, strict=True))
    write_obj(path, *ELL)
    assert np.allclose(mesh_hull(path).max(axis=0), [0.3, 0.1, 0.3]), "another mesh, another hull"


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 nothing", None])
def test_a_damaged_file_of_the_cache_is_made_anew(tmp_path, cache, damage):
    path = tmp_path / "ell.obj"
    ell(tmp_path)
    hull = mesh_hull(path)
    (kept,) = (cache / "wam_ros" / "meshes").iterdir()
    if damage is None:
        np.savez(kept, np.full((9, 3), np.nan))
    else:
        kept.write_bytes(damage)
    assert np.array_equal(mesh_hull(path), hull)
    assert np.array_equal(np.load(kept)["arr_0"], hull)


def test_a_cache_that_others_may_write_is_not_believed(tmp_path, cache):
    path = tmp_path / "ell.obj"
    ell(tmp_path)
    mesh_hull(path)
    folder = cache / "wam_ros" / "meshes"
    (kept,) = folder.iterdir()
    with kept.open("wb") as file:
        np.savez(file, np.array([[0.0, 0, 0], [1e-3, 0, 0], [0, 1e-3, 0], [0, 0, 1e-3]]))
    assert len(mesh_hull(path)) == 4, "one's own is"
    os.chmod(folder, 0o777)
    assert len(mesh_hull(path)) == 10


def test_a_mesh_that_cannot_be_read_is_refused_by_link_and_file(tmp_path):
    for name, text in (("a.stl", "solid nothing"), ("b.obj", "nothing"), ("c.dae", "<a/>")):
        (tmp_path / name).write_text(text)
        robot = chain(tmp_path, {"l3": link("l3", mesh(name))})
        with pytest.raises(WamError, match=rf"link 'l3': mesh .*{name} cannot be read"):
            load_safety_model(robot)


UNREADABLE = {
    "empty.stl": (b"", "the file is empty"),
    "cut.stl": (bytes(80) + b"\x64\0\0\0" + bytes(150), "it is damaged or has no surface"),
    "points.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\n", "it is damaged or has no surface"),
    "cut.dae": (b"<?xml version='1.0'?><COLLADA", "it is damaged or has no surface"),
    "pointer.stl": (
        b"version https://git-lfs.github.com/spec/v1\noid",
        "pointer of Git LFS, not the",
    ),
    "page.obj": (b"<!DOCTYPE html><html>404", "it is a web page: the download failed"),
    "solid.step": (b"ISO-10303-21;", "export it as STL, OBJ or COLLADA"),
    "sheet.obj": (
        b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nf 1 2 3\nf 2 4 3\n",
        "it is flat, its points",
    ),
}


def test_every_mesh_that_cannot_be_taken_is_told_in_a_line_with_its_link_file_and_reason(tmp_path):
    bodies = ""
    for name, (data, _) in UNREADABLE.items():
        (tmp_path / name).write_bytes(data)
        bodies += mesh(name)
    with pytest.raises(WamError) as caught:
        load_safety_model(chain(tmp_path, {"l3": link("l3", bodies)}))
    head, *listed = str(caught.value).split("\n")
    assert head.endswith(f"{len(UNREADABLE)} problems:")
    for name, (_, why) in UNREADABLE.items():
        (line,) = [words for words in listed if name in words]
        assert line.startswith("  - link 'l3': ") and why in line
