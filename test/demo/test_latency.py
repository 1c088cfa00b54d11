import pytest

from wam_ros.demo.latency import STAGES, LatencyTracker, RateMeter

MS = 1_000_000


def chain(tracker, k, camera=0, obs=12, chunk=70, safe=76, command=79):
    """One observation's way through the loop, at k seconds; times in ms."""
    t = k * 1000 * MS
    tracker.on_observation(t + 1 * MS, (t + camera * MS, t + 5 * MS), t + obs * MS)
    tracker.on_chunk(k, t + 1 * MS, t + chunk * MS)
    tracker.on_safe(k, t + 110 * MS, t + safe * MS)
    tracker.on_command(t + 110 * MS, t + command * MS)


def test_stages_of_one_chain_are_the_known_differences():
    tracker = LatencyTracker()
    chain(tracker, 1)
    p50 = {name: v["p50_ms"] for name, v in tracker.summary().items()}
    assert list(p50.values()) == pytest.approx([12, 58, 6, 3, 79])
    assert tuple(p50) == STAGES


def test_stages_add_up_to_the_whole():
    tracker = LatencyTracker()
    for k in range(1, 20):
        chain(tracker, k, obs=10 + k, chunk=60 + 2 * k, safe=120 + k, command=200 + 3 * k)
    medians = [v["p50_ms"] for v in tracker.summary().values()]
    assert sum(medians[:-1]) == pytest.approx(medians[-1])  # every stage rises with k: the median run is the same one


def test_percentiles_of_a_hundred_and_one_chains():
    tracker = LatencyTracker()
    for k in range(101):
        chain(tracker, k + 1, command=100 + k)
    whole = tracker.summary()["camera to command"]
    assert whole == pytest.approx({"n": 101, "p50_ms": 150, "p95_ms": 195, "p99_ms": 199})


def test_answers_without_a_question_are_ignored():
    tracker = LatencyTracker()
    tracker.on_chunk(1, 5, 10)
    tracker.on_safe(1, 20, 30)
    tracker.on_command(20, 40)
    assert tracker.summary() == {}


def test_a_command_repeated_for_one_trajectory_counts_once():
    tracker = LatencyTracker()
    chain(tracker, 1)
    tracker.on_command(1110 * MS, 1500 * MS)
    assert tracker.summary()["camera to command"]["n"] == 1


def test_cleared_chains_never_end():
    tracker = LatencyTracker()
    tracker.on_observation(1, (0,), 2)
    tracker.clear_pending()
    tracker.on_chunk(1, 1, 3)
    tracker.on_safe(1, 4, 5)
    tracker.on_command(4, 6)
    assert tracker.summary() == {}


def test_rate_counts_only_the_time_that_runs():
    meter = RateMeter()
    for t in (0, 100, 200, 300):
        meter.on_event(t * MS)
    meter.pause()
    for t in (90_000, 90_100):
        meter.on_event(t * MS)
    assert meter.rate_hz == pytest.approx(10.0)
    assert RateMeter().rate_hz == 0.0
