"""Poses as other parts write them are those of the numbers, there and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wam_ros.core.errors import WamError
from wam_ros.robot.pose import facing, make_pose, placed, pose_from_matrix

SEEDS = st.integers(0, 10**6)


def test_a_turn_of_60_degrees_about_z_takes_x_towards_y():
    pose = make_pose((1.0, 2.0, 3.0), (np.cos(np.pi / 6), 0.0, 0.0, np.sin(np.pi / 6)))
    assert pose.act(np.array([1.0, 0.0, 0.0])) == pytest.approx([1.5, 2 + np.sqrt(0.75), 3.0])


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, size=st.floats(-3, 3))
def test_a_pose_comes_back_whatever_the_length_of_its_quaternion(seed, size):
    rng = np.random.default_rng(seed)
    turn, position = rng.normal(size=4), tuple(rng.normal(size=3))
    found, orientation = placed(make_pose(position, tuple(10**size * turn)))
    assert found == pytest.approx(position)
    # q and -q are the same turn
    assert abs(np.dot(orientation, turn / np.linalg.norm(turn))) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "orientation", [(0.0, 0.0, 0.0, 0.0), (np.nan, 0.0, 0.0, 1.0), (np.inf, 0.0, 0.0, 0.0)]
)
def test_an_orientation_without_a_direction_is_refused_with_its_numbers(orientation):
    with pytest.raises(WamError, match="orientation .* is no quaternion"):
        make_pose((0.0, 0.0, 0.0), orientation)


def test_a_matrix_gives_the_pose_that_it_is():
    matrix = np.eye(4)
    matrix[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    matrix[:3, 3] = [0.1, 0.2, 0.3]
    position, orientation = placed(pose_from_matrix(matrix))
    assert position == pytest.approx((0.1, 0.2, 0.3))
    assert orientation == pytest.approx((np.sqrt(0.5), 0, 0, np.sqrt(0.5)))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_the_z_axis_of_what_faces_a_normal_is_the_normal(seed):
    rng = np.random.default_rng(seed)
    normal, point = rng.normal(size=3), rng.normal(size=3)
    normal /= np.linalg.norm(normal)
    pose = facing(normal, point)
    assert pose.rotation[:, 2] == pytest.approx(normal)
    assert pose.translation == pytest.approx(point)
    assert np.linalg.det(pose.rotation) == pytest.approx(1.0)


def test_what_faces_straight_down_is_a_turn_too():
    pose = facing(np.array([0.0, 0.0, -1.0]), np.zeros(3))
    assert pose.rotation[:, 2] == pytest.approx([0.0, 0.0, -1.0])
    assert np.linalg.det(pose.rotation) == pytest.approx(1.0)
