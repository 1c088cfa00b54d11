"""Octomaps written by hand, node by node, and read back."""

import struct

import numpy as np
import pytest

from wam_ros.core.errors import WamError
from wam_ros.robot.octomap import DEPTH, occupied_voxels


def node(value: float, *children: tuple[int, bytes]) -> bytes:
    """One node and what is below it; children are (number, bytes) in rising order."""
    return struct.pack("<fB", value, sum(1 << i for i, _ in children)) + b"".join(
        c for _, c in children
    )


def chain(numbers: list[int], leaf: bytes) -> bytes:
    """A way down through one child of every level."""
    for number in reversed(numbers):
        leaf = node(2.0, (number, leaf))
    return leaf


def voxel(point: np.ndarray, edge: float) -> list[int]:
    """Numbers of the children on the way to a point."""
    cell = np.floor(point / edge).astype(int) + (1 << (DEPTH - 1))
    return [
        sum((int(c) >> level & 1) << axis for axis, c in enumerate(cell))
        for level in range(DEPTH - 1, -1, -1)
    ]


@pytest.mark.parametrize("point", [(0.31, -0.22, 1.07), (-3.0, 2.0, -0.01), (0.0, 0.0, 0.0)])
def test_one_occupied_voxel_lies_around_its_point(point):
    edge, point = 0.05, np.array(point)
    (found,) = occupied_voxels(chain(voxel(point, edge), node(0.85)), edge)
    assert (np.abs(found - point) <= edge / 2 + 1e-9).all()


def test_free_leaves_are_left_out_and_unknown_values_count_as_occupied():
    way = voxel(np.array([0.3, 0.3, 0.3]), 0.1)
    three = node(1.0, (0, node(-0.4)), (3, node(0.0)), (5, node(float("nan"))))
    assert len(occupied_voxels(chain(way[:-1], three), 0.1)) == 2


def test_a_large_leaf_stands_for_everything_below_it():
    way = voxel(np.array([0.35, 0.35, 0.35]), 0.1)
    found = occupied_voxels(chain(way[:-2], node(1.0)), 0.1)
    assert len(found) == 64
    assert np.ptp(found, axis=0) == pytest.approx([0.3] * 3)
    assert len(np.unique(found.round(6), axis=0)) == 64


def test_an_empty_map_has_no_voxels():
    assert occupied_voxels(b"", 0.1).shape == (0, 3)


@pytest.mark.parametrize(
    ("data", "edge", "word"),
    [
        (node(1.0)[:-1], 0.1, "middle of a node"),
        (chain([0] * DEPTH, node(1.0)) + b"rest", 0.1, "are its tree"),
        (node(1.0), 0.1, "more than"),
        (node(1.0), float("nan"), "resolution"),
        (node(1.0), 0.0, "resolution"),
    ],
)
def test_what_is_no_octomap_is_refused(data, edge, word):
    with pytest.raises(WamError, match=word):
        occupied_voxels(data, edge)
