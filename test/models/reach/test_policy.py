"""A script in the place of a model: chunks that lead any robot to poses near home; no frames."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.policy import Request
from wam_ros.core.types import NS, ActionChunk, JointState, KinematicState, Observation
from wam_ros.models import SCRIPT, load_policy, model_for
from wam_ros.models.reach.policy import NAME, SPEED, ReachPolicy
from wam_ros.robot.reach import Pose, find_poses
from wam_ros.runtime.prediction import example_observation, predict
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.verdict import Decision

NAMES = ("panda", "so101", "bimanual")


def seen(robot, q, dq, now_ns):
    """What the loop observes of a robot; its pictures are as good as any."""
    example = example_observation(robot)
    joints = JointState(now_ns, robot.joint_names, q, dq, 0 * q)
    return Observation(
        now_ns, example.view_names, example.frames, (now_ns,) * len(robot.cameras), joints
    )


def follow(policy, robot, q, n):
    """The robot as it does the first step of every chunk: its poses (n, A), and the chunks."""
    step_ns = round(robot.step_period_s * NS)
    before = q
    poses = []
    chunks = []
    for k in range(n):
        dq = (q - before) / robot.step_period_s
        output = predict(policy, seen(robot, q, dq, k * step_ns), Request())
        before = q
        q = output.positions[0]
        poses.append(q)
        chunks.append(output.positions)
    return np.array(poses), np.array(chunks)


@pytest.mark.parametrize("name", NAMES)
def test_it_goes_to_the_pose_that_is_named_grips_there_and_stays(name, robots):
    model = robots(name)
    robot = model.embodiment
    policy = load_policy("reach", "", robot)
    (green,) = [p for p in find_poses(model) if p.name == "green"]
    policy.reset("please, reach the GREEN marker.")
    ways, chunks = follow(policy, robot, np.array(robot.home), 60)
    assert chunks.shape[1:] == (robot.action_horizon, len(robot.joint_names))
    np.testing.assert_allclose(ways[-8:], np.tile(green.gripped, (8, 1)), atol=0.01)
    arm = ~model.gripper
    assert np.abs(ways[:, arm] - green.q[arm]).max(axis=1).min() < 1e-6
    assert (np.abs(np.diff(ways, axis=0)) <= SPEED * model.limits.velocity * 0.1 + 1e-9).all()


def test_an_instruction_that_names_no_pose_or_several_leads_round_all_of_them(robots):
    model = robots("so101")
    policy = load_policy("reach", "", model.embodiment)
    poses = find_poses(model)
    for words in ("show what you can do", "red or blue"):
        policy.reset(words)
        ways, _ = follow(policy, model.embodiment, np.array(model.embodiment.home), 200)
        reached = []
        for q in ways:
            for pose in poses:
                if np.abs(q - pose.gripped).max() < 0.01 and pose.name not in reached[-1:]:
                    reached.append(pose.name)
        assert reached[:4] == ["red", "green", "blue", "red"]


@pytest.mark.parametrize("name", NAMES)
def test_every_chunk_passes_the_safety_filter_as_it_is(name, robots):
    model = robots(name)
    robot = model.embodiment
    policy = load_policy("reach", "", robot)
    policy.reset("go round")
    safety = SafetyFilter(model)
    q = np.array(robot.home)
    ways, chunks = follow(policy, robot, q, 40)
    rates = np.diff(np.vstack((q, q, ways)), axis=0) / robot.step_period_s
    now = 10**18
    for k in range(0, 40, 4):
        at = np.vstack((q, ways))[k]
        chunk = ActionChunk(now, NS // 10, robot.joint_names, chunks[k])
        state = KinematicState(at, rates[k], 0 * at)
        verdict = safety.filter(chunk, state, now, now_ns=now)
        assert verdict.decision is Decision.PASS, verdict.sentence


def test_a_joint_without_end_goes_the_shorter_way_round(robots):
    model = robots("ur5e")
    endless = np.arange(6) == 5
    pose = Pose("red", np.array([0, -1.57, 1.57, -1.57, -1.57, 3.0]), np.zeros(6), np.zeros((1, 3)))
    policy = ReachPolicy(model, (pose, pose, pose))
    kept = model.endless
    model.endless = endless
    try:
        start = np.array([0, -1.57, 1.57, -1.57, -1.57, -3.0])
        ways, _ = follow(policy, model.embodiment, start, 5)
    finally:
        model.endless = kept
    assert ways[-1, 5] < -3.0
    assert np.abs(ways[:, 5] + 3.0).max() < 0.3


def test_where_damping_would_take_all_effort_it_goes_so_slowly_that_its_chunks_pass(robots):
    """At a tenth of its highest speed each joint needs all its effort for the damping alone."""
    model = robots("ur5e")
    robot = model.embodiment
    kept = model.damping
    model.damping = 10 * model.limits.effort / model.limits.velocity
    try:
        policy = ReachPolicy(model, find_poses(model))
        q = np.array(robot.home)
        _, chunks = follow(policy, robot, q, 1)
        chunk = ActionChunk(NS, NS // 10, robot.joint_names, chunks[0])
        verdict = SafetyFilter(model).filter(chunk, KinematicState.at_rest(q), NS, now_ns=NS)
    finally:
        model.damping = kept
    assert verdict.decision is Decision.PASS, verdict.sentence


def test_it_imagines_nothing_and_says_that_it_is_no_model():
    robot = load_embodiment("so101")
    policy = load_policy("reach", "", robot)
    policy.reset(policy.example_instruction)
    output = predict(policy, example_observation(robot), Request())
    assert output.frames.shape == (0, 2, 64, 64, 3) and output.frame_offsets_ns == ()
    assert policy.name == NAME == "reach: a script, no model"
    with pytest.raises(WamError, match="observation"):
        policy.predict(example_observation(load_embodiment("panda")))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"checkpoint": "w.safetensors"}, "takes no checkpoint, found 'w.safetensors'"),
        ({"checkpoint": "", "steps": 3}, "has no denoising steps, found 3"),
        ({"checkpoint": "", "memory": "imagined"}, "imagines nothing to remember"),
    ],
)
def test_what_only_a_model_has_is_refused(wrong, words):
    with pytest.raises(WamError, match=words):
        load_policy("reach", embodiment=load_embodiment("so101"), **wrong)


def test_a_robot_for_which_weights_are_shipped_has_a_model_and_any_other_the_script():
    found = [model_for(load_embodiment(n)) for n in ("panda", "droid", "ur5e", "so101", "bimanual")]
    assert found == ["tiny", *[SCRIPT] * 4]
    panda = load_embodiment("panda")
    assert model_for(dataclasses.replace(panda, cameras=panda.cameras[:1])) == SCRIPT


def test_it_needs_no_torch():
    code = (
        "import sys\nsys.modules['torch'] = None\n"
        "from wam_ros.core.embodiment import load_embodiment\n"
        "from wam_ros.models import load_policy\n"
        "print(load_policy('reach', '', load_embodiment('ur5e')).name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == NAME, done.stderr
