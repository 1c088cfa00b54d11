"""What holds of LIBERO's world; test/foreign/test_libero.py runs it where LIBERO is installed."""

import contextlib
import io

import mujoco
import numpy as np
import pytest

pytest.importorskip("libero")

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.images import mse, psnr_db
from wam_ros.data.folder import open_episodes
from wam_ros.robot.obstacles import load_world
from wam_ros.sim.drive import StepDriver
from wam_ros.sim.libero.suites import OFFICIAL, SUITES, limit_s, surroundings
from wam_ros.sim.worlds import make_expert, make_world

pytestmark = pytest.mark.foreign
PANDA = load_embodiment("libero_panda")
TASK = "libero_object/0"


@pytest.fixture(scope="module")
def world():
    world = make_world(PANDA, TASK)
    yield world
    world.close()


def play(world, expert, most=220):
    driver = StepDriver(world)
    for _ in range(most):
        driver.to(expert.act())
        if expert.done:
            break
    return world.episode()


def test_the_names_of_suites_are_libero_s_own_with_as_many_tasks():
    from libero.libero import benchmark

    with contextlib.redirect_stdout(io.StringIO()):
        counts = {name: benchmark.get_benchmark(name)().get_num_tasks() for name in SUITES}
    assert counts == SUITES


def test_our_description_of_the_arm_and_libero_s_mean_the_same_by_joints(world):
    """The tool of the URDF and that of LIBERO's model are at one place, wherever the arm is."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        q = np.array(PANDA.home) + 0.4 * rng.normal(size=8)
        world.put(q)
        told, _ = world.robot.tool_motion(q[None], np.zeros((1, 8)))
        assert np.abs(world.tool_position - told[0]).max() < 1e-3


def test_an_official_scene_is_the_same_each_time_and_the_next_one_another(world):
    def scene(seed):
        world.reset(seed)
        return np.concatenate([world.q, *(world.pose_of(n)[0] for n in world.movable)])

    np.testing.assert_array_equal(scene(OFFICIAL + 3), scene(OFFICIAL + 3))
    np.testing.assert_array_equal(scene(7), scene(7))
    assert np.abs(scene(OFFICIAL + 3) - scene(OFFICIAL + 4)).max() > 1e-3
    assert np.abs(scene(7) - scene(8)).max() > 1e-3


def test_objects_lie_where_the_official_state_has_them(world):
    """But for what they fall and slide while they come to rest."""
    for k in (0, 49):
        world.reset(OFFICIAL + k)
        joint = world.model.joint(f"{world.movable[0]}_joint0")
        wanted = world._official[k][1 + joint.qposadr[0] : 4 + joint.qposadr[0]]
        assert np.linalg.norm(world.data.qpos[joint.qposadr[0] :][:3] - wanted) < 0.03


# a bowl in a drawer, on a stove, beside a plate, on a cabinet, and what LIBERO-Goal has
@pytest.mark.parametrize("task", [*(f"libero_spatial/{n}" for n in (4, 7, 8, 9)), "libero_goal/2"])
def test_what_is_drawn_lies_near_where_official_scenes_have_it(task):
    """On what stands fixed, too, whatever scene was there before."""
    world = make_world(PANDA, task, render=False)
    told = []
    for seed in (*range(OFFICIAL, OFFICIAL + 6), 5, 6, 5):
        world.reset(seed)
        told.append({name: world.pose_of(name)[0] for name in world.movable})
    world.close()
    official = told[:6]
    for drawn in told[6:]:
        for name, at in drawn.items():
            middle = np.mean([state[name] for state in official], 0)
            assert np.abs(at - middle).max() < 0.06, (name, at, middle)
    for name, at in told[6].items():
        np.testing.assert_allclose(at, told[8][name], atol=1e-9)


def test_the_instruction_is_that_of_the_bddl_file(world):
    """LIBERO-PRO's task names repeat the sentence of the suite that they change."""
    changed = make_world(PANDA, "libero_object_lan/0", render=False)
    assert world.instruction == "pick the alphabet soup and place it in the basket"
    assert changed.instruction == "grab alphabet soup and put it into basket"
    changed.close()


