"""The policy: what goes in and out, and what is refused."""

import dataclasses
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.core.policy import Request  # noqa: E402
from wam_ros.core.resources import share_dir  # noqa: E402
from wam_ros.core.types import NS, Conditioning, JointState, Observation  # noqa: E402
from wam_ros.models import load_policy  # noqa: E402
from wam_ros.models.dreamzero.small.config import load_model_config  # noqa: E402
from wam_ros.models.dreamzero.small.load import load_checkpoint, save_checkpoint  # noqa: E402
from wam_ros.models.dreamzero.small.policy import DreamZeroPolicy  # noqa: E402


def observe(embodiment, step, seed=0):
    rng = np.random.default_rng([seed, step])
    stamp = 5 * NS + step * NS // 10
    frames = rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    q = np.array(embodiment.home) + 0.01 * rng.normal(size=8)
    joints = JointState(stamp, embodiment.joint_names, q, q * 0, q * 0)
    return Observation(stamp, embodiment.view_names, frames, (stamp, stamp), joints)


@pytest.fixture
def policy(config, embodiment, networks):
    policy = DreamZeroPolicy(config, embodiment, networks, steps=2)
    policy.reset("pick up the red block")
    return policy


def test_prediction_has_the_shapes_and_instants_of_the_embodiment(policy, embodiment):
    output = policy.predict(observe(embodiment, 0))
    assert output.positions.shape == (8, 8) and output.positions.dtype == np.float64
    assert np.isfinite(output.positions).all()
    assert output.frames.shape == (2, 2, 64, 64, 3) and output.frames.dtype == np.uint8
    assert output.frame_offsets_ns == (4 * NS // 10, 8 * NS // 10)
    assert output.conditioning == Conditioning.REAL and output.evaluations == 2


def test_the_words_that_it_knows_are_told_and_it_refuses_all_others(policy):
    known = policy.abilities
    assert known.choose_one
    assert set(known.choose_one) < set(known.vocabulary)
    policy.reset(known.choose_one[0])
    with pytest.raises(WamError, match="never learned 'teapot'"):
        policy.reset("teapot")


def test_the_same_history_gives_the_same_chunk_and_another_history_another(policy, embodiment):
    def run(seeds):
        policy.reset("pick up the red block")
        return [
            policy.predict(observe(embodiment, 4 * i, s)).positions for i, s in enumerate(seeds)
        ][-1]

    np.testing.assert_array_equal(run([1, 2, 3]), run([1, 2, 3]))
    assert np.abs(run([1, 2, 3]) - run([7, 2, 3])).max() > 1e-9


def test_frames_that_are_left_out_are_the_same_when_they_are_decoded_later(policy, embodiment):
    def run(apart):
        policy.reset("pick up the red block")
        return [policy.predict(observe(embodiment, s), Request(apart=apart)) for s in (0, 4)]

    for chunk, whole in zip(run(True), run(False), strict=True):
        np.testing.assert_array_equal(chunk.positions, whole.positions)
        assert (len(chunk.frames), chunk.frame_offsets_ns) == (0, ())
        assert "decode" not in chunk.timing_s
        later = chunk.decode()
        np.testing.assert_array_equal(later.frames, whole.frames)
        assert later.frame_offsets_ns == whole.frame_offsets_ns
        assert later.timing_s.keys() == whole.timing_s.keys()
        assert (later.decode, whole.decode) == (None, None)
    output = policy.predict(observe(embodiment, 8), Request(candidates=2, apart=True))
    assert output.decode is None, "candidates are chosen by their frames"
    assert len(output.others[0].frames) == 2


def test_fingers_never_move_faster_than_demonstrated(policy, embodiment, config):
    output = policy.predict(observe(embodiment, 0))
    finger = np.concatenate([[observe(embodiment, 0).joints.positions[7]], output.positions[:, 7]])
    assert np.abs(np.diff(finger)).max() <= config.gripper_step + 1e-6


def test_an_unrefreshed_memory_looks_once_and_then_only_at_itself(config, embodiment, networks):
    policy = DreamZeroPolicy(config, embodiment, networks, steps=2, memory="imagined")
    results = []
    for seed in (0, 1):
        policy.reset("grab the blue cube")
        first = policy.predict(observe(embodiment, 0, seed=5))
        assert [policy.predict(observe(embodiment, s, seed)) for s in (1, 2, 3)] == [None] * 3
        results.append(policy.predict(observe(embodiment, 4, seed)))
        assert first.conditioning == Conditioning.REAL
        assert results[-1].conditioning == Conditioning.IMAGINED
    np.testing.assert_array_equal(results[0].positions[:, :7], results[1].positions[:, :7])
    np.testing.assert_array_equal(results[0].frames, results[1].frames)


def test_without_imagination_actions_do_not_depend_on_how_frames_would_be_denoised(
    config, embodiment, networks
):
    """They are those that a solver gives that leaves the frames at their noise: whatever the head
    of the frames says.
    """

    def run(imagine):
        alone = DreamZeroPolicy(config, embodiment, networks, steps=3, imagine=imagine)
        alone.reset("pick up the red block")
        return [alone.predict(observe(embodiment, s)) for s in (0, 4)][-1], alone

    before = {imagine: run(imagine)[0] for imagine in (True, False)}
    head = networks.model.head.head.weight
    kept = head.detach().clone()
    with torch.no_grad():
        head.mul_(-3.0)
    try:
        after = {imagine: run(imagine)[0] for imagine in (True, False)}
    finally:
        with torch.no_grad():
            head.copy_(kept)
    np.testing.assert_array_equal(before[False].positions, after[False].positions)
    assert np.abs(before[True].positions - after[True].positions).max() > 1e-6
    assert np.abs(before[True].positions - before[False].positions).max() > 1e-6
    output, alone = run(False)
    assert (len(output.frames), output.frame_offsets_ns, output.decode) == (0, (), None)
    assert (alone.abilities.ahead, alone.abilities.action_conditioned) == ((), False)
    assert alone.another().predict.__self__._imagines is False


def test_weights_that_learned_no_video_are_refused_where_they_are_to_imagine(embodiment, tmp_path):
    tiny = load_model_config("tiny")
    networks = load_checkpoint(share_dir() / tiny.weights, tiny)
    path = tmp_path / "actions.safetensors"
    save_checkpoint(path, networks, tiny, {"steps": 1, "imagine": False})
    with pytest.raises(WamError, match="was trained on actions alone .* say --no-imagine"):
        load_policy("tiny", str(path), embodiment)
    policy = load_policy("tiny", str(path), embodiment, imagine=False)
    policy.reset("pick up the red block")
    assert len(policy.predict(observe(embodiment, 0)).frames) == 0


def test_weights_that_learned_video_alone_move_no_arm(embodiment, tmp_path):
    tiny = load_model_config("tiny")
    networks = load_checkpoint(share_dir() / tiny.weights, tiny)
    path = tmp_path / "video.safetensors"
    save_checkpoint(path, networks, tiny, {"steps": 1, "act": False})
    for imagine in (True, False):
        with pytest.raises(WamError, match="was trained on video alone and moves no arm"):
            load_policy("tiny", str(path), embodiment, imagine=imagine)


def test_only_what_can_act_alone_is_told_not_to_imagine(embodiment):
    with pytest.raises(WamError, match="'reach' cannot leave out what it imagines"):
        load_policy("reach", "", embodiment, imagine=False)
    with pytest.raises(WamError, match="memory imagined remembers what is imagined"):
        load_policy("tiny", "", embodiment, memory="imagined", imagine=False)


@pytest.mark.parametrize(
    ("instruction", "named"),
    [
        ("", "empty"),
        ("  ?! ", "has no words"),
        ("red " * 3000, "characters"),
        ("fetch the red block", "'fetch'"),
        ("pick up the block", "exactly one of red, green, blue"),
        ("pick up the red green block", "exactly one of red, green, blue"),
        ("up up up up up up up up red", "9 words"),
        ("take the \x00 \U0001f916 rouge one", "'rouge'"),
    ],
)
def test_instructions_that_were_never_learned_are_refused_by_name(
    policy, embodiment, instruction, named
):
    before = policy.predict(observe(embodiment, 0)).positions
    with pytest.raises(WamError, match=named):
        policy.reset(instruction)
    policy.reset("pick up the red block")
    np.testing.assert_array_equal(policy.predict(observe(embodiment, 0)).positions, before)


def test_other_views_or_joints_are_refused(policy, embodiment):
    good = observe(embodiment, 0)
    for bad in (
        dataclasses.replace(good, view_names=("wrist", "front")),
        dataclasses.replace(good, frames=good.frames[:, :32]),
        dataclasses.replace(
            good, joints=dataclasses.replace(good.joints, joint_names=good.joints.joint_names[::-1])
        ),
    ):
        with pytest.raises(WamError, match="observation"):
            policy.predict(bad)


def test_predicting_without_an_instruction_is_refused(config, embodiment, networks):
    with pytest.raises(WamError, match="no instruction"):
        DreamZeroPolicy(config, embodiment, networks, steps=1).predict(observe(embodiment, 0))


def test_statistics_in_degrees_are_refused_by_joint(embodiment, tmp_path, root):
    with safe_open(root / "weights/tiny.safetensors", "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    statistics = json.loads(metadata["statistics"])
    for name in ("state_low", "state_high", "action_low", "action_high"):
        statistics[name] = [57.3 * x for x in statistics[name]]
    metadata["statistics"] = json.dumps(statistics)
    path = tmp_path / "degrees.safetensors"
    save_file(tensors, path, metadata)
    with pytest.raises(WamError, match=r"degrees.safetensors': statistics: state of 'panda_joint1"):
        load_policy("tiny", str(path), embodiment)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": "tinny"}, "Did you mean 'tiny'"),
        ({"checkpoint": "/nowhere/x.safetensors"}, "does not exist"),
        ({"memory": "rael"}, "Did you mean 'real'"),
        ({"steps": -1}, "steps"),
    ],
)
def test_load_policy_refuses_by_name(embodiment, arguments, message):
    with pytest.raises(WamError, match=message):
        load_policy(**({"model": "tiny", "checkpoint": "", "embodiment": embodiment} | arguments))


