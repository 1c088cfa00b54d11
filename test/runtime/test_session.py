"""What one activation publishes: chunks, imagined futures, status; the clock is an argument."""

import dataclasses

import numpy as np
import pytest

from wam_ros.core.appraisal import Calm, Outlook
from wam_ros.core.latency import LatencyWindow
from wam_ros.core.policy import Abilities

from .rig import IDLE, MS, PANDA, T0, able, make_session, observation, result, session


def test_a_chunk_is_anchored_at_its_observation_and_carries_where_it_comes_from():
    chunk, future = session().chunk(result(100, epoch=4), T0 + 160 * MS)
    assert chunk.anchor_ns == chunk.observation_ns == chunk.trace_id == T0 + 100 * MS
    assert chunk.step_period_ns == 100 * MS
    assert chunk.valid_until_ns == T0 + 900 * MS
    assert (chunk.embodiment, chunk.model, chunk.checkpoint_hash) == ("panda", "tiny", "ab" * 8)
    assert (chunk.instruction, chunk.epoch, chunk.denoise_evaluations) == ("red", 4, 3)
    assert chunk.joint_names == PANDA.joint_names
    assert chunk.session_id == bytes(range(16))
    assert future.chunk_seq == chunk.seq
    assert future.instants_ns == (T0 + 500 * MS, T0 + 900 * MS)
    assert np.isnan(future.surprise)
    assert future.joint_path is chunk.positions


def test_frames_after_their_chunk_are_expected_unless_another_chunk_has_come():
    s, whole = session(), result(100, imagined=51)
    early = dataclasses.replace(
        whole,
        output=dataclasses.replace(
            whole.output, frames=whole.output.frames[:0], frame_offsets_ns=()
        ),
    )
    chunk, nothing = s.chunk(early, T0 + 150 * MS)
    assert (len(nothing.frames), nothing.instants_ns) == (0, ())
    future = s.imagined(whole)
    assert (future.chunk_seq, future.instants_ns) == (chunk.seq, (T0 + 500 * MS, T0 + 900 * MS))
    assert future.joint_path is chunk.positions
    s.observe(observation(500, value=102))
    assert s.compared.mse == pytest.approx((51 / 255) ** 2)
    s.chunk(result(600), T0 + 650 * MS)
    assert s.imagined(whole) is None


def test_chunks_are_numbered_without_a_gap():
    s = session()
    assert [s.chunk(result(100 * k), T0 + 100 * k * MS)[0].seq for k in range(4)] == [0, 1, 2, 3]


def test_latency_is_from_observation_to_chunk():
    s = session(warmup=1)
    s.chunk(result(0), T0 + 5000 * MS)
    for k in range(1, 11):
        s.chunk(result(100 * k), T0 + (100 * k + 10 * k) * MS)
    status = s.status(T0 + 1110 * MS, IDLE, 1.0)
    assert (status.latency_last_s, status.latency_p50_s, status.latency_p95_s) == pytest.approx(
        (0.1, 0.05, 0.1)
    )
    assert (status.delay_steps, status.execute_steps, status.horizon_steps, status.feasible) == (
        1,
        1,
        8,
        True,
    )
    assert status.slack_s == pytest.approx(0.69)
    assert status.chunks == 11


def calm(pixel=1.0, latent=1.0):
    """Four cells of each of two views."""
    return Calm(
        pixel=np.full((2, 2, 2, 2), pixel),
        latent=np.full((2, 2, 2, 2), latent),
        weights=np.zeros((2, 2, 4, 4)),
        bias=np.zeros(2),
    )


def test_surprise_is_what_neither_the_imagined_frame_nor_the_one_before_explains():
    s = session()
    s.calm = calm(pixel=0.005)
    s.observe(observation(0, value=0))
    assert np.isnan(s.chunk(result(0, imagined=51), T0 + 50 * MS)[1].surprise)
    s.observe(observation(300, value=51))
    assert s.compared is None
    s.observe(observation(400, value=102))
    assert s.compared.mse == pytest.approx(0.04)
    assert s.compared.copy_mse == pytest.approx(0.16)
    # the outermost blocks of 2 x 2 pixels are no surprise: a quarter of each cell counts
    assert s.chunk(result(400), T0 + 450 * MS)[1].surprise == pytest.approx(2.0, rel=1e-5)
    assert s.appraisal.pixel == pytest.approx((2.0, 2.0), rel=1e-5)
    latents = Outlook(latent_errors=np.full((2, 2, 2), 3.0))
    told = s.appraise(observation(500), 1, "red", latents)
    assert (told.surprise, told.heat.shape) == (3.0, (2, 2, 2))


