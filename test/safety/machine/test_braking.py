"""Motion ends at rest on a proven path, says when, and what was stopped stays stopped."""

from __future__ import annotations

import numpy as np
import pytest

from testing.obstacles import SIDEWAYS
from testing.proof import offences
from testing.rig import MS, Rig
from testing.tools import tool_pose
from wam_ros.core.admission import SHIPPED, Admission
from wam_ros.core.types import NS, Decision, Reason, SafetyState
from wam_ros.robot.obstacles import Obstacle
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.machine.braking import ALONG_S
from wam_ros.safety.machine.live import Change


@pytest.mark.parametrize("ahead_s", [0.6, 1.0, 1.37, 2.0])
@pytest.mark.parametrize("lead_s", [0.0, 0.01, 0.2, 0.5])
def test_the_last_stop_that_is_tried_is_one_that_the_bridge_already_takes(
    panda, home, ahead_s, lead_s
):
    rig = Rig(panda, home, admission=Admission(ahead_s=ahead_s), stop_lead_s=lead_s)
    last_s = lead_s + (rig.machine.brakes.last_tries - 1) * ALONG_S
    assert ahead_s - 0.13 < last_s < ahead_s - 0.08


def test_with_what_is_shipped_it_is_as_far_ahead_as_it_was_measured_with(panda, home):
    assert Rig(panda, home).machine.brakes.last_tries == 31


def test_a_stop_is_never_later_than_the_bridge_takes_anything_at_all():
    assert Admission(stop_seam_s=0.1, deadline_s=0.03).late_s == 0.03
    assert Admission(stop_seam_s=0.1, deadline_s=0.5).late_s == 0.1


S = SafetyState


def ahead(rig: Rig, angle: float) -> Obstacle:
    """A box where the tool will be when the first joint has turned by an angle from now."""
    q = rig.machine.commanded(rig.now).q + np.eye(8)[0] * angle
    place = tool_pose(rig.filter.model, q).translation
    return Obstacle("box", (0.05,) * 3, tuple(float(x) for x in place))


@pytest.mark.parametrize("state", [S.HOLD, S.FAULT, S.ESTOP])
def test_an_obstacle_stops_motion_that_is_under_way_in_any_state_and_the_state_stays(rig, state):
    rig.armed().chunk(rate=SIDEWAYS)
    rig.run(0.3)
    rig.machine.brakes.settle(state, Reason.WATCHDOG, "a cause")
    left = rig.machine.brakes.playback.rest_in_s(rig.now)
    change = Change("people/1", ahead(rig, 0.55), "panda_link0", rig.now)
    stop = rig.keep(rig.machine.on_obstacles([change], rig.now)).trajectory
    assert stop is not None
    assert rig.state == state
    assert rig.machine.brakes.playback.rest_in_s(rig.now) < left
    assert (
        rig.keep(
            rig.machine.on_obstacles([Change("people/2", ahead(rig, 0.5), "panda_link0")], rig.now)
        )
        is None
    )
    rig.run(1.0)
    assert rig.at_rest
    assert rig.state == state


def broken(*_: object, **__: object) -> None:
    raise RuntimeError("no distance between these shapes")


def test_an_emergency_stop_latches_though_no_stop_can_be_planned(rig, monkeypatch):
    rig.moving()
    monkeypatch.setattr(rig.filter, "stop", broken)
    assert rig.machine.estop(rig.now).trajectory is None
    assert rig.state == S.ESTOP
    rig.run(2.0)
    assert rig.at_rest, "on the way that was proven before"


def test_surroundings_that_cannot_be_checked_are_a_fault(rig, monkeypatch):
    rig.moving()
    monkeypatch.setattr(rig.filter, "conflict", broken)
    change = Change(
        "people/1", Obstacle("sphere", (0.1,), (-1.0, 0.0, 1.0)), "panda_link0", rig.now
    )
    output = rig.keep(rig.machine.on_obstacles([change], rig.now))
    assert "cannot be checked" in output.report.sentence
    rig.run(1.0)
    assert rig.at_rest
    assert rig.state == S.FAULT