def test_a_model_of_another_robot_is_refused(embodiment):
    with pytest.raises(WamError, match="trained for 'panda', not for 'so101'"):
        load_policy("tiny", "", dataclasses.replace(embodiment, name="so101"))


def straight_plan(embodiment, n=6):
    return np.array(embodiment.home) + 0.002 * np.arange(1, n + 1)[:, None]


def test_a_guided_chunk_begins_with_the_committed_steps_and_is_drawn_towards_the_plan(
    policy, embodiment
):
    free = policy.predict(observe(embodiment, 0))
    plan = straight_plan(embodiment)
    policy.reset("pick up the red block")
    guided = policy.predict(observe(embodiment, 0), Request(plan=plan, committed=2))
    np.testing.assert_array_equal(guided.positions[:2], plan[:2])
    arm = slice(0, 7)
    off = [np.abs(o.positions[2:5, arm] - plan[2:5, arm]).mean() for o in (free, guided)]
    assert off[1] < 0.7 * off[0]
    assert guided.committed == 2 and guided.guided and not free.guided


def test_candidates_come_in_one_batch_and_the_first_is_the_usual_chunk(policy, embodiment):
    alone = policy.predict(observe(embodiment, 0))
    policy.reset("pick up the red block")
    batch = policy.predict(observe(embodiment, 0), Request(candidates=3))
    np.testing.assert_allclose(batch.positions, alone.positions, atol=1e-4)
    assert len(batch.others) == 2
    assert np.abs(batch.others[0].positions - batch.others[1].positions).max() > 1e-6