def test_a_chunk_tells_the_largest_surprise_since_the_one_before():
    s = session()
    s.calm = calm()
    s.chunk(result(0), T0 + 50 * MS)
    for ms, error in ((100, 4.0), (200, 2.0)):
        s.appraise(observation(ms), 1, "red", Outlook(latent_errors=np.full((2, 2, 2), error)))
    assert s.chunk(result(300), T0 + 350 * MS)[1].surprise == 4.0
    assert np.isnan(s.chunk(result(400), T0 + 450 * MS)[1].surprise)


def test_what_was_not_chosen_is_kept_with_the_chunk_it_was_predicted_beside():
    s = session()
    given = result(100)
    beside = [dataclasses.replace(given.output, positions=np.full((8, 8), v)) for v in (0.1, 0.9)]
    output = dataclasses.replace(given.output, others=tuple(beside))
    chunk, _ = s.chunk(dataclasses.replace(given, output=output), T0 + 160 * MS)
    told = s.candidates
    assert (told.anchor_ns, told.step_period_ns) == (chunk.anchor_ns, chunk.step_period_ns)
    assert told.joint_names == chunk.joint_names
    assert [q[0, 0] for q in told.positions] == [0.1, 0.9]
    s.chunk(result(200), T0 + 260 * MS)
    assert s.candidates is None, "the next one was alone"


def test_without_calm_runs_of_the_policy_no_surprise_is_known():
    s = session()
    s.chunk(result(0, imagined=51), T0 + 50 * MS)
    s.observe(observation(400, value=255))
    assert np.isnan(s.chunk(result(400), T0 + 450 * MS)[1].surprise)


def test_the_figures_say_where_the_time_goes_and_how_well_the_future_was_imagined():
    s = session()
    assert set(s.figures()) == {"timing", "underruns", "observation to chunk [ms]"}
    s.chunk(result(0, imagined=51), T0 + 50 * MS)
    s.observe(observation(400, value=102))
    assert s.figures() == {
        "timing": "mode=REPLACE d=1 s=1 H=8",
        "underruns": "0",
        "observation to chunk [ms]": "p50 50.0 p95 50.0 p99 50.0 n 1",
        "denoise [ms]": "32.1",
        "imagined frame: squared error": "0.04000",
        "last frame copied: squared error": "0.16000",
    }


def test_a_clock_set_back_forgets_what_was_imagined():
    s = session()
    s.observe(observation(5000))
    s.chunk(result(5000, imagined=51), T0 + 5050 * MS)
    s.observe(observation(100))
    s.observe(observation(5400, value=255))
    assert s.compared is None


def test_a_plan_that_ends_before_the_next_chunk_is_an_underrun_but_a_new_epoch_is_not():
    s = session()
    s.chunk(result(0), T0 + 50 * MS)
    s.chunk(result(700), T0 + 790 * MS)
    assert s.underruns == 0
    s.chunk(result(1500), T0 + 1510 * MS)
    assert s.underruns == 1
    s.chunk(result(3000, epoch=2), T0 + 3050 * MS)
    assert s.underruns == 1


@pytest.mark.parametrize(("lead_s", "underruns"), [(0.0, 0), (0.005, 0), (0.08, 1)])
def test_a_plan_that_ends_before_the_next_one_is_followed_is_an_underrun_too(lead_s, underruns):
    s = able(100, lead_s=lead_s)
    s.chunk(result(0), T0 + 50 * MS)
    s.chunk(result(700), T0 + 790 * MS)
    assert s.underruns == underruns


@pytest.mark.parametrize(
    ("engine", "error"),
    [
        ({}, ""),
        ({"error": "out of memory"}, "out of memory"),
        ({"alive": False}, "the inference thread has ended"),
        ({"busy_s": 0.5}, ""),
        ({"busy_s": 1.25}, "the model has not answered for 1.2 s"),
        ({"instruction": ""}, "no instruction yet"),
    ],
)
def test_the_status_says_why_nothing_comes(engine, error):
    s = session()
    s.observe(observation(0))
    assert s.status(T0 + 900 * MS, dataclasses.replace(IDLE, **engine), 1.0).error == error


def test_the_status_says_since_when_nothing_was_observed():
    s = session()
    assert s.status(T0, IDLE, 1.0).error == "no observation yet"
    s.observe(observation(0))
    assert s.status(T0 + 1500 * MS, IDLE, 1.0).error == "no observation for 1.5 s"


def test_the_status_tells_the_words_that_the_model_knows():
    assert session().status(T0, IDLE, 1.0).vocabulary == ()
    knows = Abilities(vocabulary=("pick", "red"), choose_one=("red",))
    told = make_session(LatencyWindow(20, 0), abilities=knows).status(T0, IDLE, 1.0)
    assert (told.vocabulary, told.choose_one) == (("pick", "red"), ("red",))


def test_a_swapped_model_is_named_in_its_chunks():
    s = session()
    chunk, _ = s.chunk(
        dataclasses.replace(result(0), model="other", checkpoint_hash="cd" * 8), T0 + 50 * MS
    )
    assert (chunk.model, chunk.checkpoint_hash) == ("other", "cd" * 8)
