"""Curves between knots: the polynomials that trajectory controllers use, and proven trajectories
sampled with them.
"""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import NS, KinematicState, MotionTable, SafeTrajectory

_POWERS = np.arange(6)


def segment_coefficients(t: np.ndarray, knots: MotionTable, degree: int) -> np.ndarray:
    """Polynomial of each segment between neighbouring knots, in seconds since the segment began.

    Args:
        t: (N,) s, strictly rising.
        knots: N rows; all meet their positions.
        degree: 1 linear, 3 cubic, which meets velocities, 5 quintic, which meets accelerations too.

    Returns:
        (N - 1, 6, A), lowest power first.
    """
    h = np.diff(t)[:, None]
    step = np.diff(knots.q, axis=0)
    c = np.zeros((len(t) - 1, 6, knots.q.shape[1]))
    c[:, 0] = knots.q[:-1]
    if degree == 1:
        c[:, 1] = step / h
        return c
    v0 = knots.dq[:-1] * h
    v1 = knots.dq[1:] * h
    c[:, 1] = knots.dq[:-1]
    if degree == 3:
        c[:, 2] = (3 * step - 2 * v0 - v1) / h**2
        c[:, 3] = (v0 + v1 - 2 * step) / h**3
        return c
    a0 = knots.ddq[:-1] * h**2
    a1 = knots.ddq[1:] * h**2
    c[:, 2] = knots.ddq[:-1] / 2
    c[:, 3] = (10 * step - 6 * v0 - 4 * v1 - 1.5 * a0 + 0.5 * a1) / h**3
    c[:, 4] = (-15 * step + 8 * v0 + 7 * v1 + 1.5 * a0 - a1) / h**4
    c[:, 5] = (6 * step - 3 * v0 - 3 * v1 - 0.5 * a0 + 0.5 * a1) / h**5
    return c


def evaluate(c: np.ndarray, s: np.ndarray | float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value and two derivatives of polynomials `c` (..., 6, A) at `s` (...) seconds; each
    (..., A).
    """
    powers = np.asarray(s, dtype=float)[..., None] ** _POWERS
    k = _POWERS
    return (
        np.einsum("...k,...ka->...a", powers, c),
        np.einsum("...k,...ka->...a", k[1:] * powers[..., :-1], c[..., 1:, :]),
        np.einsum("...k,...ka->...a", k[2:] * k[1:-1] * powers[..., :-2], c[..., 2:, :]),
    )


class Curve:
    """A piecewise polynomial through knots on the clock that holds its first and last knot
    outside.
    """

    def __init__(self, t_ns: np.ndarray, knots: MotionTable, degree: int = 5) -> None:
        self.t_ns = np.asarray(t_ns, dtype=np.int64)
        self.knots = knots
        self._c = segment_coefficients((self.t_ns - self.t_ns[0]) / NS, knots, degree)

    @classmethod
    def from_trajectory(cls, trajectory: SafeTrajectory) -> Curve:
        """The curve a controller follows when it is sent `trajectory` (quintic)."""
        t_ns = trajectory.start_ns + np.round(trajectory.t * NS).astype(np.int64)
        return cls(t_ns, trajectory)

    def at(self, now_ns: int) -> KinematicState:
        """The state at one instant."""
        i = int(np.searchsorted(self.t_ns, now_ns, side="right")) - 1
        if i < 0 or i >= len(self._c):
            return self.knots[max(i, 0)].copy()
        return KinematicState(*evaluate(self._c[i], (now_ns - int(self.t_ns[i])) / NS))


def make_blend(start_ns: int, blend_ns: int, lack: KinematicState) -> Curve:
    """What is added to a motion so that it goes on from another one without a jump: a difference
    that fades to nothing.

    At `start_ns` it is the given difference in position, velocity and acceleration; `blend_ns`
    later it is zero in all three and stays so. The motion plus its blend is C2 wherever the motion
    is.
    """
    t_ns = np.array([start_ns, start_ns + blend_ns])
    return Curve(t_ns, MotionTable.of([lack, KinematicState.at_rest(np.zeros_like(lack.q))]))
