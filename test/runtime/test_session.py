"""Chunks, latency, mode and surprise of one session, with the clock as an argument."""

import dataclasses

import numpy as np
import pytest

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.latency import LatencyWindow
from wam_ros.core.policy import Abilities, PolicyOutput
from wam_ros.core.types import NS, ChunkingMode, Conditioning, JointState, Observation
from wam_ros.runtime.engine import EngineResult, EngineStatus
from wam_ros.runtime.prediction import example_observation, keyframes, require_instruction
from wam_ros.runtime.session import InferenceSession

MS = 1_000_000
T0 = 1_000_000 * MS
PANDA = load_embodiment("panda")
IDLE = EngineStatus(
    epoch=1, instruction="red", error="", predictions=0, dropped=0, busy_s=0.0, alive=True
)


def session(warmup: int = 0) -> InferenceSession:
    return InferenceSession(PANDA, "tiny", "ab" * 8, bytes(range(16)), LatencyWindow(20, warmup))


def observation(ms: int, value: int = 0, speed: float = 0.0) -> Observation:
    n = len(PANDA.joint_names)
    joints = JointState(
        T0 + ms * MS, PANDA.joint_names, np.zeros(n), np.full(n, speed), np.full(n, np.nan)
    )
    return Observation(
        T0 + ms * MS, ("front", "wrist"), np.full((2, 4, 4, 3), value, np.uint8), (0, 0), joints
    )


def result(ms: int, epoch: int = 1, imagined: int = 0) -> EngineResult:
    frames = np.stack([np.full((2, 4, 4, 3), imagined + k, np.uint8) for k in range(2)])
    timing = {"denoise": 0.0321}
    output = PolicyOutput(
        positions=np.full((8, len(PANDA.joint_names)), 0.5),
        frames=frames,
        frame_offsets_ns=(400 * MS, 800 * MS),
        conditioning=Conditioning.REAL,
        evaluations=3,
        timing_s=timing,
    )
    return EngineResult(observation(ms), "red", epoch, output, 0.05)


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
    assert s.surprise.mse == pytest.approx((51 / 255) ** 2)
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


def test_surprise_is_the_error_of_the_frame_imagined_for_now():
    s = session()
    s.observe(observation(0, value=0))
    s.chunk(result(0, imagined=51), T0 + 50 * MS)
    s.observe(observation(300, value=51))
    assert s.surprise is None
    s.observe(observation(400, value=102))
    assert s.surprise.mse == pytest.approx(0.04)
    assert s.surprise.copy_mse == pytest.approx(0.16)
    assert s.chunk(result(400), T0 + 450 * MS)[1].surprise == pytest.approx(0.04)


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
    assert s.surprise is None


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


def slow() -> InferenceSession:
    s = session()
    # d = 6 of 8: the next chunk would come when this one is used up
    s.chunk(result(0), T0 + 600 * MS)
    return s


def test_a_model_too_slow_to_replace_looks_only_when_the_arm_stands_still():
    s = slow()
    assert not s.status(T0, IDLE, 1.0).feasible
    assert s.status(T0, IDLE, 1.0).mode is ChunkingMode.SYNCHRONOUS
    assert not s.observe(observation(700))
    assert not s.observe(observation(900, speed=0.1))
    assert s.observe(observation(1000, speed=0.01))
    assert not s.observe(observation(1100))  # one look at a time
    s.answered(T0 + 900 * MS)
    assert not s.observe(observation(1150))
    s.answered(T0 + 1000 * MS)
    assert s.observe(observation(1200))
    s.forget()
    assert s.observe(observation(1300))
    chunk, _ = s.chunk(result(1300), T0 + 1900 * MS)
    assert chunk.chunking_mode is ChunkingMode.SYNCHRONOUS
    assert chunk.anchor_ns == T0 + 1900 * MS
    assert not s.observe(observation(2600))
    assert s.observe(observation(2700))


def test_a_prediction_asked_for_while_moving_is_awaited_and_stays_anchored_at_what_it_saw():
    s = able(100, abilities=Abilities())
    assert s.observe(observation(0))
    s.chunk(result(0), T0 + 100 * MS)
    assert s.observe(observation(400))
    for _ in range(20):
        s._latency.add(0.6)  # from now on no chunk bridges the delay
    assert s.timing.mode is ChunkingMode.SYNCHRONOUS
    assert not s.observe(observation(900))  # the plan is over, but another is on its way
    chunk, _ = s.chunk(result(400), T0 + 1000 * MS)
    assert chunk.chunking_mode is ChunkingMode.REPLACE
    assert chunk.anchor_ns == T0 + 400 * MS
    assert s.observe(observation(1400))


