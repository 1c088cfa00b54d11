"""Latency percentiles, delay in steps, and the bound d <= s <= H - d."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_ros.core.errors import WamError
from wam_ros.core.latency import ChunkTiming, LatencyWindow, choose_timing, require_offered
from wam_ros.core.policy import Abilities
from wam_ros.core.types import ChunkingMode


def window(latencies, size=100, warmup=0):
    w = LatencyWindow(size, warmup)
    for latency in latencies:
        w.add(latency)
    return w


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.integers(1, 100))
def test_percentiles_are_those_of_the_sorted_values(latencies, percent):
    expected = np.percentile(latencies, percent, method="inverted_cdf")
    assert window(latencies).percentile(percent) == expected


def test_a_slow_spell_is_forgotten_in_seconds_even_where_answers_are_few():
    w = LatencyWindow(100, 0, span_s=5.0)
    for k in range(90):
        w.add(0.5 if 80 <= k < 88 else 0.1, at_s=k / 10)
    assert w.percentile(95) == 0.5
    for at_s in (10.0, 11.5, 13.0):  # one look in 1.5 s, as an arm that stops and thinks
        w.add(0.1, at_s)
    assert w.percentile(95) == 0.5  # of 8.0 to 8.7 s
    w.add(0.1, 13.85)
    assert w.percentile(95) == 0.1
    assert len(w) == 5  # 8.9, 10.0, 11.5, 13.0, 13.85


def test_the_newest_latency_stays_however_long_ago_the_one_before_was():
    w = LatencyWindow(100, 0, span_s=5.0)
    w.add(0.3, 1.0)
    w.add(0.2, 1000.0)
    assert (w.percentile(95), len(w)) == (0.2, 1)


def test_the_first_latencies_after_a_cold_start_do_not_count():
    w = window([9.0, 8.0, 0.05, 0.06], warmup=2)
    assert w.percentile(100) == 0.06
    assert len(w) == 2


def test_a_slow_spell_is_forgotten():
    assert window([5.0] * 20 + [0.1] * 20, size=20).percentile(95) == 0.1


def test_a_window_in_words_has_percentiles_in_ms():
    assert str(window(np.arange(1, 101) / 1e3)) == "p50 50.0 p95 95.0 p99 99.0 n 100"
    assert str(window([])) == "p50 0.0 p95 0.0 p99 0.0 n 0"


def test_nothing_measured_is_no_delay():
    assert window([]).percentile(95) == 0.0
    assert window([]).delay_steps(0.1) == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.1])
def test_what_is_no_latency_is_ignored(bad):
    assert window([0.2, bad]).last_s == 0.2


@pytest.mark.parametrize(("latency", "steps"), [(0.0, 0), (0.05, 1), (0.1, 1), (0.3, 3), (0.31, 4)])
def test_the_delay_counts_every_step_begun(latency, steps):
    assert window([latency]).delay_steps(0.1) == steps


def test_the_delay_may_count_what_follows_the_arrival():
    assert [window([0.15]).delay_steps(0.1, lead_s) for lead_s in (0.0, 0.05, 0.08)] == [2, 2, 3]


@given(st.integers(0, 60), st.integers(1, 30), st.integers(1, 60))
def test_feasible_is_the_bound_and_decides_the_mode(d, s, h):
    assert ChunkTiming(d, s, h).feasible == (d <= s <= h - d)
    timing = choose_timing(d, s, h)
    assert (timing.mode is ChunkingMode.REPLACE) == timing.feasible == (2 * d <= h)
    assert timing.execute_steps == s or not d < s <= h - d


def test_the_mode_is_said_in_one_line():
    guided = Abilities(guided=True, ahead=(4, 8))
    assert str(choose_timing(1, 1, 8)) == "mode=REPLACE d=1 s=1 H=8"
    assert str(choose_timing(3, 4, 8, guided)) == "mode=GUIDED d=3 s=4 H=8"
    assert str(choose_timing(6, 4, 8, guided, "lookahead")) == "mode=LOOKAHEAD d=6 s=8 H=8+6"
    assert str(choose_timing(6, 4, 8, guided)) == "mode=SYNC d=6 > H-s=2"
    assert str(choose_timing(45, 1, 24, guided)) == "mode=SYNC d=45 > H-s=-21"
    assert (
        str(choose_timing(6, 4, 8, guided, "guided"))
        == "mode=SYNC d=6 > H-s=2, guided is not possible"
    )
    assert str(choose_timing(1, 4, 8, guided, "synchronous")) == "mode=SYNC d=1 s=4 H=8"


@pytest.mark.parametrize(
    ("delay", "steps", "feasible"), [(1, 1, True), (4, 4, True), (5, 5, False)]
)
def test_a_slow_model_executes_more_of_each_chunk_until_the_horizon_ends(delay, steps, feasible):
    timing = choose_timing(delay, 1, 8)
    assert (timing.execute_steps, timing.feasible) == (steps, feasible)


def test_fewer_steps_than_wanted_are_executed_where_that_keeps_the_bound():
    assert choose_timing(3, 7, 8).execute_steps == 5


def test_the_best_mode_that_the_model_offers_is_taken_unless_another_is_asked_for():
    everything = Abilities(prefix=True, guided=True, ahead=(4, 8))
    assert choose_timing(2, 4, 8, everything).mode is ChunkingMode.GUIDED
    assert choose_timing(2, 4, 8, Abilities(prefix=True, ahead=(4, 8))).mode is ChunkingMode.PREFIX
    assert choose_timing(2, 4, 8, Abilities(guided=True)).mode is ChunkingMode.GUIDED
    assert choose_timing(2, 4, 8, everything, "replace").mode is ChunkingMode.REPLACE
    assert choose_timing(2, 4, 8, everything, "synchronous").mode is ChunkingMode.SYNCHRONOUS
    assert choose_timing(9, 4, 8, everything).mode is ChunkingMode.SYNCHRONOUS


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("prefix", "not trained for it; choices: auto, guided"),
        ("lookahead", "cannot do"),
        ("gided", "mean 'guided'"),
    ],
)
def test_a_mode_that_the_model_cannot_do_is_refused_with_the_choices(name, why):
    with pytest.raises(WamError, match=why):
        require_offered(name, Abilities(guided=True))
