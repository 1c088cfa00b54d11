"""Any robot in MuJoCo: as pinocchio and the safety filter have it, seen from where its cameras
stand.
"""

import dataclasses

import numpy as np
import pytest
from transforms3d.euler import euler2mat

pytest.importorskip("mujoco")

from testing.tools import one_robot
from wam_ros.core.embodiment import Camera, Load, Mount, load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.robot.model import load_safety_model
from wam_ros.robot.reach import find_poses, tools_at
from wam_ros.sim.arm import coarser
from wam_ros.sim.robots import AUTO, require_simulated, task_for
from wam_ros.sim.world import World

INERTIAL = (
    '<inertial><origin xyz="0.02 0 0.1"/><mass value="1.5"/><inertia ixx="0.01" iyy="0.012" '
    'izz="0.005" ixy="0.001" ixz="0" iyz="0"/></inertial>'
)
ROD = '<geometry><cylinder radius="0.03" length="0.16"/></geometry>'
TURN = '<limit lower="-2" upper="2" velocity="2" effort="90"/>'


def link(name, body=""):
    shape = body or f'<collision><origin xyz="0 0 0.1"/>{ROD}</collision>'
    return f'<link name="{name}">{INERTIAL}{shape}</link>'


def joint(name, parent, child, kind="revolute", axis="0 1 0", more=TURN, place='xyz="0 0 0.25"'):
    return (
        f'<joint name="{name}" type="{kind}"><origin {place}/><parent link="{parent}"/><child '
        f'link="{child}"/><axis xyz="{axis}"/>{more}</joint>'
    )


TILTED = 'xyz="0 0.1 0.25" rpy="0.3 0 0.4"'
# a lift and a turned mount that stand, a joint that turns without end, a joint called as its link,
# followers of a factor and an offset, and a base frame that is not the root
PARTS = {
    "floor": '<link name="world"/>',
    "lift": link("column")
    + joint(
        "lift",
        "world",
        "column",
        "prismatic",
        "0 0 2",
        '<limit lower="0" upper="1" velocity="0.2" effort="900"/>',
        'xyz="0.3 0.1 0.2" rpy="0.1 0.2 0.3"',
    ),
    "mount": link("plate") + joint("turn", "column", "plate", axis="1 1 0", place=TILTED),
    "base": '<link name="base"/>'
    + joint("jb", "plate", "base", "fixed", place='xyz="0.1 0 0.05" rpy="0.2 0 0.1"', more=""),
    "l1": link("l1") + joint("l1", "base", "l1", axis="0 0 1"),
    "l2": link("l2")
    + joint("endless", "l1", "l2", "continuous", more='<limit velocity="2" effort="90"/>'),
    "l3": link("l3") + joint("j3", "l2", "l3"),
    "l4": link("l4")
    + joint("j4", "l3", "l4", more=TURN + '<mimic joint="j3" multiplier="-0.5" offset="0.2"/>'),
    "tool": '<link name="tool"/>' + joint("jt", "l4", "tool", "fixed", more=""),
}
KEYS = {
    "home": (0.1, 0.4, 0.6),
    "world": "empty",
    "parked": {"lift": 0.4, "turn": 0.5},
}


def robot(folder, changed=None, **keys):
    text = "".join({**PARTS, **(changed or {})}.values())
    cameras = keys.pop("cameras", None)
    e = one_robot(
        folder,
        f'<robot name="odd">{text}</robot>',
        ("l1", "endless", "j3"),
        "base",
        "tool",
        **{**KEYS, **keys},
    )
    return dataclasses.replace(e, cameras=cameras) if cameras else e


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", ["odd", "ur5e", "so101", "bimanual", "agibot_g1"])
def test_tools_stand_where_pinocchio_has_them(name, tmp_path):
    e = robot(tmp_path) if name == "odd" else load_embodiment(name)
    world = World(e, "reach", render=False)
    for q in world.robot.random_q(20, 3):
        world.put(q)
        np.testing.assert_allclose(world.tool_positions, tools_at(world.robot, q), atol=1e-9)


