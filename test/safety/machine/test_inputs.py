"""Nothing about a measurement is believed: neither its time nor its speed, nor that it comes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from testing.rig import MS, TURN, Rig
from testing.tools import START
from wam_ros.core.types import NS, Decision, JointState, Reason, SafetyState
from wam_ros.safety.machine.inputs import Inputs
from wam_ros.safety.params import SafetyParams

S = SafetyState


def test_a_joint_state_of_the_future_is_as_old_as_its_arrival(panda, home):
    rig = Rig(panda, home, future_s=10.0).moving()
    rig.joints(rig.measured, stamp=rig.now + 9 * NS)
    reports = rig.run(0.6, joints=False)
    first = next(r for r in reports if r.reasons & Reason.STATE_STALE)
    assert (first.stamp_ns - reports[0].stamp_ns) / 1e9 == pytest.approx(0.3, abs=0.03)
    assert rig.state == S.FAULT


def test_a_driver_that_always_says_standing_does_not_hide_that_the_arm_moves(panda, home):
    rig = Rig(panda, home).held()
    for k in range(40):
        rig.now += 10 * MS
        rig.joints(home + np.eye(8)[3] * 0.002 * k)
    answer = rig.machine.arm(True, rig.now)
    assert not answer.ok
    assert "panda_joint4 moves" in answer.message
    for _ in range(25):
        rig.now += 10 * MS
        rig.joints(home + np.eye(8)[3] * 0.078)
    assert rig.machine.arm(True, rig.now).ok


def test_the_noise_of_encoders_is_no_motion(panda, home):
    rig, rng = Rig(panda, home).held(), np.random.default_rng(0)
    for _ in range(300):
        rig.now += MS
        rig.joints(home + rng.uniform(-1, 1, 8) * np.r_[np.full(7, 1e-3), 2e-4])
    assert rig.machine.arm(True, rig.now).ok


@pytest.mark.parametrize("period_ms", [1, 10, 100])
def test_motion_is_seen_whatever_the_rate_of_the_driver(panda, home, period_ms):
    rig = Rig(panda, home).held()
    for k in range(1, 1 + 300 // period_ms):
        rig.now += period_ms * MS
        rig.joints(home + np.eye(8)[0] * 0.1 * k * period_ms / 1000)
    assert rig.machine.inputs.moving() == "panda_joint1"


def test_cameras_whose_clock_is_ahead_are_not_the_same_as_no_cameras(panda, home):
    rig = Rig(panda, home).moving()
    rig.machine.on_observation(rig.now + NS, rig.now)
    rig.seq += 10
    report = rig.chunk().report
    assert (report.decision, report.reasons) == (Decision.REJECT, Reason.CAMERA_STALE)
    rig.run(0.5)
    assert rig.at_rest
    rig.machine.on_observation(rig.now, rig.now)
    assert rig.chunk().report.decision == Decision.PASS


def test_cameras_that_die_when_the_clock_goes_back_are_missed(panda, home):
    rig = Rig(panda, home).moving()
    rig.machine.on_observation(rig.now, rig.now)
    rig.now -= 5 * NS
    rig.keep(rig.machine.tick(rig.now))
    rig.run(1.2)
    assert rig.machine.arm(True, rig.now).ok
    assert rig.chunk(rate=TURN).report.reasons == Reason.CAMERA_STALE


def test_arming_is_refused_while_the_robot_moves(rig):
    rig.held()
    rig.now += 10 * MS
    rig.joints(rig.home, np.eye(8)[2] * 0.3)
    answer = rig.machine.arm(True, rig.now)
    assert not answer.ok
    assert "panda_joint3 moves" in answer.message


def test_arming_is_refused_outside_the_limits_or_in_collision(rig):
    rig.held()
    for q, word in (
        (rig.home + np.eye(8)[3] * 2.3, "outside its limits; move it back"),
        (rig.home + np.eye(8)[1] * 1.5, "overlaps"),
    ):
        rig.now += 300 * MS
        rig.joints(q)
        answer = rig.machine.arm(True, rig.now)
        assert not answer.ok
        assert word in answer.message


def test_a_driver_that_counts_a_turn_beyond_the_limits_is_told_so(rig):
    rig.held()
    rig.machine.inputs.q = rig.home - np.eye(8)[0] * 2 * np.pi
    words = rig.machine.inputs.why_not_startable()
    assert "panda_joint1 is at -6.283 rad, outside its limits (2 pi apart from 0.000" in words


def test_arming_needs_fresh_joints(rig):
    rig.held()
    rig.now += 10**9
    assert "old" in rig.machine.arm(True, rig.now).message


def test_joints_that_stop_coming_are_a_fault(rig):
    rig.moving()
    reports = rig.run(0.6, joints=False)
    first = next(r for r in reports if r.state == S.BRAKING)
    assert first.reasons & Reason.STATE_STALE
    assert (first.stamp_ns - reports[0].stamp_ns) / 1e9 == pytest.approx(0.3, abs=0.03)
    assert rig.state == S.FAULT
    assert rig.at_rest
    assert "joint state" in reports[-1].sentence


def test_observations_that_stop_coming_stop_the_arm(panda, home):
    rig = Rig(panda, home, observation_timeout_s=0.25).armed()
    rig.machine.on_observation(rig.now, rig.now)
    rig.chunk()
    reports = rig.run(0.6)
    first = next(r for r in reports if r.state == S.BRAKING)
    assert first.reasons & Reason.CAMERA_STALE
    assert rig.at_rest
    assert rig.state == S.ARMED
    assert rig.chunk().report.reasons == Reason.CAMERA_STALE
    rig.machine.on_observation(rig.now, rig.now)
    assert rig.chunk().report.decision == Decision.PASS


@pytest.mark.parametrize(
    "broken",
    [
        {"joint_names": ("a",)},
        {"joint_names": ()},
        {"positions": np.full(8, np.nan)},
        {"positions": np.zeros(3)},
        {"positions": None},
        {"velocities": np.zeros(2)},
        {"stamp_ns": START + 10**12},
    ],
)
def test_a_joint_state_that_is_none_is_not_taken(rig, broken):
    rig.moving()
    good = JointState(rig.now, rig.filter.model.joint_names, rig.measured, np.zeros(8), np.zeros(8))
    for _ in range(40):
        rig.now += 10 * MS
        rig.machine.on_joints(dataclasses.replace(good, **{"stamp_ns": rig.now, **broken}), rig.now)
        rig.machine.tick(rig.now)
    assert rig.state in (S.BRAKING, S.FAULT), "what is not taken does not feed the watchdog"


def test_velocities_that_are_unknown_are_computed(rig):
    rig.held()
    for k in range(3):
        rig.now += 10 * MS
        q = rig.home + np.eye(8)[0] * 0.01 * k
        rig.machine.on_joints(
            JointState(rig.now, rig.filter.model.joint_names, q, np.full(8, np.nan), q), rig.now
        )
    assert rig.machine.inputs.dq[0] == pytest.approx(1.0)
    assert "panda_joint1 moves" in rig.machine.arm(True, rig.now).message


def test_before_a_second_measurement_a_speed_that_is_not_said_is_not_known(model, home):
    inputs = Inputs(model, SafetyParams())
    silent = np.full(8, np.nan)
    assert inputs.take_joints(JointState(NS, model.joint_names, home, silent, silent), NS)
    assert inputs.moving() == "panda_joint1"
    assert "moves" in inputs.why_not_fit(NS)
    assert inputs.take_joints(JointState(NS + MS, model.joint_names, home, silent, silent), NS + MS)
    assert inputs.moving() == ""


@pytest.mark.parametrize(
    ("stamp", "words"),
    [
        (lambda ns: 0, "its stamp is 0, its driver does not set it"),
        (lambda ns: ns + NS // 4, "0.250 s in the future, allowed 0.1 s; synchronise the clocks"),
        (lambda ns: ns - NS // 2, "joint state is 0.50 s old, allowed 0.3 s"),
        (lambda ns: 5 * NS, "of another clock: is use_sim_time the same"),
        (None, "no joint state has come"),
    ],
)
def test_why_the_joints_are_not_known_is_told_with_the_number_and_when_arming(
    panda, home, stamp, words
):
    rig = Rig(panda, home)
    rig.machine.enable(rig.now)
    for _ in range(20):
        rig.now += 10 * MS
        if stamp is not None:
            state = JointState(
                stamp(rig.now), rig.filter.model.joint_names, home, np.zeros(8), np.zeros(8)
            )
            rig.machine.on_joints(state, rig.now)
        report = rig.machine.tick(rig.now).report
    assert words in report.sentence
    assert words in rig.machine.arm(True, rig.now).message
    assert words in rig.chunk().report.sentence


def test_joint_states_that_cannot_be_read_are_told(rig):
    rig.machine.enable(rig.now)
    rig.machine.inputs.refuse("joint_states lacks panda_joint1; it has left_panda_joint1")
    assert "it has left_panda_joint1" in rig.machine.tick(rig.now).report.sentence
    assert "it has left_panda_joint1" in rig.machine.arm(True, rig.now).message


def test_an_arm_that_moves_while_it_is_held_is_told_to_move(rig):
    rig.held()
    for k in range(30):
        rig.now += 10 * MS
        rig.joints(rig.home + np.eye(8)[1] * 0.002 * k)
        report = rig.machine.tick(rig.now).report
    assert rig.state == S.HOLD
    assert "panda_joint2 moves though nothing was emitted" in report.sentence
    assert "panda_joint2 moves" in rig.machine.arm(True, rig.now).message
    rig.run(0.5)
    assert "moves" not in rig.machine.tick(rig.now).report.sentence


def thinks(rig, seconds, **move):
    """An arm that executes, stops, and moves as `move` says while its policy thinks; what is made
    of the chunk then.
    """
    rig.moving()
    rig.run(3.0)
    assert rig.at_rest
    seen_ns = rig.now
    for k in range(round(seconds / 0.1)):
        rig.run(0.1)
        rig.machine.on_observation(rig.now, rig.now)
        if k in move.get("at", ()):
            rig.follow = False
            rig.measured = rig.measured + move["by"] * np.eye(8)[3]
    return rig.chunk(observation_ns=seen_ns).report


def test_an_arm_that_executes_stops_and_thinks_moves_on(rig):
    assert thinks(rig, 3.0).decision == Decision.PASS


def test_before_it_first_moves_it_may_think_as_long(rig):
    rig.armed()
    seen_ns = rig.now
    rig.run(5.0)
    assert rig.chunk(observation_ns=seen_ns).report.decision == Decision.PASS


def test_a_policy_that_looked_before_the_arm_stood_is_refused(rig):
    rig.moving()
    seen_ns = rig.now
    rig.run(3.0)
    report = rig.chunk(observation_ns=seen_ns).report
    assert (report.decision, report.reasons) == (Decision.REJECT, Reason.CAMERA_STALE)
    assert "it has moved since" in report.sentence


def test_an_arm_that_was_pushed_while_it_thought_is_refused_and_one_that_trembled_is_not(
    rig, panda, home
):
    assert thinks(rig, 3.0, at=(5,), by=0.015).reasons == Reason.CAMERA_STALE
    assert thinks(Rig(panda, home), 3.0, at=(5,), by=0.008).decision == Decision.PASS


def test_a_push_and_back_while_it_thought_is_a_push(panda, home):
    rig = Rig(panda, home).armed()
    rig.follow = False
    seen_ns = rig.now
    for by in (0.015, -0.015):
        rig.run(1.5)
        rig.measured = rig.measured + by * np.eye(8)[3]
    rig.run(0.1)
    assert rig.chunk(observation_ns=seen_ns).report.reasons == Reason.CAMERA_STALE


def test_a_joint_that_creeps_does_not_stand_still(panda, home):
    rig = Rig(panda, home).armed()
    rig.follow = False
    seen_ns = rig.now
    for _ in range(30):  # 0.01 rad/s: slow enough to count as still at every moment
        rig.measured = rig.measured + 0.001 * np.eye(8)[3]
        rig.run(0.1)
    assert rig.chunk(observation_ns=seen_ns).report.reasons == Reason.CAMERA_STALE


def test_of_joints_that_were_silent_nobody_knows_that_they_stood(panda, home):
    rig = Rig(panda, home).held()
    seen_ns = rig.now
    rig.now += 3 * NS
    rig.joints()
    assert rig.machine.inputs.still_since_ns == rig.now > seen_ns