class Slow:
    """A stopwatch that goes on by a while at every proof of a stop."""

    def __init__(self, safety: SafetyFilter, proof_s: float) -> None:
        self.shown, stop = 0.0, safety.stop
        safety.stopwatch = lambda: self.shown

        def slowly(*args, **more):
            self.shown += proof_s
            return stop(*args, **more)

        safety.stop = slowly


@pytest.mark.parametrize("proof_s", [0.001, 0.015, 0.03, 0.06])
def test_a_stop_that_takes_long_to_prove_begins_when_it_is_proven_and_the_time_to_rest_is_true(
    rig, proof_s
):
    rig.armed().chunk(rate=SIDEWAYS)
    rig.run(0.2)
    slow = Slow(rig.filter, proof_s)
    stop = rig.machine.estop(rig.now).trajectory
    assert stop is not None
    assert stop.start_ns >= rig.now + (slow.shown - SHIPPED.late_s) * NS
    end_s = (stop.start_ns - rig.now) / NS + stop.duration_s
    assert rig.machine.tick(rig.now).report.stop_time_s == pytest.approx(end_s)
    for _ in range(100):
        before = rig.machine.commanded(rig.now)
        rig.run(0.01)
        assert np.abs(rig.machine.commanded(rig.now).dq - before.dq).max() < 0.2, (
            "no step where the stop begins"
        )
    assert rig.at_rest


def test_a_world_that_takes_long_to_take_in_puts_the_stop_off_until_it_is_known(rig, monkeypatch):
    rig.armed().chunk(rate=SIDEWAYS)
    rig.run(0.2)
    slow = Slow(rig.filter, 0.005)
    take = rig.machine.model.set_obstacles

    def slowly(*args, **more):
        slow.shown += 0.04
        return take(*args, **more)

    monkeypatch.setattr(rig.machine.model, "set_obstacles", slowly)
    change = Change("people/1", ahead(rig, 0.8), "panda_link0", rig.now)
    stop = rig.keep(rig.machine.on_obstacles([change], rig.now)).trajectory
    assert stop.start_ns >= rig.now + slow.shown * NS


def test_a_fault_of_too_slow_checks_begins_its_stop_in_the_time_to_come(panda, home):
    rig = Rig(panda, home, overruns=1).moving()
    clock = iter(np.arange(0, 1000, 0.2))
    rig.machine.session.filter = slow = SafetyFilter(
        panda.model, rig.filter.params, stopwatch=lambda: next(clock)
    )
    stop = rig.chunk().trajectory
    assert slow is not rig.machine.brakes.filter
    assert stop is None or stop.start_ns > rig.now + 200 * MS


@pytest.mark.parametrize("before", ["nothing", "estop", "disarm"])
def test_a_stop_that_is_not_possible_yet_when_it_is_disabled_is_sent_all_the_same(
    rig, monkeypatch, before
):
    """Nobody asks again later: it begins where along the way it is possible, and rests sooner than
    the motion.
    """
    begins = rig.armed().machine.commanded(rig.now + 80 * MS).q
    rig.chunk(begins + np.outer(np.arange(1, 17), SIDEWAYS))
    rig.run(0.2)
    brakes, stop, refused_until_ns = rig.machine.brakes, rig.filter.stop, rig.now + 600 * MS
    assert brakes.accepted_ns > refused_until_ns + 100 * MS

    def later(state, start_ns, *a, **k):
        return stop(state, start_ns, *a, **k) if start_ns > refused_until_ns else None

    monkeypatch.setattr(rig.filter, "stop", later)
    ends_ns = brakes.playback.end_ns()
    if before != "nothing":
        early = rig.machine.estop(rig.now) if before == "estop" else rig.machine.arm(False, rig.now)
        assert early.trajectory is None
    answer = rig.machine.disable(rig.now)
    assert answer.trajectory is not None
    assert refused_until_ns < answer.trajectory.start_ns < rig.now + 10**9
    assert brakes.playback.end_ns() < ends_ns
    assert rig.state == (S.ESTOP if before == "estop" else S.DISABLED)


