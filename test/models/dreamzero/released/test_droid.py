"""A released DROID checkpoint drives the shipped DROID robot: name, folder, nothing else."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from wam_ros.core.embodiment import load_embodiment  # noqa: E402
from wam_ros.core.types import NS, JointState, Observation  # noqa: E402
from wam_ros.models import load_policy  # noqa: E402
from wam_ros.models.dreamzero.released.views import crop_box  # noqa: E402

from .test_released import released  # noqa: E402, F401

COLOURS = {"exterior_1": (200, 30, 30), "exterior_2": (30, 200, 30), "wrist": (30, 30, 200)}


@pytest.fixture(scope="module")
def robot():
    return load_embodiment("droid")


@pytest.fixture(scope="module")
def policy(released, robot):  # noqa: F811
    return load_policy(released[0], str(released[1]), robot)


def observe(robot, gripper=0.04):
    frames = np.stack(
        [np.broadcast_to(np.uint8(COLOURS[v]), (180, 320, 3)) for v in robot.view_names]
    )
    q = np.array(robot.home)
    q[-1] = gripper
    stamps = (NS,) * len(robot.view_names)
    return Observation(
        NS, robot.view_names, frames, stamps, JointState(NS, robot.joint_names, q, q * 0, q * 0)
    )


def test_three_views_lie_where_training_had_them(policy, robot):
    """Wrist above, stretched to the whole width; left and right exterior below."""
    canvas = policy.robot.canvas(observe(robot))
    assert canvas.shape == (352, 640, 3)
    for name, part in (
        ("wrist", canvas[:176]),
        ("exterior_1", canvas[176:, :320]),
        ("exterior_2", canvas[176:, 320:]),
    ):
        assert (part == COLOURS[name]).all(), name


def test_the_state_is_seven_joints_and_a_gripper_that_is_1_when_closed(policy, robot):
    for opening, column in ((0.04, 0.0), (0.02, 0.5), (0.0, 1.0)):
        columns = policy.robot.columns(observe(robot, opening))
        np.testing.assert_allclose(columns, [*robot.home[:7], column])


def test_arm_targets_are_relative_to_the_sent_state_and_the_gripper_is_absolute(policy, robot):
    """Statistics of the tiny checkpoint: +-1 rad for the arm's differences, 0 to 1 for the
    gripper's column.
    """
    columns = policy.robot.columns(observe(robot, 0.01))
    action = np.zeros((24, 32))
    action[:, :7], action[:, 7] = 0.1, 0.25
    found = policy.robot.positions(action, columns)
    np.testing.assert_allclose(found[:, :7], np.tile(np.array(robot.home[:7]) + 0.1, (24, 1)))
    np.testing.assert_allclose(found[:, 7], 0.04 - 0.04 * 0.625)


def test_a_chunk_is_24_targets_at_15_hz_and_eight_frames_of_every_camera(policy, robot):
    policy.reset("pick up the red cup")
    observation = observe(robot)
    output = policy.predict(observation)
    assert output.positions.shape == (24, 8) and np.isfinite(output.positions).all()
    assert output.frames.shape == (8, 3, 180, 320, 3)
    assert output.frame_offsets_ns[-1] == pytest.approx(24 / 15 * NS, abs=10)
    top, left, h, w = crop_box(180, 320, policy.robot.contract.crop)
    seen = (slice(None), slice(top, top + h), slice(left, left + w))
    for view in range(3):
        assert (output.frames[:, view][seen] != observation.frames[view][seen[1:]]).any()
