"""Latency percentiles, delay in steps, and the bound d <= s <= H - d."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_ros.core.latency import ChunkTiming, LatencyWindow, chunk_timing
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


def test_the_first_latencies_after_a_cold_start_do_not_count():
    w = window([9.0, 8.0, 0.05, 0.06], warmup=2)
    assert w.percentile(100) == 0.06
    assert len(w) == 2


def test_a_slow_spell_is_forgotten():
    assert window([5.0] * 20 + [0.1] * 20, size=20).percentile(95) == 0.1


def test_nothing_measured_is_no_delay():
    assert window([]).percentile(95) == 0.0
    assert window([]).delay_steps(0.1) == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.1])
def test_what_is_no_latency_is_ignored(bad):
    assert window([0.2, bad]).last_s == 0.2


@pytest.mark.parametrize(("latency", "steps"), [(0.0, 0), (0.05, 1), (0.1, 1), (0.3, 3), (0.31, 4)])
def test_the_delay_counts_every_step_begun(latency, steps):
    assert window([latency]).delay_steps(0.1) == steps


@given(st.integers(0, 60), st.integers(1, 30), st.integers(1, 60))
def test_feasible_is_the_bound_and_decides_the_mode(d, s, h):
    timing = ChunkTiming(d, s, h)
    assert timing.feasible == (d <= s <= h - d)
    assert (timing.mode is ChunkingMode.REPLACE) == timing.feasible


def test_the_mode_is_said_in_one_line():
    assert str(ChunkTiming(1, 1, 8)) == "mode=REPLACE d=1 s=1 H=8"
    assert str(ChunkTiming(45, 45, 24)) == "mode=SYNC d=45 > H-s=-21"


@pytest.mark.parametrize(("latency", "execute", "feasible"), [(0.08, 1, True), (0.4, 4, True), (0.45, 5, False)])
def test_a_slow_model_executes_more_of_each_chunk_until_the_horizon_ends(latency, execute, feasible):
    timing = chunk_timing(window([latency]), 0.1, 0.1, 8)
    assert (timing.execute_steps, timing.feasible) == (execute, feasible)


def test_observations_slower_than_steps_execute_several_steps():
    assert chunk_timing(window([0.05]), 0.1, 0.3, 8).execute_steps == 3
