"""What goes wrong on purpose does, at its time, and is put right."""

import numpy as np
import pytest

pytest.importorskip("mujoco")

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.sim.mishaps import MISHAPS, Mishap
from wam_ros.sim.tasks.pick_block import COLOURS
from wam_ros.sim.world import World


@pytest.fixture(scope="module")
def whole_world():
    made = World(load_embodiment("panda"), render=False)
    yield made
    made.close()


@pytest.fixture
def world(whole_world):
    whole_world.reset(5)
    return whole_world


def begun(world, kind, seed=0):
    """A mishap that waits for its time, then has begun."""
    mishap = Mishap(kind, world, 0.1, np.random.default_rng(seed))
    mishap.look()
    assert not mishap.begun
    world.servo(world.q, np.zeros(len(world.q)))
    world.step(50)
    mishap.look()
    assert mishap.begun and mishap.begun_s == pytest.approx(0.1)
    return mishap


@pytest.mark.parametrize("kind", ["block removed", "block fallen"])
def test_the_named_block_is_out_of_reach(world, kind):
    mishap = begun(world, kind)
    world.step(200)
    at = mishap.task.block_position(world, mishap.task.colour)
    assert np.linalg.norm(at[:2]) > 1.0 and at[2] < 0.0


@pytest.mark.parametrize("kind", ["fingers stuck", "hand held back"])
def test_what_is_held_is_told_to_stay_and_the_rest_is_not(world, kind):
    mishap = begun(world, kind)
    wish = np.arange(8.0), np.ones(8)
    q, dq = mishap.target(*wish)
    fingers = np.isin(world.joint_names, world.embodiment.gripper_joints)
    held = fingers if kind == "fingers stuck" else ~fingers
    assert np.array_equal(q[~held], wish[0][~held]) and (dq[~held] == 1).all()
    assert not (q[held] == wish[0][held]).any() and (dq[held] == 0).all()


def test_a_block_that_is_moved_stays_on_the_table_and_leaves_the_others(world):
    task = world.task
    before = {c: task.block_position(world, c) for c in COLOURS}
    begun(world, "object moved", 3)
    moved = [c for c in COLOURS if np.linalg.norm(task.block_position(world, c) - before[c]) > 0.05]
    assert len(moved) == 1


def test_an_arm_that_is_pushed_gives_way_and_comes_back(world):
    tool = world.tool_position
    mishap = begun(world, "arm pushed")
    way = []
    for _ in range(10):
        mishap.look()
        world.step(50)
        way.append(np.linalg.norm(world.tool_position - tool))
    assert max(way) > 0.02 and way[-1] < 0.5 * max(way)


def test_a_covered_camera_sees_next_to_nothing_the_other_as_before(world):
    mishap = begun(world, "camera covered")
    frames = np.full((2, 4, 4, 3), 200, np.uint8)
    seen = mishap.seen(frames)
    assert sorted(int(v.max()) for v in seen) == [12, 200] and (frames == 200).all()


def test_a_turned_camera_is_turned_back_in_the_end(world):
    before = world.model.cam_quat.copy()
    mishap = begun(world, "camera turned")
    assert not np.allclose(world.model.cam_quat, before)
    mishap.end()
    assert np.array_equal(world.model.cam_quat, before)


def test_an_unknown_mishap_is_refused_with_the_choices(world):
    with pytest.raises(WamError, match=next(iter(MISHAPS))):
        Mishap("earthquake", world, 0.0, np.random.default_rng(0))
