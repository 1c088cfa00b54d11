"""What a joint_trajectory_controller does with a trajectory message, in numpy.

The rules are those of ros2_controllers 4.42 and 5.17 with `interpolate_from_desired_state: true`
and replacement on every message, so that what moves this arm moves a real one the same way: start 0
means now, the way from the current desired state to the first point is interpolated like the rest,
points already past are skipped, the last one is held. It refuses more than the real one (5.17),
which takes numbers that are not finite, a joint named twice, negative times, and accelerations
without velocities: with those it commands every joint to zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wam_ros.core.interpolation import Curve
from wam_ros.core.types import NS, KinematicState, MotionTable

# rad/s or m/s; the controller's own bound for "ends at rest"
REST_SPEED = float(np.finfo(np.float32).eps)


class TrajectoryController:
    """One arm's trajectory controller; the clock comes by argument. Not thread-safe.

    Args:
        joint_names: the joints it commands, in the order of its outputs.
        q0: (A,) rad or m, where it holds until something arrives.
        allow_partial: take trajectories that name only some joints; the others hold their desired
            position.
    """

    def __init__(
        self, joint_names: Sequence[str], q0: np.ndarray, allow_partial: bool = False
    ) -> None:
        self.joint_names = tuple(joint_names)
        self.allow_partial = allow_partial
        self.reset(q0)

    def reset(self, q: np.ndarray) -> None:
        """Forget the trajectory and hold `q` (A,)."""
        self._state = KinematicState.at_rest(q)
        self._state_ns = 0
        self._plan: Curve | None = None

    def pause(self, by_ns: int) -> None:
        """Time was skipped: what was to be done next is done `by_ns` later."""
        self._state_ns += by_ns
        if self._plan is not None:
            self._plan.t_ns = self._plan.t_ns + by_ns

    @property
    def active(self) -> bool:
        """Whether a trajectory was taken since the last reset."""
        return self._plan is not None

    def end_ns(self) -> int:
        """When the trajectory ends; 0 without one."""
        return 0 if self._plan is None else int(self._plan.t_ns[-1])

    def set_trajectory(
        self,
        start_ns: int,
        joint_names: Sequence[str],
        t: np.ndarray,
        q: np.ndarray,
        dq: np.ndarray | None,
        ddq: np.ndarray | None,
        now_ns: int,
    ) -> str:
        """Replace the trajectory, or refuse it whole and go on with the old one.

        Args:
            start_ns: instant of t = 0, or 0 for now.
            joint_names: columns of the arrays, in any order.
            t: (N,) s, strictly rising.
            q: (N, J) rad or m.
            dq: (N, J) or None.
            ddq: (N, J) or None.
            now_ns: the present, on the clock of `start_ns`.

        Returns:
            Empty when taken, else one sentence that says why not.
        """
        t = np.asarray(t, dtype=float)
        q = np.asarray(q, dtype=float)
        why = self._why_not_joints(joint_names) or why_not_points(
            n_joints=len(joint_names), t=t, q=q, dq=dq, ddq=ddq, joint_names=joint_names
        )
        if why:
            return why
        t_ns = (start_ns or now_ns) + np.round(t * NS).astype(np.int64)
        if start_ns and t_ns[-1] < now_ns:
            return f"trajectory ended {(now_ns - int(t_ns[-1])) / NS:.3f} s ago"
        self.sample(now_ns)
        columns = [self.joint_names.index(name) for name in joint_names]
        degree = 1 if dq is None else 3 if ddq is None else 5
        q, dq, ddq = (self._widen(t.size, columns, a) for a in (q, dq, ddq))
        left_out = [i for i, name in enumerate(self.joint_names) if name not in joint_names]
        q[:, left_out] = self._state.q[left_out]
        # the newest state may have been asked for ahead of time
        from_ns = max(now_ns, self._state_ns)
        knots = MotionTable(q, dq, ddq)
        if t_ns[0] > from_ns:
            t_ns = np.concatenate(([from_ns], t_ns))
            knots = MotionTable.joined([MotionTable.of([self._state]), knots])
        self._plan = Curve(t_ns, knots, degree)
        return ""

    def sample(self, now_ns: int) -> KinematicState:
        """The desired state at `now_ns`. A clock that steps back repeats the newest one."""
        if now_ns >= self._state_ns:
            self._state = self._state if self._plan is None else self._plan.at(now_ns)
            self._state_ns = now_ns
        return self._state.copy()

    def _why_not_joints(self, joint_names: Sequence[str]) -> str:
        """Why a trajectory of these joints is refused; empty when it is not."""
        unknown = [n for n in joint_names if n not in self.joint_names]
        if unknown:
            return (
                f"joint '{unknown[0]}' is not commanded here; joints: {', '.join(self.joint_names)}"
            )
        if len(set(joint_names)) != len(joint_names):
            return "a joint is named twice"
        missing = [n for n in self.joint_names if n not in joint_names]
        if missing and not (self.allow_partial and joint_names):
            return f"joint '{missing[0]}' is missing and partial trajectories are not allowed"
        return ""

    def _widen(self, n: int, columns: list[int], values: np.ndarray | None) -> np.ndarray:
        """(n, J) columns put into (n, A) in this controller's order; zero where nothing is
        given.
        """
        out = np.zeros((n, len(self.joint_names)))
        if values is not None:
            out[:, columns] = values
        return out


def why_not_points(
    n_joints: int,
    t: np.ndarray,
    q: np.ndarray,
    dq: np.ndarray | None,
    ddq: np.ndarray | None,
    joint_names: Sequence[str],
) -> str:
    """Why points of (N,) times and (N, J) values are refused; empty when they are not."""
    if t.ndim != 1 or t.size == 0:
        return "trajectory has no points"
    if dq is None and ddq is not None:
        return "accelerations without velocities cannot be interpolated"
    for name, values in (("positions", q), ("velocities", dq), ("accelerations", ddq)):
        if values is None:
            continue
        if np.shape(values) != (t.size, n_joints):
            return f"{name} have shape {np.shape(values)}, expected {(t.size, n_joints)}"
        if not np.isfinite(values).all():
            return f"{name} hold a value that is not finite"
    if not np.isfinite(t).all() or t[0] < 0:
        return "times must be finite and not negative"
    late = np.flatnonzero(np.diff(t) <= 0)
    if late.size:
        return (
            f"times must rise strictly; point {late[0] + 1} is at {t[late[0] + 1]:g} s after "
            f"{t[late[0]]:g} s"
        )
    if dq is not None:
        moving = np.flatnonzero(np.abs(dq[-1]) > REST_SPEED)
        if moving.size:
            return (
                f"joint '{joint_names[moving[0]]}' does not end at rest "
                f"({dq[-1][moving[0]]:.3g} per s)"
            )
    return ""
