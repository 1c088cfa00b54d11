"""Demonstrations as recordings come: what cannot be learned from is refused by episode, step and
joint, before anything is trained.
"""

import dataclasses
import json

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("mujoco")

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.models.dreamzero.small.config import load_model_config
from wam_ros.train import train
from wam_ros.train.train import Train, main

ROBOT = load_embodiment("panda")
CONFIG = load_model_config("tiny")
N, K = 2, 32
HEAD = {
    "embodiment": "panda",
    "joint_names": list(ROBOT.joint_names),
    "views": list(ROBOT.view_names),
    "step_period_s": 0.1,
}


def arrays():
    rng = np.random.default_rng(0)
    states = np.array(ROBOT.home) + np.cumsum(rng.normal(0, 0.001, (N, K + 1, 8)), 1)
    return {
        "frames": rng.integers(0, 256, (N, K + 1, 2, 64, 64, 3), dtype=np.uint8),
        "states": states,
        "actions": states[:, 1:].copy(),
        "labelled": np.ones((N, K), bool),
        "tool": np.zeros((N, K + 1, 3)),
        "closing": np.zeros((N, K), bool),
        "success": np.ones(N, bool),
        "seeds": np.arange(N),
        "instructions": np.array(["pick up the red block"] * N),
    }


def cut(steps):
    """Every array of episodes of so many steps."""

    def change(a):
        for name, x in a.items():
            if x.ndim > 1:
                a[name] = x[:, : steps + (x.shape[1] == K + 1)]

    return change


def put(name, at, value):
    return lambda a: a[name].__setitem__(at, value)


def replaced(name, change):
    return lambda a: a.update({name: change(a[name])})


def in_degrees(a):
    a.update(states=np.rad2deg(a["states"]), actions=np.rad2deg(a["actions"]))


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Train on shards that were changed; whatever gets past the checks is a failure."""
    monkeypatch.setattr(train, "train_tokenizer", lambda *a: pytest.fail("training began"))

    def run(*changes, header=HEAD, **more):
        for i, change in enumerate(changes):
            shard = arrays()
            change(shard)
            np.savez(tmp_path / f"shard_{i:04d}.npz", **shard)
        text = header if isinstance(header, str) else json.dumps(header)
        (tmp_path / "header.json").write_text(text)
        main(Train(data=tmp_path, out=tmp_path / "out", **more))

    return run


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("states", (1, 10, 3), np.nan), "states of episode 1, step 10: 'panda_joint4' is nan"),
        (put("actions", (0, 7, 7), np.inf), "actions of episode 0, step 7: 'panda_finger_joint1'"),
        (put("tool", (1, 2, 0), np.nan), "tool of episode 1, step 2 is not finite"),
        (
            in_degrees,
            "states of episode 0, step 0: 'panda_joint[24]' lies outside .*in degrees",
        ),
        (put("actions", (1, 4, 0), 40.0), "actions of episode 1, step 4: 'panda_joint1' lies out"),
        (replaced("frames", lambda x: (x / 255).astype(np.float32)), "float32, expected .* uint8"),
        (replaced("frames", lambda x: x[:, :, :1]), r"\(1, 64, 64\), panda has \(2, 64, 64\)"),
        (replaced("frames", lambda x: x.repeat(2, 3).repeat(2, 4)), r"\(2, 128, 128\), panda has"),
        (replaced("actions", lambda x: x[:, :20]), r"actions are \(2, 20, 8\) float64, expected"),
        (replaced("labelled", lambda x: x & False), "no step is labelled"),
        (replaced("labelled", lambda x: x.astype(float)), "labelled are .* float64, expected .* b"),
        (replaced("instructions", lambda x: x[:1]), r"instructions are \(1,\)"),
        (replaced("states", lambda x: x[..., 0]), "states are"),
        (lambda a: a.update(states=a["states"][..., :6], actions=a["actions"][..., :6]), "6 colu"),
        (cut(8), "episodes have 8 steps, 5 blocks need 24"),
        (cut(23), "episodes have 23 steps, 5 blocks need 24: record longer ones, or"),
        (
            put("instructions", 1, "把红色的方块拿起来"),
            "instruction of episode 1: the model never learned '把红色的方块拿起来'",
        ),
        (put("instructions", 0, "fly away"), "instruction of episode 0: the model never learned"),
    ],
)
def test_arrays_that_cannot_be_learned_from_are_refused_by_place(trained, change, words):
    with pytest.raises(WamError, match=words):
        trained(change)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (HEAD | {"step_period_s": 1 / 30}, "recorded at 30 steps a second, panda has 10"),
        (HEAD | {"step_period_s": None}, "step_period_s None, panda has 10"),
        (HEAD | {"views": ["wrist", "front"]}, r"views \['wrist', 'front'\], not those of panda"),
        ({k: v for k, v in HEAD.items() if k != "joint_names"}, "joint_names None, not those"),
        ("{", "header.json' is damaged"),
        ("[]", "header.json' is damaged: it holds list"),
    ],
)
def test_a_header_of_another_robot_or_rate_is_refused(trained, header, words):
    with pytest.raises(WamError, match=words):
        trained(lambda a: None, header=header)


def test_episodes_of_unequal_length_are_refused_by_file(trained):
    with pytest.raises(WamError, match=r"shard_0001.npz': frames of an episode are \(26,"):
        trained(lambda a: None, cut(25))


def test_fewer_blocks_take_shorter_episodes(trained):
    with pytest.raises(pytest.fail.Exception, match="training began"):
        trained(cut(12), blocks=2)


def test_good_demonstrations_reach_the_training(trained):
    with pytest.raises(pytest.fail.Exception, match="training began"):
        trained(lambda a: None)


def test_what_the_robot_of_the_demonstrations_can_reach_counts(trained, monkeypatch):
    """The check asks the URDF, not numbers of its own."""
    far = dataclasses.replace(ROBOT, urdf="ur5e.urdf")
    monkeypatch.setattr(train, "load_embodiment", lambda name: far)
    with pytest.raises(WamError, match="joint of ur5e.urdf"):
        trained(lambda a: None)
