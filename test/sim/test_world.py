"""The simulated robot: limits, tasks and the expert that demonstrates them."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("mujoco")

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.sim.drive import StepDriver
from wam_ros.sim.expert import Expert
from wam_ros.sim.grasping import PANDA
from wam_ros.sim.ik import solve_ik
from wam_ros.sim.tasks.pick_block import COLOURS
from wam_ros.sim.world import EpisodeState, World

EMBODIMENT = load_embodiment("panda")


@pytest.fixture(scope="module")
def world():
    return World(EMBODIMENT, render=False)


def run_expert(world, seed, nudge=False, colour="", steps=64):
    world.reset(seed, colour, nudge)
    expert, driver = Expert(world), StepDriver(world)
    for step in range(steps):
        driver.to(expert.act())
        if world.task.success:
            return step + 1
    return None


def test_the_same_seed_gives_the_same_episode_and_another_seed_another(world):
    def scene(seed):
        world.reset(seed)
        return np.concatenate([world.q, *(world.task.block_position(world, c) for c in COLOURS)])

    np.testing.assert_array_equal(scene(3), scene(3))
    assert np.abs(scene(3) - scene(4)).max() > 1e-3


def test_another_colour_keeps_the_scene_and_names_the_other_block(world):
    world.reset(7)
    before, own = world.data.qpos.copy(), world.task.colour
    other = next(c for c in COLOURS if c != own)
    assert other in world.reset(7, other)
    np.testing.assert_array_equal(world.data.qpos, before)


def test_blocks_start_apart_and_the_arm_starts_at_rest_with_the_tool_down(world):
    for seed in range(50):
        world.reset(seed)
        blocks = [world.task.block_position(world, c)[:2] for c in COLOURS]
        gaps = [np.linalg.norm(a - b) for i, a in enumerate(blocks) for b in blocks[:i]]
        assert min(gaps) >= PANDA.gap - 1e-9
        down = world.data.xmat[world._tools[0]].reshape(3, 3)[:, 2]
        assert down[2] < -0.999
        assert not world.data.qvel.any()


def test_an_idle_arm_holds_its_pose_against_gravity(world):
    world.reset(1)
    start = world.q
    world.step(500)
    assert np.abs(world.q - start).max() < 2e-3
    assert world.episode().violations == {}


def test_expert_lifts_the_named_block_with_and_without_a_nudge(world):
    for seed in range(900_000, 900_010):
        assert run_expert(world, seed)
        assert not world.task.wrong
        assert run_expert(world, seed, nudge=True)


def test_how_an_episode_ended_is_told_by_what_became_of_the_object(world):
    def state(**more):
        episode = EpisodeState(0, "", 0.0, success=False, wrong=False, nudged=False)
        return dataclasses.replace(episode, **more).outcome

    assert state() == "timeout"  # nothing is to be lifted
    assert state(lifted=False) == state(lifted=False, held=True) == "no grasp"
    assert state(lifted=True, held=True) == "timeout"
    assert state(lifted=True) == "dropped"
    assert state(lifted=True, wrong=True) == "wrong object"
    assert state(lifted=True, wrong=True, success=True) == "success"

    world.reset(900_000)
    assert world.episode().outcome == "no grasp"
    expert, driver = Expert(world), StepDriver(world)
    while not world.episode().held:
        driver.to(expert.act())
    assert world.episode().outcome == "timeout"
    opened = expert.act()
    opened[world.joint_names.index("panda_finger_joint1")] = 0.04
    for _ in range(8):
        driver.to(opened)
    assert world.episode().outcome == "dropped"
    world.reset(900_000)
    assert world.episode().outcome == "no grasp"


def test_the_named_block_is_no_success_after_another_one(world):
    world.reset(900_000)
    other = next(name for name in COLOURS if name != world.task.colour)
    height = world.data.joint(f"{other}_block").qpos[2:3]
    height += 0.2
    expert, driver = Expert(world), StepDriver(world)
    highest = 0.0
    for _ in range(64):
        driver.to(expert.act())
        highest = max(highest, world.task.block_position(world, world.task.colour)[2])
    assert highest > world.task.how.lifted + world.task.how.half
    assert world.episode().outcome == "wrong object"
    assert not world.episode().success


def test_expert_obeys_a_changed_colour(world):
    for seed, colour in ((900_000, "red"), (900_001, "green"), (900_002, "blue")):
        assert run_expert(world, seed, colour=colour)
        assert world.task.colour == colour and not world.task.wrong


@pytest.mark.long
def test_expert_succeeds_on_99_percent_of_200_seeds(world):
    results = [run_expert(world, seed) is not None for seed in range(900_000, 900_200)]
    assert np.mean(results) >= 0.99


def test_a_nudge_moves_the_named_block_once(world):
    moved = 0
    for seed in range(10):
        world.reset(seed, nudge=True)
        start = world.task.block_position(world, world.task.colour)
        world.step(1000)
        distance = np.linalg.norm(world.task.block_position(world, world.task.colour) - start)
        assert world.task.nudged == (distance > 0.05)
        moved += world.task.nudged
    assert moved == 10  # an idle arm never protects a block


def test_a_nudged_block_is_never_put_into_the_hand(world):
    """A block between or inside the fingers shoots off and takes them along, which no arm could
    help.
    """
    nudged = 0
    for seed in range(60):
        world.reset(seed, nudge=True)
        block = world.task.block_position(world, world.task.colour)
        # lowered next to it, fingers open
        beside = block + np.array([0.07 if block[0] < 0.5 else -0.07, 0.0, 0.01])
        q = solve_ik(world.model, EMBODIMENT, world.q, beside, iterations=100)
        q[-1] = 0.04
        world.data.qpos[world._driven_qadr] = [*q, 0.04]
        world.servo(q, np.zeros(8))
        world.task._nudge_at = 0.0
        world.step()
        nudged += world.task.nudged
        world.step()
        pairs = world.data.contact.geom[: world.data.ncon]
        geom = world.model.geom(f"{world.task.colour}_block").id
        assert not world._is_robot[pairs[(pairs == geom).any(axis=1)]].any(), f"seed {seed}"
    assert nudged > 50


def test_the_simulator_sees_position_velocity_effort_and_contact_violations(world):
    world.reset(0)
    down = world.q
    down[1] += 1.0
    down[3] -= 0.1
    world.servo(down, np.zeros(8))  # a jump into the table
    world.step(600)
    seen = world.episode().violations
    assert {"velocity", "effort", "table contact"} <= set(seen)
    assert all(count > 0 for count in seen.values())


@pytest.mark.parametrize("held", [(30.0, 30.0), (30.0, 0.0), (0.0, 30.0), (60.0, -10.0)])
def test_a_finger_that_is_let_go_closes_no_faster_than_its_limit(world, held):
    world.reset(0)
    closed, rest = world.q, np.zeros(8)
    closed[7] = 0.0
    world.servo(closed, rest)
    fingers = [world.model.joint(f"panda_finger_joint{i}").dofadr[0] for i in (1, 2)]
    world.data.qfrc_applied[fingers] = held  # N outwards, as a block wedged between them
    world.step(300)
    assert world.q[7] > 0.03
    world.data.qfrc_applied[fingers] = 0.0
    world.step(300)
    assert world.q[7] < 0.002
    assert "velocity" not in world.episode().violations


def test_a_finger_told_to_move_faster_than_its_limit_is_counted_though_its_drive_does_not_obey(
    world,
):
    world.reset(0)
    rate = np.zeros(8)
    rate[7] = -0.21
    world.servo(world.q, rate)
    world.step(1)
    assert world.episode().violations == {"velocity": 1}


def test_joint_state_and_camera_info_describe_the_arm(world):
    world.reset(0)
    state = world.joint_state(5)
    assert state.stamp_ns == 5 and state.joint_names == EMBODIMENT.joint_names
    np.testing.assert_array_equal(state.positions, world.q)
    info = world.camera_info("front")
    assert info["K"][0, 0] == pytest.approx(64 / np.tan(np.deg2rad(24)))
    with pytest.raises(WamError, match="render=False"):
        world.render("front")


def test_unknown_colour_and_camera_are_refused_with_the_choices(world):
    with pytest.raises(WamError, match="Did you mean 'green'"):
        world.reset(0, "grene")
    with pytest.raises(WamError, match="Choices: front, wrist"):
        World(EMBODIMENT, render=False).render("rear")


def test_cameras_see_the_blocks_in_their_colours():
    world = World(EMBODIMENT)
    world.reset(0)
    image = world.render("front").astype(int)
    assert image.shape == (128, 128, 3)
    for channel in range(3):
        others = [c for c in range(3) if c != channel]
        coloured = (image[..., channel] > 90) & (
            image[..., others].max(-1) < 0.55 * image[..., channel]
        )
        assert 20 < coloured.sum() < 600
    world.close()


def test_an_unknown_back_end_is_refused_with_the_choices():
    env = {**os.environ, "MUJOCO_GL": "egll"}
    ran = subprocess.run(
        [sys.executable, "-c", "import wam_ros.sim"], env=env, capture_output=True, text=True
    )
    assert ran.returncode != 0
    assert (
        "unknown MUJOCO_GL 'egll'. Did you mean 'egl'? Choices: egl, glfw, glx, osmesa"
        in ran.stderr
    )


def test_without_a_working_gl_the_error_names_the_packages(monkeypatch):
    import mujoco

    def broken(*_):
        raise RuntimeError("no display")

    monkeypatch.setattr(mujoco, "Renderer", broken)
    with pytest.raises(WamError, match="libegl1"):
        World(EMBODIMENT)


def test_the_boxes_to_draw_are_the_blocks_where_they_lie(world):
    world.reset(3)
    boxes = {o.name: o for o in world.objects()}
    assert set(boxes) == {f"{c}_block" for c in COLOURS}
    for colour in COLOURS:
        np.testing.assert_allclose(
            boxes[f"{colour}_block"].position, world.task.block_position(world, colour)
        )
        np.testing.assert_allclose(boxes[f"{colour}_block"].size, 0.04)