def test_what_is_seen_while_an_answer_is_awaited_is_asked_for_with_the_plan_of_that_answer():
    s = able(200, execute_steps=1)
    assert s.observe(observation(0))
    s.chunk(result(0), T0 + 150 * MS)
    assert s.next_look() is None
    assert s.observe(observation(200)).plan[0, 0] == 0.5
    assert [s.observe(observation(ms)) for ms in (300, 400)] == [None, None]
    made = dataclasses.replace(
        result(200).output, positions=np.full((8, len(PANDA.joint_names)), 0.75), guided=True
    )
    s.chunk(dataclasses.replace(result(200), output=made), T0 + 400 * MS)
    seen, request = s.next_look()
    assert seen.stamp_ns == T0 + 400 * MS  # the newest of the two
    assert request.step == 4 and (request.plan == 0.75).all()
    assert s.next_look() is None and s.observe(observation(500)) is None
    s.answered(T0 + 400 * MS)  # without a chunk
    assert s.next_look()[0].stamp_ns == T0 + 500 * MS


def test_what_waits_when_the_arm_must_stop_or_the_instruction_changes_is_not_asked_for():
    s = able(200, execute_steps=1)
    s.observe(observation(0))
    s.observe(observation(100))
    s.forget()
    assert s.next_look() is None
    s.observe(observation(200))
    s.observe(observation(300))
    s.chunk(result(200), T0 + 900 * MS)
    assert s.timing.mode is ChunkingMode.SYNCHRONOUS
    assert s.next_look() is None


def test_the_arm_is_bound_to_its_plan_until_the_next_one_is_followed():
    s = able(150, lead_s=0.08)
    s.observe(observation(0))
    s.chunk(result(0), T0 + 150 * MS)
    assert s.timing.delay_steps == 2
    assert s.observe(observation(400)).committed == 3


@pytest.mark.parametrize("chunking", ["auto", "replace"])
@pytest.mark.parametrize("latency_ms", [50, 190, 250, 310, 330, 370, 400, 450, 700])
def test_what_is_called_feasible_never_runs_out_of_plan_and_all_else_stops_and_thinks(
    latency_ms, chunking
):
    """A loop at 10 looks a second whose model always takes as long, and whose chunks are followed
    as they come.
    """
    given = Abilities(guided=True, prefix=True)
    s = InferenceSession(
        embodiment=PANDA,
        model="m",
        checkpoint_hash="ab" * 8,
        session_id=bytes(16),
        latency=LatencyWindow(20, 0),
        rest_speed=0.02,
        execute_steps=4,
        abilities=given,
        chunking=chunking,
    )
    waits, settled, modes = None, 0, set()
    for ms in range(0, 30_000, 10):
        if waits is not None and waits[0] <= ms:
            (at, seen), waits = waits, None
            chunk, _ = s.chunk(dataclasses.replace(result(0), observation=seen), T0 + at * MS)
            modes.add(chunk.chunking_mode) if ms > 10_000 else None
            if (look := s.next_look()) is not None:
                waits = at + latency_ms, look[0]
        if (
            ms % 100 == 0
            and (request := s.observe(observation(ms))) is not None
            and request.predict
        ):
            waits = ms + latency_ms, observation(ms)
        settled = s.underruns if ms == 10_000 else settled
    timing = s.timing
    assert timing.feasible == (2 * timing.delay_steps <= 8)
    assert (modes == {ChunkingMode.SYNCHRONOUS}) == (not timing.feasible)
    assert s.underruns == settled  # none after the delay was known


def test_a_look_that_was_given_up_makes_no_chunk_that_begins_now():
    s = slow()
    assert s.observe(observation(1000))
    s.forget()
    chunk, _ = s.chunk(result(1000), T0 + 1600 * MS)
    assert chunk.anchor_ns == T0 + 1000 * MS


def test_without_measured_speed_it_waits_another_horizon():
    s = slow()
    assert not s.observe(observation(1500, speed=np.nan))
    assert s.observe(observation(1600, speed=np.nan))


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


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        (" \t\n", "is empty"),
        ("a" * 10240, "10240 characters, at most 200"),
        ("a\x07b", "shown"),
    ],
)
def test_what_is_no_instruction_is_refused(text, why):
    with pytest.raises(WamError, match=why):
        require_instruction(text, 200)


def test_white_space_in_an_instruction_is_put_in_order():
    assert require_instruction("  pick up\tthe  red block\n", 200) == "pick up the red block"


def test_the_example_observation_fits_the_robot():
    o = example_observation(PANDA)
    assert o.frames.shape == (2, 64, 64, 3)
    assert o.view_names == PANDA.view_names
    assert tuple(o.joints.positions) == PANDA.home


def test_a_keyframe_is_the_farthest_frame():
    _, future = session().chunk(result(0, imagined=7), T0)
    key = keyframes(future)
    assert key.instants_ns == (T0 + 800 * MS,)
    assert key.frames.shape == (1, 2, 4, 4, 3)
    assert (key.frames == 8).all()