def test_looking_ahead_begins_from_what_was_imagined_and_says_so(policy, embodiment):
    first = policy.predict(observe(embodiment, 0), Request(step=0))
    ahead = policy.predict(
        observe(embodiment, 2), Request(step=2, ahead=6, plan=first.positions[2:])
    )
    assert ahead.ahead == 6 and ahead.conditioning == Conditioning.MIXED
    policy.reset("pick up the red block")
    policy.predict(observe(embodiment, 0), Request(step=0))
    other = policy.predict(
        observe(embodiment, 2, seed=9), Request(step=2, ahead=6, plan=first.positions[2:])
    )
    # the frame of step 2 is not on its way
    np.testing.assert_array_equal(other.positions, ahead.positions)


def test_looking_ahead_of_everything_imagined_is_a_plain_chunk(policy, embodiment):
    output = policy.predict(
        observe(embodiment, 0), Request(step=0, ahead=6, plan=straight_plan(embodiment))
    )
    assert output.ahead == 0 and output.conditioning == Conditioning.REAL


def test_frames_of_executed_steps_are_remembered_without_a_prediction(policy, embodiment):
    def second(*between):
        policy.reset("pick up the red block")
        policy.predict(observe(embodiment, 0), Request(step=0))
        for step in between:
            assert (
                policy.predict(observe(embodiment, step), Request(step=step, predict=False)) is None
            )
        return policy.predict(observe(embodiment, 8), Request(step=8)).positions

    assert np.abs(second(4) - second()).max() > 1e-9
    np.testing.assert_array_equal(second(4), second(4))


def with_prefix(config, embodiment, networks, steps):
    chunk = dataclasses.replace(config.chunk, committed_steps=steps)
    policy = DreamZeroPolicy(
        dataclasses.replace(config, chunk=chunk), embodiment, networks, steps=2
    )
    policy.reset("pick up the red block")
    return policy


def test_a_prefix_it_was_not_trained_for_is_refused(config, embodiment, networks):
    policy = with_prefix(config, embodiment, networks, 0)
    assert not policy.abilities.prefix
    with pytest.raises(WamError, match="not trained"):
        policy.predict(observe(embodiment, 0), Request(prefix=True))


def test_a_prefix_comes_back_as_it_is_and_only_its_committed_steps_are_seen(
    config, embodiment, networks
):
    def continued(plan):
        policy = with_prefix(config, embodiment, networks, 4)
        return policy.predict(
            observe(embodiment, 0), Request(prefix=True, plan=plan, committed=3)
        ).positions

    plan = straight_plan(embodiment)
    first = continued(plan)
    np.testing.assert_array_equal(first[:3], plan[:3])
    other = plan.copy()
    other[3:] += 0.1
    np.testing.assert_array_equal(continued(other), first)
    other[:3] += 0.01
    assert np.abs(continued(other)[3:] - first[3:]).max() > 1e-6


def test_the_example_instruction_is_one_that_it_accepts(policy):
    policy.reset(policy.example_instruction)
