"""The links of a description for drawing, judged by pinocchio's kinematics."""

import dataclasses
import json
import struct

import numpy as np
import pytest

from wam_ros.core.embodiment import Load, load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.types import Forwarding, SafetyState
from wam_ros.robot.joints import load_joints
from wam_ros.view.description import Description, find_mesh
from wam_ros.view.scene import SCENE, make_scene
from wam_ros.view.solid import Solid

PANDA = load_embodiment("panda")
CRANE = """<robot name="crane">
  <material name="rust"><color rgba="0.6 0.3 0.1 1"/></material>
  <link name="base"><visual><geometry><box size="1 2 3"/></geometry><material name="rust"/></visual>
  </link><link name="arm"/><link name="hook"/><link name="tip"/>
  <joint name="fixed" type="fixed"><parent link="hook"/><child link="tip"/>
    <origin xyz="0.5 0 0"/></joint>
  <joint name="slide" type="prismatic"><parent link="arm"/><child link="hook"/>
    <origin xyz="2 0 0" rpy="1.5707963 0 1.5707963"/>
    <axis xyz="2 0 0"/></joint>
  <joint name="turn" type="revolute"><parent link="base"/><child link="arm"/>
    <origin xyz="0 0 1"/><axis xyz="0 0 1"/>
  </joint>
</robot>"""


def crane(tmp_path, text=CRANE, names=("slide", "turn")):
    urdf = tmp_path / "crane.urdf"
    urdf.write_text(text)
    return Description(urdf, names)


def place(found, index, q):
    """Rotation and position of a link at joints q."""
    pose = found.poses(np.asarray(q))[index]
    return pose[:3, :3], pose[:3, 3]


def matrix(wxyz):
    w, x, y, z = wxyz
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + 2 * w * skew + 2 * skew @ skew


def test_a_crane_reaches_where_geometry_says(tmp_path):
    found = crane(tmp_path)
    tip = found.index("tip")
    # roll first, then yaw about the arm's axes: the hook's x axis is the arm's y axis
    for q, wanted in (([0.0, 0.0], [2, 0.5, 1]), ([0.3, np.pi / 2], [-0.8, 2, 1])):
        np.testing.assert_allclose(place(found, tip, q)[1], wanted, atol=1e-6)


@pytest.mark.parametrize("name", ["panda", "so101", "bimanual"])
def test_the_poses_of_many_joints_are_those_of_each(name):
    robot = load_embodiment(name)
    found = Description(robot.urdf_path, robot.joint_names)
    many = np.random.default_rng(2).uniform(-1.5, 1.5, (2, 3, len(robot.joint_names)))
    poses = found.poses(many)
    for at in np.ndindex(2, 3):
        np.testing.assert_allclose(poses[at], found.poses(many[at]), atol=1e-12)
    assert (poses[0, 0] != poses[1, 2]).any()


@pytest.mark.parametrize("name", ["panda", "so101", "ur5e", "bimanual", "agibot_g1"])
def test_every_link_is_where_pinocchio_says(name):
    pin = pytest.importorskip("pinocchio")
    robot = load_embodiment(name)
    found = Description(robot.urdf_path, robot.joint_names)
    model = pin.buildModelFromUrdf(str(robot.urdf_path), mimic=False)
    data = model.createData()
    rng = np.random.default_rng(5)
    # by other code: what the safety model makes of joints that follow others
    leaders = load_joints(robot).source
    for row in rng.uniform(-1.5, 1.5, (5, len(robot.joint_names))):
        full = pin.neutral(model)
        for joint, (leader, factor, offset) in leaders.items():
            value = factor * row[robot.joint_names.index(leader)] + offset
            full[model.joints[model.getJointId(joint)].idx_q] = value
        pin.framesForwardKinematics(model, data, full)
        for k, link in enumerate(found.links):
            frame = model.getFrameId(link.name, pin.FrameType.BODY)
            wanted = data.oMf[frame]
            rotation, position = place(found, k, row)
            np.testing.assert_allclose(position, wanted.translation, atol=1e-6)
            np.testing.assert_allclose(rotation, wanted.rotation, atol=1e-6)


