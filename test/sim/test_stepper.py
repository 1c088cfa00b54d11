"""The simulated arm keeps step with a clock and follows what its controller says."""

import numpy as np
import pytest

pytest.importorskip("mujoco")

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import NS
from wam_ros.sim.stepper import Stepper
from wam_ros.sim.trajectory_controller import TrajectoryController
from wam_ros.sim.world import World

START = 500 * NS
PANDA = load_embodiment("panda")


@pytest.fixture(scope="module")
def world():
    return World(PANDA, render=False)


@pytest.fixture
def stepper(world):
    world.reset(1)
    return Stepper(world, TrajectoryController(world.joint_names, world.q), START)


def run(stepper, seconds):
    to_ns = stepper.now_ns + round(seconds * NS)
    while stepper.advance(to_ns) >= 2_000_000:
        pass


def test_physics_comes_as_far_as_the_clock_and_no_farther(stepper):
    missing = stepper.advance(START + 33_500_000)
    assert missing == 1_500_000
    assert stepper.now_ns == START + 32_000_000
    assert stepper.world.time_s == pytest.approx(0.032)


def test_one_call_never_takes_more_than_its_share(stepper):
    assert stepper.advance(START + NS, max_steps=20) == NS - 40_000_000
    assert stepper.world.time_s == pytest.approx(0.04)


def test_what_is_due_comes_at_its_rate_with_the_instant_of_the_physics(stepper):
    fast, slow = [], []
    stepper.every(0.01, fast.append)
    stepper.every(0.1, slow.append)
    run(stepper, 1.0)
    assert len(fast) == pytest.approx(100, abs=1)
    assert len(slow) == pytest.approx(10, abs=1)
    assert set(np.diff(fast)) == {10_000_000}
    assert all((ns - START) % 2_000_000 == 0 for ns in fast)


def test_without_a_trajectory_the_arm_stays(stepper):
    q = stepper.world.q
    run(stepper, 0.5)
    np.testing.assert_allclose(stepper.world.q, q, atol=1e-3)


def test_a_trajectory_is_followed_and_ends_at_rest(stepper):
    q0 = stepper.world.q
    q1 = q0 + np.array([0.2, 0.1, -0.2, 0.1, 0.1, -0.1, 0.2, 0.0])
    zeros = np.zeros((2, 8))
    error = stepper.controller.set_trajectory(
        start_ns=0,
        joint_names=PANDA.joint_names,
        t=[0, 1.0],
        q=[q0, q1],
        dq=zeros,
        ddq=zeros,
        now_ns=stepper.now_ns,
    )
    assert error == ""
    run(stepper, 0.5)
    np.testing.assert_allclose(stepper.world.q, (q0 + q1) / 2, atol=0.02)
    run(stepper, 1.0)
    np.testing.assert_allclose(stepper.world.q, q1, atol=2e-3)
    assert np.abs(stepper.world.joint_state().velocities).max() < 1e-2
    assert not stepper.world.episode().violations


def test_after_a_gap_in_time_the_arm_goes_on_where_it_was_without_leaping_or_stopping_dead(stepper):
    q0, zeros = stepper.world.q, np.zeros((2, 8))
    q1 = q0 + np.array([0.5, 0, 0, 0, 0, 0, 0, 0])
    stepper.controller.set_trajectory(
        start_ns=0,
        joint_names=PANDA.joint_names,
        t=[0, 1.0],
        q=[q0, q1],
        dq=zeros,
        ddq=zeros,
        now_ns=stepper.now_ns,
    )
    run(stepper, 0.5)
    speed = stepper.world.joint_state().velocities[0]
    assert speed > 0.5
    stepper.advance(stepper.now_ns + 60 * NS, max_steps=1)
    assert stepper.now_ns > START + 60 * NS
    run(stepper, 0.01)
    assert stepper.world.joint_state().velocities[0] == pytest.approx(speed, abs=0.1)
    run(stepper, 1.0)
    np.testing.assert_allclose(stepper.world.q, q1, atol=2e-3)
    assert not stepper.world.episode().violations


def test_restart_holds_the_new_pose(stepper):
    stepper.world.reset(2)
    stepper.restart()
    q = stepper.world.q
    run(stepper, 0.2)
    np.testing.assert_allclose(stepper.world.q, q, atol=1e-3)


def test_what_came_at_an_instant_waits_until_the_physics_is_there(stepper):
    calls = []
    stepper.at(START + 30_000_000, lambda: calls.append(("first", stepper.now_ns)))
    stepper.at(START + 30_000_000, lambda: calls.append(("second", stepper.now_ns)))
    stepper.advance(START + 28_000_000)
    assert calls == []
    stepper.advance(START + 40_000_000)
    assert calls == [("first", START + 30_000_000), ("second", START + 30_000_000)]
    stepper.at(START, lambda: calls.append(("late", stepper.now_ns)))
    assert calls[-1] == ("late", START + 40_000_000)


def test_what_waits_is_forgotten_when_the_world_is_reset(stepper):
    calls = []
    stepper.at(START + 30_000_000, lambda: calls.append(1))
    stepper.restart()
    run(stepper, 0.1)
    assert calls == []


def test_a_plan_that_reaches_a_late_physics_is_followed_as_if_it_were_on_time(stepper):
    """The running plan goes on until the next one begins, although that one is known much
    earlier.
    """
    q0, zeros = stepper.world.q, np.zeros((3, 8))
    q1 = q0 + np.array([0.3, 0, 0, 0, 0, 0, 0, 0])
    # there and back: no straight way to its middle
    plan = ([0, 0.3, 1.0], [q0, q0 - (q1 - q0) / 4, q1], zeros, zeros)
    stepper.controller.set_trajectory(START, PANDA.joint_names, *plan, START)
    now_ns = START + 400_000_000  # the physics is 0.4 s behind
    q, dq, ddq = _state_of(plan, 0.4).arrays
    rest = (now_ns, PANDA.joint_names, [0, 0.6], [q, q1], [dq, zeros[0]], [ddq, zeros[0]])
    stepper.at(now_ns, lambda: stepper.controller.set_trajectory(*rest, stepper.now_ns))
    run(stepper, 0.25)
    np.testing.assert_allclose(stepper.world.q, _state_of(plan, 0.25).q, atol=1e-2)
    run(stepper, 1.5)
    np.testing.assert_allclose(stepper.world.q, q1, atol=2e-3)


def _state_of(plan, t):
    controller = TrajectoryController(PANDA.joint_names, plan[1][0])
    controller.set_trajectory(START, PANDA.joint_names, *plan, START)
    return controller.sample(START + round(t * NS))
