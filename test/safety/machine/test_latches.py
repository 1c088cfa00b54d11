"""What a person or a fault has stopped stays stopped, whatever else happens at that moment."""

from __future__ import annotations

import numpy as np
import pytest

from testing.rig import MS, Rig
from testing.tools import tool_pose
from wam_ros.core.admission import SHIPPED
from wam_ros.core.types import NS, Decision, JointState, Reason, SafetyState
from wam_ros.robot.obstacles import Obstacle
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.machine.bridge_watch import Following, Rejoining
from wam_ros.safety.machine.live import Change

S = SafetyState
ASIDE = np.r_[0.05, 0, 0, 0, 0, 0, 0, 0]
SIDEWAYS = np.r_[0.1, 0, 0, 0, 0, 0, 0, 0]  # rad per step of 0.1 s


@pytest.fixture
def rig(panda, home):
    obstacles = dict(panda.model.obstacles)
    yield Rig(panda, home)
    panda.model.set_obstacles(obstacles, {})


def lost_by(rig: Rig) -> Rejoining:
    """What the safety node does when the bridge says something else than it was told."""
    following = Following(np.full(8, 0.02), 0.15)
    rejoining = Rejoining(rig.machine, following, False)

    def tick(seconds: float, q=None, speed: float = 0.0) -> None:
        for _ in range(round(seconds * 50)):
            rig.run(0.02)
            where = rig.machine.commanded(rig.now).q if q is None else q
            names, dq = rig.filter.model.joint_names, np.full(8, speed)
            following.on_commanded(JointState(rig.now, names, where, dq, np.zeros(8)))
            rejoining.lost(rig.now)
            rejoining.arm_by_itself(rig.now)

    rejoining.ticks = tick
    return rejoining


def test_a_motion_that_the_bridge_missed_begins_anew_by_itself(rig):
    rejoining = lost_by(rig.moving())
    rejoining.ticks(0.3, rig.home + ASIDE, speed=0.1)
    assert rig.state == S.HOLD
    rig.follow, rig.measured = False, rig.home + ASIDE
    rejoining.ticks(0.5, rig.home + ASIDE)
    assert rig.state == S.ARMED


def test_after_an_emergency_stop_it_does_not_arm_by_itself_though_it_was_about_to(rig):
    rejoining = lost_by(rig.moving())
    rejoining.ticks(0.3, rig.home + ASIDE, speed=0.1)
    assert rig.state == S.HOLD
    rig.machine.estop(rig.now)
    rig.run(1.5)
    assert rig.machine.reset(rig.now).ok
    rejoining.ticks(1.0)
    assert rig.state == S.HOLD
    assert rig.machine.arm(True, rig.now).ok


def test_a_fault_stays_one_though_the_bridge_does_not_execute_its_stop(rig):
    rejoining = lost_by(rig.moving())
    rig.machine.brakes.escalate(rig.now, S.FAULT, Reason.WATCHDOG, "off the path")
    assert rig.state == S.BRAKING
    rejoining.ticks(0.5, rig.home + 10 * ASIDE)
    assert rig.state == S.FAULT
    assert rig.machine.tick(rig.now).report.sentence.startswith("fault: off the path")


def test_disabling_does_not_wash_a_fault_away(rig):
    rig.moving()
    rig.machine.brakes.escalate(rig.now, S.FAULT, Reason.WATCHDOG, "off the path")
    rig.machine.disable(rig.now)
    assert rig.state == S.FAULT
    rig.machine.enable(rig.now)
    rig.run(0.1)
    assert rig.state == S.FAULT


@pytest.mark.parametrize("latch", ["estop", "fault"])
def test_what_is_reset_while_disabled_is_disabled_and_cannot_be_armed_before_it_is_enabled(
    rig, latch
):
    rig.armed()
    if latch == "estop":
        rig.machine.estop(rig.now)
    else:
        rig.machine.brakes.escalate(rig.now, S.FAULT, Reason.WATCHDOG, "off the path")
    rig.machine.disable(rig.now)
    rig.run(0.6)
    assert rig.machine.reset(rig.now).ok
    assert rig.state == S.DISABLED
    assert not rig.machine.arm(True, rig.now).ok
    rig.machine.enable(rig.now)
    rig.run(0.02)
    assert rig.state == S.HOLD


def test_it_is_not_armed_while_what_it_commanded_before_may_still_be_under_way(rig):
    rig.moving()
    rig.machine.disable(rig.now)
    rig.machine.enable(rig.now)
    rig.follow = False  # and the driver says that nothing moves
    rig.run(0.02)
    assert rig.state == S.HOLD
    answer = rig.machine.arm(True, rig.now)
    assert not answer.ok
    assert "on its way to rest" in answer.message


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
    left = rig.machine.brakes.stop_time(rig.now)
    change = Change("people/1", ahead(rig, 0.55), "panda_link0", rig.now)
    stop = rig.keep(rig.machine.on_obstacles([change], rig.now)).trajectory
    assert stop is not None
    assert rig.state == state
    assert rig.machine.brakes.stop_time(rig.now) < left
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
    rig.machine.filter = slow = SafetyFilter(
        panda.model, rig.filter.params, stopwatch=lambda: next(clock)
    )
    stop = rig.chunk().trajectory
    assert slow is not rig.machine.brakes.filter
    assert stop is None or stop.start_ns > rig.now + 200 * MS


@pytest.mark.parametrize("plan", [True, False])
def test_a_clock_that_begins_anew_at_zero_is_survived(panda, home, plan, monkeypatch):
    rig = Rig(panda, home).moving()
    if not plan:
        monkeypatch.setattr(rig.filter, "stop", lambda *_, **__: None)
    before = rig.machine.commanded(rig.now)
    rig.now = 0
    stop = rig.keep(rig.machine.tick(rig.now)).trajectory
    assert stop.start_ns >= 0
    assert np.abs(stop.q[0] - before.q).max() < 0.02
    assert rig.state == S.BRAKING
    rig.run(2.0)
    assert rig.at_rest
    assert rig.state == S.HOLD


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
