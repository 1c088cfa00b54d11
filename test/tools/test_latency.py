"""`wam latency`: what it reads from topics and recordings, what it prints and draws."""

import json
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from wam_ros.core.errors import WamError
from wam_ros.core.trace import STAGES, TOTALS, Trace
from wam_ros.tools.latency import COMMAND, Feed, Latency, main, print_summary
from wam_ros.tools.latency_plot import write_plot

MS = 1_000_000


def state(ns, q, dq=(), names=("a", "b")):
    stamp = SimpleNamespace(sec=ns // 10**9, nanosec=ns % 10**9)
    header = SimpleNamespace(stamp=stamp)
    return SimpleNamespace(header=header, name=list(names), position=list(q), velocity=list(dq))


def turn(feed, k):
    t = k * 1000 * MS
    feed.observation(SimpleNamespace(stamp_ns=t, frame_stamps_ns=(t - 3 * MS, t)), t + 10 * MS)
    feed.chunk(SimpleNamespace(seq=k, observation_ns=t), t + 60 * MS)
    feed.safe((t + 100 * MS, f"chunk {k}"), t + 66 * MS)
    feed.command((t + 67 * MS, f"chunk {k}"), t + 68 * MS)


def test_the_topics_of_one_turn_give_every_stage():
    newest = [state(0, (0.0, 0.0), names=("b", "a"))]
    feed = Feed(Trace(), lambda: newest[0])
    for k in range(1, 30):
        now = k * 10 * MS
        newest[0] = state(now, (2 * (k * 0.01 - 0.03), k * 0.01 - 0.03), names=("b", "a"))
        feed.commanded(
            state(now - 2 * MS, (k * 0.01 - 0.002, 2 * (k * 0.01 - 0.002)), (1.0, 2.0)), now
        )
    turn(feed, 1)
    p50 = {name: v["p50_ms"] for name, v in feed.trace.summary().items()}
    assert tuple(p50) == (*STAGES, *TOTALS)
    assert list(p50.values()) == pytest.approx([13, 50, 6, 2, 32 + 30, 71, 133])


def test_states_far_apart_in_time_or_of_other_joints_say_nothing():
    feed = Feed(Trace(), lambda: state(0, (0.0, 0.0)))
    feed.commanded(state(200 * MS, (1.0, 1.0), (1.0, 1.0)), 0)
    feed.commanded(state(0, (1.0, 1.0), (1.0, 1.0), names=("a", "c")), 0)
    feed.commanded(state(0, (1.0, 1.0)), 0)
    assert feed.trace.lag_s is None


def test_a_motion_that_answers_no_chunk_is_not_counted():
    feed = Feed(Trace(), lambda: None)
    feed.safe((5, ""), 6)
    feed.command((5, "chunk nine"), 7)
    assert feed.trace.summary() == {}


def test_the_table_has_every_number_and_the_bar_shows_the_longest():
    feed = Feed(Trace(), lambda: None)
    turn(feed, 1)
    console = Console(record=True, width=80)
    print_summary(feed.trace.summary(), console)
    text = console.export_text()
    rows = {line.split("│")[1].strip(): line for line in text.splitlines() if "│" in line}
    assert "13.0" in rows["camera to observation"]
    assert (
        rows["observation to chunk"].count("█") > 6 > rows["camera to observation"].count("█") > 0
    )
    assert "71.0" in rows["camera to command"]


def test_the_plot_is_a_picture_with_one_row_per_stage(tmp_path):
    file = tmp_path / "latency.svg"
    write_plot(
        {"a <to> b": [1.0, 2.0, 3.0], "b to c": list(np.linspace(0, 50, 5001)), TOTALS[0]: [52.0]},
        file,
    )
    texts = [
        e.text for e in ElementTree.parse(file).getroot().iter("{http://www.w3.org/2000/svg}text")
    ]
    assert {"a <to> b", "b to c", "50 ms", "47.5", "p95"} <= set(texts)
    assert "where the median goes: 27 ms in all stages together" in texts
    assert file.stat().st_size < 100_000


def test_times_of_nothing_can_be_drawn(tmp_path):
    write_plot({"a to b": [0.0, 0.0]}, tmp_path / "latency.svg")
    ElementTree.parse(tmp_path / "latency.svg")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (Latency(seconds=0.0), "--seconds"),
        (Latency(seconds=float("nan")), "--seconds"),
        (Latency(domain_id=500), "--domain-id must be between 0 and 232"),
        (Latency(domain_id=-3), "--domain-id"),
        (Latency(plot="latency.png"), r"\.svg"),
        (Latency(bag="/nowhere"), "does not exist"),
        (Latency(command="observation"), "ends in /joint_trajectory, found observation"),
        (Latency(command="a b/joint_trajectory"), "--command"),
    ],
)
def test_bad_arguments_are_refused_by_name(args, words):
    with pytest.raises(WamError, match=words):
        main(args)


