"""Curves between knots: the polynomials that trajectory controllers use, and proven trajectories
sampled with them.
"""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import NS, SafeTrajectory

_POWERS = np.arange(6)


def segment_coefficients(
    t: np.ndarray, q: np.ndarray, dq: np.ndarray, ddq: np.ndarray, degree: int
) -> np.ndarray:
    """Polynomial of each segment between neighbouring knots, in seconds since the segment began.

    Args:
        t: (N,) s, strictly rising.
        q: (N, A) rad or m.
        dq: (N, A); met by degree 3 and 5.
        ddq: (N, A); met by degree 5.
        degree: 1 linear, 3 cubic, 5 quintic.

    Returns:
        (N - 1, 6, A), lowest power first.
    """
    h = np.diff(t)[:, None]
    step = np.diff(q, axis=0)
    c = np.zeros((len(t) - 1, 6, q.shape[1]))
    c[:, 0] = q[:-1]
    if degree == 1:
        c[:, 1] = step / h
        return c
    v0 = dq[:-1] * h
    v1 = dq[1:] * h
    c[:, 1] = dq[:-1]
    if degree == 3:
        c[:, 2] = (3 * step - 2 * v0 - v1) / h**2
        c[:, 3] = (v0 + v1 - 2 * step) / h**3
        return c
    a0 = ddq[:-1] * h**2
    a1 = ddq[1:] * h**2
    c[:, 2] = ddq[:-1] / 2
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

    def __init__(
        self, t_ns: np.ndarray, q: np.ndarray, dq: np.ndarray, ddq: np.ndarray, degree: int = 5
    ) -> None:
        self.t_ns = np.asarray(t_ns, dtype=np.int64)
        self.knots = (q, dq, ddq)
        self._c = segment_coefficients((self.t_ns - self.t_ns[0]) / NS, q, dq, ddq, degree)

    @classmethod
    def from_trajectory(cls, trajectory: SafeTrajectory) -> Curve:
        """The curve a controller follows when it is sent `trajectory` (quintic)."""
        t_ns = trajectory.start_ns + np.round(trajectory.t * NS).astype(np.int64)
        return cls(t_ns, trajectory.q, trajectory.dq, trajectory.ddq)

    def at(self, now_ns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(q, dq, ddq), each (A,), at one instant."""
        i = int(np.searchsorted(self.t_ns, now_ns, side="right")) - 1
        if i < 0 or i >= len(self._c):
            q, dq, ddq = self.knots
            return q[max(i, 0)].copy(), dq[max(i, 0)].copy(), ddq[max(i, 0)].copy()
        return evaluate(self._c[i], (now_ns - int(self.t_ns[i])) / NS)


def bridge(start_ns: int, blend_ns: int, q: np.ndarray, dq: np.ndarray, ddq: np.ndarray) -> Curve:
    """What is added to a plan so that motion goes on without a jump: a difference (A,) each that
    fades to nothing.

    At `start_ns` it is the given difference in position, velocity and acceleration; `blend_ns`
    later it is zero in all three and stays so. The plan plus its bridge is C2 wherever the plan is.
    """
    t_ns = np.array([start_ns, start_ns + blend_ns])
    q, dq, ddq = (np.stack((lack, np.zeros_like(lack))) for lack in (q, dq, ddq))
    return Curve(t_ns, q, dq, ddq)
