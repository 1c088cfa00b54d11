"""Demonstrations: recording, hindsight goals, windows; and that every stage of training learns."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("mujoco")

from wam_ros.core.embodiment import load_embodiment  # noqa: E402
from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.data.folder import open_episodes  # noqa: E402
from wam_ros.data.lerobot.writer import LeRobotWriter  # noqa: E402
from wam_ros.models.dreamzero.small.config import load_model_config  # noqa: E402
from wam_ros.models.dreamzero.small.load import Networks  # noqa: E402
from wam_ros.models.dreamzero.small.model import WorldActionModel  # noqa: E402
from wam_ros.models.dreamzero.small.normalise import Normaliser  # noqa: E402
from wam_ros.models.dreamzero.small.tokenizer import FrameTokenizer  # noqa: E402
from wam_ros.sim.world import World  # noqa: E402
from wam_ros.train.check import load_stretches  # noqa: E402
from wam_ros.train.dataset import Demonstrations, canvases, encode_all, next_closing  # noqa: E402
from wam_ros.train.record import RecordSim, describe, pictures_of, record_episode  # noqa: E402
from wam_ros.train.small import SmallFamily, half_acted  # noqa: E402
from wam_ros.train.tokenizer import tokenizer_loss  # noqa: E402
from wam_ros.train.trainer import Recipe, Trainer  # noqa: E402

EMBODIMENT = load_embodiment("panda")
CONFIG = load_model_config("tiny")


@pytest.fixture(scope="module")
def recorded():
    """(rows, frames) of three episodes, the last one the first again."""
    world = World(EMBODIMENT)
    args = RecordSim(out=None, burst=0.1, nudge=0.0)
    rows = [record_episode(world, seed, args) for seed in (0, 1, 0)]
    world.close()
    # so much disturbed that the time is too short for some
    return [(dataclasses.replace(episode, success=True), frames) for episode, frames in rows]


@pytest.fixture(scope="module")
def folder(recorded, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demonstrations")
    with LeRobotWriter(folder, describe(EMBODIMENT), "lossless") as writer:
        for episode, frames in recorded:
            writer.add(episode, pictures_of(frames, EMBODIMENT))
    return folder


@pytest.fixture(scope="module")
def stretches(folder):
    return load_stretches(open_episodes(folder), EMBODIMENT, CONFIG)


@pytest.fixture(scope="module")
def frames(folder, stretches):
    return canvases([(open_episodes(folder), stretches)], EMBODIMENT.view_names, folder)


@pytest.fixture(scope="module")
def demonstrations(stretches, frames):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tokenizer = FrameTokenizer(CONFIG.tokenizer)
    relative = np.array([1.0] * 7 + [0.0])
    normaliser = Normaliser.fit(
        [(s.states, s.actions, s.labelled) for s in stretches],
        relative,
        CONFIG.chunk.action_horizon,
    )
    model = WorldActionModel(CONFIG)
    latents = encode_all(tokenizer, frames)
    return Demonstrations(stretches, latents, CONFIG, normaliser, model.text_encoder), model


def test_recording_is_a_function_of_the_seed(recorded):
    (first, seen), (other, _), (again, seen_again) = recorded
    np.testing.assert_array_equal(first.actions, again.actions)
    np.testing.assert_array_equal(seen, seen_again)
    assert np.abs(first.actions - other.actions).max() > 1e-3


def test_the_arm_reaches_its_commanded_joints_one_step_later(recorded):
    arm = slice(0, 7)
    for episode, _ in recorded:
        assert np.abs(episode.states[1:, arm] - episode.actions[:-1, arm]).max() < 0.03
        assert not episode.labelled[-1]  # nothing was done after the last frame
    # disturbances happened and are marked
    assert 0 < np.mean([episode.labelled[:-1].mean() for episode, _ in recorded]) < 1


def test_frames_come_from_the_disk_as_they_were_seen(recorded, frames, stretches):
    assert [len(s) for s in stretches] == [49] * 3
    for episode, at in ((0, 0), (1, 49), (1, 97)):
        front, wrist = recorded[episode][1][at - 49 * episode]
        np.testing.assert_array_equal(frames[at], np.hstack([front, wrist]))


def test_an_episode_that_failed_is_left_out_with_its_frames(recorded, tmp_path, capsys):
    with LeRobotWriter(tmp_path, describe(EMBODIMENT), "lossless") as writer:
        for (episode, frames), success in zip(recorded, (False, True, None), strict=True):
            told = dataclasses.replace(episode, success=success)
            writer.add(told, pictures_of(frames, EMBODIMENT))
    episodes = open_episodes(tmp_path)
    kept = load_stretches(episodes, EMBODIMENT, CONFIG)
    assert [s.episode for s in kept] == [1, 2]
    assert "1 of 3 episodes failed and are left out" in capsys.readouterr().out
    frames = canvases([(episodes, kept)], EMBODIMENT.view_names, tmp_path)
    assert len(frames) == 98
    np.testing.assert_array_equal(frames[0], np.hstack(list(recorded[1][1][0])))


def test_frames_that_do_not_fit_are_said_before_they_are_written(folder, stretches, small_disk):
    with pytest.raises(WamError, match=r"has no room for 0\.0036 GB of frames: "):
        canvases([(open_episodes(folder), stretches)], EMBODIMENT.view_names, small_disk)


def test_hindsight_goal_is_where_the_gripper_next_begins_to_close():
    closing = np.array([[0, 0, 1, 1, 0, 0, 1, 0]], bool)
    tool = np.arange(8.0)[None, :, None].repeat(3, 2)
    goal, known = next_closing(closing, tool)
    assert known[0].tolist() == [True, True, False, False, True, True, False, False]
    assert goal[0, known[0], 0].tolist() == [2, 2, 6, 6]


def test_a_window_lines_up_frames_actions_and_states(demonstrations, stretches):
    data, _ = demonstrations
    batch = data.window(torch.tensor([1]), torch.tensor([3]), blocks=2)
    latents = data.latents[len(stretches[0]) :]
    assert torch.equal(batch.clean[0], latents[[3, 7]])
    assert torch.equal(batch.video[0], latents[torch.tensor([[7, 11], [11, 15]])])
    second = stretches[1]
    wanted = data.normaliser.actions(
        torch.tensor(second.actions[7:15]), torch.tensor(second.states[7])
    )
    torch.testing.assert_close(batch.action[0, 1], wanted)
    labelled = second.labelled[7:15]
    first_bad = int(np.argmin(labelled)) if not labelled.all() else 8
    assert batch.action_mask[0, 1].tolist() == [1.0] * first_bad + [0.0] * (8 - first_bad)


def test_every_window_lies_in_one_stretch_and_each_has_a_number(stretches):
    """Cut where the sentence changes, rows 0 to 29 and 30 to 48 of the first episode."""
    halves = [cut(s, rows) for s in stretches for rows in (slice(0, 30), slice(30, 49))]
    rows = sum(map(len, halves))
    # latents, states and actions are the numbers of their rows
    latents = torch.arange(rows).float().view(rows, 1, 1, 1)
    text = WorldActionModel(CONFIG).text_encoder
    data = Demonstrations(halves, latents, CONFIG, Same(), text)
    data.actions = data.states = torch.arange(rows).float()[:, None].expand(rows, 8)
    counts, _ = data.starts()
    batch = data.numbered(torch.arange(int(counts.sum())), 5)
    first = batch.clean[:, 0].flatten().contiguous()
    last = torch.maximum(batch.video.amax((1, 2, 3, 4, 5)), batch.action.amax((1, 2, 3)))
    stretch = torch.searchsorted(data.begins, first, right=True) - 1
    begins, length = data.begins[stretch], data.lengths[stretch]
    assert (last < begins + length).all()
    # 9 rows are needed: 22 windows begin in 30 rows, 11 in the 19 others
    wanted = {
        (b, k)
        for b, n in ((0, 22), (30, 11), (49, 22), (79, 11), (98, 22), (128, 11))
        for k in range(n)
    }
    found = list(zip(begins.tolist(), (first - begins).long().tolist(), strict=True))
    assert set(found) == wanted and len(found) == len(wanted)
    full = batch.known.bool().all(1)
    # 25 rows hold five blocks
    assert set((first - begins)[full].long().tolist()) == set(range(6))
    assert (length[full] == 30).all()


def test_demonstrations_are_half_of_what_is_drawn_however_long_films_are():
    drawn = torch.arange(20, 130)
    film = drawn >= 30
    found = half_acted(drawn, film)
    assert int((found < 30).sum()) == int((found >= 30).sum()) == 100
    assert found.unique().tolist() == drawn.tolist()
    for none in (
        torch.zeros(110, dtype=torch.bool),
        torch.ones(110, dtype=torch.bool),
        drawn >= 90,
    ):
        assert half_acted(drawn, none).sort()[0].tolist() == drawn.tolist()


class Same:
    """A normaliser that leaves everything as it is."""

    def state(self, state):
        return state

    def actions(self, actions, state):
        return actions


def cut(stretch, rows):
    """A part of a stretch."""
    parts = {
        name: getattr(stretch, name)[rows]
        for name in ("states", "actions", "labelled", "goal", "goal_known")
    }
    return dataclasses.replace(stretch, rows=rows, **parts)


def test_tokenizer_learns(frames):
    torch.manual_seed(0)
    tokenizer = FrameTokenizer(CONFIG.tokenizer)
    generator = torch.Generator().manual_seed(0)
    frames = torch.from_numpy(frames[0:49:12])
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


@pytest.mark.long
def test_model_learns_every_loss_and_the_mean_follows(demonstrations):
    data, model = demonstrations
    family = SmallFamily(Networks(model, None, data.normaliser), CONFIG, data, blocks=3)
    family.drawn = torch.tensor([0, 9])  # the same again and again
    trainer = Trainer(family, Recipe(steps=500, batch=2))
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    history = [trainer.step() for _ in range(25)]
    for name in ("video", "action", "goal"):
        first, last = (np.mean([h[name] for h in part]) for part in (history[:4], history[-4:]))
        assert last < 0.9 * first, name
    now = dict(model.named_parameters())
    assert [n for n, x in before.items() if torch.equal(x, now[n])] == []
    mean = trainer.averaged()
    assert any(not torch.equal(mean[n], now[n]) for n in now)
