"""Blocks for another hand than the panda's: SO-101 with five joints and one jaw that moves."""

import dataclasses
from functools import partial

import numpy as np
import pytest

pytest.importorskip("mujoco")

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.sim.arm import load_dynamics
from wam_ros.sim.drive import SERVO_STEPS, StepDriver, servo_steps
from wam_ros.sim.expert import Expert
from wam_ros.sim.grasping import GRASPING, PANDA, SO101, grasping_of
from wam_ros.sim.ik import solve_ik
from wam_ros.sim.mishaps import Mishap
from wam_ros.sim.names import require_task
from wam_ros.sim.robots import links_of
from wam_ros.sim.tasks.pick_block import COLOURS
from wam_ros.sim.world import World

ARM = load_embodiment("so101")


@pytest.fixture(scope="module")
def world():
    return World(ARM, "pick_block", render=False)


def run_expert(world, seed, nudge=False, steps=48):
    """Control steps until success, or None; the episode goes on to its end."""
    world.reset(seed, nudge=nudge)
    expert, driver, done = Expert(world), StepDriver(world), None
    for step in range(steps):
        driver.to(expert.act())
        if done is None and world.task.success:
            done = step + 1
    return done


def test_each_known_hand_has_room_for_its_blocks_and_between_its_fingers():
    for how in GRASPING.values():
        width = how.x[1] - how.x[0]
        length = how.y[1] - how.y[0]
        # what a block keeps free of others, of the whole length
        half = np.sqrt(max(0.0, how.gap**2 - (width / 2) ** 2))
        assert 2 * 2 * half < length, "two blocks leave room for a third"
        assert how.gap > 2 * np.sqrt(2) * how.half, "blocks do not lie on each other"
        assert how.closed < how.open and how.wrong_lifted < how.lifted < how.lift
        assert how.height < 2 * how.half, "the tool is beside the block, not above it"


def test_a_hand_that_nobody_described_is_refused_with_those_that_are_known(world):
    assert world.task.how is SO101
    for ask in (
        lambda e: World(e, "pick_block", render=False),
        partial(require_task, "pick_block"),
    ):
        with pytest.raises(WamError, match=r"'ur5e' has none of these links; choose task 'reach'"):
            ask(load_embodiment("ur5e"))
    assert grasping_of("droid", links_of(load_embodiment("droid"))) is PANDA


@pytest.mark.parametrize("yaw", [SO101.yaw, -SO101.yaw])
def test_five_joints_bring_the_tool_where_it_shall_be_and_down_as_far_as_the_arm_can(world, yaw):
    home = np.array(ARM.home)
    limits = world.robot.limits
    for height, tilt in ((SO101.height, 1.0), (SO101.lift, 35.0)):
        for x in SO101.x:
            for y in (*SO101.y, 0.0):
                place = np.array([x, y, height])
                q = solve_ik(world.model, ARM, home, place, iterations=60, yaw=yaw)
                world.put(q)
                assert np.linalg.norm(world.tool_position - place) < 1e-3
                down = world.data.xmat[world._tools[0]].reshape(3, 3)[:, 2]
                if np.hypot(x - 0.04, y) < 0.24:
                    assert np.degrees(np.arccos(-down[2])) < tilt
                assert ((q >= limits.lower) & (q <= limits.upper)).all()
                assert q[-1] == home[-1], "the gripper is left as it is"


def test_a_place_out_of_reach_leaves_the_joints_within_their_ends(world):
    q = solve_ik(world.model, ARM, np.array(ARM.home), np.array([0.6, 0.0, 0.3]), iterations=60)
    assert np.isfinite(q).all()
    assert ((q >= world.robot.limits.lower) & (q <= world.robot.limits.upper)).all()


def test_the_expert_lifts_the_named_block_and_exceeds_no_limit(world):
    for seed in range(900_000, 900_004):
        assert run_expert(world, seed)
        assert not world.task.wrong
        assert world.episode().violations == {}
    jumped = 0
    for seed in range(900_004, 900_007):
        assert run_expert(world, seed, nudge=True)
        jumped += world.task.nudged
    assert jumped, "else no block was pursued"


@pytest.mark.long
def test_the_expert_succeeds_on_95_percent_of_100_seeds_without_exceeding_a_limit(world):
    found = [
        (run_expert(world, seed) is not None, world.episode().violations)
        for seed in range(900_000, 900_100)
    ]
    assert np.mean([good for good, _ in found]) >= 0.95
    assert [v for _, v in found if v] == []


def test_what_is_held_stays_in_the_hand_while_the_arm_shakes(world):
    assert run_expert(world, 900_000)
    held, driver = world.q, StepDriver(world)
    for step in range(20):
        aside = 0.15 * np.sin(step * 1.3) * np.array([1, 0, 0, 1, 1, 0])
        driver.to(np.append(held[:5] + aside[:5], SO101.closed))
    block = world.task.block_position(world, world.task.colour)
    assert np.linalg.norm(block - world.tool_position) < 0.03
    assert world.data.contact.dist.min() > -0.002, "the jaws do not sink into it"


def test_weak_arms_are_told_where_to_be_at_every_step_of_the_physics():
    known = {n: servo_steps(load_dynamics(load_embodiment(n))) for n in ("panda", "ur5e", "so101")}
    assert known == {"panda": SERVO_STEPS, "ur5e": SERVO_STEPS, "so101": 1}


def test_a_table_without_room_leaves_a_block_where_it_lies(world):
    world.reset(3)
    task = world.task
    before = {c: task.block_position(world, c) for c in COLOURS}
    crowded = dataclasses.replace(SO101, gap=1.0)
    try:
        task.how = crowded
        task._nudge(world, np.random.default_rng(0))
    finally:
        task.how = SO101
    assert not task.nudged
    for colour, place in before.items():
        np.testing.assert_array_equal(task.block_position(world, colour), place)


def test_mishaps_are_those_of_the_pandas_blocks(world):
    with pytest.raises(WamError, match="known of the panda's task 'pick_block' only"):
        Mishap("block removed", world, 0.1, np.random.default_rng(0))


def test_a_block_that_flies_is_not_in_the_hand_and_one_that_was_taken_is(world):
    world.reset(4)
    flying = world.data.joint(f"{world.task.colour}_block")
    flying.qvel[2] = 2.0
    highest = 0.0
    for _ in range(100):
        world.step()
        highest = max(highest, flying.qpos[2] - SO101.half)
    assert highest > SO101.lifted
    ended = world.episode()
    assert not (ended.success or ended.lifted or ended.held)
    assert run_expert(world, 4) is not None
    assert world.episode().held
