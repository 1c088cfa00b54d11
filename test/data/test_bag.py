"""Recordings as episodes: rows are what was seen then, actions what was commanded next."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("pyarrow")
pytest.importorskip("rosbags.rosbag2")

from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from testing.recordings import SMALL, VIEWS, episode, pictures, write
from wam_ros import cli
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.resources import config_path, share_dir
from wam_ros.data.folder import open_episodes

NS = 10**9
MS = 10**6


def store():
    found = get_typestore(Stores.ROS2_JAZZY)
    for name in ("Observation", "EpisodeState"):
        text = (share_dir() / "msg" / f"{name}.msg").read_text()
        found.register(get_types_from_msg(text, f"wam_ros/msg/{name}"))
    return found


STORE = store()


def made(kind, **fields):
    return STORE.types[kind](**fields)


def stamp(ns):
    return made("builtin_interfaces/msg/Time", sec=ns // NS, nanosec=ns % NS)


def header(ns):
    return made("std_msgs/msg/Header", stamp=stamp(ns), frame_id="")


def joints(ns, position, names=("a", "b")):
    return made(
        "sensor_msgs/msg/JointState",
        header=header(ns),
        name=list(names),
        position=np.array(position, float),
        velocity=np.zeros(0),
        effort=np.zeros(0),
    )


def image(ns, frame):
    return made(
        "sensor_msgs/msg/Image",
        header=header(ns),
        height=frame.shape[0],
        width=frame.shape[1],
        encoding="bgr8",
        is_bigendian=0,
        step=3 * frame.shape[1],
        data=np.ascontiguousarray(frame[:, :, ::-1]).reshape(-1),
    )


def recorded(folder, messages):
    """A bag of (topic, recorded ns, message), in that order."""
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        connections = {}
        for topic, ns, message in messages:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = bag.add_connection(topic, kind, typestore=STORE)
            bag.write(connections[topic], ns, STORE.serialize_cdr(message, kind))
    return folder


FRAMES = np.random.default_rng(0).integers(0, 256, (12, 2, 8, 10, 3), dtype=np.uint8)


def observation(k, ns):
    nothing = made("builtin_interfaces/msg/Duration", sec=0, nanosec=0)
    return made(
        "wam_ros/msg/Observation",
        header=header(ns),
        view_names=["front", "wrist"],
        height=8,
        width=10,
        frames=FRAMES[k].reshape(-1),
        frame_stamps=[stamp(ns)] * 2,
        joint_stamp=stamp(ns),
        joint_names=["a", "b"],
        positions=np.array([k, -k], float),
        velocities=np.zeros(2),
        efforts=np.zeros(2),
        age=nothing,
    )


def simulated(ns, seed, success):
    return made(
        "wam_ros/msg/EpisodeState",
        header=header(ns),
        seed=seed,
        instruction=f"take {seed}",
        t=0.0,
        success=success,
        wrong=False,
        outcome="success",
        nudged=False,
        limit_violations=0,
        violation_names=[],
        violation_counts=np.zeros(0, np.uint32),
    )


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    """Two episodes of six rows of a loop in a namespace, commanded at 100 Hz to joint a = 10 t."""
    messages = []
    for k in range(12):
        ns = NS + k * 100 * MS
        messages += [("/left/observation", ns + 7 * MS, observation(k, ns))]
        messages += [("/left/episode", ns - 1, simulated(ns - 1, 40 + k // 6, k in (5, 11)))]
    for k in range(60):  # nothing is commanded in the second half
        ns = NS + k * 10 * MS
        messages += [("/left/commanded_state", ns, joints(ns, [0.1 * k, 0.0]))]
    folder = tmp_path_factory.mktemp("bag") / "loop"
    return recorded(folder, sorted(messages, key=lambda m: m[1]))


def test_a_row_of_a_loop_is_what_the_model_saw_bit_for_bit(loop):
    found = open_episodes(loop)
    assert (found.rate_hz, found.joint_names) == (10.0, ("a", "b"))
    assert [len(e) for e in found] == [6, 6]
    for i in range(2):
        assert found[i].states[:, 0].tolist() == list(range(6 * i, 6 * i + 6))
        for v, view in enumerate(("front", "wrist")):
            got = list(found.pictures(i, view))
            np.testing.assert_array_equal(got, FRAMES[6 * i : 6 * i + 6, v])
    np.testing.assert_array_equal(list(found.pictures(1, "wrist", 2, 4)), FRAMES[8:10, 1])
    assert [e.success for e in found] == [True, True]
    assert [e.instructions[0] for e in found] == ["take 40", "take 41"]
    assert found[1].stamps_ns[0] == NS + 600 * MS


def test_the_action_of_a_row_is_what_was_commanded_one_period_later(loop):
    first, second = open_episodes(loop)
    np.testing.assert_allclose(first.actions[:5, 0], np.arange(1, 6), atol=1e-9)
    assert first.labelled.tolist() == [True] * 6
    assert not second.labelled[1:].any()


def test_a_robot_s_own_topics_are_aligned_to_the_slowest_camera(tmp_path):
    messages = []
    for k in range(8):
        ns = NS + k * 200 * MS
        messages += [("/front/image_raw", ns + 30 * MS, image(ns, FRAMES[k, 0]))]
    for k in range(16):
        ns = NS + k * 100 * MS - 20 * MS
        frame = FRAMES[k % 12, 1]
        messages += [("/arm/wrist/image_raw", ns + 9 * MS, image(ns, frame))]
    for k in range(200):
        ns = NS - 50 * MS + k * 8 * MS
        messages += [("/joint_states", ns, joints(ns, [ns / NS, 0.0], "ab"))]
    text = made("std_msgs/msg/String", data="push")
    messages += [("/instruction", NS, text)]
    folder = recorded(tmp_path / "bag", sorted(messages, key=lambda m: m[1]))
    found = open_episodes(folder)
    assert found.view_names == ("arm.wrist", "front")
    only = found[0]
    assert found.rate_hz == 5.0 and len(only) == 8
    np.testing.assert_allclose(only.states[:, 0], 1 + 0.2 * np.arange(8), atol=1e-9)
    assert only.instructions == ("push",) * 8 and not only.labelled.any()
    np.testing.assert_array_equal(list(found.pictures(0, "front")), FRAMES[:8, 0])
    np.testing.assert_array_equal(
        list(found.pictures(0, "arm.wrist", 0, 6)), FRAMES[[0, 2, 4, 6, 8, 10], 1]
    )


def test_what_a_person_said_counts_and_is_held_against_when_rows_were_recorded(tmp_path):
    """Stamps are those of a simulated world, times of recording those of a wall clock."""
    late = 1_700_000_000 * NS
    messages = []
    for k in range(12):
        ns = NS + k * 100 * MS
        messages += [("/observation", late + ns, observation(k, ns))]
        messages += [("/episode", late + ns - 1, simulated(ns - 1, 40 + k // 6, True))]
    for at, data in ((300, True), (520, False), (590, False)):
        messages += [("/success", late + NS + at * MS, made("std_msgs/msg/Bool", data=data))]
    for at, data in ((50, "pour"), (950, "wipe")):
        messages += [("/instruction", late + NS + at * MS, made("std_msgs/msg/String", data=data))]
    for at, data in ((250, True), (430, False)):
        messages += [("/intervention", late + NS + at * MS, made("std_msgs/msg/Bool", data=data))]
    folder = recorded(tmp_path / "bag", sorted(messages, key=lambda m: m[1]))
    first, second = open_episodes(folder)
    assert (first.success, second.success) == (False, True)
    assert first.instructions == ("pour",) * 6
    assert second.instructions == ("pour",) * 4 + ("wipe",) * 2
    assert first.intervention.tolist() == [False, False, False, True, True, False]


def test_rows_of_a_robot_that_is_known_are_its_observations(tmp_path):
    """A camera twice as large as the model sees, and faster; joints beside the frames' times."""
    robot = load_embodiment("panda")
    names = robot.joint_names
    frames = np.random.default_rng(1).integers(0, 256, (40, 128, 128, 3), dtype=np.uint8)
    messages = []
    for k in range(40):
        ns = NS + k * 33 * MS
        messages += [("/front/image_raw", ns + 5 * MS, image(ns, frames[k]))]
        messages += [("/wrist/image_raw", ns + 6 * MS, image(ns, frames[k]))]
    for k in range(150):
        ns = NS - 17 * MS + k * 10 * MS
        at = [ns / NS] * len(names)
        messages += [("/joint_states", ns, joints(ns, at[:2], ("other", "group")))]
        messages += [("/joint_states", ns + 1, joints(ns, at, names[::-1]))]
    folder = recorded(tmp_path / "bag", sorted(messages, key=lambda m: m[1]))
    found = open_episodes(folder, robot=str(config_path("embodiments", "panda")))
    assert (found.view_names, found.joint_names, found.robot) == (robot.view_names, names, "panda")
    (only,) = found[:]
    assert len(only) >= 12 and set(np.diff(only.stamps_ns)) <= {99 * MS, 100 * MS, 132 * MS}
    np.testing.assert_allclose(only.states[:, 0], only.stamps_ns / NS, atol=1e-9)
    shown = np.searchsorted(NS + np.arange(40) * 33 * MS, only.stamps_ns, side="right") - 1
    small = frames.reshape(40, 64, 2, 64, 2, 3).astype(float).mean((2, 4))
    for view in found.view_names:
        got = np.stack(list(found.pictures(0, view)))
        assert got.shape == (len(only), 64, 64, 3)
        assert np.abs(got - small[shown]).max() <= 0.5
    blind = [m for m in messages if "wrist" not in m[0]]
    recorded(tmp_path / "blind", sorted(blind, key=lambda m: m[1]))
    with pytest.raises(WamError, match="lacks 'wrist/image_raw' of robot 'panda'; it has front"):
        open_episodes(tmp_path / "blind", robot="panda")


