"""The jerk-limited stop from any state, as fast as the joints may."""

from __future__ import annotations

import numpy as np
from ruckig import ControlInterface, InputParameter, Result, Ruckig, Synchronization, Trajectory

from wam_ros.safety.bounds import Bounds, Commanded
from wam_ros.safety.motion import Motion

SAMPLED = 0.29  # share of the jerk that is planned: quintics through samples of a step in jerk reach 3.3 times the step


class Stopper:
    """Plans stops. `synchronised` lets all joints come to rest together, else each as soon as it can."""

    def __init__(self, n_joints: int) -> None:
        self._n = n_joints
        self._ruckig = Ruckig(n_joints)
        self._input = InputParameter(n_joints)
        self._input.control_interface = ControlInterface.Velocity
        self._trajectory = Trajectory(n_joints)
        self._bounds: Bounds | None = None  # whose limits are set
        self._input.target_velocity = [0.0] * n_joints
        self._input.target_acceleration = [0.0] * n_joints

    def stop(self, state: Commanded, bounds: Bounds, synchronised: bool = True) -> np.ndarray | None:
        """(3, N, A) position, velocity and acceleration every sample until rest; the first row is `state`.

        None where no stop exists (a state that is not finite).
        """
        given, dt = self._input, bounds.params.sample_s
        if not np.isfinite(np.concatenate((state.q, state.dq, state.ddq))).all():
            return None
        if bounds is not self._bounds:
            self._limit(bounds)
        given.synchronization = Synchronization.Time if synchronised else Synchronization.No
        given.current_position = state.q.tolist()
        given.current_velocity = state.dq.tolist()
        given.current_acceleration = state.ddq.tolist()
        trajectory = self._trajectory
        if self._ruckig.calculate(given, trajectory) not in (Result.Working, Result.Finished):
            return None
        duration, at_time = trajectory.duration, trajectory.at_time
        count = max(1, int(np.ceil(duration / dt - 1e-9)))
        rows = np.array([at_time(k * dt) for k in range(count)] + [at_time(duration)])
        rows[-1, 1:] = 0.0
        rows[0] = state.q, state.dq, state.ddq
        return rows.transpose(1, 0, 2)

    def _limit(self, bounds: Bounds) -> None:
        acceleration = bounds.acceleration * bounds.params.stop_fraction
        jerk = np.minimum(bounds.jerk * SAMPLED, acceleration / bounds.params.stop_jerk_s)
        self._input.max_acceleration, self._input.max_jerk = acceleration.tolist(), jerk.tolist()
        self._bounds = bounds


def join_stops(stops: list[np.ndarray], dt: float, parents: tuple[int, ...] = ()) -> Motion:
    """Many stops as one motion with a piece for each; `parents` are the samples of a path at which they begin."""
    starts = np.cumsum([0, *(s.shape[1] for s in stops[:-1])])
    q, dq, ddq = np.concatenate(stops, axis=1)
    return Motion(dt, q, dq, ddq, tuple(int(s) for s in starts), stopping=True, parents=parents)
