"""What a streamed controller is sent at each tick: the admitted path on a clock that never
jumps.
"""

from __future__ import annotations

import numpy as np

from wam_ros.bridge.gate import GateLimits
from wam_ros.core.admission import SHIPPED, Admission
from wam_ros.core.interpolation import Curve
from wam_ros.core.types import NS, KinematicState

FADE_S = 0.5  # in which the arm's small offset from the first path's start is taken up
# share of the acceleration limit that slowing down on the path may add to the path's own
BRAKE_FRACTION = 0.5
MOVING = 1e-6  # rad/s or m/s


class Player:
    """Samples a curve once per tick. Not thread-safe; both clocks come by argument.

    When ticks or clocks fail it slows down along the curve, whose every state was proven free,
    until it rests.

    Args:
        limits: of the joints.
        admission: a tick later than its deadline after the one before it is an overrun; the clock
            may stand still for as long as the safety node may be silent (a coarse simulated one
            does between two messages); a new curve may differ by the seam of a stop.
    """

    def __init__(self, limits: GateLimits, admission: Admission = SHIPPED) -> None:
        self.limits = limits
        self._deadline_ns = admission.deadline_ns
        self._stall_ns = round(admission.heartbeat_s * NS)
        self._seam = limits.acceleration * admission.stop_seam_s**2 / 2
        self.overruns = 0
        self._now_ns = self._steady_ns = self._ran_ns = 0
        self.release()

    def release(self) -> None:
        """Forget the path; a new one may begin."""
        self.cause = ""  # why it slows down or stands
        self._curve: Curve | None = None
        self._former: Curve | None = None  # until a command of the new one was sent
        self._at_ns = 0
        self._rate = 1.0
        self._last: np.ndarray | None = None
        self._offset: np.ndarray | None = None
        self._began_ns = 0

    @property
    def resting(self) -> bool:
        """Whether it has no path, or has come to rest on it after a failure."""
        return self._curve is None or (bool(self.cause) and self._rate == 0.0)

    def play(self, curve: Curve, standing: np.ndarray | None = None) -> None:
        """Follow a curve from the next tick on; one that slows down is followed to its rest first.

        Args:
            curve: where to be when.
            standing: (A,) where the arm stands when this is the first curve; the way from there to
                it is faded in.
        """
        if self.cause:
            return
        if self._curve is None and standing is not None:
            self._offset = standing - curve.knots.q[0]
            self._began_ns = int(curve.t_ns[0])
        self._former = self._curve
        self._curve = curve

    def brake(self, cause: str) -> None:
        """Slow down along the path; the first cause is kept."""
        self.cause = self.cause or cause

    def tick(self, now_ns: int, steady_ns: int) -> KinematicState | None:
        """What to command now, or None before the first path.

        Args:
            now_ns: the clock of the curve.
            steady_ns: a clock that never jumps.
        """
        passed = now_ns - self._now_ns
        really = steady_ns - self._steady_ns
        first = self._last is None
        self._ran_ns = steady_ns if passed or first else self._ran_ns
        self._now_ns = now_ns
        self._steady_ns = steady_ns
        if self._curve is None:
            return None
        if not self.cause:
            self.cause = "" if first else self._clock_fault(passed, really, steady_ns)
        if not self.cause:
            state = self._state(now_ns)
            self.cause = self._jump(state.q, passed)
            if not self.cause:
                self._at_ns = now_ns
                self._last = state.q
                self._former = None
                return state
            # nothing was commanded that could be slowed down
            if self._last is None:
                self._curve = None
                return None
            self._curve = self._former or self._curve
        return self._slow_down(min(max(really, 0), self._deadline_ns) / NS)

    def _state(self, at_ns: int) -> KinematicState:
        """The curve, less what is left of the offset at its start."""
        assert self._curve is not None
        state = self._curve.at(at_ns)
        s = (at_ns - self._began_ns) / (FADE_S * NS)
        if self._offset is None or s >= 1:
            return state
        s = max(0.0, s)
        left = KinematicState(
            (1 - 10 * s**3 + 15 * s**4 - 6 * s**5) * self._offset,
            (-30 * (s * (1 - s)) ** 2) * self._offset / FADE_S,
            (-60 * s * (1 - s) * (1 - 2 * s)) * self._offset / FADE_S**2,
        )
        return state + left

    def _clock_fault(self, passed: int, really: int, steady_ns: int) -> str:
        if max(passed, really) > self._deadline_ns:
            self.overruns += 1
            return f"a tick came {max(passed, really) / NS:.3f} s after the one before it"
        if passed < -self._deadline_ns:
            return f"the clock went back by {-passed / NS:.3f} s"
        stood_ns = steady_ns - self._ran_ns
        return (
            f"the clock has stood still for {stood_ns / NS:.2f} s"
            if stood_ns > self._stall_ns
            else ""
        )

    def _jump(self, q: np.ndarray, passed: int) -> str:
        """A command may not be farther from the one before it than the joint can go meanwhile."""
        lim = self.limits
        if not np.isfinite(q).all():
            return "a command is not finite"
        if self._last is None:
            return ""
        reach = lim.velocity * max(passed, 0) / NS + self._seam
        off = np.abs(q - self._last) / reach
        joint = int(off.argmax())
        if off[joint] <= 1:
            return ""
        return (
            f"joint '{lim.joint_names[joint]}' would jump by "
            f"{abs(q[joint] - self._last[joint]):.4f} in one tick"
        )

    def _slow_down(self, dt: float) -> KinematicState:
        """One tick on, at a path speed that falls to 0 as fast as the joints bear."""
        assert self._curve is not None
        dq = self._state(self._at_ns).dq
        fast = np.abs(dq) > MOVING
        fall = (
            float((BRAKE_FRACTION * self.limits.acceleration[fast] / np.abs(dq[fast])).min())
            if fast.any()
            else 1e9
        )
        before = self._rate
        self._rate = max(0.0, self._rate - fall * dt)
        self._at_ns += round((before + self._rate) / 2 * dt * NS)
        if self._at_ns >= self._curve.t_ns[-1]:
            # the path's own end at rest
            self._rate = 0.0
        here = self._state(self._at_ns)
        self._last = here.q
        if self._rate == 0.0:
            return KinematicState.at_rest(here.q)
        return KinematicState(
            here.q, here.dq * self._rate, here.ddq * self._rate**2 - here.dq * fall
        )