def test_a_joint_that_is_parked_and_what_follows_it_stand_where_they_are_told(tmp_path):
    follower = """<link name="flag"/><joint name="wave" type="revolute"><parent link="tip"/>
      <child link="flag"/><mimic joint="turn" multiplier="-2" offset="0.1"/></joint></robot>"""
    urdf = tmp_path / "crane.urdf"
    urdf.write_text(CRANE.replace("</robot>", follower))
    told = Description(urdf, ("slide",), {"turn": 0.4})
    moved = crane(tmp_path, CRANE.replace("</robot>", follower))
    flag = told.index("flag")
    for here, there in zip(place(told, flag, [0.2]), place(moved, flag, [0.2, 0.4]), strict=True):
        np.testing.assert_allclose(here, there, atol=1e-12)


def test_a_joint_that_follows_moves_with_its_leader(tmp_path):
    follower = """<link name="flag"/><joint name="wave" type="revolute"><parent link="tip"/>
      <child link="flag"/><mimic joint="turn" multiplier="-2" offset="0.1"/></joint></robot>"""
    found = crane(tmp_path, CRANE.replace("</robot>", follower))
    flag = found.links[found.index("flag")]
    assert (flag.column, flag.multiplier, flag.offset) == (1, -2.0, 0.1)


def test_what_is_seen_has_the_colour_of_its_material(tmp_path):
    ((link, box),) = crane(tmp_path).visuals
    assert (link, box.shape, box.size) == (0, "box", (1.0, 2.0, 3.0))
    assert box.rgba == (0.6, 0.3, 0.1, 1.0)


def test_bodies_are_what_safety_keeps_clear():
    found = Description(PANDA.urdf_path, PANDA.joint_names)
    assert {s.shape for _, s in found.bodies} == {"box", "cylinder", "sphere"}
    assert len(found.bodies) > 20


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<robot", "<<robot", "not well-formed"),
        ('xyz="0 0 1"/><axis', 'xyz="0 nan 1"/><axis', "joint 'turn': xyz=\"0 nan 1\" must be 3"),
        ('size="1 2 3"', 'size="1 2"', "link 'base': size=\"1 2\" must be 3 finite numbers"),
        ("<box size=", "<teapot size=", "link 'base': a <teapot> cannot be drawn"),
        ('<geometry><box size="1 2 3"/></geometry>', "", "link 'base': a <visual> without a shape"),
        ('<box size="1 2 3"/>', '<mesh filename="no.stl"/>', "link 'base': mesh 'no.stl' is in"),
    ],
)
def test_what_cannot_be_drawn_is_named(tmp_path, old, new, message):
    assert old in CRANE
    with pytest.raises(WamError, match=message) as caught:
        crane(tmp_path, CRANE.replace(old, new, 1))
    assert "crane.urdf" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_link_is_named(tmp_path):
    with pytest.raises(WamError, match="no link 'thumb'"):
        crane(tmp_path).index("thumb")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(WamError, match=r"no\.urdf"):
        Description(tmp_path / "no.urdf", ())


def test_meshes_are_found_beside_the_description_and_in_packages(tmp_path, monkeypatch):
    urdf = tmp_path / "robot_description" / "urdf" / "robot.urdf"
    beside = urdf.parent / "meshes" / "a.stl"
    package = tmp_path / "prefix" / "share" / "arm" / "b.stl"
    for file in (beside, package):
        file.parent.mkdir(parents=True)
        file.touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path / "prefix"))
    monkeypatch.delenv("ROS_PACKAGE_PATH", raising=False)
    assert find_mesh("meshes/a.stl", urdf, "") == beside
    assert find_mesh("package://arm/b.stl", urdf, "") == package
    assert find_mesh(f"file://{beside}", urdf, "") == beside
    with pytest.raises(WamError, match="arm/c.stl"):
        find_mesh("package://arm/c.stl", urdf, "link 'x'")


# The scene


def triangle(tmp_path):
    file = tmp_path / "triangle.obj"
    file.write_text("v 0 0 0\nv 2 0 0\nv 0 2 0\nf 1 2 3\n")
    return file


def test_a_scene_names_what_a_browser_has_to_know():
    scene = json.loads(make_scene(PANDA)[SCENE].body)
    assert scene["joints"] == list(PANDA.joint_names)
    assert scene["robot"]["links"][scene["base"]]["name"] == PANDA.base_frame
    assert [scene["robot"]["links"][k]["name"] for k in scene["tools"]] == [PANDA.tool_frame]
    assert all(0 <= v["link"] < len(scene["robot"]["links"]) for v in scene["robot"]["visuals"])
    assert set(scene["labels"]["safety"]) == {state.name.lower() for state in SafetyState}
    assert scene["labels"]["safety"]["estop"] == "emergency stop"
    assert set(scene["labels"]["bridge"]) == {state.name.lower() for state in Forwarding}


