"""`wam embodiment rehearse` on demonstrations and bags: what it prints, draws and answers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

pytest.importorskip("mujoco")

from wam_ros import cli
from wam_ros.core.embodiment import load_embodiment
from wam_ros.data.lerobot.writer import LeRobotWriter
from wam_ros.sim.world import World
from wam_ros.train.record import (
    RecordSim,
    describe,
    pictures_of,
    record_episode,
)

PANDA = load_embodiment("panda")
NS = 10**9


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Two demonstrations of the scripted expert, and their folder as `wam record-sim` writes it."""
    folder = tmp_path_factory.mktemp("demonstrations") / "set"
    world = World(PANDA)
    args = RecordSim(out=folder, steps=40, nudge=0.0, burst=0.1)
    rows = [record_episode(world, seed, args) for seed in (3, 4)]
    world.close()
    write(folder, rows)
    return folder, rows


def write(folder, rows, **description):
    told = dataclasses.replace(describe(PANDA), **description)
    writer = LeRobotWriter(folder, told, codec="lossless")
    for episode, frames in rows:
        writer.add(episode, pictures_of(frames, PANDA))
    writer.commit()


def with_actions(rows, change):
    """Demonstrations with other commands (T, A)."""
    return [(dataclasses.replace(e, actions=change(e.actions.copy())), f) for e, f in rows]


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")


def run(*words) -> int:
    return cli.main(["embodiment", "rehearse", *map(str, words)])


def test_demonstrations_and_the_model_that_learned_from_such_have_no_mistake(shown, capsys):
    pytest.importorskip("torch")
    for episode in (0, 1):
        assert run("panda", shown[0], "--episode", episode, "--model", "tiny") == 0
        said = capsys.readouterr().out
        assert "nothing is wrong" in said
        assert "panda_joint1 (model)" in said


def test_what_is_wrong_is_named_drawn_and_answered_by_1(shown, tmp_path, capsys):
    image = pytest.importorskip("PIL.Image")

    def turned(actions):
        actions[:, 1] *= -1
        return actions

    write(tmp_path / "odd", with_actions(shown[1], turned))
    assert run("panda", tmp_path / "odd", "--picture", tmp_path / "odd.png") == 1
    said = capsys.readouterr().out
    assert "moves against the command" in said
    assert "1 wrong" in said
    pixels = np.asarray(image.open(tmp_path / "odd.png")).astype(int)
    red = (pixels[..., 0] - pixels[..., 1:].max(axis=2) > 120).sum()
    assert red > 300, "the frame of the joint that is wrong"


def test_a_model_of_another_order_is_named(shown, monkeypatch, capsys):
    pytest.importorskip("torch")
    import wam_ros.models as models

    load = models.load_policy

    def crossed(*args, **more):
        policy = load(*args, **more)
        predict = policy.predict

        def swap(*seen):
            output = predict(*seen)
            order = [0, 1, 2, 5, 4, 3, 6, 7]
            return dataclasses.replace(output, positions=output.positions[:, order])

        policy.predict = swap
        return policy

    monkeypatch.setattr(models, "load_policy", crossed)
    assert run("panda", shown[0], "--model", "tiny") == 1
    said = capsys.readouterr().out
    assert "what was recorded of panda_joint6" in said
    assert "2 wrong" in said