def test_a_stop_that_was_owed_is_not_lost_to_a_chunk_that_comes_at_the_same_moment(
    rig, monkeypatch
):
    """What was emitted since would begin on that stop, which the bridge would never have got."""
    rig.moving()
    stop = rig.filter.stop
    monkeypatch.setattr(rig.filter, "stop", lambda *a, **k: None)
    assert (
        rig.machine.brakes.escalate(rig.now, S.ARMED, Reason.CAMERA_STALE, "a cause that is over")
        is None
    )
    monkeypatch.setattr(rig.filter, "stop", stop)
    emitted = len(rig.emitted)
    output = rig.chunk()
    assert output.trajectory is rig.machine.brakes.playback.current
    assert output.trajectory.start_ns == rig.now + 10 * MS
    assert len(rig.emitted) == emitted + 1
    assert output.report.decision == Decision.REJECT
    rig.run(0.1)
    assert rig.chunk().report.decision == Decision.PASS


def test_when_chunks_stop_the_verified_stop_plays_out_and_the_next_chunk_moves_again(rig):
    rig.moving()
    emitted = len(rig.emitted)
    reports = rig.run(1.0)
    states = [r.state for r in reports]
    assert S.BRAKING in states
    braking = reports[states.index(S.BRAKING)]
    assert braking.reasons & Reason.WATCHDOG
    assert 0 < braking.stop_time_s < 0.3
    assert rig.state == S.ARMED
    assert rig.at_rest
    assert len(rig.emitted) == emitted, "the stop was already in what was emitted"
    assert rig.chunk().trajectory is not None


def test_a_stop_shorter_than_a_tick_is_still_told(rig):
    rig.moving()
    rig.now += 5_000 * MS
    rig.joints()
    report = rig.machine.tick(rig.now).report
    assert report.state == S.ARMED
    assert report.reasons & Reason.WATCHDOG
    assert "no new chunk" in report.sentence
    assert rig.chunk().report.decision == Decision.PASS
    assert "no new chunk" not in rig.machine.tick(rig.now).report.sentence


def test_every_report_tells_the_time_to_rest(rig):
    rig.moving()
    for report in rig.run(1.0):
        end = rig.emitted[-1].start_ns + rig.emitted[-1].duration_s * 1e9
        assert report.stop_time_s == pytest.approx(max(0, end - report.stamp_ns) / 1e9, abs=1e-6)


def test_a_chunk_that_cannot_be_followed_brakes_and_the_next_good_one_goes_on(rig):
    rig.moving()
    output = rig.chunk(np.tile(np.r_[rig.home[:7], 0.06], (8, 1)))
    assert output.report.decision == Decision.BRAKE
    assert rig.state == S.BRAKING
    rig.run(0.3)
    assert rig.state == S.ARMED
    assert rig.chunk().report.decision == Decision.PASS


def test_an_emergency_stop_is_shorter_than_the_plan_and_proven(rig):
    rig.moving()
    left = rig.machine.tick(rig.now).report.stop_time_s
    start = rig.machine.commanded(rig.now + 10 * MS)
    answer = rig.machine.estop(rig.now)
    assert answer.trajectory is not None
    assert rig.machine.tick(rig.now).report.stop_time_s < 0.2 < left
    assert offences(rig.filter.model, rig.filter.params, answer.trajectory, start) == []


def test_an_emergency_stop_just_after_a_chunk_follows_the_former_motion_until_it_begins(rig):
    rig.moving()
    rig.chunk()
    rig.now += 3 * MS
    former = rig.machine.commanded(rig.now + 10 * MS)
    answer = rig.machine.estop(rig.now)
    assert np.array_equal(answer.trajectory.q[0], former.q)
    assert np.array_equal(answer.trajectory.dq[0], former.dq)
    gap = rig.machine.commanded(rig.now + 5 * MS)
    assert np.abs(gap.q - former.q).max() < 0.01, "nothing jumps in between"
