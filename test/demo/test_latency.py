"""`wam latency`: what it reads from topics and recordings, what it prints and draws."""

import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from wam_ros.core.errors import WamError
from wam_ros.core.trace import STAGES, TOTALS, Trace
from wam_ros.demo.latency import Feed, Latency, main, print_summary
from wam_ros.demo.latency_plot import write_plot

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
        feed.commanded(state(now - 2 * MS, (k * 0.01 - 0.002, 2 * (k * 0.01 - 0.002)), (1.0, 2.0)), now)
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
    console = Console(record=True, width=140)
    print_summary(feed.trace.summary(), console)
    text = console.export_text()
    rows = {line.split("│")[1].strip(): line for line in text.splitlines() if "│" in line}
    assert "13.0" in rows["camera to observation"]
    assert rows["observation to chunk"].count("█") > 20 > rows["camera to observation"].count("█") > 0
    assert "71.0" in rows["camera to command"]


def test_the_plot_is_a_picture_with_one_row_per_stage(tmp_path):
    file = tmp_path / "latency.svg"
    write_plot({"a <to> b": [1.0, 2.0, 3.0], "b to c": list(np.linspace(0, 50, 5000))}, file)
    texts = [e.text for e in ElementTree.parse(file).getroot().iter("{http://www.w3.org/2000/svg}text")]
    assert {"a <to> b", "b to c", "50 ms"} <= set(texts)
    assert file.stat().st_size < 100_000


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (Latency(seconds=0.0), "--seconds"),
        (Latency(seconds=float("nan")), "--seconds"),
        (Latency(plot="latency.png"), r"\.svg"),
        (Latency(bag="/nowhere"), "does not exist"),
    ],
)
def test_bad_arguments_are_refused_by_name(args, words):
    if args.bag:
        pytest.importorskip("rosbags")
    with pytest.raises(WamError, match=words):
        main(args)
