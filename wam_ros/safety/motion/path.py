"""A chunk as a C2 path that begins in the commanded state.

The steps of the chunk, those already due included, are knots of a spline; what the commanded state
differs from it at the start fades within a blend time. A stream of chunks that agree is followed
without a trace of where one ends. Each joint takes the first of a few variants that stays inside
its limits:

- exact: quintic segments through the steps;
- rounded: the cubic B-spline with the steps as control points. It never leaves their hull and its
  acceleration is their second difference, the least there is; at a step it is off by a sixth of
  that difference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wam_ros.core.types import KinematicState
from wam_ros.safety.motion.bounds import Bounds
from wam_ros.safety.motion.motion import Motion, bezier_points, differences, peaks
from wam_ros.safety.motion.waypoints import Waypoints


@dataclass(frozen=True)
class _Variants:
    """Ways to join a path, V of them, tried side by side; of those that fit the first one
    counts.
    """

    rounded: np.ndarray  # (V,) int: the path, 0 exact or 1 rounded
    crossed: np.ndarray  # (V,) bool: cross-fade from a motion that comes to rest by itself
    blend: np.ndarray  # (V,) in units of `blend_s`
    share: np.ndarray  # (V,) of the limits that it may ask for to fit


# The first calm variant is taken; without one the least demanding of these; where that is not
# allowed either, the first allowed of SPARE. Beside a position limit a short blend helps, or a
# cross-fade: it cannot leave limits that both of its parts keep.
CALM = _Variants(
    rounded=np.array((0, 0, 1, 1, 1)),
    crossed=np.zeros(5, bool),
    blend=np.array((1.0, 1.5, 1.0, 1.5, 2.2)),
    share=np.array((0.5, 0.5, 0.7, 0.7, 0.7)),
)
SPARE = _Variants(
    rounded=np.ones(5, int),
    crossed=np.array((0, 0, 1, 1, 0), bool),
    blend=np.array((0.6, 0.35, 0.6, 1.2, 3.0)),
    share=np.ones(5),
)


@dataclass(frozen=True)
class _Knots:
    """Uniform knots that cover the whole motion."""

    first_s: float
    period_s: float
    q: np.ndarray  # (m, A)
    dq: np.ndarray
    ddq: np.ndarray
    rounding: np.ndarray  # (m, A) what is added to q when rounded


def make_motion(way: Waypoints, start: KinematicState, bounds: Bounds, scale: float) -> Motion:
    """The path of a chunk, slowed by `scale` about the start, sampled until its last step.

    Every joint takes its own variant; the one that leaves its limits least where none fits.
    """
    dt = bounds.params.sample_s
    end = (way.first_s + way.period_s * (len(way.q) - 1)) * scale
    t = np.arange(max(1, int(np.ceil(end / dt - 1e-6))) + 1) * dt
    splines = _make_splines(_make_knots(way, scale, bounds), t)
    todo = np.arange(way.q.shape[1])
    # (2, N, A)
    worst_from = np.maximum.accumulate(_strain(splines, bounds, todo)[:, ::-1], axis=1)[:, ::-1]
    begin = np.stack(start.arrays)
    chosen = np.full((3, len(t), len(todo)), np.nan)
    least = np.full(len(todo), np.inf)
    for variants in (CALM, SPARE):
        blend = bounds.params.blend_s * variants.blend * scale
        # from then on each is its spline
        n = min(int(np.ceil(blend.max() / dt)) + 1, len(t))
        heads = _heads(
            variants.crossed,
            splines[:, variants.rounded, :n][..., todo],
            t[:n],
            begin[:, todo],
            blend,
        )
        worst = _strain(heads, bounds, todo).max(axis=1)  # (V, K)
        if n < len(t):
            worst = np.maximum(worst, worst_from[variants.rounded, n][:, todo])
        fits = worst <= variants.share[:, None]
        # what comes after the first that fits is not wanted
        worst[1:][fits.cumsum(axis=0)[:-1] > 0] = np.inf
        best = worst.argmin(axis=0)
        asked = worst[best, np.arange(len(todo))]
        better = np.flatnonzero(asked < least[todo])
        v = best[better]
        k = todo[better]
        chosen[:, :, k] = splines[:, variants.rounded[v], :, k].transpose(1, 2, 0)
        chosen[:, :n, k] = heads[:, v, :, better].transpose(1, 2, 0)
        least[todo] = np.minimum(least[todo], asked)
        todo = todo[~fits.any(axis=0) & (least[todo] > 1.0)]
        if len(todo) == 0:
            break
    return Motion(*chosen, dt=dt)


def _make_knots(way: Waypoints, scale: float, bounds: Bounds) -> _Knots:
    """Knots from waypoints: differences of neighbours as velocity and acceleration.

    Before its first step a chunk goes on backwards for one period, then stands; after its last one
    it goes straight on as far as the position limits let it, so that it arrives at a limit slowly
    enough to stop there.
    """
    h = way.period_s * scale
    q = way.q
    slope = q[1] - q[0] if len(q) > 1 else np.zeros_like(q[0])
    leave = q[-1] - q[-2] if len(q) > 1 else np.zeros_like(q[0])
    before = 2 + max(0, int(np.ceil(way.first_s / way.period_s)))
    low = np.minimum(bounds.joints.lower, q.min(axis=0))
    high = np.maximum(bounds.joints.upper, q.max(axis=0))
    ahead = np.clip((q[-1] + leave, q[-1] + 2 * leave), low, high)
    row = np.concatenate((np.tile(np.clip(q[0] - slope, low, high), (before, 1)), q, ahead))
    v = (row[2:] - row[:-2]) / (2 * h)
    a = (row[2:] - 2 * row[1:-1] + row[:-2]) / h**2
    rounding = a * (h * h / 6)
    if way.dq is not None:
        given = way.dq / scale
        v[before - 1 : before - 1 + len(q)] = given
        v[: before - 1] = given[0]
        v[before - 1 + len(q) :] = given[-1]
        a = np.gradient(v, h, axis=0) if len(v) > 1 else np.zeros_like(v)
        a[: before - 1] = 0.0
        a[before - 2 + len(q) :] = 0.0
        rounding = np.zeros_like(a)
    return _Knots(
        first_s=way.first_s * scale - (before - 1) * h,
        period_s=h,
        q=row[1:-1],
        dq=v,
        ddq=a,
        rounding=rounding,
    )


def _make_splines(knots: _Knots, t: np.ndarray) -> np.ndarray:
    """(3, 2, N, A) position, velocity and acceleration at times t (N,) of the exact and the rounded
    path.
    """
    h = knots.period_s
    position = np.clip((t - knots.first_s) / h, 0.0, len(knots.q) - 1 - 1e-9)
    k = position.astype(int)
    knot = np.stack((knots.q, h * knots.dq, h * h * knots.ddq))[:, None].repeat(2, axis=1)
    knot[0, 1] += knots.rounding
    ends = np.concatenate((knot[:, :, k], knot[:, :, k + 1]))  # (6, 2, N, A)
    return _combine(_hermite(position - k)[:, :, None], ends, np.array([h]))


# Coefficients of 1, u, ... u^5 in the quintic Hermite polynomials of velocity and acceleration at u
# = 0 and of position, velocity and acceleration at u = 1, then in their derivatives. That of the
# position at u = 0 is 1 less that at u = 1.
HERMITE = np.array(
    (
        (0.0, 1.0, 0.0, -6.0, 8.0, -3.0),
        (0.0, 0.0, 0.5, -1.5, 1.5, -0.5),
        (0.0, 0.0, 0.0, 10.0, -15.0, 6.0),
        (0.0, 0.0, 0.0, -4.0, 7.0, -3.0),
        (0.0, 0.0, 0.0, 0.5, -1.0, 0.5),
    )
)
DERIVE = np.diag(np.arange(1.0, 6.0), -1)
HERMITES = np.stack((HERMITE, HERMITE @ DERIVE, HERMITE @ DERIVE @ DERIVE))  # (3, 5, 6)


def _hermite(u: np.ndarray) -> np.ndarray:
    """(3, 6, ...) values, first and second derivatives of the six quintic Hermite polynomials at u
    (...) in [0, 1].
    """
    powers = np.empty((6, u.size))
    powers[0] = 1.0
    powers[1] = u.ravel()
    for k in range(2, 6):
        np.multiply(powers[k - 1], powers[1], out=powers[k])
    basis = np.empty((3, 6, u.size))
    np.matmul(HERMITES, powers, out=basis[:, 1:])
    np.negative(basis[:, 3], out=basis[:, 0])
    basis[0, 0] += 1.0
    return basis.reshape(3, 6, *u.shape)


def _combine(basis: np.ndarray, parts: np.ndarray, h: np.ndarray) -> np.ndarray:
    """(3, V, N, A) sum of parts (K, V, N or 1, A), each with its polynomial of basis (3, K, V, N),
    by time.

    u of the polynomials grows by one in `h` (V,) seconds.
    """
    total = basis[:, 0, ..., None] * parts[0]
    for k in range(1, len(parts)):
        total += basis[:, k, ..., None] * parts[k]
    total /= _powers(h)
    return total


def _powers(h: np.ndarray) -> np.ndarray:
    """(3, V, 1, 1) 1, h and h^2 of h (V,)."""
    powers = np.ones((3, len(h), 1, 1))
    powers[1, :, 0, 0] = h
    powers[2, :, 0, 0] = h**2
    return powers


def _heads(
    crossed: np.ndarray, splines: np.ndarray, t: np.ndarray, start: np.ndarray, blend: np.ndarray
) -> np.ndarray:
    """(3, V, N, A) variants that begin in the commanded state (3, A), each on its spline of (3, V,
    N, A).
    """
    basis = _hermite(np.minimum(t / blend[:, None], 1.0))
    lack = (start[:, None, None] - splines[:, :, :1]) * _powers(blend)
    heads = splines + _combine(basis[:, :3], lack, blend)
    if crossed.any():
        heads[:, crossed] = _cross_fade(
            basis[:, :, crossed], splines[:, crossed], start, blend[crossed]
        )
    # rounding would begin a last bit beside it
    heads[:, :, 0] = start[:, None]
    return heads


def _cross_fade(
    basis: np.ndarray, spline: np.ndarray, start: np.ndarray, blend: np.ndarray
) -> np.ndarray:
    """Leave a motion that comes to rest by itself for a spline (3, V, N, A), within `blend` (V,)
    seconds.
    """
    # times the blend time: how far it goes until it rests
    ahead = start[1] / 2
    parts = (
        np.stack((start[1], start[2], ahead))[:, None, None]
        * np.stack((blend, blend**2, blend))[..., None, None]
    )
    own = _combine(basis[:, 1:4], parts, blend)
    own[0] += start[0]
    share, rate, bend = basis[:, 3, ..., None] / _powers(blend)
    gap = spline - own
    faded = own + share * gap
    faded[1] += rate * gap[0]
    faded[2] += 2 * rate * gap[1]
    faded[2] += bend * gap[0]
    return faded


def _strain(rows: np.ndarray, bounds: Bounds, joints: np.ndarray) -> np.ndarray:
    """(..., N, K) largest ratio of motions (3, ..., N, K) of some joints to their limits at each
    sample.

    A sample answers for the interval that ends at it. 2 and up where it leaves the position limits,
    between 1 and 2 where it only could not stop before them.
    """
    q, dq, ddq = rows
    dt = bounds.params.sample_s
    limits = bounds.joints
    lower = limits.lower[joints]
    upper = limits.upper[joints]
    acceleration = limits.acceleration[joints]
    rest = q + dq * (
        np.abs(dq) / (2 * acceleration * bounds.params.stop_fraction) + bounds.params.stop_jerk_s
    )
    beyond = np.maximum(lower - rest, rest - upper)
    ratio = np.where(beyond > 0, 1.0 + np.minimum(beyond, 1.0), 0.0)
    points = bezier_points(q, dq, ddq, dt)
    interval = ratio[..., 1:, :]
    most = (limits.velocity[joints], acceleration, limits.jerk[joints])
    for peak, allowed in zip(peaks(differences(points), dt), most, strict=True):
        np.maximum(interval, peak / allowed, out=interval)
    over = np.maximum(lower - points.min(axis=0), points.max(axis=0) - upper)
    np.maximum(interval, np.where(over > 1e-9, 2.0 + over, 0.0), out=interval)
    return ratio
