"""A chunk as a C2 path that begins in the commanded state.

The steps of the chunk, those already due included, are knots of a spline; what the commanded state differs from it at
the start fades within a blend time. A stream of chunks that agree is followed without a trace of where one ends. Each
joint takes the first of a few variants that stays inside its limits:

- exact: quintic segments through the steps;
- rounded: the cubic B-spline with the steps as control points. It never leaves their hull and its acceleration is
  their second difference, the least there is; at a step it is off by a sixth of that difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wam_ros.safety.bounds import Bounds, Commanded
from wam_ros.safety.motion import Motion, bezier_points, peaks

# (rounded, blend time in units of blend_s, whether the share `exact_fraction` of the limits applies), first that fits
VARIANTS = (
    (0.0, 1.0, True),
    (0.0, 1.5, True),
    (1.0, 1.0, False),
    (1.0, 1.5, False),
    (1.0, 0.7, False),
    (1.0, 2.2, False),
    (1.0, 0.45, False),
    (1.0, 3.0, False),
)


@dataclass(frozen=True)
class Waypoints:
    """Steps of a chunk in model order, on a clock that is zero at the start of the trajectory."""

    first_s: float  # time of row 0; negative when it is already due
    period_s: float
    q: np.ndarray  # (n, A)
    dq: np.ndarray | None = None  # (n, A) if the chunk says so

    def times(self) -> np.ndarray:
        """(n,) s."""
        return self.first_s + self.period_s * np.arange(len(self.q))

    def head(self, n: int) -> Waypoints:
        """The first n steps."""
        return Waypoints(self.first_s, self.period_s, self.q[:n], None if self.dq is None else self.dq[:n])


@dataclass(frozen=True)
class _Knots:
    """Uniform knots that cover the whole motion."""

    first_s: float
    period_s: float
    q: np.ndarray  # (m, A)
    dq: np.ndarray
    ddq: np.ndarray
    rounding: np.ndarray  # (m, A) what is added to q when rounded


def make_motion(way: Waypoints, start: Commanded, bounds: Bounds, scale: float) -> Motion:
    """The path of a chunk, slowed by `scale` about the start, sampled until its last step.

    Every joint takes its own variant; the one that leaves its limits least where none fits.
    """
    dt = bounds.params.sample_s
    knots = _make_knots(way, scale)
    end = (way.first_s + way.period_s * (len(way.q) - 1)) * scale
    t = np.arange(max(1, int(np.ceil(end / dt - 1e-6))) + 1) * dt
    splines: dict[float, np.ndarray] = {}
    chosen = np.zeros((3, len(t), way.q.shape[1]))
    least = np.full(way.q.shape[1], np.inf)
    for rounded, blend, comfortable in VARIANTS:
        if rounded not in splines:
            splines[rounded] = _spline(knots, t, rounded)
        todo = least > 1.0
        if not todo.any():
            break
        joined = _join(splines[rounded], t, start, bounds.params.blend_s * blend * scale)
        worst = _worst(joined, bounds, dt, bounds.params.exact_fraction if comfortable else 1.0)
        better = todo & (worst < least)
        chosen[:, :, better] = joined[:, :, better]
        least = np.where(better, worst, least)
    return Motion(dt, *chosen)


def _make_knots(way: Waypoints, scale: float) -> _Knots:
    """Knots from waypoints: differences of neighbours as velocity and acceleration.

    Before its first step a chunk goes on backwards for one period, then stands; after its last one it goes straight on.
    """
    h = way.period_s * scale
    q = way.q
    slope = q[1] - q[0] if len(q) > 1 else np.zeros_like(q[0])
    leave = q[-1] - q[-2] if len(q) > 1 else np.zeros_like(q[0])
    before = 2 + max(0, int(np.ceil(way.first_s / way.period_s)))
    row = np.concatenate((np.tile(q[0] - slope, (before, 1)), q, [q[-1] + leave, q[-1] + 2 * leave]))
    v, a = (row[2:] - row[:-2]) / (2 * h), (row[2:] - 2 * row[1:-1] + row[:-2]) / h**2
    rounding = a * (h * h / 6)
    if way.dq is not None:
        given = way.dq / scale
        v[before - 1 : before - 1 + len(q)] = given
        v[: before - 1], v[before - 1 + len(q) :] = given[0], given[-1]
        a = np.gradient(v, h, axis=0) if len(v) > 1 else np.zeros_like(v)
        a[: before - 1], a[before - 2 + len(q) :] = 0.0, 0.0
        rounding = np.zeros_like(a)
    return _Knots(way.first_s * scale - (before - 1) * h, h, row[1:-1], v, a, rounding)


def _spline(knots: _Knots, t: np.ndarray, rounded: float) -> np.ndarray:
    """(3, N, A) position, velocity and acceleration of the quintics through the knots at times t (N,)."""
    h = knots.period_s
    position = np.clip((t - knots.first_s) / h, 0.0, len(knots.q) - 1 - 1e-9)
    k = position.astype(int)
    basis = _hermite((position - k)[:, None])
    q = knots.q + rounded * knots.rounding
    ends = (q[k], h * knots.dq[k], h * h * knots.ddq[k], q[k + 1], h * knots.dq[k + 1], h * h * knots.ddq[k + 1])
    return np.stack([sum(b * e for b, e in zip(rows, ends, strict=True)) / h**d for d, rows in enumerate(basis)])


def _hermite(u: np.ndarray) -> tuple[tuple[np.ndarray, ...], ...]:
    """Values, first and second derivatives of the six quintic Hermite polynomials at u in [0, 1]."""
    u2, u3, u4, u5 = u * u, u**3, u**4, u**5
    h3, d3, s3 = 10 * u3 - 15 * u4 + 6 * u5, 30 * u2 - 60 * u3 + 30 * u4, 60 * u - 180 * u2 + 120 * u3
    h1 = u - 6 * u3 + 8 * u4 - 3 * u5
    d1, s1 = 1 - 18 * u2 + 32 * u3 - 15 * u4, -36 * u + 96 * u2 - 60 * u3
    h2 = 0.5 * u2 - 1.5 * u3 + 1.5 * u4 - 0.5 * u5
    d2, s2 = u - 4.5 * u2 + 6 * u3 - 2.5 * u4, 1 - 9 * u + 18 * u2 - 10 * u3
    h4, d4, s4 = -4 * u3 + 7 * u4 - 3 * u5, -12 * u2 + 28 * u3 - 15 * u4, -24 * u + 84 * u2 - 60 * u3
    h5, d5, s5 = 0.5 * u3 - u4 + 0.5 * u5, 1.5 * u2 - 4 * u3 + 2.5 * u4, 3 * u - 12 * u2 + 10 * u3
    return (1 - h3, h1, h2, h3, h4, h5), (-d3, d1, d2, d3, d4, d5), (-s3, s1, s2, s3, s4, s5)


def _join(spline: np.ndarray, t: np.ndarray, start: Commanded, blend: float) -> np.ndarray:
    """Add to a spline (3, N, A) what it lacks to the commanded state, fading to nothing within `blend` seconds."""
    lack = np.stack((start.q, start.dq, start.ddq)) - spline[:, 0]
    basis = _hermite(np.minimum(t / blend, 1.0)[:, None])
    scaled = (lack[0], lack[1] * blend, lack[2] * blend**2)
    fading = [sum(rows[k] * scaled[k] for k in range(3)) / blend**d for d, rows in enumerate(basis)]
    joined = spline + np.stack(fading)
    joined[:, 0] = start.q, start.dq, start.ddq  # to the last bit
    return joined


def _worst(joined: np.ndarray, bounds: Bounds, dt: float, share: float) -> np.ndarray:
    """(A,) largest ratio of the motion (3, N, A) of a joint to its limits; outside the position limits 2 and up."""
    points = bezier_points(*joined, dt)
    ratio = np.zeros(joined.shape[2])
    for order, allowed in ((1, bounds.velocity), (2, bounds.acceleration), (3, bounds.jerk)):
        ratio = np.maximum(ratio, peaks(points, dt, order).max(axis=0) / allowed)
    over = np.maximum(bounds.lower - points.min(axis=(0, 1)), points.max(axis=(0, 1)) - bounds.upper)
    return np.maximum(ratio / share, np.where(over > 1e-9, 2.0 + over, 0.0))
