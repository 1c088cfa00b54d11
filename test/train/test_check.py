"""Demonstrations as recordings come: what cannot be learned from is refused by episode, step and
joint, before anything is trained.
"""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("mujoco")

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.data.episodes import Episode, View
from wam_ros.data.lerobot.writer import LeRobotWriter
from wam_ros.models.dreamzero.small.config import load_model_config
from wam_ros.train import small
from wam_ros.train.arguments import Train
from wam_ros.train.record import describe
from wam_ros.train.train import main

ROBOT = load_embodiment("panda")
CONFIG = load_model_config("tiny")
N, T = 2, 33


def rows():
    """Names and values of two episodes: what an `Episode` is made of."""
    rng = np.random.default_rng(0)
    states = np.array(ROBOT.home) + np.cumsum(rng.normal(0, 0.001, (N, T, 8)), 1)
    return {
        "stamps_s": np.tile(np.arange(T) / 10, (N, 1)),
        "states": states,
        "actions": np.roll(states, -1, 1),
        "labelled": np.tile(np.arange(T) < T - 1, (N, 1)),
        "tool_position": np.zeros((N, T, 3)),
        "gripper_closing": np.zeros((N, T), bool),
        "instructions": np.array([["pick up the red block"] * T] * N, dtype=object),
    }


def cut(steps):
    """Every array of episodes of so many steps."""

    def change(a):
        a.update({name: x[:, :steps] for name, x in a.items()})

    return change


def put(name, at, value):
    return lambda a: a[name].__setitem__(at, value)


def replaced(name, change):
    return lambda a: a.update({name: change(a[name])})


def in_degrees(a):
    a.update(states=np.rad2deg(a["states"]), actions=np.rad2deg(a["actions"]))


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Train on episodes that were changed; whatever gets past the checks is a failure."""
    monkeypatch.setattr(small, "train_tokenizer", lambda *a: pytest.fail("training began"))

    def run(*changes, head=(), **more):
        folder = tmp_path / "set"
        about = dataclasses.replace(describe(ROBOT), **dict(head))
        about = dataclasses.replace(
            about, extra={n: f for n, f in about.extra.items() if n != "seed"}
        )
        with LeRobotWriter(folder, about, "lossless") as writer:
            for change in changes:
                values = rows()
                change(values)
                for i in range(N):
                    writer.add(*made(values, i, about.views))
        main(Train(data=folder, out=tmp_path / "out", **more))

    return run


def made(values, i, views):
    """Episode `i` of `rows()`, and pictures for it."""
    mine = {name: x[i] for name, x in values.items()}
    extra = {name: mine.pop(name) for name in ("tool_position", "gripper_closing")}
    mine["instructions"] = tuple(mine["instructions"])
    episode = Episode(extra=extra, **mine)
    seen = {v.name: np.zeros((len(episode), v.height, v.width, 3), np.uint8) for v in views}
    return episode, seen


def views(**sizes):
    return {"views": tuple(View(name, *size) for name, size in sizes.items())}.items()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("states", (1, 10, 3), np.nan), "states of episode 1, step 10: 'panda_joint4' is nan"),
        (put("actions", (0, 7, 7), np.inf), "actions of episode 0, step 7: 'panda_finger_joint1'"),
        (
            put("tool_position", (1, 2, 0), np.nan),
            "tool_position of episode 1, step 2 is not finite",
        ),
        (
            in_degrees,
            "states of episode 0, step 0: 'panda_joint[24]' lies outside .*in degrees",
        ),
        (put("actions", (1, 4, 0), 40.0), "actions of episode 1, step 4: 'panda_joint1' lies out"),
        (replaced("labelled", lambda x: x & False), "no step is labelled"),
        (cut(8), "the longest episode has 8 steps, a window needs 9: record longer ones"),
        (
            put("instructions", (1, slice(None)), "把红色的方块拿起来"),
            "instruction of episode 1: the model never learned '把红色的方块拿起来'",
        ),
        (
            put("instructions", (0, slice(20, 33)), "fly away"),
            "instruction of episode 0: the model never learned",
        ),
    ],
)
def test_numbers_that_cannot_be_learned_from_are_refused_by_place(trained, change, words):
    with pytest.raises((WamError, pytest.fail.Exception), match=words):
        trained(change)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ([("rate_hz", 30.0)], "recorded at 30 steps a second, panda has 10"),
        (views(front=(64, 64)), r"cameras \['front'\], not those of panda: \['front', 'wrist'\]"),
        (views(front=(64, 64), wrist=(128, 128)), r"'wrist' are .* \(128, 128\), panda has \(64"),
        ([("joint_names", ("a",) * 8)], "joints .*'a'.*, not those of panda"),
        ([("action_names", ROBOT.joint_names[::-1])], "actions of .*, not those of panda"),
    ],
)
def test_a_data_set_of_another_robot_or_rate_is_refused(trained, head, words):
    with pytest.raises(WamError, match=words):
        trained(lambda a: None, head=head)


def test_states_of_fewer_joints_are_refused(trained):
    def six(a):
        a.update(states=a["states"][..., :6], actions=a["actions"][..., :6])

    names = ROBOT.joint_names[:6]
    with pytest.raises(WamError, match="joints .*panda_joint6'], not those of panda"):
        trained(six, head=[("joint_names", names), ("action_names", names)])


def test_cameras_in_another_order_are_told_by_their_names(trained):
    with pytest.raises(pytest.fail.Exception, match="training began"):
        trained(lambda a: None, head=views(wrist=(64, 64), front=(64, 64)))


def test_episodes_of_unequal_length_are_taken_as_they_are(trained):
    with pytest.raises(pytest.fail.Exception, match="training began"):
        trained(lambda a: None, cut(12), cut(26))


def test_episodes_of_one_window_are_taken(trained):
    with pytest.raises(pytest.fail.Exception, match="training began"):
        trained(cut(9))


def test_good_demonstrations_reach_the_training(trained):
    with pytest.raises(pytest.fail.Exception, match="training began"):
        trained(lambda a: None)


def test_what_the_robot_of_the_demonstrations_can_reach_counts(trained, monkeypatch):
    """The check asks the URDF, not numbers of its own."""
    far = dataclasses.replace(ROBOT, urdf="ur5e.urdf")
    monkeypatch.setattr(small, "load_embodiment", lambda name: far)
    with pytest.raises(WamError, match="joint of ur5e.urdf"):
        trained(lambda a: None)
