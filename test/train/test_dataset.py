"""Demonstrations: recording, hindsight goals, windows; and that every stage of training learns."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("mujoco")

from wam_ros.core.embodiment import load_embodiment  # noqa: E402
from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.data.episodes import Episodes, load_episodes, save_shard  # noqa: E402
from wam_ros.models.dreamzero.small.config import load_model_config  # noqa: E402
from wam_ros.models.dreamzero.small.model import WorldActionModel  # noqa: E402
from wam_ros.models.dreamzero.small.normalise import Normaliser  # noqa: E402
from wam_ros.models.dreamzero.small.tokenizer import FrameTokenizer  # noqa: E402
from wam_ros.sim.world import World  # noqa: E402
from wam_ros.train.dataset import Demonstrations, canvases, encode_all, next_closing  # noqa: E402
from wam_ros.train.record import RecordSim, record_episode  # noqa: E402
from wam_ros.train.tokenizer import tokenizer_loss  # noqa: E402
from wam_ros.train.wam import MixedPrecision, losses  # noqa: E402

EMBODIMENT = load_embodiment("panda")
CONFIG = load_model_config("tiny")


@pytest.fixture(scope="module")
def episodes():
    world = World(EMBODIMENT)
    args = RecordSim(out=None, burst=0.1, nudge=0.0)
    rows = [record_episode(world, seed, args) for seed in (0, 1)]
    rows.append(record_episode(world, 0, args))
    world.close()
    return Episodes(**{name: np.stack([r[name] for r in rows]) for name in rows[0]})


@pytest.fixture(scope="module")
def demonstrations(episodes):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tokenizer = FrameTokenizer(CONFIG.tokenizer)
    relative = np.array([1.0] * 7 + [0.0])
    normaliser = Normaliser.fit(
        episodes.states, episodes.actions, relative, CONFIG.chunk.action_horizon
    )
    model = WorldActionModel(CONFIG)
    latents = encode_all(tokenizer, canvases(episodes))
    return Demonstrations(episodes, latents, CONFIG, normaliser, model.text_encoder), model


def test_recording_is_a_function_of_the_seed(episodes):
    np.testing.assert_array_equal(episodes.actions[0], episodes.actions[2])
    np.testing.assert_array_equal(episodes.frames[0], episodes.frames[2])
    assert np.abs(episodes.actions[0] - episodes.actions[1]).max() > 1e-3


def test_the_arm_reaches_its_commanded_joints_one_step_later(episodes):
    arm = slice(0, 7)
    assert np.abs(episodes.states[:, 1:, arm] - episodes.actions[..., arm]).max() < 0.03
    assert 0 < episodes.labelled.mean() < 1  # disturbances happened and are marked


def test_episodes_survive_the_disk(episodes, tmp_path):
    save_shard(tmp_path, 0, episodes, {"joint_names": list(EMBODIMENT.joint_names)})
    save_shard(tmp_path, 1, episodes, {"joint_names": list(EMBODIMENT.joint_names)})
    again, header = load_episodes(tmp_path)
    assert len(again) == 6 and header["joint_names"] == list(EMBODIMENT.joint_names)
    np.testing.assert_array_equal(again.frames[3:], episodes.frames)
    assert str(again.instructions[0]) == str(episodes.instructions[0])


def test_a_shard_that_does_not_fit_leaves_those_before_it_readable(small_disk, episodes):
    kept = {"frames": 2, "states": 2, "tool": 2, "actions": 1, "labelled": 1, "closing": 1}
    short = {n: v[:1, : kept[n]] if n in kept else v[:1] for n, v in vars(episodes).items()}
    save_shard(small_disk, 0, Episodes(**short), {})
    with pytest.raises(WamError, match=r"shard_0001\.npz cannot be written: "):
        save_shard(small_disk, 1, episodes, {})
    assert len(load_episodes(small_disk)[0]) == 1


def test_missing_or_damaged_demonstrations_are_named(tmp_path, episodes):
    with pytest.raises(WamError, match="wam record-sim"):
        load_episodes(tmp_path)
    save_shard(tmp_path, 0, episodes, {})
    shard = tmp_path / "shard_0000.npz"
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(WamError, match=r"damaged demonstration file .*shard_0000.npz"):
        load_episodes(tmp_path)


def test_hindsight_goal_is_where_the_gripper_next_begins_to_close():
    closing = np.array([[0, 0, 1, 1, 0, 0, 1, 0]], bool)
    tool = np.arange(8.0)[None, :, None].repeat(3, 2)
    goal, known = next_closing(closing, tool)
    assert known[0].tolist() == [True, True, False, False, True, True, False, False]
    assert goal[0, known[0], 0].tolist() == [2, 2, 6, 6]


def test_a_window_lines_up_frames_actions_and_states(demonstrations, episodes):
    data, _ = demonstrations
    batch = data.window(torch.tensor([1]), torch.tensor([3]), blocks=2)
    assert torch.equal(batch.clean[0], data.latents[1, [3, 7]])
    assert torch.equal(batch.video[0], data.latents[1][torch.tensor([[7, 11], [11, 15]])])
    wanted = data.normaliser.actions(
        torch.tensor(episodes.actions[1, 7:15]).float(), torch.tensor(episodes.states[1, 7]).float()
    )
    torch.testing.assert_close(batch.action[0, 1], wanted)
    labelled = episodes.labelled[1, 7:15]
    first_bad = int(np.argmin(labelled)) if not labelled.all() else 8
    assert batch.action_mask[0, 1].tolist() == [1.0] * first_bad + [0.0] * (8 - first_bad)


def test_tokenizer_learns(episodes):
    torch.manual_seed(0)
    tokenizer = FrameTokenizer(CONFIG.tokenizer)
    generator = torch.Generator().manual_seed(0)
    frames = torch.from_numpy(canvases(episodes)[0, ::12])
    optimiser = torch.optim.AdamW(tokenizer.parameters(), 5e-4)
    errors = []
    for _ in range(30):
        loss, mse = tokenizer_loss(tokenizer, frames, generator)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(tokenizer.parameters(), 1.0)
        optimiser.step()
        errors.append(float(mse))
    assert errors[-1] < 0.5 * errors[0]


def test_model_learns_every_loss_and_the_mean_follows(demonstrations):
    data, model = demonstrations
    trainer, generator = MixedPrecision(model), torch.Generator().manual_seed(0)
    fixed = data.window(torch.tensor([0, 1]), torch.tensor([0, 5]), blocks=3)
    history = []
    for _ in range(25):
        parts = losses(trainer.working, fixed, generator)
        trainer.step(sum(parts.values()), 1.0)
        history.append({k: float(v.detach()) for k, v in parts.items()})
    for name in ("video", "action", "goal"):
        first, last = (np.mean([h[name] for h in part]) for part in (history[:4], history[-4:]))
        assert last < 0.9 * first, name
    untouched = [
        n for n, p in trainer.working.named_parameters() if p.grad is None or not p.grad.any()
    ]
    assert untouched == []
    mean = trainer.averaged()
    assert any(
        not torch.equal(a, b) for a, b in zip(mean.parameters(), model.parameters(), strict=True)
    )
