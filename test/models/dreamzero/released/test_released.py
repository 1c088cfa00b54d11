"""A released checkpoint folder behind the policy protocol, from file to joint targets, at tiny
random sizes.
"""

import dataclasses
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sentencepiece")
pytest.importorskip("ftfy")

import yaml  # noqa: E402

from testing.released import TINY, make_vocabulary, statistics, tiny_network  # noqa: E402
from wam_ros.core.embodiment import load_embodiment  # noqa: E402
from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.core.policy import Request  # noqa: E402
from wam_ros.core.types import NS, Conditioning, JointState, Observation  # noqa: E402
from wam_ros.models import load_policy  # noqa: E402
from wam_ros.models.dreamzero.released import views  # noqa: E402
from wam_ros.models.dreamzero.released.checkpoint import (  # noqa: E402
    PREFIX,
    open_checkpoint,
    save_checkpoint,
)
from wam_ros.models.dreamzero.released.policy import ReleasedPolicy  # noqa: E402
from wam_ros.models.dreamzero.released.rollout import Rollout  # noqa: E402
from wam_ros.models.dreamzero.released.towers import Towers  # noqa: E402

from .test_low_rank import base_model, low_rank, write_lora  # noqa: E402

PERIOD = 1 / 15


@pytest.fixture(scope="module")
def droid():
    """The Panda as DROID has it."""
    panda = load_embodiment("panda")
    return dataclasses.replace(
        panda, image_height=180, image_width=320, step_period_s=PERIOD, action_horizon=24
    )


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """(model description, checkpoint folder)."""
    folder = tmp_path_factory.mktemp("released")
    conf = {"relative_action": True, "relative_action_keys": ["joint_position"]}
    save_checkpoint(
        folder / "weights",
        tiny_network(),
        TINY,
        metadata=statistics(),
        conf=conf,
        shard_bytes=100_000,
    )
    (folder / "weights" / "tokenizer").mkdir()
    make_vocabulary(folder / "weights" / "tokenizer")
    text = json.loads(json.dumps(dataclasses.asdict(TINY.dit)))
    (folder / "tiny14.yaml").write_text(yaml.safe_dump(text))
    return str(folder / "tiny14.yaml"), folder / "weights"


@pytest.fixture(scope="module")
def policy(released, droid):
    return load_policy(released[0], str(released[1]), droid, steps=8)


CONF = "relative_action: true\nrelative_action_keys: [joint_position]\n"


def observe(droid, step, seed=0):
    rng = np.random.default_rng([seed, step])
    stamp = 7 * NS + round(step * PERIOD * NS)
    frames = rng.integers(0, 256, (2, 180, 320, 3), dtype=np.uint8)
    q = np.array(droid.home) + 0.01 * rng.normal(size=8)
    joints = JointState(stamp, droid.joint_names, q, q * 0, q * 0)
    return Observation(stamp, droid.view_names, frames, (stamp, stamp), joints)


def run(policy, droid, last, seed=0, stride=3):
    """Execute whole blocks, remembering every third frame, and predict after each."""
    outputs = [policy.predict(observe(droid, 0, seed))]
    for step in range(stride, last + 1, stride):
        request = Request(step=step, predict=step % 24 == 0)
        outputs.append(policy.predict(observe(droid, step, seed), request))
    return [o for o in outputs if o is not None]


def test_observation_in_joint_targets_and_imagined_frames_out(policy, droid):
    policy.reset("Pick up the RED cup.")
    observation = observe(droid, 0)
    output = policy.predict(observation)
    assert output.positions.shape == (24, 8) and output.positions.dtype == np.float64
    assert np.isfinite(output.positions).all()
    assert output.frames.shape == (8, 2, 180, 320, 3) and output.frames.dtype == np.uint8
    assert output.frame_offsets_ns == tuple(round(0.2 * NS) * (i + 1) for i in range(8))
    assert output.evaluations == 8 and output.conditioning == Conditioning.REAL
    assert set(output.timing_s) == {"encode", "prefill", "denoise", "decode"}
    top, left, h, w = views.crop_box(180, 320, 0.95)
    rim = np.ones((180, 320), bool)
    rim[top : top + h, left : left + w] = False
    assert (output.frames[:, :, rim] == observation.frames[:, rim]).all()
    assert (output.frames[:, :, ~rim] != observation.frames[:, ~rim]).any()


