"""An arm that leaves the commanded path is noticed by joint and size, noise and fingers are not."""

from __future__ import annotations

import numpy as np
import pytest

from testing.rig import MS, untimed
from testing.tools import START, make_chunk, pendulum
from wam_ros.core.angles import TURN
from wam_ros.core.types import JointState, SafetyState
from wam_ros.robot.model import load_safety_model
from wam_ros.safety.machine.machine import SafetyMachine
from wam_ros.safety.machine.playback import Playback
from wam_ros.safety.machine.tracking import Tracking
from wam_ros.safety.params import SafetyParams

S = SafetyState


def test_a_robot_that_leaves_its_path_is_a_fault(rig):
    rig.moving()
    rig.follow = False
    stuck = rig.measured.copy()
    for _ in range(60):
        if rig.state != S.ARMED:
            break
        rig.now += 10 * MS
        rig.joints(stuck - np.eye(8)[1] * 0.15)
    assert rig.state == S.BRAKING
    report = rig.machine.tick(rig.now).report
    assert "panda_joint2 is" in report.sentence
    assert "off the commanded path" in report.sentence
    for _ in range(60):
        rig.now += 10 * MS
        rig.joints(stuck)
        rig.machine.tick(rig.now)
    assert rig.state == S.FAULT


def test_fingers_that_close_on_something_are_no_fault(rig):
    rig.armed()
    rig.chunk(rate=np.r_[np.zeros(7), -0.005])
    rig.follow = False
    for _ in range(100):
        rig.now += 10 * MS
        rig.joints(rig.home)
        rig.machine.tick(rig.now)
    assert rig.state == S.ARMED


def test_one_measurement_that_is_off_is_forgiven(rig):
    rig.moving()
    rig.now += 10 * MS
    rig.joints(rig.measured + 0.5)
    assert rig.state == S.ARMED
    rig.run(0.05)
    assert rig.state == S.ARMED


@pytest.fixture
def standing(home):
    """What is commanded: to stand at home."""
    playback = Playback()
    playback.hold(home)
    return playback


def watched(model, playback, off, times: int = 1, **params) -> str:
    """What is said of joints that are measured beside home (8,) [rad or m] so many times."""
    tracking = Tracking(model, SafetyParams(**params))
    words = ""
    for k in range(times):
        words = tracking.why_not_on_path(
            playback, k * 10 * MS, np.array(model.embodiment.home) + off
        )
    return words


def test_so_many_samples_off_the_path_are_told_with_the_joint_its_place_and_what_is_allowed(
    model, standing
):
    off = 0.25 * np.eye(8)[4]
    assert watched(model, standing, off, 2) == ""
    assert watched(model, standing, off, 3) == (
        "panda_joint5 is 0.250 rad off the commanded path, allowed 0.200 rad"
    )


def test_of_several_joints_the_one_farthest_beyond_what_it_may_is_told(model, standing):
    assert "panda_joint2" in watched(model, standing, np.r_[0.21, 0.3, np.zeros(6)], 3)


def test_an_arm_that_comes_back_to_its_path_has_all_its_samples_again(model, standing):
    tracking, home = Tracking(model, SafetyParams()), np.array(model.embodiment.home)
    off = home + 0.5 * np.eye(8)[0]
    for k, q in enumerate((off, off, home, off, off)):
        assert tracking.why_not_on_path(standing, k * 10 * MS, q) == ""
    assert tracking.why_not_on_path(standing, 50 * MS, off) != ""
    tracking.clear()
    assert tracking.why_not_on_path(standing, 60 * MS, off) == ""


def test_what_is_measured_nowhere_is_off_the_path(model, standing):
    off = np.nan * np.eye(8)[3]
    assert "panda_joint" in watched(model, standing, off, 3)


LIMIT = '<limit effort="50" velocity="2"/>'


def wrapped(q):
    return (q + np.pi) % TURN - np.pi


@pytest.fixture
def wheel(tmp_path):
    return load_safety_model(pendulum(tmp_path, joint=LIMIT, kind="continuous"))


def test_ten_turns_of_a_driver_and_a_policy_that_wrap_are_one_motion(wheel):
    machine = SafetyMachine(untimed(wheel, SafetyParams()))
    now, q, seq, states = START, np.array([3.0]), 0, set()
    machine.enable(now)

    def live():
        commanded = machine.commanded(now)
        here = q if commanded is None else commanded.q
        machine.on_joints(
            JointState(now, wheel.joint_names, wrapped(here), np.zeros(1), np.zeros(1)), now
        )
        states.add(machine.tick(now).report.state)
        return here

    for _ in range(5):
        now += 10 * MS
        live()
    assert machine.arm(True, now).ok
    states.clear()
    here = q
    while here[0] < q[0] + 10 * TURN and now < START + 120 * 10**9:
        now += 10 * MS
        here = live()
        if (now - START) // MS % 200 == 0:
            seq += 1
            steps = wrapped(here + np.outer(np.arange(1, 9), [0.12]))
            machine.on_chunk(make_chunk(wheel.joint_names, steps, age=0, now=now, seq=seq), now)
    assert here[0] >= q[0] + 10 * TURN
    assert states <= {SafetyState.ARMED}


def test_armed_anew_a_whole_turn_away_it_stands_where_it_stood(wheel):
    machine = SafetyMachine(untimed(wheel, SafetyParams()))
    machine.brakes.stand(np.array([3.0 + 4 * TURN]))
    zero = np.zeros(1)
    machine.brakes.seed(np.array([3.001]), np.array([0.01]), zero - np.inf, zero + np.inf)
    assert machine.brakes.playback.at(START).q == pytest.approx(3.0 + 4 * TURN)


def test_of_a_joint_with_limits_the_words_say_that_it_is_whole_turns_off(tmp_path):
    limit = '<limit lower="-9" upper="9" effort="50" velocity="2"/>'
    model = load_safety_model(pendulum(tmp_path, joint=limit))
    playback, tracking = Playback(), Tracking(model, SafetyParams())
    playback.hold(np.array([3.0]))
    for k in range(3):
        words = tracking.why_not_on_path(playback, k * 10 * MS, np.array([3.0 - TURN]))
    assert "hinge is 6.283 rad off the commanded path" in words
    assert "(2 pi apart: one of the two counts turns that the other does not)" in words
