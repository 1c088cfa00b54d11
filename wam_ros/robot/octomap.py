"""Occupied voxels of an octomap as it is serialised with all its values (`octomap_msgs/Octomap`,
binary false).

Format, after the octomap library's `OcTreeBaseImpl::writeData`: for every node, depth first, a
little-endian float32 with the log-odds of being occupied and one byte whose bit i says that child i
follows. Bits 0, 1, 2 of a child's number say on which side of the centre it lies in x, y, z. The
root has 16 levels below it; a node without children is a leaf that stands for everything below it
(Hornung et al., OctoMap, Autonomous Robots 2013).
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable

import numpy as np

from wam_ros.core.errors import WamError

DEPTH = 16
OCCUPIED = 0.0  # log-odds at and above which a leaf is solid
MOST = 200_000  # voxels
MOST_NODES = 500_000  # free ones cost as much to read as occupied ones
AT_ONCE = 200  # nodes between two pauses, a tenth of a millisecond
_NODE = struct.Struct("<fB")
_SIDES = [(i & 1, i >> 1 & 1, i >> 2 & 1) for i in range(8)]
# by the byte of a node: the sides on which its children lie, the last one first
_BELOW = [[_SIDES[i] for i in reversed(range(8)) if byte >> i & 1] for byte in range(256)]


def occupied_voxels(
    data: bytes, resolution: float, pause: Callable[[], None] = lambda: None
) -> np.ndarray:
    """(N, 3) m, centres of the voxels of edge `resolution` that are occupied; a large leaf becomes
    many.

    Args:
        data: serialised tree.
        resolution: edge of a voxel [m].
        pause: called every `AT_ONCE` nodes; a thread that shares its interpreter with another lets
            that one in.

    Raises:
        WamError: truncated, too large, or a resolution that makes no sense.
    """
    if not 1e-3 <= resolution <= 10:
        raise WamError(f"octomap of resolution {resolution} m, expected 0.001 to 10 m")
    if len(data) > MOST_NODES * _NODE.size:
        raise WamError(
            f"octomap with {len(data) // _NODE.size} nodes, free ones too, at most {MOST_NODES} "
            "are read; crop it or make them larger"
        )
    nodes = _NODE.iter_unpack(memoryview(data)[: len(data) // _NODE.size * _NODE.size])
    found = [array("H") for _ in range(DEPTH)]  # lowest corners x, y, z of the leaves of a level
    count = 0
    read = 0
    # Plain integers: an array for every node costs 25 times as much.
    stack = [(0, 0, 0, DEPTH)] if data else []  # lowest corner, level
    while stack:
        x, y, z, level = stack.pop()
        try:
            value, children = next(nodes)
        except StopIteration:
            raise WamError(f"octomap of {len(data)} bytes ends in the middle of a node") from None
        read += 1
        if not read % AT_ONCE:
            pause()
        if children and level:
            level -= 1
            half = 1 << level
            for i, j, k in _BELOW[children]:
                stack.append((x + half * i, y + half * j, z + half * k, level))
        elif not value < OCCUPIED:  # NaN counts as occupied
            count += 1 << (3 * level)
            if count > MOST:
                raise WamError(
                    f"octomap with more than {MOST} occupied voxels; crop it or make them larger"
                )
            found[level].extend((x, y, z))
    if read * _NODE.size != len(data):
        raise WamError(f"octomap of {len(data)} bytes, of which {read * _NODE.size} are its tree")
    cells = [_cells(corners, level) for level, corners in enumerate(found) if corners]
    if not cells:
        return np.zeros((0, 3))
    return (np.concatenate(cells) - (1 << (DEPTH - 1)) + 0.5) * resolution


def _cells(corners: array[int], level: int) -> np.ndarray:
    """(N, 3) voxels of all leaves of one level, counted from the lowest corner of the tree."""
    within = np.indices((1 << level,) * 3).reshape(3, -1).T
    return (np.array(corners, np.int64).reshape(-1, 1, 3) + within).reshape(-1, 3)
