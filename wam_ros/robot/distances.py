"""Distances between bodies, of which a few are made ready at a time: whoever must be heard
meanwhile is heard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pinocchio as pin

# pairs that are made ready at once; some 0.7 ms of work
GROUP = 128


class Distances:
    """Pairs of bodies, each with its distance when that is asked for. Not thread-safe.

    Args:
        model: that moves the bodies.
        bodies: those of the robot and of what it holds, then those that stand.
        pairs: P of two indices of bodies, of which the second may be of one that stands.
        own: number of the former.
        between: called between two groups of pairs.
    """

    def __init__(
        self,
        model: pin.Model,
        bodies: Sequence[pin.GeometryObject],
        pairs: Sequence[tuple[int, int]],
        own: int,
        between: Callable[[], None],
    ) -> None:
        self._model = model
        self._data = model.createData()
        self.groups: list[tuple[pin.GeometryModel, pin.GeometryData]] = []
        for first in range(0, len(pairs), GROUP):
            between()
            some = pairs[first : first + GROUP]
            standing = sorted({b for _, b in some if b >= own})
            geometry = pin.GeometryModel()
            for body in (*bodies[:own], *(bodies[b] for b in standing)):
                geometry.addGeometryObject(body)
            place = {b: own + k for k, b in enumerate(standing)}
            for a, b in some:
                geometry.addCollisionPair(pin.CollisionPair(a, place.get(b, b)))
            self.groups.append((geometry, geometry.createData()))
        self._placed = [False] * len(self.groups)

    def copy(self) -> Distances:
        """Another one of the same pairs, in which a search begins where it would in this one."""
        other = object.__new__(Distances)
        other._model = self._model
        other._data = self._model.createData()
        other.groups = [(geometry, data.copy()) for geometry, data in self.groups]
        other._placed = [False] * len(self.groups)
        return other

    def place(self, full_q: np.ndarray) -> None:
        """Move all bodies to configuration (nq,)."""
        pin.forwardKinematics(self._model, self._data, full_q)
        self._placed = [False] * len(self.groups)

    def distance(self, pair: int) -> float:
        """Distance [m] of a pair at the last `place`; negative when they overlap."""
        return float(self._look(pair).min_distance)

    def nearest_points(self, pair: int) -> np.ndarray:
        """(2, 3) m, where the bodies of a pair are nearest to each other."""
        found = self._look(pair)
        return np.array([found.getNearestPoint1(), found.getNearestPoint2()])

    def _look(self, pair: int) -> pin.coal.DistanceResult:
        group, index = divmod(pair, GROUP)
        geometry, data = self.groups[group]
        if not self._placed[group]:
            pin.updateGeometryPlacements(self._model, self._data, geometry, data)
            self._placed[group] = True
        return pin.computeDistance(geometry, data, index)
