"""A sampled motion as the controller interpolates it.

Between samples the controller follows the quintic through (q, dq, ddq) of both ends. A quintic lies
in the hull of its Bezier points, and so do its derivatives in theirs: a bound on those points holds
at every instant, not only at samples.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np

from wam_ros.core.types import MotionTable


@dataclass(frozen=True, eq=False)
class Motion(MotionTable):
    """One or more pieces of motion, sampled every `dt`, one after another in the table."""

    _: KW_ONLY
    dt: float  # s
    starts: tuple[int, ...] = (0,)  # sample at which each piece begins
    stopping: bool = False  # whether the pieces are stops
    parents: tuple[int, ...] = ()  # sample of the newest path at which each stop begins

    @cached_property
    def inside(self) -> np.ndarray:
        """(N - 1,) bool: whether an interval lies within a piece."""
        inside = np.ones(max(len(self.q) - 1, 0), dtype=bool)
        inside[[s - 1 for s in self.starts if s > 0]] = False
        return inside

    @cached_property
    def bezier(self) -> np.ndarray:
        """(6, N - 1, A) Bezier points of every interval."""
        return bezier_points(self.q, self.dq, self.ddq, self.dt)

    @cached_property
    def differences(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First (5, N - 1, A), second (4, ...) and third (3, ...) differences of the Bezier
        points.
        """
        return differences(self.bezier)

    @cached_property
    def peaks(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(N - 1, A) bounds on the absolute velocity, acceleration and jerk in each interval."""
        return peaks(self.differences, self.dt)

    @cached_property
    def travelled(self) -> np.ndarray:
        """(N, A) bound on how far each joint has travelled since the first sample; gaps between
        pieces add nothing.
        """
        travel = np.abs(self.differences[0]).sum(axis=0) * self.inside[:, None]
        return np.concatenate((np.zeros_like(self.q[:1]), travel.cumsum(axis=0)))

    def at(self, interval: int, u: float) -> np.ndarray:
        """Position (A,) at the share `u` of an interval."""
        points = self.bezier[:, interval]
        while len(points) > 1:
            points = points[:-1] * (1 - u) + points[1:] * u
        return points[0]

    def piece_ends(self) -> list[tuple[int, int]]:
        """(first, last) sample of every piece."""
        ends = (*self.starts[1:], len(self.q))
        return [(s, e - 1) for s, e in zip(self.starts, ends, strict=True)]


def bezier_points(q: np.ndarray, dq: np.ndarray, ddq: np.ndarray, dt: float) -> np.ndarray:
    """(6, ..., N - 1, A) Bezier points of the quintics through samples (..., N, A)."""
    q0 = q[..., :-1, :]
    q1 = q[..., 1:, :]
    v = dq * (dt / 5)
    v0 = v[..., :-1, :]
    v1 = v[..., 1:, :]
    twice = 2 * v
    a = ddq * (dt * dt / 20)
    points = np.empty((6, *q0.shape))
    points[0] = q0
    np.add(q0, v0, out=points[1])
    np.add(q0, twice[..., :-1, :], out=points[2])
    points[2] += a[..., :-1, :]
    np.subtract(q1, twice[..., 1:, :], out=points[3])
    points[3] += a[..., 1:, :]
    np.subtract(q1, v1, out=points[4])
    points[5] = q1
    return points


def differences(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First, second and third differences of `bezier_points`: Bezier points of the derivatives, but
    for a factor.
    """
    first = points[1:] - points[:-1]
    second = first[1:] - first[:-1]
    return first, second, second[1:] - second[:-1]


def peaks(
    differences: tuple[np.ndarray, np.ndarray, np.ndarray], dt: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bounds (..., N - 1, A) on the absolute velocity, acceleration and jerk in each interval."""
    first, second, third = differences
    return (
        np.abs(first).max(axis=0) * (5.0 / dt),
        np.abs(second).max(axis=0) * (20.0 / dt**2),
        np.abs(third).max(axis=0) * (60.0 / dt**3),
    )
