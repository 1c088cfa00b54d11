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

import numpy as np

from wam_ros.core.errors import WamError

DEPTH = 16
OCCUPIED = 0.0  # log-odds at and above which a leaf is solid
MOST = 200_000  # voxels


def occupied_voxels(data: bytes, resolution: float) -> np.ndarray:
    """(N, 3) m, centres of the voxels of edge `resolution` that are occupied; a large leaf becomes
    many.

    Raises:
        WamError: truncated, too large, or a resolution that makes no sense.
    """
    if not 1e-3 <= resolution <= 10:
        raise WamError(f"octomap of resolution {resolution} m, expected 0.001 to 10 m")
    found: list[np.ndarray] = []
    count, offset = 0, 0
    # lowest corner, level
    stack: list[tuple[np.ndarray, int]] = [(np.zeros(3, np.int64), DEPTH)] if data else []
    while stack:
        corner, level = stack.pop()
        try:
            value, children = struct.unpack_from("<fB", data, offset)
        except struct.error as error:
            raise WamError(f"octomap of {len(data)} bytes ends in the middle of a node") from error
        offset += 5
        if children and level:
            half = 1 << (level - 1)
            for i in reversed([i for i in range(8) if children >> i & 1]):
                stack.append((corner + half * np.array([i & 1, i >> 1 & 1, i >> 2 & 1]), level - 1))
        elif not value < OCCUPIED:  # NaN counts as occupied
            count += 1 << (3 * level)
            if count > MOST:
                raise WamError(
                    f"octomap with more than {MOST} occupied voxels; crop it or make them larger"
                )
            side = np.arange(1 << level)
            found.append(
                corner + np.stack(np.meshgrid(side, side, side, indexing="ij"), -1).reshape(-1, 3)
            )
    if offset != len(data):
        raise WamError(f"octomap of {len(data)} bytes, of which {offset} are its tree")
    cells = np.concatenate(found) if found else np.zeros((0, 3), np.int64)
    return (cells - (1 << (DEPTH - 1)) + 0.5) * resolution