def test_an_arm_at_rest_needs_the_efforts_that_the_filter_has_for_it(tmp_path):
    tool = Load("tool", 0.8, (0.05, 0.0, 0.02))
    world = World(robot(tmp_path, loads={"tool": tool}), "reach", render=False)
    world.step(500)
    assert np.abs(world.q - KEYS["home"]).max() < 1e-3
    assert world.episode().violations == {}
    q = world.q[None]
    wanted = world.robot.torque(q, 0 * q, 0 * q)[0]
    driven = dict.fromkeys(world.joint_names, 0.0)
    for name, (leader, factor, _) in world.robot.joints.source.items():
        effort = world.data.joint(name).qfrc_actuator[0]
        driven[leader] += factor * effort
    found = np.array([driven[n] for n in world.joint_names])
    np.testing.assert_allclose(found, wanted, atol=0.02)
    assert np.abs(wanted).max() > 2


def test_an_adapter_is_simulated_whose_six_moments_are_one_tiny_number(tmp_path):
    moments = " ".join(f'{m}="1e-8"' for m in "ixx iyy izz ixy ixz iyz".split())
    adapter = (
        f'<link name="tool"><inertial><mass value="1e-8"/><inertia {moments}/></inertial></link>'
    )
    changed = {"tool": adapter + joint("jt", "l4", "tool", "fixed", more="")}
    world = World(robot(tmp_path, changed), "reach", render=False)
    world.step(50)
    assert np.abs(world.q - KEYS["home"]).max() < 2e-3
    assert world.model.body("tool").inertia.max() < 1e-7


def test_a_weak_arm_spends_on_a_smooth_motion_hardly_more_than_it_needs():
    world = World(load_embodiment("so101"), "reach", render=False)
    home = world.q
    way = 0.3 * np.array([1, -1, 1, 1, 1, 0])
    for t in np.arange(0.002, 0.802, 0.002) / 0.8:
        s = 10 * t**3 - 15 * t**4 + 6 * t**5
        rate = (30 * t**2 - 60 * t**3 + 30 * t**4) / 0.8
        bend = (60 * t - 180 * t**2 + 120 * t**3) / 0.8**2
        q = (home + s * way)[None]
        wanted = world.robot.torque(q, rate * way[None], bend * way[None])[0]
        world.servo(q[0], rate * way)
        world.step()
        more = np.abs(world.joint_state().efforts - wanted) / world.robot.limits.effort
        assert more.max() < 0.15
    assert world.episode().violations == {}


def test_what_a_spring_carries_is_no_effort_of_the_drive(tmp_path):
    world = World(robot(tmp_path, supported_by_spring=("endless",)), "reach", render=False)
    world.step(200)
    effort = world.joint_state().efforts
    assert abs(effort[1]) < 0.02 < abs(effort[2])
    assert np.abs(world.q - KEYS["home"]).max() < 1e-3


def test_a_smaller_effort_limit_of_the_yaml_is_that_of_the_drive(tmp_path):
    world = World(robot(tmp_path, effort_limit={"endless": 20.0}), "reach", render=False)
    world.servo(np.array([0.1, 1.4, 0.6]), np.zeros(3))
    world.step(5)
    assert np.abs(world.joint_state().efforts[1]) == pytest.approx(20.0)
    assert world.episode().violations["effort"] > 0


CUBE = '<origin xyz="0 0 0.1"/><geometry><box size="0.1 0.1 0.1"/></geometry>'


@pytest.mark.parametrize("kind", ["collision", "visual"])
def test_a_link_that_is_pressed_into_an_obstacle_is_counted_by_its_name(tmp_path, kind):
    """Of a link without a collision body, what is drawn; unless it is unguarded."""
    (tmp_path / "world.yaml").write_text(
        "obstacles: {shelf: {shape: box, size: [3, 3, 0.1], position: [0, 0, 1.2]}}"
    )
    body = f"<{kind}>{CUBE}</{kind}>"
    changed = {"l3": link("l3", body) + joint("j3", "l2", "l3")}
    e = robot(tmp_path, changed, home=(0.0, 1.9, 0.0), world=str(tmp_path / "world.yaml"))
    world = World(e, "reach", render=False)
    world.put(np.array([0.0, 0.0, 0.0]))
    world.servo(np.zeros(3), np.zeros(3))
    world.step(3)
    assert world.episode().violations["shelf contact"] > 0
    if kind == "visual":
        world = World(dataclasses.replace(e, unguarded=("l3",)), "reach", render=False)
        names = {
            world.model.body(world.model.geom_bodyid[g]).name
            for g in np.flatnonzero(world._is_robot)
        }
        assert "l3" not in names and "l2" in names