def test_targets_are_unscaled_and_measured_from_the_sent_state(policy, droid, monkeypatch):
    policy.reset("pick up the cup")
    observation = observe(droid, 0)
    chunk = policy.rollout.chunk
    level = 0.5

    def constant(*arguments):
        made = chunk(*arguments)
        return dataclasses.replace(made, action=torch.full_like(made.action, level))

    monkeypatch.setattr(policy.rollout, "chunk", constant)
    output = policy.predict(observation)
    q = observation.joints.positions
    # The statistics say +-1 for arm joints (relative), 0 to 1 for the gripper (absolute, 0 open at
    # 0.04 m, 1 closed).
    np.testing.assert_allclose(output.positions[:, :7], np.tile(q[:7] + 0.5, (24, 1)))
    np.testing.assert_allclose(output.positions[:, 7], 0.04 - 0.04 * (level + 1) / 2)


def test_a_whole_executed_block_continues_the_window(policy, droid):
    policy.reset("pick up the cup")
    assert len(run(policy, droid, 48)) == 3
    assert policy.rollout.history.start == 7  # frame 0, then three blocks of two latent frames


def test_the_same_history_gives_the_same_chunk_and_another_history_another(policy, droid):
    def last(seed):
        policy.reset("pick up the cup")
        return run(policy, droid, 24, seed)[-1]

    a, b = last(1), last(1)
    np.testing.assert_array_equal(a.positions, b.positions)
    np.testing.assert_array_equal(a.frames, b.frames)
    assert np.abs(last(2).positions - a.positions).max() > 1e-9


def test_a_block_executed_in_part_or_not_seen_begins_a_new_window(policy, droid):
    for steps, stride in ((12, 3), (24, 6), (30, 3)):
        policy.reset("pick up the cup")
        policy.predict(observe(droid, 0))
        for step in range(stride, steps, stride):
            policy.predict(observe(droid, step), Request(step=step, predict=False))
        policy.predict(observe(droid, steps))
        assert policy.rollout.history.start == 3


def test_a_refused_instruction_leaves_everything_as_it_was(policy, droid):
    policy.reset("pick up the cup")
    before = run(policy, droid, 24)[-1]
    policy.reset("pick up the cup")
    run(policy, droid, 0)
    with pytest.raises(WamError, match="empty"):
        policy.reset(" ")
    for step in range(3, 25, 3):
        after = policy.predict(observe(droid, step), Request(step=step, predict=step == 24))
    np.testing.assert_array_equal(before.positions, after.positions)


def test_other_embodiments_in_the_training_configuration_do_no_harm(released, droid, tmp_path):
    text = "x: {action_concat_order: [left, right]}\n" + CONF.replace("[", "[left, ")
    load_policy(
        released[0], rewritten(released[1], tmp_path, "experiment_cfg/conf.yaml", text), droid
    )


def test_adapters_take_the_base_model_from_their_folder(released, policy, droid, tmp_path):
    """Low-rank updates of zero on the same base give the same policy."""
    folder, network = tmp_path / "adapters", tiny_network()
    rewritten(released[1], folder, "model.safetensors.index.json", None)
    for shard in folder.glob("model-*"):
        shard.unlink()
    base_model(folder / "base", network)
    factors = {name: torch.zeros_like(t) for name, t in low_rank(network)[0].items()}
    parts = {
        n: t
        for n, t in network.state_dict().items()
        if n.startswith(("model.state_", "model.action_"))
    }
    (folder / "config.json").unlink()
    write_lora(folder, factors | {f"{PREFIX}{n}": t for n, t in parts.items()})
    adapted = load_policy(released[0], str(folder), droid, steps=8)
    for p in (policy, adapted):
        p.reset("pick up the cup")
    wanted, found = (p.predict(observe(droid, 0)).positions for p in (policy, adapted))
    np.testing.assert_array_equal(found, wanted)


def test_half_precision_gives_nearly_the_same_chunk(released, policy, droid):
    policy.reset("pick up the cup")
    wanted = policy.predict(observe(droid, 0)).positions
    network = open_checkpoint(released[1], TINY.dit).load(torch.device("cpu"), torch.bfloat16)
    towers = Towers(network, policy.towers.tokenizer)
    rollout = Rollout(network.model, towers, policy.rollout.negative, policy.rollout.sampling)
    half = ReleasedPolicy("half", "", policy.robot, towers, rollout)
    half.reset("pick up the cup")
    found = half.predict(observe(droid, 0)).positions
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, wanted, atol=0.05)


