"""The safety node among an octomap that changes, as it is with MoveIt, which has no wheel: the maps
are read and told as `MoveItScene` does, ten times a second, and every second there is another one.

    python -m benchmark.octomap_node --ros-args -p autostart:=true
"""

from __future__ import annotations

import contextlib
import struct
from itertools import cycle
from typing import Any

import numpy as np
from rclpy.clock import Clock, ClockType

from wam_ros.core.errors import WamError
from wam_ros.nodes.safety_node import SafetyNode
from wam_ros.robot.obstacles import Cloud
from wam_ros.ros.running import keep_memory, run_node
from wam_ros.ros.safety_node.octomap_reader import OctomapReader
from wam_ros.safety.machine.live import MOVEIT, Change

DEPTH = 16
EDGE_M = 0.02
SIDE = 166  # voxels of a square ceiling: 27,500
LOOK_S = 0.1
CHANGES = 10  # looks until there is another map
HERE = ((0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))


def serialised(cells: np.ndarray, depth: int = DEPTH) -> bytes:
    """An octomap of occupied voxels (N, 3), counted from the corner, as `octomap_msgs` has it."""
    if depth == 0:
        return struct.pack("<fB", 1.0, 0)
    sides = (cells >> (depth - 1) & 1) @ np.array((1, 2, 4))
    children = [k for k in range(8) if (sides == k).any()]
    parts = [serialised(cells[sides == k], depth - 1) for k in children]
    return struct.pack("<fB", 1.0, sum(1 << k for k in children)) + b"".join(parts)


def ceiling(seed: int) -> bytes:
    """A square of voxels above the arm, out of which a random tenth is missing."""
    middle = 1 << (DEPTH - 1)
    x, y = np.divmod(np.arange(SIDE * SIDE), SIDE)
    cells = np.stack((x - SIDE // 2, y - SIDE // 2, np.full(SIDE * SIDE, 100)), axis=1) + middle
    return serialised(cells[np.random.default_rng(seed).uniform(size=len(cells)) > 0.1])


class OctomapNode(SafetyNode):
    """A safety node with maps of its own."""

    def configure(self) -> None:
        """Make the maps."""
        super().configure()
        self._maps = cycle([ceiling(seed) for seed in range(4)])
        self._map = next(self._maps)
        self._reader = OctomapReader()
        self._looks = 0
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(LOOK_S, self._on_look, clock=steady)

    def _on_look(self) -> None:
        self._looks += 1
        if self._looks % CHANGES == 0:
            self._map = next(self._maps)
        now_ns = self.get_clock().now().nanoseconds
        with contextlib.suppress(WamError):  # not read yet
            voxels = self._reader.voxels(self._map, EDGE_M, HERE, now_ns)
            self._tell_map(
                Cloud("points", (voxels.edge,), *voxels.place, points=voxels.points), now_ns
            )

    def _tell_map(self, cloud: Any, now_ns: int) -> None:
        frame = self._machine.model.embodiment.base_frame
        change = Change("moveit/<octomap>", cloud, frame, now_ns, source=MOVEIT)
        if (emission := self._machine.on_obstacles([change], now_ns)) is not None:
            self._emit(emission)


if __name__ == "__main__":
    keep_memory()
    run_node(OctomapNode)
