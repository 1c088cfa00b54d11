"""The real `lerobot`, unmodified, opens what we write and we what it writes: v3.0 by 0.4.4, v2.1 by
0.3.3, the last one that wrote it.
"""

import functools
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("pyarrow")

from testing.recordings import JOINTS, episode
from wam_ros.core.images import mse, psnr_db
from wam_ros.data.episodes import View
from wam_ros.data.folder import open_episodes
from wam_ros.data.lerobot.writer import Description, LeRobotWriter
from wam_ros.data.video import CODECS

pytestmark = pytest.mark.foreign
ROOT = Path(__file__).resolve().parents[2]
HOMES = {"v3.0": "lerobot", "v2.1": "lerobot-v21"}
TALKS = Path(__file__).with_name("lerobot_talks.py")
VIEWS = (View("front", 64, 96), View("wrist", 64, 64))
ARM = Description("arm", 10.0, JOINTS, JOINTS, VIEWS)
LENGTHS = [5 + i % 4 for i in range(20)]
EPISODES = [
    episode(i, n, instructions=("push",) * 3 + ("把方块拿起来" if i % 2 else "push",) * (n - 3))
    for i, n in enumerate(LENGTHS)
]


def python(version):
    home = ROOT / os.environ.get("FOREIGN", ".venv-foreign") / HOMES[version]
    assert home.exists(), f"run `make foreign` first: there is no {home}"
    return home / "bin"


