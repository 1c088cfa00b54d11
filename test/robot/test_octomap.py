"""Octomaps written by hand, node by node, and read back."""

import struct

import numpy as np
import pytest

from wam_ros.core.errors import WamError
from wam_ros.robot import octomap
from wam_ros.robot.octomap import DEPTH, MOST_NODES, OCCUPIED, occupied_voxels


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


def by_recursion(data: bytes, edge: float) -> list[tuple[float, ...]]:
    """What `occupied_voxels` finds, as one reads the format: node by node, an array for each."""
    offset = 0

    def below(corner: np.ndarray, level: int) -> list[np.ndarray]:
        nonlocal offset
        value, children = struct.unpack_from("<fB", data, offset)
        offset += 5
        if children and level:
            sides = [
                np.array([i & 1, i >> 1 & 1, i >> 2 & 1]) for i in range(8) if children >> i & 1
            ]
            return [c for side in sides for c in below(corner + (side << (level - 1)), level - 1)]
        return (
            []
            if value < OCCUPIED
            else [corner + np.array(cell) for cell in np.ndindex(*(3 * [1 << level]))]
        )

    cells = below(np.zeros(3, int), DEPTH)
    return sorted(tuple((c - (1 << (DEPTH - 1)) + 0.5) * edge) for c in cells)


def grown(rng: np.random.Generator, level: int) -> bytes:
    """A random tree of `level` levels; leaves are free, occupied and unknown."""
    if level == 0 or (level < 4 and rng.random() < 0.3):
        return node(float(rng.choice([-0.4, 0.0, 0.85, float("nan")])))
    numbers = sorted(rng.choice(8, size=rng.integers(1, 4), replace=False))
    return node(1.0, *((int(i), grown(rng, level - 1)) for i in numbers))


@pytest.mark.parametrize("seed", range(12))
def test_random_trees_are_read_as_recursion_reads_them(seed):
    rng = np.random.default_rng(seed)
    tree = chain(list(rng.integers(0, 8, size=DEPTH - 5)), grown(rng, 5))
    found = occupied_voxels(tree, 0.05)
    assert sorted(map(tuple, found)) == by_recursion(tree, 0.05)


def test_free_cells_count_when_a_map_is_too_large(monkeypatch):
    with pytest.raises(WamError, match=f"{MOST_NODES + 1} nodes, free ones too"):
        occupied_voxels(node(-0.4) * (MOST_NODES + 1), 0.05)
    monkeypatch.setattr(octomap, "MOST_NODES", DEPTH + 1)
    free = chain([0] * DEPTH, node(-0.4))
    assert len(occupied_voxels(free, 0.05)) == 0
    with pytest.raises(WamError, match=r"crop it"):
        occupied_voxels(free + free, 0.05)


def test_an_empty_map_has_no_voxels():
    assert occupied_voxels(b"", 0.1).shape == (0, 3)


@pytest.mark.parametrize(
    ("data", "edge", "word"),
    [
        (node(1.0)[:-1], 0.1, "middle of a node"),
        (chain([0] * DEPTH, node(1.0)) + b"rest", 0.1, "are its tree"),
        (node(1.0), 0.1, "more than"),
        (chain([0] * DEPTH + [1], node(1.0)), 0.1, "more than 16 levels"),
        (chain([0] * DEPTH, node(1.0) + node(1.0)), 0.1, "are its tree"),
        (node(1.0, (0, node(-0.4)), (7, b"")), 0.1, "middle of a node"),
        (node(1.0), float("nan"), "resolution"),
        (node(1.0), 0.0, "resolution"),
    ],
)
def test_what_is_no_octomap_is_refused(data, edge, word):
    with pytest.raises(WamError, match=word):
        occupied_voxels(data, edge)
