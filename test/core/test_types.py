"""A motion is one table, a state is one of its rows, and what is neither cannot be made."""

import dataclasses

import numpy as np
import pytest

from wam_ros.core.errors import WamError
from wam_ros.core.types import KinematicState, MotionTable, SafeTrajectory


def table(n: int = 5, joints: int = 2) -> MotionTable:
    return MotionTable(*np.random.default_rng(n).normal(size=(3, n, joints)))


def same(a, b) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.arrays, b.arrays, strict=True))


def test_a_row_is_the_state_at_its_instant():
    whole = table()
    row = whole[3]
    assert isinstance(row, KinematicState)
    assert np.array_equal(row.arrays, [a[3] for a in whole.arrays])
    assert same(whole[-1], whole[4])
    assert same(whole[np.int64(2)], whole[2]), "a number of numpy's is one too"


def test_a_table_of_its_rows_is_itself():
    whole = table()
    assert same(MotionTable.of([whole[k] for k in range(len(whole))]), whole)


@pytest.mark.parametrize("cut", [1, 2, 4])
def test_what_was_cut_and_joined_is_whole(cut):
    whole = table()
    assert same(MotionTable.joined([whole[:cut], whole[cut:]]), whole)
    assert same(whole[np.arange(cut, 5)], whole[cut:])


def test_columns_are_joints_in_the_order_that_is_asked_for():
    assert np.array_equal(table().columns([1, 0]).dq, table().dq[:, ::-1])


def test_a_part_of_a_trajectory_is_a_table_that_claims_no_proof():
    trajectory = SafeTrajectory(
        *table().arrays, start_ns=0, joint_names=("a", "b"), t=np.arange(5.0)
    )
    assert type(trajectory[1:3]) is MotionTable
    assert same(trajectory[1:3], table()[1:3])


@pytest.mark.parametrize("odd", ["q", "dq", "ddq"])
@pytest.mark.parametrize("shape", [(4, 2), (5, 1), (5,), (1, 5, 2)])
def test_three_arrays_that_are_not_of_one_size_are_no_table(odd, shape):
    with pytest.raises(WamError, match=r"q, dq and ddq of a motion must be of one size"):
        dataclasses.replace(table(), **{odd: np.zeros(shape)})


def test_a_single_row_of_numbers_is_no_table():
    with pytest.raises(WamError, match=r"\(2,\), \(2,\), \(2,\)"):
        MotionTable(*np.zeros((3, 2)))


@pytest.mark.parametrize("odd", ["q", "dq", "ddq"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_number_that_is_none_makes_it_not_finite(odd, value):
    for whole, at in ((table(), (2, 1)), (table()[0], 1)):
        assert whole.finite
        array = getattr(whole, odd).copy()
        array[at] = value
        assert not dataclasses.replace(whole, **{odd: array}).finite


def test_a_difference_added_again_is_where_it_was():
    a, b = table()[0], table()[1]
    np.testing.assert_allclose((b + (a - b)).arrays, a.arrays)


def test_at_rest_and_a_copy_share_no_memory_with_what_they_are_of():
    q = np.ones(2)
    rest = KinematicState.at_rest(q)
    again = rest.copy()
    q[0] = rest.dq[0] = 5.0
    assert np.array_equal(rest.q, [1, 1])
    assert not again.dq.any()


def test_what_a_trajectory_is_made_of_must_be_named():
    with pytest.raises(TypeError, match="positional"):
        SafeTrajectory(*table().arrays, 0, ("a", "b"), np.arange(5.0))
