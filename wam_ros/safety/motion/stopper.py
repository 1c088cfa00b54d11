"""The jerk-limited stop from any state, as fast as the joints may."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from ruckig import (
    ControlInterface,
    InputParameter,
    Result,
    Ruckig,
    RuckigError,
    Synchronization,
    Trajectory,
)

from wam_ros.core.types import KinematicState, MotionTable
from wam_ros.safety.motion.bounds import Bounds

# share of the jerk that is planned: quintics through samples of a step in jerk reach 3.3 times the
# step
SAMPLED = 0.29


class Stopper:
    """Plans stops. `synchronised` lets all joints come to rest together, else each as soon as it
    can.
    """

    def __init__(self, n_joints: int) -> None:
        self._n = n_joints
        self._ruckig = Ruckig(n_joints)
        self._input = InputParameter(n_joints)
        self._input.control_interface = ControlInterface.Velocity
        self._trajectory = Trajectory(n_joints)
        self._bounds: Bounds | None = None  # whose limits are set
        self._input.target_velocity = [0.0] * n_joints
        self._input.target_acceleration = [0.0] * n_joints

    def stop(
        self, state: KinematicState, bounds: Bounds, synchronised: bool = True
    ) -> MotionTable | None:
        """A row for every sample until rest; the first one is `state`.

        None where none can be planned: a state that is not finite, or joints that would stop within
        rounding of each other, which defeats their synchronisation.
        """
        stops, counts = self.stops(MotionTable.of([state]), bounds, synchronised)
        return stops if counts[0] else None

    def stops(
        self, states: MotionTable, bounds: Bounds, synchronised: bool = True
    ) -> tuple[MotionTable, np.ndarray]:
        """The same from many states, L rows: all stops one after another, and (L,) the samples of
        each.

        0 samples where none can be planned.
        """
        given = self._input
        trajectory = self._trajectory
        dt = bounds.params.sample_s
        if bounds is not self._bounds:
            self._limit(bounds)
        given.synchronization = Synchronization.Time if synchronised else Synchronization.No
        counts = np.zeros(len(states), int)
        found: list[Sequence[list[float]]] = []
        finite = np.isfinite(np.concatenate(states.arrays, axis=1)).all(axis=1)
        begins = list(zip(*(a.tolist() for a in states.arrays), strict=True))
        for k in np.flatnonzero(finite).tolist():
            bounds.distances.model.between()
            begin = begins[k]
            given.current_position, given.current_velocity, given.current_acceleration = begin
            try:
                planned = self._ruckig.calculate(given, trajectory) in (
                    Result.Working,
                    Result.Finished,
                )
            except RuckigError:
                planned = False
            if not planned:
                continue
            duration = trajectory.duration
            at_time = trajectory.at_time
            steps = max(1, int(np.ceil(duration / dt - 1e-9)))
            found += [begin, *(at_time(i * dt) for i in range(1, steps)), at_time(duration)]
            counts[k] = steps + 1
        stops = _table(found, self._n)
        ends = counts.cumsum()[counts > 0] - 1
        # at rest, to the last bit
        stops.dq[ends] = 0.0
        stops.ddq[ends] = 0.0
        return stops, counts

    def _limit(self, bounds: Bounds) -> None:
        acceleration = bounds.joints.acceleration * bounds.params.stop_fraction
        jerk = np.minimum(bounds.joints.jerk * SAMPLED, acceleration / bounds.params.stop_jerk_s)
        self._input.max_acceleration = acceleration.tolist()
        self._input.max_jerk = jerk.tolist()
        self._bounds = bounds


def _table(rows: list[Sequence[list[float]]], n_joints: int) -> MotionTable:
    """The table of N rows of three lists each."""
    numbers = chain.from_iterable(chain.from_iterable(rows))
    table = np.fromiter(numbers, float, len(rows) * 3 * n_joints).reshape(-1, 3, n_joints)
    return MotionTable(*np.ascontiguousarray(table.swapaxes(0, 1)))