def test_what_is_imagined_does_not_enter_the_decoder_memory(policy, droid):
    policy.reset("pick up the cup")
    policy.predict(observe(droid, 0))
    latents = torch.randn(1, 16, 2, 4, 8)
    first = policy.towers.imagined(latents)
    policy.towers.imagined(torch.randn(1, 16, 2, 4, 8))
    assert first.shape == (8, 32, 64, 3) and torch.equal(policy.towers.imagined(latents), first)


def test_other_views_joints_or_sizes_are_refused(policy, droid):
    policy.reset("pick up the cup")
    good = observe(droid, 0)
    for bad in (
        dataclasses.replace(good, view_names=("wrist", "front")),
        dataclasses.replace(good, frames=good.frames[:, :90]),
        dataclasses.replace(
            good, joints=dataclasses.replace(good.joints, joint_names=good.joints.joint_names[::-1])
        ),
    ):
        with pytest.raises(WamError, match="observation"):
            policy.predict(bad)


def rewritten(folder, tmp_path, name, text):
    """The checkpoint with one file replaced (None: gone); the others are links."""
    for path in folder.rglob("*"):
        link = tmp_path / path.relative_to(folder)
        if path.is_dir():
            link.mkdir(parents=True, exist_ok=True)
        elif str(path.relative_to(folder)) != name:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    if text is not None:
        (tmp_path / name).write_text(text)
    return str(tmp_path)


def with_statistics(change):
    """The text of a `metadata.json` whose statistics `change` has changed."""
    data = statistics()
    change(data["oxe_droid"]["statistics"])
    return json.dumps(data)


def in_degrees(groups):
    for quantiles in groups["state"]["joint_position"], groups["action"]["joint_position"]:
        quantiles |= {name: np.rad2deg(values).tolist() for name, values in quantiles.items()}


def set_to(kind, group, name, values):
    return lambda groups: groups[kind][group].update({name: values})


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 5368709120\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("experiment_cfg/metadata.json", None, "AgiBot release comes without.*q01"),
        (
            "experiment_cfg/metadata.json",
            '{"agibot": {}}',
            r"statistics of \['agibot'\].*oxe_droid",
        ),
        (
            "experiment_cfg/metadata.json",
            '{"oxe_droid": {}}',
            "state.joint_position.q01' is missing",
        ),
        (
            "experiment_cfg/metadata.json",
            with_statistics(lambda g: g["action"]["joint_position"]["q99"].pop()),
            "action.joint_position.q99' must be 7",
        ),
        (
            "experiment_cfg/metadata.json",
            with_statistics(set_to("action", "joint_position", "q99", [1, 1, -2, 1, 1, 1, 1])),
            "action.joint_position' column 2: q01 -1 is above q99 -2, which would turn motion",
        ),
        (
            "experiment_cfg/metadata.json",
            with_statistics(in_degrees),
            "state of 'panda_joint1' reaches from -57.3 to 57.3, panda from -2.897.* in degrees",
        ),
        (
            "experiment_cfg/metadata.json",
            with_statistics(set_to("action", "joint_position", "q99", [1, 1, 1, 90, 1, 1, 1])),
            "action of 'panda_joint4' reaches from -1 to 90, panda from -3.002 to 3.002",
        ),
        (
            "experiment_cfg/metadata.json",
            with_statistics(set_to("state", "gripper_position", "q99", [8.0])),
            "state of 'panda_finger_joint1' reaches from -0.28 to 0.04, panda",
        ),
        ("experiment_cfg/metadata.json", POINTER, "metadata.json' is a Git LFS pointer.*git lfs p"),
        ("experiment_cfg/conf.yaml", POINTER, "conf.yaml' is a Git LFS pointer"),
        ("tokenizer/spiece.model", POINTER, "spiece.model' is a Git LFS pointer"),
        (
            "experiment_cfg/conf.yaml",
            f"{CONF}fps: {{oxe_droid: 30}}",
            "fps is 30, but .* has 15 st",
        ),
        (
            "experiment_cfg/conf.yaml",
            f"{CONF}relative_action_per_horizon: true",
            r"action.joint_position.q01' must be 24 times 7 finite numbers, found shape \(7,\)",
        ),
        (
            "experiment_cfg/conf.yaml",
            "relative_action: false\nrelative_action_keys: [joint_position]",
            r"relative_action is not true, but .* measures \['joint_position'\] from the state",
        ),
        (
            "experiment_cfg/conf.yaml",
            "relative_action: true\nrelative_action_keys: [action.gripper_position]",
            r"relative_action_keys are \['action.gripper_position'\], but the contract 'oxe_droid'",
        ),
        (
            "experiment_cfg/conf.yaml",
            f"{CONF}b: {{action_concat_order: [a.gripper_position, a.joint_position]}}",
            "concat_order",
        ),
        (
            "experiment_cfg/conf.yaml",
            CONF + "transforms: {oxe_droid: {normalization_modes: {state.joint_position: x}}}",
            "state.joint_position: unknown normalization mode 'x'",
        ),
        ("experiment_cfg/conf.yaml", "a: [", "conf.yaml"),
        ("tokenizer/spiece.model", None, "no vocabulary of umT5"),
    ],
)
def test_a_checkpoint_that_cannot_be_driven_says_why(
    released, droid, tmp_path, name, text, message
):
    with pytest.raises(WamError, match=message):
        load_policy(released[0], rewritten(released[1], tmp_path, name, text), droid)