def test_the_next_chunk_is_asked_for_when_the_executed_part_of_the_last_one_ends():
    robot = load_embodiment("panda")
    session = InferenceSession(robot, "m", "h", bytes(16), LatencyWindow(), execute_steps=4)
    example = example_observation(robot)
    step = NS // 10

    def asked(k):
        request = session.observe(dataclasses.replace(example, stamp_ns=NS + k * step))
        session.answered(NS + k * step)
        return request

    assert [k for k in range(13) if asked(k)] == [0, 4, 8, 12]
    # frames were lost: the grid begins anew
    assert [k for k in (13, 15, 19, 20, 23, 24) if asked(k)] == [19, 23]
    session.forget()
    assert asked(25)
    assert session.timing.execute_steps == 4


ABLE = Abilities(guided=True, ahead=(4, 8), frame_stride=4)


def able(latency_ms, chunking="auto", **kwargs) -> InferenceSession:
    window = LatencyWindow(20, 0)
    window.add(latency_ms / 1e3)
    given = {"execute_steps": 4, "abilities": ABLE, "chunking": chunking} | kwargs
    return InferenceSession(PANDA, "tiny", "ab" * 8, bytes(range(16)), window, **given)


def test_a_guided_request_carries_the_running_plan_and_what_of_it_is_committed():
    s = able(200)
    assert s.observe(observation(0)).plan is None
    s.chunk(result(0), T0 + 150 * MS)
    request = s.observe(observation(400))
    assert (
        request.plan.shape == (4, len(PANDA.joint_names))
        and request.committed == 2
        and request.step == 4
    )
    made = dataclasses.replace(result(400).output, guided=True, committed=2)
    chunk, _ = s.chunk(
        dataclasses.replace(result(400), output=made, request=request), T0 + 600 * MS
    )
    assert (chunk.chunking_mode, chunk.committed_steps) == (ChunkingMode.GUIDED, 2)
    assert s.status(T0, IDLE, 1.0).mode is ChunkingMode.GUIDED


def test_a_new_instruction_is_not_drawn_towards_the_plan_of_the_old_one():
    s = able(100)
    s.observe(observation(0))
    s.chunk(result(0), T0 + 50 * MS)
    s.forget()
    assert s.observe(observation(400)).plan is None
    s.chunk(result(400, epoch=2), T0 + 450 * MS)
    assert s.observe(observation(800)).plan is not None


def test_an_answer_too_late_does_not_make_the_old_instructions_plan_the_new_ones():
    s = able(100)
    s.observe(observation(0))
    s.chunk(result(0), T0 + 50 * MS)
    s.forget()
    s.chunk(result(-400, epoch=2), T0 + 450 * MS)
    for _ in range(20):
        s._latency.add(0.1)  # it was an exception
    assert s.observe(observation(500)).plan is None


def test_an_answer_from_before_the_clock_was_set_back_is_no_plan():
    s = able(100)
    s.observe(observation(5000))
    s.observe(observation(100))
    s.chunk(result(5000), T0 + 150 * MS)
    assert s.status(T0 + 150 * MS, IDLE, 1.0).slack_s == 0
    assert s.observe(observation(500)).plan is None


def test_looking_ahead_asks_in_time_and_anchors_where_the_plan_will_be():
    s = able(600, "lookahead")
    assert s.observe(observation(0)).ahead == 0  # it stands: nothing to look ahead of
    first, _ = s.chunk(result(0), T0 + 600 * MS)
    assert first.anchor_ns == T0 + 600 * MS
    asked = {ms: s.observe(observation(ms)) for ms in range(700, 1300, 100)}
    looks = {ms: r for ms, r in asked.items() if r is not None and r.predict}
    assert list(looks) == [800] and looks[800].ahead == 6 and looks[800].step == 2
    made = dataclasses.replace(result(800).output, ahead=6, conditioning=Conditioning.MIXED)
    chunk, future = s.chunk(
        dataclasses.replace(result(800), output=made, request=looks[800]), T0 + 1350 * MS
    )
    assert chunk.anchor_ns == T0 + 800 * MS and chunk.chunking_mode is ChunkingMode.LOOKAHEAD
    assert (chunk.n_steps, chunk.committed_steps) == (14, 6)
    np.testing.assert_array_equal(chunk.positions[:6], looks[800].plan)
    assert future.instants_ns == (T0 + 1800 * MS, T0 + 2200 * MS)
    looks = [ms for ms in range(1400, 2200, 100) if (r := s.observe(observation(ms))) and r.predict]
    assert looks == [1600]


def test_frames_of_executed_steps_are_wanted_on_the_stride_that_leads_to_the_next_look():
    s = able(900)  # synchronous: the next look is at the end of the plan
    s.observe(observation(0))
    s.chunk(result(0), T0 + 900 * MS)
    wanted = {ms: s.observe(observation(ms)) for ms in range(1000, 1700, 100)}
    assert {ms: (r.step, r.predict) for ms, r in wanted.items() if r} == {1300: (4, False)}
    assert s.observe(observation(1800)).step == 8


def test_a_swapped_model_is_named_in_its_chunks():
    s = session()
    chunk, _ = s.chunk(
        dataclasses.replace(result(0), model="other", checkpoint_hash="cd" * 8), T0 + 50 * MS
    )
    assert (chunk.model, chunk.checkpoint_hash) == ("other", "cd" * 8)
