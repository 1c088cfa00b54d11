"""Chunks on the clock: nothing jumps, nothing due is executed late, and steps are counted as they
are executed.
"""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_ros.core.chunks import Timeline, ensemble, steps_due
from wam_ros.core.errors import WamError
from wam_ros.core.types import NS, ActionChunk

STEP = NS // 10
T0 = 7 * NS


def chunk(anchor_steps=0.0, start=0.0, slope=1.0, n=8, seq=0, **kwargs):
    """Steps on a straight line that is `start` at the anchor."""
    q = start + slope * np.arange(1, n + 1)[:, None] * np.ones((1, 2))
    return ActionChunk(
        T0 + round(anchor_steps * STEP), STEP, ("a", "b"), q, seq=seq, epoch=1, **kwargs
    )


def random_chunk(rng, anchor_steps, seq, n=8):
    q = np.cumsum(rng.normal(size=(n, 3)), axis=0) * 0.02
    return ActionChunk(T0 + round(anchor_steps * STEP), STEP, ("a", "b", "c"), q, seq=seq, epoch=1)


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 7.9), st.sampled_from(["latest", "ensemble"]))
def test_a_seam_is_c2_wherever_the_chunks_meet(seed, arrival, merge):
    rng = np.random.default_rng(seed)
    line = Timeline(merge)
    line.insert(random_chunk(rng, 0, 0), T0)
    now = T0 + round(arrival * STEP)
    before = line.sample(now)
    inserted = line.insert(random_chunk(rng, int(arrival), 1), now)
    assert inserted.taken
    for was, is_now in zip(before.arrays, line.sample(now).arrays, strict=True):
        np.testing.assert_allclose(is_now, was, rtol=0, atol=1e-8)


@given(st.integers(0, 2**32 - 1))
def test_velocity_and_acceleration_are_the_derivatives_of_what_is_sampled(seed):
    rng = np.random.default_rng(seed)
    line = Timeline()
    line.insert(random_chunk(rng, 0, 0), T0)
    line.insert(random_chunk(rng, 3, 1), T0 + 4 * STEP)
    h = 10_000  # ns
    for at in T0 + (np.array([4.3, 5.5, 8.1, 10.7, 12.3]) * STEP).astype(np.int64):
        before, middle, after = (line.sample(int(at) + d) for d in (-h, 0, h))
        change = after - before
        np.testing.assert_allclose(change.q / (2 * h / NS), middle.dq, atol=1e-5)
        np.testing.assert_allclose(change.dq / (2 * h / NS), middle.ddq, atol=1e-2)


def test_a_steady_line_is_followed_and_a_chunk_that_agrees_leaves_no_trace():
    line = Timeline()

    def is_on_the_line(*steps):
        for k in steps:
            q, dq, ddq = line.sample(T0 + round(k * STEP)).arrays
            np.testing.assert_allclose((q, dq, ddq), ([k, k], [10.0, 10.0], [0.0, 0.0]), atol=1e-6)

    line.insert(chunk(), T0)
    is_on_the_line(0.0, 1.0, 3.5, 5.0)
    inserted = line.insert(chunk(4, start=4.0, seq=1), T0 + 5 * STEP)
    assert inserted.skipped == 1
    np.testing.assert_allclose(inserted.lack.arrays, np.zeros((3, 2)), atol=1e-9)
    is_on_the_line(5.0, 5.2, 9.0)


def test_after_the_blend_the_motion_is_that_of_the_new_chunk():
    line = Timeline(blend_s=0.3)
    line.insert(chunk(), T0)
    line.insert(chunk(2, start=50.0, seq=1), T0 + 3 * STEP)
    assert line.sample(T0 + 3 * STEP).q[0] == pytest.approx(3.0)
    assert line.sample(T0 + 4 * STEP).q[0] < 52.0
    assert line.sample(T0 + 6 * STEP).q[0] == pytest.approx(54.0)


def test_the_steps_of_a_chunk_are_met_when_they_are_due():
    rng = np.random.default_rng(0)
    c = random_chunk(rng, 0, 0)
    line = Timeline()
    line.insert(c, T0)
    for k in range(8):
        np.testing.assert_allclose(line.sample(T0 + (k + 1) * STEP).q, c.positions[k], atol=1e-12)