@pytest.mark.parametrize("stamps", [True, False])
def test_through_recordings_and_back_nothing_is_lost(stamps, tmp_path, capsys):
    marked = episode(
        1,
        12,
        success=False,
        intervention=np.arange(12) > 5,
        labelled=np.arange(12) < 11,
        instructions=("push",) * 7 + ("把方块拿起来",) * 5,
    )
    told = [episode(0, labelled=np.arange(9) < 8), marked]
    if stamps:
        at = 1_700_000_000 * NS + np.arange(12) * 100 * MS
        told = [dataclasses.replace(e, stamps_ns=at[: len(e)]) for e in told]
    source = write(tmp_path / "set", told, dataclasses.replace(SMALL, stamps=stamps))
    bags = tmp_path / "bags"
    export = ["data", "export", str(source), "--out", str(bags), "--format", "mcap"]
    assert cli.main(export) == 0
    (bags / "episode_000001/metadata.yaml").unlink()  # as if it had been interrupted
    assert cli.main(export) == 0
    assert "2 recordings in" in (said := capsys.readouterr().out) and "1 of them new" in said
    again = tmp_path / "again"
    words = ["import", bags, "--out", again, "--codec", "lossless", "--robot", "arm"]
    assert cli.main(["data", *map(str, words)]) == 0
    had, found = open_episodes(source), open_episodes(again)
    assert found.robot == "arm" and found.views == VIEWS
    for i, (got, wanted) in enumerate(zip(found, had, strict=True)):
        for name in ("states", "labelled", "intervention", "seen"):
            np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name))
        there = wanted.labelled
        np.testing.assert_array_equal(got.actions[there], wanted.actions[there])
        assert (got.success, got.instructions) == (wanted.success, wanted.instructions)
        if stamps:
            np.testing.assert_array_equal(got.stamps_ns, wanted.stamps_ns)
        for view, frames in pictures(i, len(wanted)).items():
            np.testing.assert_array_equal(list(found.pictures(i, view)), frames)