@pytest.fixture
def recording(tmp_path):
    """A bag of twenty turns of a loop in the namespace `cell`, as `ros2 bag record` writes it."""
    pytest.importorskip("wam_ros.msg")
    from sensor_msgs.msg import JointState
    from trajectory_msgs.msg import JointTrajectory

    from testing.bags import Bag
    from wam_ros.msg import ActionChunk, Observation
    from wam_ros.ros.convert import ns_to_time

    with Bag(tmp_path / "bag", "/cell/") as bag:

        def write(topic, recorded_ns, stamp_ns, kind, frame="", **fields):
            msg = kind(**fields)
            msg.header.stamp, msg.header.frame_id = ns_to_time(stamp_ns), frame
            bag.write(topic, recorded_ns, msg)

        for k in range(1, 21):
            t = (1_700_000_000 + k) * 1000 * MS
            stamps = [ns_to_time(t), ns_to_time(t - 3 * MS)]
            write("observation", t + 10 * MS, t, Observation, frame_stamps=stamps)
            seen = ns_to_time(t)
            write("action_chunk", t + 60 * MS, t, ActionChunk, seq=k, observation_stamp=seen)
            for topic, ms, q in (("joint_states", 61, 0.98), ("commanded_state", 62, 1.0)):
                fields = {"name": ["a"], "position": [q], "velocity": [1.0]}
                write(topic, t + ms * MS, t, JointState, **fields)
            write("safe_trajectory", t + 66 * MS, t + 100 * MS, JointTrajectory, f"chunk {k}")
            write(COMMAND, t + 68 * MS, t + 68 * MS, JointTrajectory, f"chunk {k}")
    return tmp_path / "bag"


@pytest.mark.ros
def test_a_recording_gives_what_its_topics_say_whatever_its_namespace(recording, tmp_path, capsys):
    numbers = tmp_path / "latency.json"
    assert (
        main(Latency(bag=str(recording), json=str(numbers), plot=str(tmp_path / "latency.svg")))
        == 0
    )
    found = {name: v["p50_ms"] for name, v in json.loads(numbers.read_text()).items()}
    assert tuple(found) == (*STAGES, *TOTALS)
    assert list(found.values()) == pytest.approx([13, 50, 6, 2, 32 + 20, 71, 123])
    assert "camera to motion" in capsys.readouterr().out
    assert (tmp_path / "latency.svg").is_file()


def test_a_controller_of_another_name_is_listened_to_when_it_is_told():
    trace, topic = Trace(), "scaled_joint_trajectory_controller/joint_trajectory"
    told = Feed(trace, lambda: None, topic).handlers()
    told["observation"](SimpleNamespace(stamp_ns=5 * MS, frame_stamps_ns=[5 * MS]), 6 * MS)
    told["action_chunk"](SimpleNamespace(seq=1, observation_ns=5 * MS), 7 * MS)
    told["safe_trajectory"]((8 * MS, "chunk 1"), 8 * MS)
    told[topic]((9 * MS, "chunk 1"), 9 * MS)
    assert trace.summary()["camera to command"]["p50_ms"] == pytest.approx(4)


def test_a_file_that_is_no_recording_is_refused(tmp_path):
    (tmp_path / "odd.mcap").write_text("no")
    with pytest.raises(WamError, match="cannot be read"):
        main(Latency(bag=str(tmp_path / "odd.mcap")))


@pytest.mark.parametrize(
    ("topic", "kind", "words"),
    [
        ("/chatter", "std_msgs/msg/String", "is not of this loop: it has /chatter; wanted are act"),
        ("/joint_states", "std_msgs/msg/String", "is not of this loop: it has /joint_states"),
        ("/x/observation", "std_msgs/msg/String", "'observation' holds messages of another type"),
    ],
)
def test_a_recording_of_something_else_is_refused_in_one_line(tmp_path, topic, kind, words):
    writer = pytest.importorskip("rosbags.rosbag2")
    from rosbags.typesys import Stores, get_typestore

    store, folder = get_typestore(Stores.ROS2_JAZZY), tmp_path / "bag"
    with writer.Writer(folder, version=9, storage_plugin=writer.StoragePlugin.MCAP) as bag:
        connection = bag.add_connection(topic, kind, typestore=store)
        message = store.types[kind](data="hello")
        bag.write(connection, 1, store.serialize_cdr(message, kind))
    with pytest.raises(WamError, match=words) as caught:
        main(Latency(bag=str(folder)))
    assert "\n" not in str(caught.value)


def test_a_loop_on_another_clock_is_refused_instead_of_measured(monkeypatch):
    def listen(args, trace):
        feed = Feed(trace, lambda: None)
        for k in (1, 2, 3, 4):
            feed.observation(
                SimpleNamespace(stamp_ns=k * 300 * MS, frame_stamps_ns=()), k * 1000 * MS
            )

    monkeypatch.setattr("wam_ros.tools.latency.listen", listen)
    with pytest.raises(WamError, match="another clock"):
        main(Latency(seconds=1.0))
