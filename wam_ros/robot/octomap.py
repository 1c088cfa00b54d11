"""Occupied voxels of an octomap as it is serialised with all its values (`octomap_msgs/Octomap`,
binary false).

Format, after the octomap library's `OcTreeBaseImpl::writeData`: for every node, depth first, a
little-endian float32 with the log-odds of being occupied and one byte whose bit i says that child i
follows. Bits 0, 1, 2 of a child's number say on which side of the centre it lies in x, y, z. The
root has 16 levels below it; a node without children is a leaf that stands for everything below it
(Hornung et al., OctoMap, Autonomous Robots 2013).
"""

from __future__ import annotations

import numpy as np

from wam_ros.core.errors import WamError

DEPTH = 16
OCCUPIED = 0.0  # log-odds at and above which a leaf is solid
MOST = 200_000  # voxels
MOST_NODES = 500_000  # free ones cost as much to read as occupied ones
_NODE = np.dtype([("value", "<f4"), ("children", "u1")])
# by the byte of a node: how many children it has, and which those are, in their order
_COUNT = np.array([bin(byte).count("1") for byte in range(256)])
_NUMBERS = np.array(
    [([i for i in range(8) if byte >> i & 1] + 8 * [0])[:8] for byte in range(256)], np.uint8
)


def occupied_voxels(data: bytes, resolution: float) -> np.ndarray:
    """(N, 3) m, centres of the voxels of edge `resolution` that are occupied; a large leaf becomes
    many.

    A level at a time and in numpy, which leaves the interpreter to other threads: one of them hears
    the stop.

    Args:
        data: serialised tree.
        resolution: edge of a voxel [m].

    Raises:
        WamError: truncated, too deep, too large, or a resolution that makes no sense.
    """
    if not 1e-3 <= resolution <= 10:
        raise WamError(f"octomap of resolution {resolution} m, expected 0.001 to 10 m")
    if len(data) > MOST_NODES * _NODE.itemsize:
        raise WamError(
            f"octomap with {len(data) // _NODE.itemsize} nodes, free ones too, at most "
            f"{MOST_NODES} are read; crop it or make them larger"
        )
    if not data:
        return np.zeros((0, 3))
    nodes = np.frombuffer(data, _NODE, len(data) // _NODE.itemsize)
    tree = _Tree(np.ascontiguousarray(nodes["children"]), len(data))
    solid = ~(nodes["value"] < OCCUPIED)  # NaN counts as occupied
    cells = []
    count = 0
    level = DEPTH
    at = np.zeros(1, np.int64)  # the nodes of a level
    corners = np.zeros((1, 3), np.int64)  # their lowest voxels, counted from that of the tree
    while len(at):
        leaves = tree.counts[at] == 0
        full = corners[leaves & solid[at]]
        count += len(full) << (3 * level)
        if count > MOST:
            raise WamError(
                f"octomap with more than {MOST} occupied voxels; crop it or make them larger"
            )
        cells.append(_cells(full, level))
        if not level and not leaves.all():
            raise WamError(f"octomap with more than {DEPTH} levels below its root")
        level -= 1
        parents = corners[~leaves]
        at, parent, number = tree.children(at[~leaves])
        sides = number[:, None] >> np.arange(3) & 1
        corners = parents[parent] + (sides << max(level, 0))
    return (np.concatenate(cells) - (1 << (DEPTH - 1)) + 0.5) * resolution


class _Tree:
    """Who is whose child among nodes that are written depth first.

    After node k, `waiting[k]` nodes are still to come of which the parent was seen. The nodes below
    j end where, for the first time, there wait as many as before j without j itself.

    Args:
        children: (N,) byte of each node.
        size: of the message, for words [bytes].

    Raises:
        WamError: it ends too early or too late.
    """

    def __init__(self, children: np.ndarray, size: int) -> None:
        self._bytes = children
        self.counts = _COUNT[children]
        self._waiting = 1 + np.cumsum(self.counts - 1)
        ends = np.flatnonzero(self._waiting == 0)
        if not len(ends):
            raise WamError(f"octomap of {size} bytes ends in the middle of a node")
        read = int(ends[0] + 1) * _NODE.itemsize
        if read != size:
            raise WamError(f"octomap of {size} bytes, of which {read} are its tree")
        self._ends = np.sort(self._keys(self._waiting, np.arange(len(children))))

    def children(self, parents: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The nodes right below others, whose child each is (a row of `parents`), and its number
        there.
        """
        found = []
        rows = np.arange(len(parents))
        child = parents + 1
        for turn in range(8):
            rest = self.counts[parents[rows]] > turn
            rows = rows[rest]
            child = child[rest] if turn == 0 else self._after(child[rest])
            found.append((child, rows, _NUMBERS[self._bytes[parents[rows]], turn]))
        at, row, number = (np.concatenate(each) for each in zip(*found, strict=True))
        return at, row, number.astype(np.int64)

    def _after(self, nodes: np.ndarray) -> np.ndarray:
        """The node that follows all that is below each of some."""
        without = self._waiting[nodes] - self.counts[nodes]
        first = np.searchsorted(self._ends, self._keys(without, nodes))
        return self._ends[first] % len(self._bytes) + 1

    def _keys(self, waiting: np.ndarray, node: np.ndarray) -> np.ndarray:
        return waiting * len(self._bytes) + node


def _cells(corners: np.ndarray, level: int) -> np.ndarray:
    """(N, 3) voxels of all leaves of one level, counted from the lowest corner of the tree."""
    if not len(corners):
        return np.zeros((0, 3), np.int64)
    within = np.indices((1 << level,) * 3).reshape(3, -1).T
    return (corners[:, None] + within).reshape(-1, 3)