def test_a_plan_that_ends_comes_to_rest_ahead_and_stays():
    line = Timeline(stop_s=0.2)
    line.insert(chunk(), T0)
    q, dq, ddq = line.sample(T0 + 10 * STEP).arrays
    np.testing.assert_allclose((q, dq, ddq), ([9.0, 9.0], [0, 0], [0, 0]), atol=1e-9)
    np.testing.assert_array_equal(line.sample(T0 + 500 * STEP).q, q)
    speeds = [line.sample(T0 + 8 * STEP + k * STEP // 20).dq[0] for k in range(41)]
    assert (np.diff(speeds) <= 1e-9).all()  # it only slows


@given(st.floats(0, 20), st.integers(1, 12))
def test_what_is_due_is_skipped_and_what_has_no_step_left_is_refused(late, n):
    line = Timeline()
    inserted = line.insert(chunk(n=n), T0 + round(late * STEP))
    assert inserted.taken == (round(late * STEP) // STEP < n)
    if inserted.taken:
        assert inserted.skipped == round(late * STEP) // STEP
    else:
        assert "expired" in inserted.refusal and line.sample(T0) is None


def test_an_expired_chunk_changes_nothing():
    line = Timeline()
    line.insert(chunk(), T0)
    now = T0 + 8 * STEP + STEP // 2
    before = line.sample(now)
    assert not line.insert(chunk(0, start=9.0, seq=1), now).taken
    np.testing.assert_array_equal(line.sample(now).arrays, before.arrays)
    assert line.chunk.seq == 0


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"seq": 3}, "not newer"),
        ({"seq": 9, "epoch": 0}, "not newer"),
        ({"seq": 9, "positions": np.full((8, 2), np.nan)}, "finite"),
        ({"seq": 9, "positions": np.full((8, 2), np.inf)}, "finite"),
        ({"seq": 9, "positions": np.zeros((0, 2))}, "finite"),
        ({"seq": 9, "positions": np.zeros(8)}, "finite"),
        ({"seq": 9, "positions": np.zeros((8, 5))}, "5 joints"),
        ({"seq": 9, "anchor_ns": T0 + 3 * STEP}, "0.20 s in the future"),
    ],
)
def test_what_is_no_newer_plan_is_refused_in_words(bad, why):
    line = Timeline()
    line.insert(chunk(seq=3), T0)
    inserted = line.insert(dataclasses.replace(chunk(), **bad), T0 + STEP)
    assert not inserted.taken and why in inserted.refusal
    assert line.chunk.seq == 3


def test_another_session_may_count_from_zero_again():
    line = Timeline()
    line.insert(chunk(seq=3), T0)
    assert line.insert(chunk(1, session_id=b"x" * 16), T0 + STEP).taken


def test_upcoming_is_the_rest_of_the_plan_on_another_grid_and_nothing_beyond():
    line = Timeline()
    assert line.upcoming(T0, 8).shape == (0, 0)
    line.insert(chunk(), T0)
    np.testing.assert_allclose(line.upcoming(T0 + 4 * STEP, 8)[:, 0], [5, 6, 7, 8])
    np.testing.assert_allclose(line.upcoming(T0 + 4 * STEP + STEP // 2, 2)[:, 0], [5.5, 6.5])
    assert line.upcoming(T0 + 8 * STEP, 8).shape == (0, 2)


def test_executed_steps_run_with_the_plan_and_stand_with_the_arm():
    line = Timeline()
    assert line.executed(T0) == 0
    line.insert(chunk(), T0)
    assert line.executed(T0 + 4 * STEP) == 4
    line.insert(chunk(4, start=4.0, seq=1), T0 + 5 * STEP)
    assert line.executed(T0 + 6 * STEP) == 6
    assert line.executed(T0 + 12 * STEP) == line.executed(T0 + 900 * STEP) == 12
    line.insert(chunk(50, seq=2), T0 + 50 * STEP)  # it stood and thought
    assert line.executed(T0 + 50 * STEP) == 12
    assert line.executed(T0 + 53 * STEP) == 15
    line.clear()
    assert line.executed(T0) == 0


def test_slack_runs_out_with_the_plan():
    line = Timeline()
    assert line.slack_s(T0) == 0
    line.insert(chunk(), T0)
    assert line.slack_s(T0 + 3 * STEP) == pytest.approx(0.5)
    assert line.slack_s(T0 + 90 * STEP) == 0


def test_an_ensemble_weighs_the_oldest_most_and_only_those_that_know_a_step():
    old, new = chunk(0, start=0.0), chunk(4, start=104.0)
    q = ensemble([(old, old.positions), (new, new.positions)], decay=np.log(3))
    np.testing.assert_allclose(q[:4, 0] - np.arange(5, 9), 25.0)  # 3 : 1 between 0 and 100
    np.testing.assert_allclose(q[4:, 0], new.positions[4:, 0])


def test_steps_due_never_exceed_the_chunk():
    assert [steps_due(chunk(n=3), T0 + round(k * STEP)) for k in (-5, 0, 0.99, 1, 2.5, 3, 40)] == [
        0,
        0,
        0,
        1,
        2,
        3,
        3,
    ]


def test_an_unknown_merge_is_refused_with_the_choices():
    with pytest.raises(WamError, match="latest"):
        Timeline("newest")
