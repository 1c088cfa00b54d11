"""What is known of LIBERO without it: names of tasks, and what is said where it is missing."""

import dataclasses
import importlib.util

import numpy as np
import pytest

pytest.importorskip("mujoco")

import mujoco

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.robot.obstacles import load_world
from wam_ros.sim.libero.coarse import coarse_meshes
from wam_ros.sim.libero.suites import SUITES, is_libero, read_task, surroundings, tasks_in
from wam_ros.sim.worlds import make_expert, make_world

PANDA = load_embodiment("libero_panda")


def test_there_are_five_suites_and_four_of_them_changed_in_four_ways():
    assert sum(n for name, n in SUITES.items() if name.count("_") == 1) == 130
    assert sum(n for name, n in SUITES.items() if name.count("_") == 2) == 160
    assert len(SUITES) == 21


def test_a_suite_is_its_tasks_and_a_task_is_itself():
    assert tasks_in("libero_10")[3] == "libero_10/3"
    assert len(tasks_in("libero_90")) == 90
    assert tasks_in("libero_object_swap/9") == ["libero_object_swap/9"]
    assert read_task("libero_goal/07") == ("libero_goal", 7)
    assert is_libero("libero_10/0") and not is_libero("pick_block")


def test_every_task_says_what_the_arm_stands_at_and_libero_pro_s_as_the_suite_that_it_changed():
    worlds = {task: surroundings(task) for suite in SUITES for task in tasks_in(suite)}
    assert len(worlds) == 290
    for name in set(worlds.values()):
        assert load_world(name).obstacles
    assert worlds["libero_object_swap/3"] == worlds["libero_object/3"] == PANDA.world
    assert worlds["libero_10_lan/5"] == "libero_study" != worlds["libero_10/4"]
    assert worlds["libero_90/45"] == worlds["libero_goal/0"] == "libero_table"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("libero_objekt/0", "Did you mean 'libero_object'?"),
        ("libero_object/10", "libero_object has tasks 0 to 9"),
        ("libero_object/-1", "has tasks 0 to 9, such as 'libero_object/0'"),
        ("libero_object/", "has tasks 0 to 9"),
        ("libero_object", "is a suite: one task of it is 'libero_object/0'"),
        ("pick_blocks", "Did you mean 'pick_block'?"),
    ],
)
def test_a_task_that_there_is_not_is_refused_with_what_there_is(name, said):
    with pytest.raises(WamError, match=said):
        make_world(PANDA, name, render=False)


@pytest.mark.skipif(
    importlib.util.find_spec("libero") is not None, reason="LIBERO is installed here"
)
def test_without_libero_a_task_of_it_says_how_to_get_it():
    with pytest.raises(WamError, match="needs LIBERO .* run `make libero`"):
        make_world(PANDA, "libero_object/0", render=False)


def test_another_robot_another_camera_and_another_physics_are_refused_by_name():
    with pytest.raises(WamError, match="for embodiment 'libero_panda': 'ur5e' is another robot"):
        make_world(
            dataclasses.replace(load_embodiment("ur5e"), cameras=PANDA.cameras), "libero_object/0"
        )
    with pytest.raises(WamError, match="'panda' has view 'front', LIBERO agentview, wrist"):
        make_world(load_embodiment("panda"), "libero_object/0")
    with pytest.raises(WamError, match="LIBERO's physics has steps of 0.002 s"):
        make_world(PANDA, "libero_object/0", timestep_s=0.001)


def test_the_robot_of_libero_stands_on_the_floor_in_a_world_of_ours_too():
    world = make_world(PANDA, "pick_block", render=False)
    world.reset(3)
    assert world.episode().violations == {}
    assert all(name.startswith("ground") for name in load_world(PANDA.world).obstacles)
    assert not make_expert(world).done


def ball(sides: int) -> mujoco.MjModel:
    """One body that a fine mesh is drawn of."""
    spec = mujoco.MjSpec()
    t, u = np.meshgrid(np.linspace(0, 2 * np.pi, sides), np.linspace(0.01, np.pi - 0.01, sides))
    points = 0.05 * np.stack([np.cos(t) * np.sin(u), np.sin(t) * np.sin(u), np.cos(u)], -1)
    k = np.arange(sides * (sides - 1)).reshape(sides - 1, sides)[:, :-1].ravel()
    faces = np.concatenate(
        [np.stack([k, k + sides, k + 1], -1), np.stack([k + 1, k + sides, k + sides + 1], -1)]
    )
    spec.add_mesh(name="ball", uservert=points.ravel().tolist(), userface=faces.ravel().tolist())
    body = spec.worldbody.add_body(name="ball", pos=[0, 0, 1])
    body.add_freejoint()
    body.add_geom(type=mujoco.mjtGeom.mjGEOM_MESH, meshname="ball")
    return spec.compile()


def test_coarse_meshes_are_for_whoever_draws_and_the_physics_never_sees_them():
    model = ball(80)
    names = ("mesh_face", "mesh_facenormal", "mesh_facetexcoord", "mesh_facenum", "mesh_vert")
    before = {name: getattr(model, name).copy() for name in names}
    with coarse_meshes(model, np.array([0.01])):
        left = int(model.mesh_facenum[0])
        corners = model.mesh_vert[model.mesh_face[:left]]
        normals = model.mesh_normal[model.mesh_facenormal[:left]]
    assert 200 < left < len(before["mesh_face"]) / 5
    for name, values in before.items():
        np.testing.assert_array_equal(getattr(model, name), values)
    # its sides still look outwards, and reach as far
    outwards = (corners.mean(axis=1) * normals.mean(axis=1)).sum(axis=1)
    assert (outwards > 0).mean() > 0.99
    assert np.abs(corners).max() == pytest.approx(0.05, abs=0.003)
