"""What is being executed, how it is brought to rest, and which state follows."""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import NS, Reason, SafeTrajectory, SafetyState
from wam_ros.safety.bounds import Floor
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.playback import Playback

S = SafetyState
SEVERITY = {S.ARMED: 0, S.HOLD: 1, S.FAULT: 2, S.ESTOP: 3}  # of what a stop leads to
ALONG = 3  # samples between the instants at which a later stop is tried
TRIES = 12


class Brakes:
    """The state, the motion under way, and the stop that ends it. Times are on the caller's clock."""

    def __init__(self, safety_filter: SafetyFilter) -> None:
        self.filter, self.params = safety_filter, safety_filter.params
        self.playback = Playback()
        self.state = S.DISABLED
        self.after = S.HOLD  # state that follows BRAKING
        self.reason, self.cause = Reason.NONE, ""
        self.latched_ns = 0  # when FAULT or ESTOP began
        self.floor: Floor | None = None  # of the newest trajectory
        self.accepted_ns = 0  # when the stop of the newest trajectory begins

    def settle(self, state: SafetyState, reason: Reason = Reason.NONE, cause: str = "") -> None:
        """Be in a state for a reason."""
        self.state, self.reason, self.cause = state, reason, cause

    def stand(self, q: np.ndarray) -> None:
        """Be commanded to stand at q (A,); nothing is under way and no clearance is remembered."""
        self.playback.hold(q)
        self.floor, self.accepted_ns = None, 0

    def moving(self, now_ns: int) -> bool:
        """Whether a trajectory has not come to its rest."""
        return self.playback.end_ns() > now_ns

    def stop_time(self, now_ns: int) -> float:
        """Seconds from now to rest if nothing more arrives."""
        return max(0.0, (self.playback.end_ns() - now_ns) / NS)

    def play(self, trajectory: SafeTrajectory, accepted_s: float) -> None:
        """Execute a trajectory whose stop begins `accepted_s` after its start."""
        self.playback.play(trajectory)
        self.accepted_ns = trajectory.start_ns + round(accepted_s * NS)

    def brake(self, now_ns: int, after: SafetyState, reason: Reason, cause: str) -> SafeTrajectory | None:
        """Stop now if that is proven, else where it is along the way, else where the motion ends anyway.

        Returns:
            What to emit; None when nothing moves or a verified stop is already playing.
        """
        if self.state == S.BRAKING:
            after = max(after, self.after, key=SEVERITY.__getitem__)
            reason |= self.reason
        self.after, self.reason, self.cause = after, reason, cause
        if not self.moving(now_ns):
            if self.state in (S.ARMED, S.BRAKING):
                self.state, self.latched_ns = after, now_ns
            return None
        playing = self.accepted_ns <= now_ns
        self.state = S.BRAKING
        stop = None if playing else self._stop_along(now_ns + round(self.params.stop_lead_s * NS))
        if stop is not None:
            self.playback.play(stop)
            self.accepted_ns = now_ns
        return stop

    def escalate(self, now_ns: int, after: SafetyState, reason: Reason, cause: str) -> SafeTrajectory | None:
        """Brake unless a stop for this cause or a graver one is already under way."""
        if self.state == S.BRAKING and SEVERITY[self.after] >= SEVERITY[after] and reason in self.reason:
            return None
        return self.brake(now_ns, after, reason, cause)

    def avoid(self, now_ns: int, spared: np.ndarray) -> SafeTrajectory | None:
        """Stop for something that came into the way of the motion, if that is so.

        A stop that is clear of it leads back to ARMED. Where it is too near for that, the arm stops as soon as all
        else allows, and that is a FAULT.

        Args:
            now_ns: the present.
            spared: (P,) bool, pairs that a stop need not keep apart when it cannot.
        """
        found = self.filter.conflict(self.playback.ahead(now_ns), self.floor)
        known = self.state == S.BRAKING and self.after != S.ARMED and Reason.ENV_COLLISION in self.reason
        if found is None or known or self.state not in (S.ARMED, S.BRAKING):
            return None
        start_ns = now_ns + round(self.params.stop_lead_s * NS)
        state, playing = self.playback.at(start_ns), self.accepted_ns <= now_ns
        stop, after, words = self.filter.stop(state, start_ns, self.floor), S.ARMED, found.words
        if stop is None and not playing:
            stop = self.filter.stop(state, start_ns, self.floor, spared=spared)
        if stop is not None:
            self.playback.play(stop)
            self.accepted_ns = now_ns
        left = self.filter.conflict(self.playback.ahead(now_ns), self.floor)
        if left is not None:
            after, words = S.FAULT, f"{left.words}: too near to stop clear of it"
        before = self.after if self.state == S.BRAKING else S.ARMED
        self.state, self.after = S.BRAKING, max(after, before, key=SEVERITY.__getitem__)
        self.reason, self.cause = self.reason | found.reason, words
        return stop

    def pass_time(self, now_ns: int) -> None:
        """A plan that ran out is braking; a stop that ended becomes what follows it."""
        if self.state == S.ARMED and 0 < self.accepted_ns < now_ns and not self.cause:
            self.state, self.after = S.BRAKING, S.ARMED  # at rest already, perhaps: some stops are shorter than a tick
            self.reason, self.cause = Reason.WATCHDOG, "no new chunk, the verified stop plays out"
        if self.state == S.BRAKING and not self.moving(now_ns):
            self.state = self.after
            if self.state == S.FAULT:
                self.latched_ns = now_ns

    def clock_went_back(self, before_ns: int, now_ns: int) -> SafeTrajectory | None:
        """Stop from the state commanded at `before_ns` on the old clock, now; every later stamp is void."""
        if not self.playback.seeded:
            return None
        moving, last, floor = self.moving(before_ns), self.playback.at(before_ns), self.floor
        current = self.playback.current
        self.stand(last.q)
        self.floor = floor
        if self.state in (S.ARMED, S.BRAKING):
            after = self.after if self.state == S.BRAKING else S.HOLD
            self.after = max(after, S.HOLD, key=SEVERITY.__getitem__)
            words = f"the clock went back by {(before_ns - now_ns) / NS:.3f} s"
            self.state, self.reason, self.cause = S.BRAKING, self.reason | Reason.WATCHDOG, words
        if not moving or current is None:
            return None
        stop = self.filter.stop(last, now_ns, floor)
        stop = stop or shifted(current, current.start_ns - before_ns + now_ns)
        self.play(stop, 0.0)
        return stop

    def _stop_along(self, start_ns: int) -> SafeTrajectory | None:
        """The earliest proven stop from `start_ns` on, along the motion under way."""
        stop = self.filter.stop(self.playback.at(start_ns), start_ns, self.floor)
        current = self.playback.current
        if stop is not None or current is None:
            return stop
        first = int(np.searchsorted(current.t, (start_ns - current.start_ns) / NS - 1e-9))
        for k in range(first, min(len(current.t) - 1, first + ALONG * TRIES), ALONG):
            at_ns = current.start_ns + round(float(current.t[k]) * NS)
            stop = self.filter.stop(self.playback.at(at_ns), at_ns, self.floor)
            if stop is not None:
                return _joined(current, first, k, stop)
        return None


def shifted(trajectory: SafeTrajectory, start_ns: int) -> SafeTrajectory:
    """The same motion at another time."""
    t = trajectory
    return SafeTrajectory(start_ns, t.joint_names, t.t, t.q, t.dq, t.ddq, t.chunk_seq)


def _joined(head: SafeTrajectory, first: int, last: int, stop: SafeTrajectory) -> SafeTrajectory:
    """Samples first..last of a trajectory, then a stop that begins in the last of them."""
    t = np.concatenate((head.t[first:last] - head.t[first], stop.t + (head.t[last] - head.t[first])))
    rows = [np.concatenate((getattr(head, k)[first:last], getattr(stop, k))) for k in ("q", "dq", "ddq")]
    start_ns = head.start_ns + round(float(head.t[first]) * NS)
    return SafeTrajectory(start_ns, head.joint_names, t, rows[0], rows[1], rows[2], head.chunk_seq)
