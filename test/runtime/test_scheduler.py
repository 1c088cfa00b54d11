"""When the model is asked and what of it, with the clock as an argument."""

import dataclasses

import numpy as np
import pytest

from wam_ros.core.latency import LatencyWindow
from wam_ros.core.policy import Abilities
from wam_ros.core.types import NS, ChunkingMode, Conditioning
from wam_ros.runtime.prediction import example_observation

from .rig import IDLE, MS, PANDA, T0, able, make_session, observation, result, slow


def test_a_model_too_slow_to_replace_looks_only_when_the_arm_stands_still():
    s = slow()
    assert not s.status(T0, IDLE, 1.0).feasible
    assert s.status(T0, IDLE, 1.0).mode is ChunkingMode.SYNCHRONOUS
    assert not s.observe(observation(700))
    assert not s.observe(observation(900, speed=0.1))
    assert s.observe(observation(1000, speed=0.01))
    assert not s.observe(observation(1100))  # one look at a time
    s.scheduler.answered(T0 + 900 * MS)
    assert not s.observe(observation(1150))
    s.scheduler.answered(T0 + 1000 * MS)
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
        s.scheduler.latency.add(0.6)  # from now on no chunk bridges the delay
    assert s.scheduler.timing.mode is ChunkingMode.SYNCHRONOUS
    assert not s.observe(observation(900))  # the plan is over, but another is on its way
    chunk, _ = s.chunk(result(400), T0 + 1000 * MS)
    assert chunk.chunking_mode is ChunkingMode.REPLACE
    assert chunk.anchor_ns == T0 + 400 * MS
    assert s.observe(observation(1400))


def test_what_is_seen_while_an_answer_is_awaited_is_asked_for_with_the_plan_of_that_answer():
    s = able(200, execute_steps=1)
    assert s.observe(observation(0))
    s.chunk(result(0), T0 + 150 * MS)
    assert s.scheduler.next_look() is None
    assert s.observe(observation(200)).plan[0, 0] == 0.5
    assert [s.observe(observation(ms)) for ms in (300, 400)] == [None, None]
    made = dataclasses.replace(
        result(200).output, positions=np.full((8, len(PANDA.joint_names)), 0.75), guided=True
    )
    s.chunk(dataclasses.replace(result(200), output=made), T0 + 400 * MS)
    seen, request = s.scheduler.next_look()
    assert seen.stamp_ns == T0 + 400 * MS  # the newest of the two
    assert request.step == 4 and (request.plan == 0.75).all()
    assert s.scheduler.next_look() is None and s.observe(observation(500)) is None
    s.scheduler.answered(T0 + 400 * MS)  # without a chunk
    assert s.scheduler.next_look()[0].stamp_ns == T0 + 500 * MS


def test_what_waits_when_the_arm_must_stop_or_the_instruction_changes_is_not_asked_for():
    s = able(200, execute_steps=1)
    s.observe(observation(0))
    s.observe(observation(100))
    s.forget()
    assert s.scheduler.next_look() is None
    s.observe(observation(200))
    s.observe(observation(300))
    s.chunk(result(200), T0 + 900 * MS)
    assert s.scheduler.timing.mode is ChunkingMode.SYNCHRONOUS
    assert s.scheduler.next_look() is None


def test_the_arm_is_bound_to_its_plan_until_the_next_one_is_followed():
    s = able(150, lead_s=0.08)
    s.observe(observation(0))
    s.chunk(result(0), T0 + 150 * MS)
    assert s.scheduler.timing.delay_steps == 2
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
    s = make_session(LatencyWindow(20, 0), execute_steps=4, abilities=given, chunking=chunking)
    waits, settled, modes = None, 0, set()
    for ms in range(0, 30_000, 10):
        if waits is not None and waits[0] <= ms:
            (at, seen), waits = waits, None
            chunk, _ = s.chunk(dataclasses.replace(result(0), observation=seen), T0 + at * MS)
            modes.add(chunk.chunking_mode) if ms > 10_000 else None
            if (look := s.scheduler.next_look()) is not None:
                waits = at + latency_ms, look[0]
        if (
            ms % 100 == 0
            and (request := s.observe(observation(ms))) is not None
            and request.predict
        ):
            waits = ms + latency_ms, observation(ms)
        settled = s.underruns if ms == 10_000 else settled
    timing = s.scheduler.timing
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


def test_the_next_chunk_is_asked_for_when_the_executed_part_of_the_last_one_ends():
    session = make_session(LatencyWindow(), execute_steps=4)
    example = example_observation(PANDA)
    step = NS // 10

    def asked(k):
        request = session.observe(dataclasses.replace(example, stamp_ns=NS + k * step))
        session.scheduler.answered(NS + k * step)
        return request

    assert [k for k in range(13) if asked(k)] == [0, 4, 8, 12]
    # frames were lost: the grid begins anew
    assert [k for k in (13, 15, 19, 20, 23, 24) if asked(k)] == [19, 23]
    session.forget()
    assert asked(25)
    assert session.scheduler.timing.execute_steps == 4


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
        s.scheduler.latency.add(0.1)  # it was an exception
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
