"""A sampled motion as the controller interpolates it, and what a check says about it.

Between samples the controller follows the quintic through (q, dq, ddq) of both ends. A quintic lies in the hull of its
Bezier points, and so do its derivatives in theirs: a bound on those points holds at every instant, not only at samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from wam_ros.core.types import Reason


@dataclass(frozen=True)
class Motion:
    """One or more pieces of motion, sampled every `dt`, one after another in the arrays."""

    dt: float  # s
    q: np.ndarray  # (N, A) rad or m
    dq: np.ndarray  # (N, A)
    ddq: np.ndarray  # (N, A)
    starts: tuple[int, ...] = (0,)  # sample at which each piece begins
    stopping: bool = False  # whether the pieces are stops
    parents: tuple[int, ...] = ()  # sample of the newest path at which each stop begins

    def __len__(self) -> int:
        """N, the number of samples."""
        return len(self.q)

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
    def travel(self) -> np.ndarray:
        """(N - 1, A) bound on how far each joint travels in an interval; zero between pieces."""
        return np.abs(np.diff(self.bezier, axis=0)).sum(axis=0) * self.inside[:, None]

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


@dataclass(frozen=True)
class Measure:
    """What one check found at each sample of a motion; a sample answers for the interval that ends at it."""

    reason: Reason
    ratio: np.ndarray  # (N,) above 1 is a violation
    measured: np.ndarray  # (N,)
    allowed: np.ndarray  # (N,)
    subject: np.ndarray  # (N,) int: joint, or pair where `pairs`
    units: tuple[str, ...]  # one, or one per joint
    power: int = 0  # ratio falls with the time scale to this power; 0 is not helped by slowing
    pairs: bool = False

    @property
    def bad(self) -> np.ndarray:
        """(N,) bool."""
        return ~(self.ratio <= 1.0)  # NaN is bad

    def unit(self, sample: int) -> str:
        """Unit of the measured value at a sample."""
        return self.units[0] if len(self.units) == 1 else self.units[int(self.subject[sample])]


TOLERANCE = 1e-6  # relative; rounding of a state that lies on a limit


def bezier_points(q: np.ndarray, dq: np.ndarray, ddq: np.ndarray, dt: float) -> np.ndarray:
    """(6, ..., N - 1, A) Bezier points of the quintics through samples (..., N, A)."""
    q0, q1 = q[..., :-1, :], q[..., 1:, :]
    v0, v1 = dq[..., :-1, :] * (dt / 5), dq[..., 1:, :] * (dt / 5)
    a0, a1 = ddq[..., :-1, :] * (dt * dt / 20), ddq[..., 1:, :] * (dt * dt / 20)
    return np.stack((q0, q0 + v0, q0 + 2 * v0 + a0, q1 - 2 * v1 + a1, q1 - v1, q1))


def peaks(points: np.ndarray, dt: float, order: int) -> np.ndarray:
    """Bound (..., N - 1, A) on the absolute `order`-th derivative in each interval, from `bezier_points`."""
    factor = (1.0, 5.0, 20.0, 60.0)[order] / dt**order
    return np.abs(np.diff(points, n=order, axis=0)).max(axis=0) * factor


def joint_measure(
    reason: Reason, value: np.ndarray, allowed: np.ndarray, units: tuple[str, ...], power: int, inside: np.ndarray
) -> Measure:
    """A measure from interval values (N - 1, A) against limits (A,): the worst joint answers."""
    ratio = np.where(inside[:, None], value / (allowed * (1 + TOLERANCE)), 0.0)
    return from_table(reason, np.vstack((np.zeros_like(ratio[:1]), ratio)), allowed, units, power)


def from_table(reason: Reason, ratio: np.ndarray, allowed: np.ndarray, units: tuple[str, ...], power: int) -> Measure:
    """A measure from ratios (N, A) to limits (A,)."""
    subject = ratio.argmax(axis=1)
    worst = ratio[np.arange(len(ratio)), subject]
    return Measure(reason, worst, worst * allowed[subject], allowed[subject], subject, units, power)