def test_a_load_with_a_shape_is_drawn_where_it_is_fixed():
    load = Load("panda_hand", 0.5, shape="box", size=(0.1, 0.1, 0.2), position=(0.0, 0.0, 0.15))
    loaded = dataclasses.replace(PANDA, loads={"tool": load})
    scene = json.loads(make_scene(loaded)[SCENE].body)
    for kind in ("visuals", "bodies"):
        found = scene["robot"][kind][-1]
        assert (found["name"], found["p"]) == ("tool", [0.0, 0.0, 0.15])
        assert scene["robot"]["links"][found["link"]]["name"] == "panda_hand"


def test_a_mesh_travels_once_as_scaled_vertices_and_triangles(tmp_path):
    pytest.importorskip("trimesh")
    mesh = Solid("m", "mesh", (0.5, 1.0, 1.0), file=triangle(tmp_path))
    assets = make_scene(PANDA, [mesh, dataclasses.replace(mesh, name="again")])
    scene = json.loads(assets[SCENE].body)
    assert [part["mesh"] for part in scene["world"]] == ["/mesh/0", "/mesh/0"]
    body = assets["/mesh/0"].body
    assert struct.unpack_from("<II", body) == (3, 3)
    vertices = np.frombuffer(body, "<f4", 9, 8).reshape(3, 3)
    assert sorted(vertices.tolist()) == [[0, 0, 0], [0, 2, 0], [1, 0, 0]]
    assert sorted(np.frombuffer(body, "<u4", 3, 44).tolist()) == [0, 1, 2]


def test_the_colour_of_a_mesh_is_its_files_unless_the_description_has_one(tmp_path):
    trimesh = pytest.importorskip("trimesh")
    red = trimesh.creation.box((1, 1, 1))
    red.visual = trimesh.visual.TextureVisuals(
        material=trimesh.visual.material.PBRMaterial(baseColorFactor=[255, 0, 0, 255])
    )
    blue = trimesh.creation.icosphere(radius=0.5)
    blue.visual.vertex_colors = [0, 0, 255, 255]
    file = tmp_path / "two.glb"
    trimesh.Scene([red, blue]).export(file)
    mesh = Solid("m", "mesh", (1.0, 1.0, 1.0), file=file)
    painted = dataclasses.replace(mesh, rgba=(0.0, 1.0, 0.0, 1.0))
    scene = json.loads(make_scene(PANDA, [mesh, painted])[SCENE].body)
    colours = [part["rgba"] for part in scene["world"]]
    assert sorted(colours[:2]) == [[0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 0.0, 1.0]]
    assert colours[2:] == [[0.0, 1.0, 0.0, 1.0]] * 2


@pytest.mark.parametrize("text", ["", "no mesh", "v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"])
def test_a_mesh_that_cannot_be_read_is_named(tmp_path, text):
    pytest.importorskip("trimesh")
    file = tmp_path / "broken.obj"
    file.write_text(text)
    with pytest.raises(WamError, match=r"broken\.obj"):
        make_scene(PANDA, [Solid("m", "mesh", (1.0, 1.0, 1.0), file=file)])


def test_a_cloud_is_thinned_to_what_can_be_drawn(tmp_path):
    file = tmp_path / "cloud.npy"
    np.save(file, np.zeros((50_001, 3)))
    assets = make_scene(PANDA, [Solid("c", "points", (0.02,), file=file)])
    n, m = struct.unpack_from("<II", assets["/mesh/0"].body)
    assert 10_000 < n <= 20_000
    assert m == 0
    np.save(file, np.zeros((4, 2)))
    with pytest.raises(WamError, match=r"cloud\.npy: expected finite points"):
        make_scene(PANDA, [Solid("c", "points", (0.02,), file=file)])


def test_the_floor_lies_under_the_table():
    table = Solid("table", "box", (1.0, 1.0, 0.4), (0.7, 0.0, -0.2))
    assert json.loads(make_scene(PANDA, [table])[SCENE].body)["floor"] == pytest.approx(-0.4)
    assert json.loads(make_scene(PANDA)[SCENE].body)["floor"] == 0.0