def test_a_collision_mesh_without_a_surface_is_simulated_where_its_link_is_unguarded(tmp_path):
    (tmp_path / "axis.obj").write_text("v 0 0 0\nv 0 0 0.3\nv 0 0.1 0.3\nl 1 2\nl 2 3\n")
    body = '<collision><geometry><mesh filename="axis.obj"/></geometry></collision>'
    e = robot(tmp_path, {"l3": link("l3", body) + joint("j3", "l2", "l3")})
    with pytest.raises(WamError, match="no triangle is found"):
        World(e, "reach", render=False)
    world = World(dataclasses.replace(e, unguarded=("l3",)), "reach", render=False)
    world.put(np.zeros(3))
    world.step(3)


def test_what_stands_nearby_is_in_the_world_and_the_floor_below_all_of_it(tmp_path):
    (tmp_path / "world.yaml").write_text(
        "obstacles:\n"
        "  post: {shape: cylinder, size: [0.05, 0.4], position: [2, 0, -0.8]}\n"
        "  ball: {shape: sphere, size: [0.1], position: [2, 1, 0]}\n"
        "  bar: {shape: capsule, size: [0.02, 0.3], position: [2, -1, 0]}\n"
        "  wall: {shape: plane, size: [], position: [-3, 0, 0], "
        "orientation: [0.7071068, 0, 0.7071068, 0]}\n"
    )
    world = World(robot(tmp_path, world=str(tmp_path / "world.yaml")), "reach", render=False)
    np.testing.assert_allclose(world.data.geom("ball").xpos, [2, 1, 0])
    assert world.model.geom("floor").pos[2] == pytest.approx(-1.0)
    assert {world.model.geom(n).contype[0] for n in ("post", "ball", "bar", "wall")} == {2}


def test_a_camera_of_the_yaml_sees_a_marker_where_its_calibration_says(tmp_path):
    """Optical frame: z ahead, x right, y down, in the frame of the link; width before height."""
    mount = Mount("l1", (0.6, -0.3, 0.9), (-2.2, 0.1, 1.1), 80.0, (96, 64))
    cameras = (Camera("side", "side/image_raw", mount=mount), Camera("front", "front/image_raw"))
    world = World(robot(tmp_path, cameras=cameras), "reach", (48, 48))
    assert world.render("front").shape == (48, 48, 3)
    picture = world.render("side").astype(int)
    assert picture.shape == (64, 96, 3)
    link_at = world.data.body("l1")
    seen = 0
    for k, name in enumerate(("red", "green", "blue")):
        at = next(o.position for o in world.objects() if o.name == f"{name}_marker_0")
        in_link = link_at.xmat.reshape(3, 3).T @ (at - link_at.xpos)
        ray = world.camera_info("side")["K"] @ (euler2mat(*mount.rpy).T @ (in_link - mount.xyz))
        u, v = (ray[:2] / ray[2]).astype(int)
        colour = picture[max(v - 1, 0) : v + 2, max(u - 1, 0) : u + 2].reshape(-1, 3)
        if ray[2] > 0 and 0 <= u < 96 and 0 <= v < 64 and len(colour):
            others = [c for c in range(3) if c != k]
            seen += bool((colour[:, k] > 1.5 * colour[:, others].max(axis=1)).any())
    world.close()
    assert seen >= 2


