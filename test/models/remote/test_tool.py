"""Poses of a tool become joints: the way there and back is the same, and never leaps."""

import numpy as np
import pytest

pytest.importorskip("pinocchio")

from testing.policies import PANDA
from wam_ros.models.remote.tool import ToolPath, rotation_of
from wam_ros.robot.dynamics import Dynamics
from wam_ros.robot.joints import load_joints
from wam_ros.wire.packing import WireError

HOME = np.array(PANDA.home)
COLUMNS = {"axis_angle": 3, "rpy": 3, "quaternion": 4}


@pytest.fixture(scope="module")
def path():
    return ToolPath(Dynamics(PANDA, load_joints(PANDA)))


def told(turn, rotation):
    """The numbers of a rotation."""
    from scipy.spatial.transform import Rotation

    r = Rotation.from_matrix(turn)
    return {
        "axis_angle": r.as_rotvec(),
        "rpy": r.as_euler("xyz"),
        "quaternion": r.as_quat(),
    }[rotation]


@pytest.mark.parametrize("rotation", COLUMNS)
def test_a_rotation_is_read_as_it_was_told(rotation):
    rng = np.random.default_rng(0)
    for _ in range(20):
        numbers = rng.normal(size=COLUMNS[rotation])
        turn = rotation_of(rotation, numbers)
        np.testing.assert_allclose(rotation_of(rotation, told(turn, rotation)), turn, atol=1e-9)
    with pytest.raises(WireError, match="length 0"):
        rotation_of("quaternion", np.zeros(4))


@pytest.mark.parametrize("rotation", COLUMNS)
def test_the_poses_of_a_path_of_joints_give_joints_with_these_poses_and_no_leap(path, rotation):
    swing = np.array([0.4, 0.3, 0.3, 0.3, 0.4, 0.3, 0.6, 0.0])
    joints = HOME + np.outer(np.sin(np.linspace(0.1, 3, 24)), swing)
    places = [path.pose(q) for q in joints]
    rows = np.stack([np.concatenate((at, told(turn, rotation))) for at, turn in places])
    got = path.joints(HOME, rows, rotation, incremental=False)
    for q, (at, turn) in zip(got, places, strict=True):
        found_at, found_turn = path.pose(q)
        assert np.abs(found_at - at).max() < 1e-3
        assert np.abs(found_turn - turn).max() < 1e-2
    steps = np.abs(np.diff(np.vstack((HOME, joints)), axis=0)).max()
    assert np.abs(np.diff(np.vstack((HOME, got)), axis=0)).max() < 2 * steps
    assert (got[:, -1] == HOME[-1]).all()


def test_steps_of_the_tool_add_up_in_the_base_frame(path):
    at, turn = path.pose(HOME)
    rows = np.tile([0.01, 0.0, -0.005, 0.0, 0.0, 0.05], (8, 1))
    got = path.joints(HOME, rows, "axis_angle", incremental=True)
    end_at, end_turn = path.pose(got[-1])
    np.testing.assert_allclose(end_at, at + np.array([0.08, 0, -0.04]), atol=1e-3)
    wanted = rotation_of("axis_angle", np.array([0, 0, 0.4])) @ turn
    np.testing.assert_allclose(end_turn, wanted, atol=1e-2)


@pytest.mark.parametrize("x", [3.0, -2.0, 1e300])
def test_what_is_out_of_reach_is_refused_by_its_row(path, x):
    at, turn = path.pose(HOME)
    good = np.concatenate((at, told(turn, "rpy")))
    rows = np.stack((good, good + np.eye(6)[0] * x))
    with np.errstate(all="ignore"), pytest.raises(WireError, match="pose of row 1 is out of reach"):
        path.joints(HOME, rows, "rpy", incremental=False)


def test_joints_stay_inside_their_limits(path):
    limits = path._robot.limits
    rows = np.tile([0.0, 0.0, 0.0, 0.0, 0.0, 0.15], (80, 1))
    with pytest.raises(WireError, match="out of reach"):  # the last joint turns no farther
        path.joints(HOME, rows, "axis_angle", incremental=True)
    got = path.joints(HOME, rows[:8], "axis_angle", incremental=True)
    assert ((got >= limits.lower) & (got <= limits.upper)).all()