@pytest.fixture
def absolute(tmp_path, root):
    """A contract of absolute targets that a model's file names by a path beside it."""
    data = yaml.safe_load((root / "config/contracts/oxe_droid.yaml").read_text())
    for group in data["action"]:
        group.pop("relative", None)
    (tmp_path / "absolute.yaml").write_text(yaml.safe_dump(data))
    described = json.loads(json.dumps(dataclasses.asdict(TINY.dit))) | {"contract": "absolute.yaml"}
    (tmp_path / "tiny14.yaml").write_text(yaml.safe_dump(described))
    return str(tmp_path / "tiny14.yaml")


def test_absolute_targets_are_not_added_to_the_state(released, droid, absolute, tmp_path):
    """`relative_action: false` with a contract of one's own, named by its path."""
    text = "relative_action: false\nrelative_action_per_horizon: false\nrelative_action_keys: []\n"
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    checkpoint = rewritten(released[1], folder, "experiment_cfg/conf.yaml", text)
    (folder / "experiment_cfg/metadata.json").unlink()
    arm = statistics()["oxe_droid"]["statistics"]["state"]["joint_position"]
    (folder / "experiment_cfg/metadata.json").write_text(
        with_statistics(lambda groups: groups["action"].update(joint_position=arm))
    )
    policy = load_policy(absolute, checkpoint, droid)
    columns = policy.robot.columns(observe(droid, 0))
    found = policy.robot.positions(np.ones((24, 32)), columns)
    np.testing.assert_allclose(found[:, :7], np.tile(arm["q99"], (24, 1)))
    with pytest.raises(WamError, match="measures none from the state"):
        load_policy(absolute, str(released[1]), droid)


def test_each_step_of_a_chunk_can_have_statistics_of_its_own(released, droid, tmp_path):
    rising = np.linspace(0.1, 1.0, 24)[:, None] * np.ones(7)
    change = set_to("action", "joint_position", "q99", rising.tolist())
    (tmp_path / "a").mkdir()
    first = rewritten(
        released[1],
        tmp_path / "a",
        "experiment_cfg/conf.yaml",
        f"{CONF}relative_action_per_horizon: true",
    )
    path = tmp_path / "a/experiment_cfg/metadata.json"
    path.unlink()
    data = json.loads(with_statistics(change))
    low = data["oxe_droid"]["statistics"]["action"]["joint_position"]
    low["q01"] = (-rising).tolist()
    path.write_text(json.dumps(data))
    policy = load_policy(released[0], first, droid)
    columns = policy.robot.columns(observe(droid, 0))
    found = policy.robot.positions(np.ones((24, 32)), columns)
    np.testing.assert_allclose(found[:, :7], columns[:7] + rising)
    np.testing.assert_allclose(found[:, 7], 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_height": 64}, "wants .*180.* has .*64"),
        ({"step_period_s": 0.1}, "step period"),
        ({"name": "so101"}, "contracts that bind 'so101': none"),
        ({"joint_names": tuple("abcdefgh")}, "binds joints"),
    ],
)
def test_a_robot_that_does_not_fit_is_refused(released, droid, change, message):
    with pytest.raises(WamError, match=message):
        load_policy(released[0], str(released[1]), dataclasses.replace(droid, **change))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"checkpoint": ""}, "no shipped weights"),
        ({"checkpoint": "/nowhere"}, "not a folder"),
        ({"memory": "imagined"}, "real frames only"),
        ({"steps": 3}, "evaluations|3"),
        ({"model": "dreamzero-14b"}, "but the model 'dreamzero-14b' has"),
    ],
)
def test_load_policy_refuses_what_it_cannot_build(released, droid, arguments, message):
    asked = {"model": released[0], "checkpoint": str(released[1]), "embodiment": droid} | arguments
    with pytest.raises(WamError, match=message):
        load_policy(**asked)
