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

# (rounded, cross-fade, blend time in units of blend_s, share of the limits that makes it calm). The first calm variant
# is taken; without one the least demanding of these; where that is not allowed either, the first allowed of SPARE.
# Beside a position limit a short blend helps, or a cross-fade: it cannot leave limits that both of its parts keep.
CALM = (
    (0.0, False, 1.0, 0.5),
    (0.0, False, 1.5, 0.5),
    (1.0, False, 1.0, 0.7),
    (1.0, False, 1.5, 0.7),
    (1.0, False, 2.2, 0.7),
)
SPARE = (
    (1.0, False, 0.6, 1.0),
    (1.0, False, 0.35, 1.0),
    (1.0, True, 0.6, 1.0),
    (1.0, True, 1.2, 1.0),
    (1.0, False, 3.0, 1.0),
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
    knots = _make_knots(way, scale, bounds)
    end = (way.first_s + way.period_s * (len(way.q) - 1)) * scale
    t = np.arange(max(1, int(np.ceil(end / dt - 1e-6))) + 1) * dt
    splines = {rounded: _spline(knots, t, rounded) for rounded in (0.0, 1.0)}
    chosen = np.zeros((3, len(t), way.q.shape[1]))
    least, todo = np.full(way.q.shape[1], np.inf), np.ones(way.q.shape[1], dtype=bool)
    for variants in (CALM, SPARE):
        for rounded, crossed, blend, share in variants:
            if not todo.any():
                break
            k = np.flatnonzero(todo)
            part = Commanded(start.q[k], start.dq[k], start.ddq[k])
            join = _cross_fade if crossed else _join
            joined = join(splines[rounded][:, :, k], t, part, bounds.params.blend_s * blend * scale)
            worst = _worst(joined, bounds, k, dt)
            better = worst < least[k]
            chosen[:, :, k[better]] = joined[:, :, better]
            least[k] = np.minimum(least[k], worst)
            todo[k] = worst > share
        todo &= least > 1.0
    return Motion(dt, *chosen)


def _make_knots(way: Waypoints, scale: float, bounds: Bounds) -> _Knots:
    """Knots from waypoints: differences of neighbours as velocity and acceleration.

    Before its first step a chunk goes on backwards for one period, then stands; after its last one it goes straight on
    as far as the position limits let it, so that it arrives at a limit slowly enough to stop there.
    """
    h = way.period_s * scale
    q = way.q
    slope = q[1] - q[0] if len(q) > 1 else np.zeros_like(q[0])
    leave = q[-1] - q[-2] if len(q) > 1 else np.zeros_like(q[0])
    before = 2 + max(0, int(np.ceil(way.first_s / way.period_s)))
    low, high = np.minimum(bounds.lower, q.min(axis=0)), np.maximum(bounds.upper, q.max(axis=0))
    ahead = np.clip((q[-1] + leave, q[-1] + 2 * leave), low, high)
    row = np.concatenate((np.tile(np.clip(q[0] - slope, low, high), (before, 1)), q, ahead))
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


def _cross_fade(spline: np.ndarray, t: np.ndarray, start: Commanded, blend: float) -> np.ndarray:
    """Leave a motion that comes to rest by itself for a spline (3, N, A), within `blend` seconds."""
    basis = _hermite(np.minimum(t / blend, 1.0)[:, None])
    ahead = start.dq * (blend / 2)  # where it comes to rest
    parts = (start.dq * blend, start.ddq * blend**2, ahead)
    own = [
        sum(rows[k] * part for k, part in zip((1, 2, 3), parts, strict=True)) / blend**d for d, rows in enumerate(basis)
    ]
    own[0] = own[0] + start.q
    share, rate, bend = (rows[3] / blend**d for d, rows in enumerate(basis))
    gap = [spline[d] - own[d] for d in range(3)]
    joined = np.stack(
        (
            own[0] + share * gap[0],
            own[1] + share * gap[1] + rate * gap[0],
            own[2] + share * gap[2] + 2 * rate * gap[1] + bend * gap[0],
        )
    )
    joined[:, 0] = start.q, start.dq, start.ddq
    return joined


def _worst(joined: np.ndarray, bounds: Bounds, joints: np.ndarray, dt: float) -> np.ndarray:
    """(K,) largest ratio of the motion (3, N, K) of some joints to their limits.

    2 and up where it leaves the position limits, between 1 and 2 where it only could not stop before them.
    """
    points = bezier_points(joined[0], joined[1], joined[2], dt)
    lower, upper, acceleration = bounds.lower[joints], bounds.upper[joints], bounds.acceleration[joints]
    ratio = np.zeros(len(joints))
    for order, allowed in ((1, bounds.velocity[joints]), (2, acceleration), (3, bounds.jerk[joints])):
        ratio = np.maximum(ratio, peaks(points, dt, order).max(axis=0) / allowed)
    over = np.maximum(lower - points.min(axis=(0, 1)), points.max(axis=(0, 1)) - upper)
    q, dq = joined[0], joined[1]
    rest = q + dq * (np.abs(dq) / (2 * acceleration * bounds.params.stop_fraction) + bounds.params.stop_jerk_s)
    beyond = np.maximum(lower - rest.min(axis=0), rest.max(axis=0) - upper)
    ratio = np.maximum(ratio, np.where(beyond > 0, 1.0 + np.minimum(beyond, 1.0), 0.0))
    return np.maximum(ratio, np.where(over > 1e-9, 2.0 + over, 0.0))