def talk(version, tmp_path, *words):
    """Run LeRobot without a network, and with a cache of its own."""
    env = {"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    env |= {"HOME": str(tmp_path), "HF_DATASETS_OFFLINE": "1"}
    subprocess.run([*map(str, words)], check=True, timeout=600, env=env, cwd=tmp_path)


@functools.cache
def shown(view):
    """(R, H, W, 3) of all episodes: a white square on a slope of colours that moves on."""
    x, y = np.meshgrid(np.arange(view.width), np.arange(view.height))
    slope = np.stack([2 * x, 2 * y, 255 - x - y], -1).clip(0, 255).astype(np.uint8)
    found = np.repeat(slope[None], sum(LENGTHS), 0)
    for k, frame in enumerate(found):
        frame[20:44, 5 * k % (view.width - 24) :][:, :24] = 255
    return found


def write(folder, codec, version):
    with LeRobotWriter(folder, ARM, codec, version) as writer:
        begin = 0
        for e in EPISODES:
            rows = slice(begin, begin := begin + len(e))
            writer.add(e, {v.name: shown(v)[rows] for v in VIEWS})
    return folder


def require_frames(told, decoded, wanted):
    """LeRobot and we show the same frame, and it is that one and not its neighbour."""
    assert np.abs(told.astype(int) - decoded).mean() < 1.0  # two ways from YUV to RGB
    for got in (told, decoded):
        for k in range(1, len(got) - 1):
            own, *others = (psnr_db(mse(got[k], wanted[i])) for i in (k, k - 1, k + 1))
            assert own > 28
            assert own > max(others)


def require_rows(told):
    """What was told of all rows is what the episodes are."""
    for name, key in (("action", "actions"), ("observation.state", "states")):
        np.testing.assert_array_equal(
            told[name], np.concatenate([getattr(e, key) for e in EPISODES])
        )
    np.testing.assert_array_equal(told["episode_index"], np.repeat(range(20), LENGTHS))
    np.testing.assert_array_equal(told["index"], range(sum(LENGTHS)))
    stamps = np.concatenate([np.arange(n) / 10 for n in LENGTHS])
    np.testing.assert_allclose(told["timestamp"], stamps, atol=1e-6)
    assert told["tasks"].tolist() == [t for e in EPISODES for t in e.instructions]


@pytest.mark.parametrize(
    ("version", "codec"),
    [(v, c) for v in HOMES for c in CODECS],
)
def test_lerobot_s_own_loader_gives_the_frames_stamps_and_actions_that_we_wrote(
    version, codec, tmp_path
):
    ours = write(tmp_path / "set", codec, version)
    talk(version, tmp_path, python(version) / "python", TALKS, "read", ours, tmp_path / "o.npz")
    opened = open_episodes(ours)
    with np.load(tmp_path / "o.npz") as told:
        require_rows(told)
        assert told["fps"] == 10
        np.testing.assert_allclose(
            told["mean"], np.concatenate([e.actions for e in EPISODES]).mean(0), atol=1e-5
        )
        for view in VIEWS:
            decoded = np.concatenate([list(opened.pictures(i, view.name)) for i in range(20)])
            if codec == "lossless":
                np.testing.assert_array_equal(told[view.name], shown(view))
            require_frames(told[view.name], decoded, shown(view))


@pytest.mark.parametrize(
    ("version", "kind", "codec"),
    [
        *(("v3.0", "image", ""), ("v3.0", "video", "libsvtav1"), ("v3.0", "video", "h264")),
        *(("v2.1", "image", ""), ("v2.1", "video", "")),
    ],
)
def test_we_open_what_lerobot_writes(version, kind, codec, tmp_path):
    theirs = tmp_path / "set"
    given = {
        "action": np.concatenate([e.actions for e in EPISODES]),
        "observation.state": np.concatenate([e.states for e in EPISODES]),
        "episode_index": np.repeat(range(20), LENGTHS),
        "tasks": np.array([t for e in EPISODES for t in e.instructions]),
        "joint_names": np.array(JOINTS),
        **{v.name: shown(v) for v in VIEWS},
    }
    np.savez(tmp_path / "i.npz", **given)
    command = [python(version) / "python", TALKS]
    talk(version, tmp_path, *command, "write", theirs, tmp_path / "i.npz", kind, codec)
    talk(version, tmp_path, *command, "read", theirs, tmp_path / "o.npz")
    found = open_episodes(theirs)
    assert (found.robot, found.rate_hz, found.joint_names) == ("arm", 10.0, JOINTS)
    assert found.views == VIEWS
    for got, wanted in zip(found, EPISODES, strict=True):
        np.testing.assert_array_equal(got.states, wanted.states)
        np.testing.assert_array_equal(got.actions, wanted.actions)
        np.testing.assert_allclose(got.stamps_s, wanted.stamps_s, atol=1e-6)
        assert got.instructions == wanted.instructions
        assert got.labelled.all() and got.success is None
    with np.load(tmp_path / "o.npz") as told:
        require_rows(told)
        for view in VIEWS:
            decoded = np.concatenate([list(found.pictures(i, view.name)) for i in range(20)])
            if kind == "image":
                np.testing.assert_array_equal(decoded, shown(view))
            require_frames(told[view.name], decoded, shown(view))


def test_lerobot_train_runs_on_what_we_wrote(tmp_path):
    ours = write(tmp_path / "set", "h264", "v3.0")
    options = {
        "dataset.repo_id": "some/body",
        "dataset.root": ours,
        "dataset.video_backend": "pyav",
        "policy.type": "act",
        "policy.device": "cpu",
        "policy.push_to_hub": "false",
        "policy.pretrained_backbone_weights": "null",
        "policy.chunk_size": 4,
        "policy.n_action_steps": 4,
        "policy.dim_model": 32,
        "policy.n_heads": 2,
        "policy.dim_feedforward": 64,
        "batch_size": 2,
        "steps": 3,
        "num_workers": 0,
        "save_freq": 3,
        "log_freq": 1,
        "wandb.enable": "false",
        "output_dir": tmp_path / "out",
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    where = python("v3.0")
    talk("v3.0", tmp_path, where / "python", "-m", "lerobot.scripts.lerobot_train", *words)
    saved = tmp_path / "out/checkpoints/000003/pretrained_model/config.json"
    inputs = json.loads(saved.read_text())["input_features"]
    assert {"observation.state", "observation.images.front"} <= set(inputs)