@pytest.mark.parametrize("name", ["odd", "ur5e", "so101", "bimanual", "droid"])
def test_without_a_place_a_front_camera_has_every_tool_and_a_hand_camera_its_own_in_the_picture(
    name, tmp_path
):
    e = robot(tmp_path) if name == "odd" else load_embodiment(name)
    bare = [dataclasses.replace(c, mount=None) for c in e.cameras]
    world = World(dataclasses.replace(e, cameras=tuple(bare)), "reach", (64, 64), render=False)
    world.put(np.array(e.home))
    hands = iter(world.tool_positions)
    for camera in e.cameras:
        eye = world.data.camera(camera.name)
        wanted = [next(hands)] if "wrist" in camera.name else world.tool_positions
        for tool in wanted:
            x, y, z = eye.xmat.reshape(3, 3).T @ (tool - eye.xpos)
            focal = world.camera_info(camera.name)["K"][0, 0]
            assert z < 0 and max(abs(x), abs(y)) * focal / -z < 32


def test_a_camera_on_a_link_that_there_is_not_is_refused_with_the_choices(tmp_path):
    cameras = (Camera("side", "side/image_raw", mount=Mount("l9", (0, 0, 0), (0, 0, 0))),)
    e = robot(tmp_path, cameras=cameras)
    for refuse in (require_simulated, lambda e: World(e, "reach", render=False)):
        with pytest.raises(WamError, match="unknown parent of camera 'side' 'l9'.*l1"):
            refuse(e)


def test_a_base_that_moves_is_refused(tmp_path):
    with pytest.raises(WamError, match="base_frame 'l1' moves"):
        World(dataclasses.replace(robot(tmp_path), base_frame="l1"), "reach", render=False)


def test_a_mesh_that_is_only_drawn_may_be_missing_and_one_to_meet_may_not(tmp_path):
    gone = '<{0}><geometry><mesh filename="gone.stl"/></geometry></{0}>'
    rod = f'<collision><origin xyz="0 0 0.1"/>{ROD}</collision>'
    drawn = {"l3": link("l3", rod + gone.format("visual")) + joint("j3", "l2", "l3")}
    World(robot(tmp_path, drawn), "reach", render=False)
    met = {"l3": link("l3", gone.format("collision")) + joint("j3", "l2", "l3")}
    with pytest.raises(WamError, match=r"gone\.stl"):
        World(robot(tmp_path, met), "reach", render=False)


def test_a_coarser_mesh_keeps_its_extent_and_has_no_more_triangles_than_asked_for():
    turn = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    rings = np.linspace(0.01, np.pi - 0.01, 100)
    ball = np.array(
        [[np.sin(p) * np.cos(t), np.sin(p) * np.sin(t), np.cos(p)] for p in rings for t in turn]
    )
    at = np.arange(99 * 200).reshape(99, 200)
    right = np.roll(at, -1, axis=1)
    sides = np.concatenate(
        [
            np.stack((at, right, at + 200), -1).reshape(-1, 3),
            np.stack((right, right + 200, at + 200), -1).reshape(-1, 3),
        ]
    )
    vertices, fewer = coarser(ball, sides, 2000)
    assert 200 < len(fewer) <= 2000
    np.testing.assert_allclose(np.ptp(vertices, axis=0), np.ptp(ball, axis=0), rtol=0.1)
    whole = coarser(ball, sides, len(sides))
    assert len(whole[1]) == len(sides)


def test_each_robot_has_a_task_that_its_hand_or_a_script_can_do():
    assert [task_for(load_embodiment(n), AUTO) for n in ("panda", "droid", "so101")] == [
        "pick_block",
        "pick_block",
        "reach",
    ]
    assert task_for(load_embodiment("panda"), "reach") == "reach"


def test_reaching_is_done_when_every_tool_is_at_its_marker_of_the_colour_that_is_named():
    world = World(load_embodiment("bimanual"), "reach", render=False)
    poses = {p.name: p for p in find_poses(load_safety_model(world.embodiment))}
    assert "green" in world.reset(0, "green")
    at_home = world.q
    one_arm = np.where(np.arange(14) < 7, poses["green"].q, at_home)
    for q, done in ((poses["red"].q, False), (one_arm, False), (poses["green"].q, True)):
        world.put(q)
        world.step()
        assert world.episode().success is done
    assert world.reset(1)
    assert not world.episode().success
    with pytest.raises(WamError, match="marker cannot be nudged"):
        world.reset(0, nudge=True)
    with pytest.raises(WamError, match="marker colour"):
        world.reset(0, "pink")
