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
    error = stepper.controller.set_trajectory(0, PANDA.joint_names, [0, 1.0], [q0, q1], zeros, zeros, stepper.now_ns)
    assert error is None
    run(stepper, 0.5)
    np.testing.assert_allclose(stepper.world.q, (q0 + q1) / 2, atol=0.02)
    run(stepper, 1.0)
    np.testing.assert_allclose(stepper.world.q, q1, atol=2e-3)
    assert np.abs(stepper.world.joint_state().velocities).max() < 1e-2
    assert not stepper.world.episode().violations


def test_after_a_gap_in_time_the_arm_holds_instead_of_leaping(stepper):
    q0 = stepper.world.q
    zeros = np.zeros((2, 8))
    stepper.controller.set_trajectory(0, PANDA.joint_names, [0, 5.0], [q0, q0 + 0.02], zeros, zeros, stepper.now_ns)
    run(stepper, 0.1)
    here = stepper.world.q
    stepper.advance(stepper.now_ns + 60 * NS)
    assert stepper.now_ns > START + 60 * NS
    run(stepper, 0.2)
    np.testing.assert_allclose(stepper.world.q, here, atol=2e-3)


def test_restart_holds_the_new_pose(stepper):
    stepper.world.reset(2)
    stepper.restart()
    q = stepper.world.q
    run(stepper, 0.2)
    np.testing.assert_allclose(stepper.world.q, q, atol=1e-3)
