"""States, watchdogs, emergency stop, arm and reset; the clock is an argument, so nothing here
waits.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.hostile import random_path
from testing.proof import offences
from testing.rig import LEAD_NS, MS, TURN, Rig, untimed
from testing.tools import BODY, JOINT, START, pendulum
from wam_ros.core.types import Decision, JointState, Reason, SafetyState
from wam_ros.robot.model import load_safety_model
from wam_ros.safety.machine.machine import SafetyMachine
from wam_ros.safety.params import SafetyParams

S = SafetyState


def test_it_begins_disabled_and_refuses_everything(rig):
    assert rig.state == S.DISABLED
    rig.joints()
    assert rig.chunk().report.decision == Decision.REJECT
    assert not rig.machine.arm(True, rig.now).ok
    assert rig.emitted == []


def test_enabling_waits_for_the_joints_then_holds(rig):
    rig.machine.enable(rig.now)
    assert rig.keep(rig.machine.tick(rig.now)).report.state == S.SHADOW
    assert not rig.machine.arm(True, rig.now).ok
    rig.joints()
    assert rig.machine.tick(rig.now).report.state == S.HOLD


@pytest.mark.parametrize(
    ("unguarded", "words"),
    [
        ((), "armed; no collision body, watched by the hull of what is drawn: arm"),
        (("arm",), "armed; unguarded, watched by nothing: arm"),
    ],
)
def test_who_arms_is_told_of_links_without_a_collision_body(tmp_path, unguarded, words):
    body = BODY.format(name="arm", x=0.5).replace("collision>", "visual>")
    still = BODY.format(name="still", x=-0.5) + JOINT.format(
        name="fixed", kind="fixed", parent="base", child="still", more=""
    )
    robot = dataclasses.replace(pendulum(tmp_path, body=body + still), unguarded=unguarded)
    machine = SafetyMachine(untimed(load_safety_model(robot), SafetyParams()))
    machine.enable(START)
    zero = np.zeros(1)
    for ms in range(0, 100, 10):
        now = START + ms * MS
        machine.on_joints(JointState(now, robot.joint_names, zero, zero, zero), now)
        machine.tick(now)
    assert machine.arm(True, now) == (True, words, None)


def test_a_dry_run_judges_and_emits_nothing(panda, home):
    rig = Rig(panda, home, dry_run=True).held()
    assert rig.state == S.SHADOW
    output = rig.chunk()
    assert output.report.decision == Decision.PASS
    assert output.trajectory is None
    assert not rig.machine.arm(True, rig.now).ok
    rig.run(0.5)
    assert rig.emitted == []


def test_held_it_judges_and_emits_nothing(rig):
    rig.held()
    output = rig.chunk()
    assert (output.report.state, output.report.decision, output.trajectory) == (
        S.HOLD,
        Decision.PASS,
        None,
    )


def test_armed_a_chunk_moves_the_arm_and_the_first_sample_is_the_commanded_state(rig):
    rig.armed()
    before = rig.machine.commanded(rig.now + LEAD_NS)
    output = rig.chunk()
    assert output.report.state == S.ARMED
    assert output.trajectory.start_ns == rig.now + LEAD_NS
    assert np.array_equal(output.trajectory.q[0], before.q)
    rig.run(0.3)
    assert not rig.at_rest


def test_chunks_that_follow_each_other_join_without_a_step(rig):
    rig.armed()
    for _ in range(8):
        former = rig.machine.commanded(rig.now + LEAD_NS)
        output = rig.chunk()
        t = output.trajectory
        for found, wanted in zip(
            (t.q[0], t.dq[0], t.ddq[0]), (former.q, former.dq, former.ddq), strict=True
        ):
            assert np.array_equal(found, wanted)
        rig.run(0.1)


def test_until_a_trajectory_begins_the_former_one_is_commanded(rig):
    rig.moving()
    before = _snapshot(rig)
    output = rig.chunk()
    for after in (MS, LEAD_NS // 2, LEAD_NS - MS):
        assert np.array_equal(rig.machine.commanded(rig.now + after).q, before(rig.now + after).q)
    assert not np.array_equal(before(rig.now).q, output.trajectory.q[0])


def test_disarming_does_not_wash_a_fault_away(rig):
    rig.moving()
    reports = rig.run(0.32, joints=False)
    assert reports[-1].state == S.BRAKING
    rig.machine.arm(False, rig.now)
    rig.run(0.5)
    assert rig.state == S.FAULT


def test_disarming_stops_and_holds(rig):
    rig.moving()
    answer = rig.machine.arm(False, rig.now)
    assert answer.trajectory is not None
    assert rig.state == S.BRAKING
    assert rig.chunk().report.decision == Decision.REJECT
    rig.run(0.4)
    assert rig.state == S.HOLD
    assert rig.at_rest


def test_a_fault_latches_until_reset_and_arm(rig):
    rig.moving()
    rig.run(0.6, joints=False)
    assert not rig.machine.reset(rig.now).ok, "inputs are not healthy"
    rig.run(0.3)
    assert rig.state == S.FAULT
    assert rig.chunk().report.decision == Decision.REJECT
    assert not rig.machine.arm(True, rig.now).ok
    rig.run(0.6)
    assert rig.machine.reset(rig.now).ok
    assert rig.state == S.HOLD
    assert rig.chunk().trajectory is None, "reset does not arm"
    assert rig.machine.arm(True, rig.now).ok
    assert rig.chunk().trajectory is not None


def test_an_arm_that_stands_says_what_keeps_its_chunks_away(panda, home):
    """A model without images sends none: the plan is used up before the images are too old."""
    rig = Rig(panda, home, observation_timeout_s=2.0).armed()
    rig.machine.on_observation(rig.now, rig.now)
    rig.chunk()
    assert "no new chunk" in rig.run(1.9)[-1].sentence
    late = rig.run(0.3)[-1]
    assert late.sentence == "armed, waiting for a chunk: the newest observation is too old"
    assert (late.state, late.reasons) == (S.ARMED, Reason.CAMERA_STALE)
    rig.machine.on_observation(rig.now, rig.now)
    assert rig.chunk().report.decision == Decision.PASS
    assert not rig.run(0.1)[-1].reasons


def test_a_clock_that_goes_back_stops_and_holds(rig):
    rig.moving()
    before = rig.machine.commanded(rig.now)
    rig.now -= 2 * 10**9
    output = rig.keep(rig.machine.tick(rig.now))
    assert output.trajectory is not None
    assert output.trajectory.start_ns == rig.now
    assert np.array_equal(output.trajectory.q[0], before.q)
    assert np.array_equal(output.trajectory.dq[0], before.dq)
    assert "clock went back" in output.report.sentence
    rig.now += 10 * MS
    assert rig.machine.tick(rig.now).report.state == S.BRAKING, (
        "joints of the new clock are not due yet"
    )
    rig.joints()
    rig.run(0.5)
    assert rig.state == S.HOLD
    assert rig.at_rest


def test_a_clock_that_trembles_is_forgiven(rig):
    rig.moving()
    rig.now -= 20 * MS
    assert rig.machine.tick(rig.now).trajectory is None
    assert rig.state == S.ARMED


@pytest.mark.parametrize("state", [s for s in S if s != S.UNKNOWN])
def test_the_emergency_stop_works_in_every_state(panda, home, state):
    rig = Rig(panda, home, dry_run=state == S.SHADOW).brought_to(state)
    assert rig.state == state
    answer = rig.machine.estop(rig.now, "button")
    assert answer.ok
    assert rig.state == S.ESTOP
    told = rig.machine.tick(rig.now).report
    assert told.reasons & Reason.ESTOP
    assert "button" in told.sentence
    rig.run(told.stop_time_s + 0.011)
    assert rig.at_rest, "within the time it told"
    assert rig.chunk().report.decision == Decision.REJECT
    assert not rig.machine.arm(True, rig.now).ok
    rig.run(1.0)
    assert rig.state == S.ESTOP
    assert rig.machine.reset(rig.now).ok
    assert rig.state == (state if state in (S.SHADOW, S.DISABLED) else S.HOLD)


def test_reset_waits_for_rest_and_a_moment_more(rig):
    rig.moving()
    rig.machine.estop(rig.now)
    assert "stopping" in rig.machine.reset(rig.now).message
    rig.run(0.3)
    assert "wait" in rig.machine.reset(rig.now).message
    rig.run(0.3)
    rig.joints(rig.measured, np.full(8, 0.3), rig.now + MS)
    assert "moves" in rig.machine.reset(rig.now).message


def test_a_reset_waits_until_the_emergency_stop_is_released(rig):
    rig.moving()
    rig.machine.estop(rig.now)
    rig.machine.pressed = True
    rig.run(1.5)
    assert "still pressed" in rig.machine.reset(rig.now).message
    assert rig.state == S.ESTOP
    rig.machine.pressed = False
    assert rig.machine.reset(rig.now).ok


def test_an_emergency_stop_before_it_is_enabled_is_kept(rig):
    rig.machine.estop(rig.now)
    rig.machine.enable(rig.now)
    rig.run(0.1)
    assert rig.state == S.ESTOP


def test_disabling_stops(rig):
    rig.moving()
    answer = rig.machine.disable(rig.now)
    assert answer.trajectory is not None
    assert rig.state == S.DISABLED
    assert rig.chunk().report.decision == Decision.REJECT
    rig.run(0.4)
    assert rig.at_rest


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_whatever_happens_nothing_unproven_is_emitted(panda, home, seed):
    """Random events in random order; every trajectory is sound and begins where the robot is
    commanded to be.
    """
    rng = np.random.default_rng(seed)
    rig = Rig(panda, home, idle_disarm_s=3.0).armed()
    machine, checked = rig.machine, 0
    for _ in range(30):
        history = _snapshot(rig)
        event = rng.integers(9)
        if event < 4:
            q = machine.commanded(rig.now)
            rig.chunk(random_path(rig.filter.model, rng, q.q if q else rig.home, 8))
        elif event == 4:
            rig.keep(machine.estop(rig.now))
        elif event == 5:
            rig.keep(machine.arm(bool(rng.integers(2)), rig.now))
        elif event == 6:
            machine.reset(rig.now)
        elif event == 7:
            rig.chunk(rate=TURN * rng.uniform(-1, 1))
        for trajectory in rig.emitted[checked:]:
            start = history(trajectory.start_ns)
            assert (
                offences(rig.filter.model, rig.filter.params, trajectory, start, distances=False)
                == []
            )
        checked = len(rig.emitted)
        for _ in range(rng.integers(1, 30)):
            before = _snapshot(rig)
            rig.run(0.01, joints=bool(rng.uniform() < 0.97))
            for trajectory in rig.emitted[checked:]:
                start = before(trajectory.start_ns)
                assert (
                    offences(
                        rig.filter.model, rig.filter.params, trajectory, start, distances=False
                    )
                    == []
                )
            checked = len(rig.emitted)
        if machine.state in (S.HOLD, S.FAULT, S.ESTOP):
            rig.run(0.6)
            machine.reset(rig.now)
            machine.arm(True, rig.now)


def _snapshot(rig: Rig):
    """The commanded state as a function of time, as it is now."""
    import copy

    playback = copy.copy(rig.machine.brakes.playback)
    playback._sent = list(playback._sent)
    return playback.at


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
