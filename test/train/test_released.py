"""A released checkpoint, at tiny random sizes, trained by `wam train` on data of its robot."""

import dataclasses
import json
from contextlib import contextmanager

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sentencepiece")
pytest.importorskip("ftfy")
pytest.importorskip("pyarrow")
pytest.importorskip("av")

import yaml  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from testing.released import TINY, make_vocabulary, statistics, tiny_network  # noqa: E402
from wam_ros.core.embodiment import load_embodiment  # noqa: E402
from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.core.types import NS, JointState, Observation  # noqa: E402
from wam_ros.data.episodes import Episode, View  # noqa: E402
from wam_ros.data.lerobot.writer import Description, LeRobotWriter  # noqa: E402
from wam_ros.models import load_policy  # noqa: E402
from wam_ros.models.dreamzero.released.checkpoint import (  # noqa: E402
    open_checkpoint,
    save_checkpoint,
)
from wam_ros.train import released, train  # noqa: E402
from wam_ros.train.arguments import Train  # noqa: E402
from wam_ros.train.trainer import Recipe, Trainer  # noqa: E402

ROBOT = load_embodiment("droid")
CPU = torch.device("cpu")


def save_tiny(folder, seed=0, **more):
    save_checkpoint(folder, tiny_network(seed), TINY, **more)
    make_vocabulary(folder)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Folder with a model's description, a checkpoint that it fits, and two episodes, the second
    one without actions.
    """
    folder = tmp_path_factory.mktemp("lab")
    conf = {"relative_action": True, "relative_action_keys": ["joint_position"]}
    save_tiny(folder / "DreamZero-Tiny", metadata=statistics(), conf=conf)
    text = json.loads(json.dumps(dataclasses.asdict(TINY.dit) | {"contract": "oxe_droid"}))
    (folder / "tiny14.yaml").write_text(yaml.safe_dump(text))
    views = tuple(View(v, 180, 320) for v in ROBOT.view_names)
    names = ROBOT.joint_names
    about = Description(
        robot="droid", rate_hz=15.0, joint_names=names, action_names=names, views=views
    )
    rng = np.random.default_rng(0)
    with LeRobotWriter(folder / "data", about, "h264") as writer:
        for rows, sentence in ((60, "pick up the cup"), (30, "put it down")):
            states = np.array(ROBOT.home) + np.cumsum(rng.normal(0, 0.002, (rows, 8)), 0)
            states[:, -1] = 0.02
            shade = np.linspace(0, 255, rows).astype(np.uint8)[:, None, None, None]
            frames = np.broadcast_to(shade, (rows, 180, 320, 3))
            episode = Episode(
                stamps_s=np.arange(rows) / 15.0,
                instructions=(sentence,) * rows,
                states=states,
                actions=np.roll(states, -1, 0),
                labelled=np.full(rows, rows == 60),
            )
            writer.add(episode, dict.fromkeys(ROBOT.view_names, frames))
    return folder


@pytest.fixture
def arguments(lab, tmp_path):
    torch.set_num_threads(1)

    def make(**more):
        usual = {
            "data": lab / "data",
            "out": tmp_path / "out",
            "model": str(lab / "tiny14.yaml"),
            "start": lab / "DreamZero-Tiny",
            "steps": 3,
            "batch": 2,
            "threads": 1,
        }
        return Train(**(usual | more))

    return make


@contextmanager
def stopped_after_one_step():
    yield lambda: True


def state_of(folder):
    (path,) = folder.glob("state-*.safetensors")
    return path.name, load_file(path)


def test_a_run_that_was_stopped_goes_on_bit_for_bit_and_asks_no_tower_again(
    arguments, tmp_path, monkeypatch
):
    train.main(arguments(out=tmp_path / "whole"))
    with monkeypatch.context() as patch:
        patch.setattr(train, "asked_to_stop", stopped_after_one_step)
        with pytest.raises(KeyboardInterrupt):
            train.main(arguments())
    assert state_of(tmp_path / "out")[0] == "state-0000001-0.safetensors"
    with pytest.raises(WamError, match="holds a run: go on by --resume, or give a new folder"):
        train.main(arguments())
    monkeypatch.setattr(released, "Towers", lambda *_: pytest.fail("a tower was asked again"))
    train.main(arguments(resume=True))
    (name, whole), (other, found) = state_of(tmp_path / "whole"), state_of(tmp_path / "out")
    assert name == other == "state-0000003-0.safetensors"
    assert whole.keys() == found.keys()
    assert [n for n in whole if not torch.equal(whole[n], found[n])] == []
    rows = [json.loads(line) for line in (tmp_path / "out/log.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 3
    assert "pick up the cup" in (tmp_path / "out/tiny14.md").read_text()
    assert any((tmp_path / "out/tensorboard").iterdir())


def test_what_was_trained_drives_the_robot_as_it_is(arguments, lab, tmp_path):
    train.main(arguments())
    policy = load_policy(str(lab / "tiny14.yaml"), str(tmp_path / "out/tiny14"), ROBOT)
    policy.reset("pick up the cup")
    q = np.array(ROBOT.home)
    frames = np.zeros((3, 180, 320, 3), np.uint8)
    joints = JointState(NS, ROBOT.joint_names, q, q * 0, q * 0)
    seen = Observation(NS, ROBOT.view_names, frames, (NS,) * 3, joints)
    assert np.isfinite(policy.predict(seen).positions).all()
    before = tiny_network().state_dict()
    after = open_checkpoint(tmp_path / "out/tiny14", TINY.dit).load(CPU, torch.float32).state_dict()
    changed = {n for n in before if not torch.equal(before[n], after[n])}
    assert changed and all(n.startswith("model.") for n in changed), "towers are frozen"


def test_updates_name_their_base_and_mean_nothing_on_another(arguments, lab, tmp_path):
    train.main(arguments(low_rank=2))
    out = tmp_path / "out/tiny14"
    assert not list(out.glob("*clip*")) and (out / "base/DreamZero-Tiny").is_symlink()
    before = tiny_network().state_dict()
    after = open_checkpoint(out, TINY.dit).load(CPU, torch.float32).state_dict()
    changed = {n for n in before if not torch.equal(before[n], after[n])}
    assert "model.blocks.1.ffn.0.weight" in changed and "model.action_encoder.W1.W" in changed
    assert "model.blocks.0.modulation" not in changed and "model.head.head.weight" not in changed
    other = tmp_path / "other/DreamZero-Tiny"
    save_tiny(other, seed=5)
    link = out / "base/DreamZero-Tiny"
    link.unlink()
    link.symlink_to(other)
    with pytest.raises(WamError, match=r"holds other weights \(\w+\) than those that the updates"):
        open_checkpoint(out, TINY.dit).load(CPU, torch.float32)
    with pytest.raises(WamError, match="holds low-rank updates: --start needs a whole checkpoint"):
        train.main(arguments(start=out, out=tmp_path / "more"))


def test_a_batch_of_mixed_lengths_and_a_video_is_the_mean_of_its_samples(arguments):
    args = arguments()
    family = released.prepare(args, train.Team(), lambda **_: None)
    numbers = torch.tensor([0, 1, 3])
    seeds = torch.arange(3)
    batch = family.batch(numbers, seeds)
    assert batch["blocks"].tolist() == [2, 1, 1] and batch["has_action"].tolist() == [1, 1, 0]
    assert batch["action_mask"].amax((0, 1)).tolist() == [1.0] * 8 + [0.0] * 24
    found = family.losses(batch)
    alone = [family.losses(family.batch(numbers[i : i + 1], seeds[i : i + 1])) for i in range(3)]
    torch.testing.assert_close(found.video, torch.cat([a.video for a in alone]))
    torch.testing.assert_close(found.action, torch.cat([a.action for a in alone]))
    assert found.action[2] == 0 and found.video[2] > 0
    batch["latents"][1, :, 3:] = 50.0
    batch["state"][1, 1:] = 50.0
    again = family.losses(batch)
    torch.testing.assert_close(again.video, found.video)
    torch.testing.assert_close(again.action, found.action)
    parts = Trainer(family, Recipe(steps=1, batch=3))._backward([batch])
    torch.testing.assert_close(parts["video"], found.video.mean().item())
    torch.testing.assert_close(parts["action"], found.action.mean().item())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"start": None}, "begins with a checkpoint: name its folder by --start"),
        ({"contract": "yam"}, "relative_action_keys"),
        ({"contract": "oxe_drid"}, "Did you mean 'oxe_droid'"),
        ({"timesteps": "cuopled"}, "Did you mean 'coupled'"),
        ({"precision": "half"}, "unknown precision 'half'"),
        ({"low_rank": 2, "start": None}, "--low-rank are updates of trained weights"),
        ({"resume": True}, "nothing can go on there"),
        ({"model": "reach"}, "unknown family that can be trained 'reach'"),
        ({"ema": 1.0}, "--ema must be between"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_read(arguments, tmp_path, given, words):
    with pytest.raises(WamError, match=words):
        train.main(arguments(**given))
    assert not (tmp_path / "out").exists()