def test_coarser_meshes_look_the_same_at_128_px(world):
    coarse = make_world(PANDA, TASK, coarse=True)
    for seed in (OFFICIAL, 5):
        world.reset(seed)
        coarse.reset(seed)
        np.testing.assert_array_equal(coarse.q, world.q)
        for view in PANDA.view_names:
            assert psnr_db(mse(world.render(view), coarse.render(view))) > 30
    coarse.close()


@pytest.mark.parametrize(
    "task",
    ["libero_object/1", "libero_spatial/0", "libero_10/0", "libero_10/2", "libero_10/5"],
)
def test_what_the_filter_is_told_of_is_where_libero_s_arm_stands(task):
    """Tops and sides of what is solid and no object, in front of the arm."""
    world = make_world(PANDA, task, render=False)
    model, data = world.model, world.data
    tops, ends = [], []
    for g in np.flatnonzero(world._still_geoms & (model.geom_contype > 0)):
        body = model.body(model.geom_bodyid[g]).name
        if "table" in body and model.geom_type[g] == mujoco.mjtGeom.mjGEOM_BOX:
            half = np.abs(data.geom_xmat[g].reshape(3, 3)) @ model.geom_size[g]
            tops.append((world.in_base(data.geom_xpos[g]) + half)[2])
            ends.append((world.in_base(data.geom_xpos[g]) + half)[:2])
        elif model.geom_type[g] == mujoco.mjtGeom.mjGEOM_PLANE and "object" in task:
            tops.append(world.in_base(data.geom_xpos[g])[2])
    boxes = [o for o in load_world(surroundings(task)).obstacles.values() if o.shape == "box"]
    told = max(o.position[2] + o.size[2] / 2 for o in boxes)
    assert told == pytest.approx(max(tops), abs=0.002)
    if ends:
        far = [np.add(o.position, np.divide(o.size, 2))[:2] for o in boxes]
        np.testing.assert_allclose(np.max(far, axis=0), np.max(ends, axis=0), atol=0.005)
    world.close()


def test_an_idle_arm_stands_and_nothing_is_counted(world):
    world.reset(1)
    q = world.q
    world.step(500)
    assert np.abs(world.q - q).max() < 2e-3
    assert world.episode().violations == {}
    assert not world.episode().success


def test_the_expert_s_joint_targets_succeed_by_libero_s_own_check(world):
    for seed in (OFFICIAL, OFFICIAL + 1, 0):
        world.reset(seed)
        ended = play(world, make_expert(world))
        assert ended.success
        assert not ended.wrong


@pytest.mark.parametrize("number", [4, 5, 9])
def test_the_expert_takes_a_bowl_by_its_rim_out_of_a_drawer_and_off_things_askew_or_not(number):
    world = make_world(PANDA, f"libero_spatial/{number}", render=False)
    world.reset(OFFICIAL)
    ended = play(world, make_expert(world), most=110)
    assert ended.success
    assert not ended.wrong
    world.close()


@pytest.mark.parametrize("number", [1, 2])
def test_a_bowl_is_taken_by_the_same_side_in_scenes_that_hardly_differ(number):
    """Who learns from both sides goes to the middle between them, where there is no rim."""
    world = make_world(PANDA, f"libero_spatial/{number}", render=False)
    sides = []
    for seed in range(3000, 3008):
        world.reset(seed)
        expert, driver = make_expert(world), StepDriver(world)
        for _ in range(110):
            if expert.closing:
                break
            driver.to(expert.act())
        assert expert.closing
        bowl, _ = world.pose_of(world.goal[0][1])
        sides.append((world.tool_position - bowl)[:2])
    world.close()
    assert np.ptp(sides, axis=0).max() < 0.02


def test_how_an_episode_ended_is_told_by_what_became_of_the_object(world):
    world.reset(OFFICIAL)
    assert world.limit_s == 14.0
    assert world.episode().outcome == "no grasp"
    expert, driver = make_expert(world), StepDriver(world)
    while not (world.episode().lifted and world.episode().held):
        driver.to(expert.act())
    assert world.episode().outcome == "timeout"
    opened = expert.act()
    opened[-1] = 0.04
    for _ in range(8):
        driver.to(opened)
    assert world.episode().outcome == "dropped"
    world.reset(OFFICIAL)
    assert world.episode().outcome == "no grasp"