@pytest.fixture
def bag(tmp_path):
    """The first demonstration as `ros2 bag record` writes it, after 20 s at rest."""
    writer = pytest.importorskip("rosbags.rosbag2")
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    kinds = {
        "joint_states": "sensor_msgs/msg/JointState",
        "joint_trajectory_controller/joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
        "front/image_raw": "sensor_msgs/msg/Image",
    }
    of = store.types

    def write(rows, sign=1.0):
        episode, pictures = rows[0]
        states, actions = episode.states.astype(float), episode.actions[:-1].astype(float)
        states = np.vstack((np.repeat(states[:1], 200, axis=0), states))
        folder = tmp_path / f"bag{sign:g}"
        with writer.Writer(folder, version=9, storage_plugin=writer.StoragePlugin.MCAP) as out:
            topics = {
                t: out.add_connection(f"/cell/{t}", k, typestore=store) for t, k in kinds.items()
            }

            def say(topic, ns, **fields):
                stamp = of["builtin_interfaces/msg/Time"](sec=ns // NS, nanosec=ns % NS)
                header = of["std_msgs/msg/Header"](stamp=stamp, frame_id="")
                message = of[kinds[topic]](header=header, **fields)
                data = store.serialize_cdr(message, kinds[topic])
                out.write(topics[topic], ns, data)

            names = list(PANDA.joint_names)
            for k, q in enumerate(states):
                ns = 1_700_000_000 * NS + k * NS // 10
                q = q.copy()
                q[1] *= sign
                say("joint_states", ns, name=names, position=q, velocity=q * 0, effort=q * 0)
                if k < 200:
                    continue
                frame = pictures[k - 200, 0]
                say(
                    "front/image_raw",
                    ns,
                    height=frame.shape[0],
                    width=frame.shape[1],
                    encoding="rgb8",
                    is_bigendian=0,
                    step=3 * frame.shape[1],
                    data=frame.ravel(),
                )
                points = [
                    of["trajectory_msgs/msg/JointTrajectoryPoint"](
                        positions=target,
                        velocities=np.zeros(0),
                        accelerations=np.zeros(0),
                        effort=np.zeros(0),
                        time_from_start=of["builtin_interfaces/msg/Duration"](
                            sec=0, nanosec=(j + 1) * NS // 10
                        ),
                    )
                    for j, target in enumerate(actions[k - 200 : k - 196])
                ]
                if points:
                    topic = "joint_trajectory_controller/joint_trajectory"
                    say(topic, ns, joint_names=names, points=points)
        return folder

    return write


def test_a_bag_is_replayed_where_the_arm_moves(bag, shown, capsys):
    assert run("panda", bag(shown[1]), "--seconds", "4") == 0
    said = capsys.readouterr().out
    assert "nothing is wrong" in said
    assert "panda_joint4" in said
    assert "explains" in said, "the front camera"
    assert run("panda", bag(shown[1], sign=-1.0), "--seconds", "4") == 1
    said = capsys.readouterr().out
    assert "moves against the command" in said
    assert "the pictures fit the commanded joints" in said


WRONG_INPUT = {
    "nothing": "does not exist",
    "empty": "cannot be read",
    "other robot": "unknown joint 'panda_joint1'",
}


@pytest.mark.parametrize("kind", WRONG_INPUT)
def test_what_cannot_be_replayed_is_refused_in_one_line(kind, shown, tmp_path, capsys):
    if kind == "empty":
        (tmp_path / kind).mkdir()
    elif kind == "other robot":
        write(tmp_path / kind, shown[1][:1], joint_names=tuple(f"j{k}" for k in range(8)))
    assert run("panda", tmp_path / kind) == 2
    said = capsys.readouterr().err
    assert WRONG_INPUT[kind] in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--episode", "7"), "--episode must be between 0 and 1"),
        (("--seconds", "nan"), "--seconds"),
        (("--picture", "x.jpg"), "--picture must end in .png"),
        (("--model", "nobody"), "nobody"),
    ],
)
def test_bad_arguments_are_refused_by_name(words, complaint, shown, capsys):
    assert run("panda", shown[0], *words) == 2
    assert complaint in capsys.readouterr().err


def test_joints_are_known_by_name_whatever_their_order(shown, tmp_path):
    order = [7, *range(7)]
    episode, frames = shown[1][0]
    told = dataclasses.replace(
        episode, states=episode.states[:, order], actions=episode.actions[:, order]
    )
    names = tuple(PANDA.joint_names[k] for k in order)
    write(tmp_path / "turned", [(told, frames)], joint_names=names, action_names=names)
    assert run("panda", tmp_path / "turned") == 0