def test_what_is_no_recording_of_an_arm_is_refused(tmp_path):
    text = made("std_msgs/msg/String", data="push")
    other = recorded(tmp_path / "other", [("/instruction", NS, text)])
    with pytest.raises(WamError, match="it has /instruction; wanted are joint_states"):
        open_episodes(other)
    blind = recorded(tmp_path / "blind", [("/joint_states", NS, joints(NS, [0.0, 0.0]))])
    with pytest.raises(WamError, match="has no camera: no topic ends in /image_raw"):
        open_episodes(blind)
    wrong = recorded(tmp_path / "wrong", [("/observation", NS, text)])
    with pytest.raises(WamError, match="'observation' holds messages of another type"):
        open_episodes(wrong)
    mcap = next(other.glob("*.mcap"))
    mcap.write_bytes(mcap.read_bytes()[:50])
    with pytest.raises(WamError, match="cannot be read"):
        open_episodes(other)


def test_recordings_of_two_robots_are_no_data_set(tmp_path, loop):
    messages = [
        ("/observation", NS + k * 100 * MS, observation(k, NS + k * 100 * MS)) for k in (0, 1)
    ]
    recorded(tmp_path / "a", messages)
    for _, _, message in messages:
        message.joint_names = ["c", "d"]
    recorded(tmp_path / "b", messages)
    with pytest.raises(WamError, match=r"b' has other joints or cameras than .*a'"):
        open_episodes(tmp_path)