@pytest.mark.parametrize("number", range(10))
def test_the_expert_does_what_libero_goal_asks_and_keeps_the_limits_of_the_arm(number):
    """Drawers, a knob, a plate that is slid, and things that are put in and on others."""
    world = make_world(PANDA, f"libero_goal/{number}", render=False)
    world.reset(OFFICIAL)
    ended = play(world, make_expert(world), most=150)
    assert ended.success
    assert not {"position", "velocity", "arm contact"} & set(ended.violations)
    world.close()


def test_what_of_a_fixture_moves_is_told_as_it_is_now():
    world = make_world(PANDA, "libero_goal/3", render=False)
    drawer = world.fixture_of("wooden_cabinet_1_top_region")
    assert drawer.slides and not drawer.is_open
    assert drawer.range == pytest.approx(0.16) and abs(drawer.position) < 0.01
    np.testing.assert_allclose(drawer.way, (0, 1, 0), atol=0.05)
    handle = drawer.outermost
    joint = world.model.joint("wooden_cabinet_1_top_level")
    world.data.qpos[joint.qposadr[0]] = -0.15
    mujoco.mj_forward(world.model, world.data)
    opened = world.fixture_of("wooden_cabinet_1_top_region")
    assert opened.is_open and opened.share == pytest.approx(0.15 / 0.16)
    moved = opened.outermost.centre - handle.centre
    assert moved @ drawer.way == pytest.approx(0.15 - drawer.position, abs=1e-3)
    knob = world.fixture_of("flat_stove_1")
    assert not knob.slides and not knob.is_open
    np.testing.assert_allclose(knob.way, (0, 0, 1), atol=0.01)
    assert world.fixture_of("main_table_plate_region") is None
    assert world.fixture_of("plate_1") is None
    world.close()


def test_a_task_for_which_there_is_no_expert_is_named():
    """LIBERO-PRO changed what is asked for: a stove that is on is to be turned off."""
    world = make_world(PANDA, "libero_goal_task/7", render=False)
    with pytest.raises(WamError, match=r"cannot do 'libero_goal_task/7' \(turnoff flat_stove_1\)"):
        make_expert(world)
    world.close()


def test_every_changed_suite_opens_with_official_states_and_a_sentence_of_its_own():
    """LIBERO-PRO's are in the same package: nothing is to be fetched. One task of each."""
    for suite in (name for name in SUITES if name.count("_") == 2):
        changed = make_world(PANDA, f"{suite}/2", render=False)
        assert len(changed._official) >= 10
        assert changed.instruction
        assert changed.limit_s == limit_s(f"{suite.rpartition('_')[0]}/2")
        changed.close()


def test_a_recording_that_was_interrupted_goes_on_and_is_what_it_would_have_been(tmp_path):
    from wam_ros import cli

    def record(folder, episodes):
        words = ["record-sim", "--embodiment", "libero_panda", "--task", "libero_object"]
        words += ["--out", str(tmp_path / folder), "--episodes", str(episodes), "--workers", "1"]
        return cli.main([*words, "--steps", "3"])

    assert record("whole", 13) == 0
    assert record("parts", 11) == 0
    assert record("parts", 13) == 0
    whole, parts = (open_episodes(tmp_path / name) for name in ("whole", "parts"))
    assert len(whole) == len(parts) == 13
    for i in range(13):
        np.testing.assert_array_equal(whole[i].states, parts[i].states)
        np.testing.assert_array_equal(whole[i].actions, parts[i].actions)
        for view in PANDA.view_names:
            for a, b in zip(whole.pictures(i, view), parts.pictures(i, view), strict=True):
                np.testing.assert_array_equal(a, b)
    # tasks take turns by ten episodes
    assert len({whole[i].instructions[0] for i in (0, 9)}) == 1
    assert whole[9].instructions[0] != whole[10].instructions[0]


def test_a_picture_is_libero_s_own_the_right_way_up(world):
    """The last test that draws with this world: robosuite frees what it drew with in whichever
    context is current, and that may be ours.
    """
    world.reset(OFFICIAL)
    from libero.libero.envs.env_wrapper import OffScreenRenderEnv

    theirs = OffScreenRenderEnv(bddl_file_name=world._env.env.bddl_file_name)
    theirs.seed(0)
    theirs.reset()
    seen = theirs.regenerate_obs_from_state(world._env.get_sim_state())
    for view, name in (("agentview", "agentview_image"), ("wrist", "robot0_eye_in_hand_image")):
        assert psnr_db(mse(world.render(view), seen[name][::-1])) > 40
    theirs.close()
