"""What is being executed, how it is brought to rest, and which state follows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wam_ros.core.admission import SHIPPED, Admission
from wam_ros.core.angles import nearest_turn
from wam_ros.core.types import NS, Decision, Reason, SafeTrajectory, SafetyState
from wam_ros.safety.attention import InterruptedWorkError
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.finding import Finding
from wam_ros.safety.machine.playback import Playback
from wam_ros.safety.motion.bounds import Floor
from wam_ros.safety.verdict import Verdict

S = SafetyState
SEVERITY = {S.ARMED: 0, S.HOLD: 1, S.FAULT: 2, S.ESTOP: 3}  # of what a stop leads to
ALONG_S = 0.03  # between the instants at which a later stop is tried
TRIES = 12
SHORT_S = 0.09  # before what the bridge does not take yet the last of them is tried
LOOKS = 3  # at what is under way, when stops are heard meanwhile
AGAIN_S = 0.06  # from noticing that a stop was missed to the start of the next one

StopAt = Callable[[int], SafeTrajectory | None]  # a stop that begins at an instant, if proven


class Brakes:
    """The state, the motion under way, and the stop that ends it. Times are on the caller's
    clock.

    Args:
        safety_filter: plans the stops.
        admission: which of them the bridge takes.
    """

    def __init__(self, safety_filter: SafetyFilter, admission: Admission = SHIPPED) -> None:
        self.filter = safety_filter
        self.params = safety_filter.params
        self.admission = admission
        self.playback = Playback()
        self.state = S.DISABLED
        self.after = S.HOLD  # state that follows BRAKING
        self.reason = Reason.NONE
        self.cause = ""
        self.latched_ns = 0  # when FAULT or ESTOP began
        self.floor: Floor | None = None  # of the newest trajectory
        self.accepted_ns = 0  # when the stop of the newest trajectory begins
        self.begun_ns = 0  # when all that was emitted since it last stood anew has begun
        self._sent: SafeTrajectory | None = None  # the newest stop that was sent by itself
        self._stop_at: StopAt = self._prove  # that made it
        self._owed: StopAt | None = None  # of a stop that is wanted and was not yet possible

    def settle(self, state: SafetyState, reason: Reason = Reason.NONE, cause: str = "") -> None:
        """Be in a state for a reason."""
        self.state = state
        self.reason = reason
        self.cause = cause

    def stand(self, q: np.ndarray) -> None:
        """Be commanded to stand at q (A,); nothing is under way and no clearance is remembered."""
        self.playback.hold(q)
        self.floor = None
        self.accepted_ns = 0
        self.begun_ns = 0
        self._owed = None

    def seed(self, q: np.ndarray, slack: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> None:
        """Be commanded to stand where the robot stands; what it was last told to hold is kept if
        that is near.
        """
        if self.playback.seeded:
            held = self.playback.at(self.playback.end_ns()).q
            q = nearest_turn(q, held, self.filter.model.endless)
            q = held if (np.abs(held - q) <= slack).all() else q
        self.stand(np.clip(q, lower, upper))

    def latched(self, now_ns: int) -> bool:
        """Whether only a reset leads on; a stop that leads to a fault is one from now on."""
        if self.state == S.BRAKING and self.after == S.FAULT:
            self.state = S.FAULT
            self.latched_ns = now_ns
        return self.state in (S.FAULT, S.ESTOP)

    def moving(self, now_ns: int) -> bool:
        """Whether a trajectory has not come to its rest."""
        return self.playback.end_ns() > now_ns

    def take(self, verdict: Verdict) -> None:
        """Execute what was accepted; where that is only a stop, chunks move the arm again after
        it.
        """
        if verdict.trajectory is None:
            return
        if verdict.decision == Decision.BRAKE:
            self.settle(S.BRAKING, verdict.reasons, verdict.sentence)
            self.after = S.ARMED
        else:
            self.settle(S.ARMED)
        self.floor = verdict.floor
        self.accepted_ns = verdict.trajectory.start_ns + round(verdict.accepted_s * NS)
        self._owed = None
        self._begin(verdict.trajectory)

    def brake(
        self, now_ns: int, after: SafetyState, reason: Reason, cause: str
    ) -> SafeTrajectory | None:
        """Stop now if that is proven, else where it is along the way, else where the motion ends
        anyway.

        Returns:
            What to emit; None when nothing moves or a verified stop is already playing.
        """
        if self.state == S.BRAKING:
            after = max(after, self.after, key=SEVERITY.__getitem__)
            reason |= self.reason
        self.after = after
        if not self.moving(now_ns):
            stood = self.state in (S.ARMED, S.BRAKING)
            self.settle(after if stood else self.state, reason, cause)
            self.latched_ns = now_ns if stood else self.latched_ns
            return None
        self.settle(S.BRAKING, reason, cause)
        return self._in_time(now_ns, self.filter.stopwatch(), TRIES, self._sooner)

    def escalate(
        self, now_ns: int, after: SafetyState, reason: Reason, cause: str
    ) -> SafeTrajectory | None:
        """Brake unless a stop for this cause or a graver one is already under way."""
        if (
            self.state == S.BRAKING
            and SEVERITY[self.after] >= SEVERITY[after]
            and reason in self.reason
        ):
            return None
        return self.brake(now_ns, after, reason, cause)

    def again(self, now_ns: int, missed: int) -> SafeTrajectory | None:
        """The newest stop came too late to be taken: stop from the motion that goes on instead,
        with more time.

        So too where everything was to end in the stop of a trajectory that was not taken. None
        where a chunk was missed and the next one may come, or where no other stop is proven.

        Args:
            now_ns: the present.
            missed: how many of the newest trajectories were not taken.
        """
        resent = self._sent is not None and self.playback.current is self._sent
        if not resent and (
            self.state == S.ARMED or (self.state == S.BRAKING and self.after == S.ARMED)
        ):
            return None
        self.playback.drop(missed)
        self.accepted_ns = self.playback.end_ns()
        # in thought it stands already
        if self.state == S.ARMED:
            self.state = S.BRAKING
            self.after = S.ARMED
        stop_at = self._stop_at if resent else self._sooner
        return self._in_time(now_ns, self.filter.stopwatch() - AGAIN_S / 2, TRIES, stop_at)

    def owed(self, now_ns: int, tries: int = TRIES // 3) -> SafeTrajectory | None:
        """The stop that was wanted, once it is possible; call it often. None when none is owed.

        Args:
            now_ns: the present.
            tries: instants along the way; who cannot call it again looks farther ahead with
                `last_tries`.
        """
        if self._owed is None or not now_ns < self.accepted_ns:
            return None
        return self._in_time(now_ns, self.filter.stopwatch(), tries, self._owed)

    @property
    def last_tries(self) -> int:
        """Instants along the way that lie as far ahead as the bridge takes what begins there."""
        reach_s = self.admission.ahead_s - SHORT_S - self.params.stop_lead_s
        return 1 + max(0, round(reach_s * NS) // round(ALONG_S * NS))

    def avoid(self, now_ns: int, spared: np.ndarray, began_s: float) -> SafeTrajectory | None:
        """Stop for something that came into the way of the motion, if that is so, in whatever state
        it moves.

        A stop that is clear of it leads back to ARMED. Where it is too near for that, the arm stops
        as soon as all else allows, and that is a FAULT. HOLD, FAULT, ESTOP and DISABLED stay what
        they are.

        Args:
            now_ns: the present.
            spared: (P,) bool, pairs that a stop need not keep apart when it cannot.
            began_s: what the stopwatch showed then.
        """
        settled = self.state not in (S.ARMED, S.BRAKING) or (
            self.state == S.BRAKING and self.after != S.ARMED
        )
        found = None if settled and Reason.ENV_COLLISION in self.reason else self._conflict(now_ns)
        if found is None:
            return None
        # asked now: who pressed a stop while the motion was looked at was heard
        live = self.state in (S.ARMED, S.BRAKING)
        playing = self.accepted_ns <= now_ns

        def stop_at(start_ns: int) -> SafeTrajectory | None:
            stop = self._prove(start_ns)
            if stop is not None or playing:
                return stop
            return self._prove(start_ns, spared) or self._prove(start_ns, spared, overloaded=True)

        stop = self._in_time(now_ns, began_s, 1 if playing else TRIES, stop_at)
        after = S.ARMED
        words = found.words
        self.reason |= found.reason
        if not live:
            return stop
        left = self._conflict(now_ns)
        if self.state not in (S.ARMED, S.BRAKING):
            return stop
        if left is not None:
            after = S.FAULT
            words = f"{left.words}: too near to stop clear of it"
        before = self.after if self.state == S.BRAKING else S.ARMED
        self.state = S.BRAKING
        self.after = max(after, before, key=SEVERITY.__getitem__)
        self.cause = words
        return stop

    def pass_time(self, now_ns: int) -> None:
        """Motion that nothing continued is braking; a stop that ended becomes what follows it."""
        if self.state == S.ARMED and 0 < self.accepted_ns < now_ns and not self.cause:
            # at rest already, perhaps: some stops are shorter than a tick
            self.state = S.BRAKING
            self.after = S.ARMED
            self.reason = Reason.WATCHDOG
            self.cause = "no new chunk, the verified stop plays out"
        if self.state == S.BRAKING and not self.moving(now_ns):
            self.state = self.after
            if self.state == S.FAULT:
                self.latched_ns = now_ns

    def clock_went_back(self, before_ns: int, now_ns: int) -> SafeTrajectory | None:
        """Stop from the state commanded at `before_ns` on the old clock, now; every later stamp is
        void.
        """
        if not self.playback.seeded:
            return None
        moving = self.moving(before_ns)
        last = self.playback.at(before_ns)
        floor = self.floor
        current = self.playback.current
        self.stand(last.q)
        self.floor = floor
        if self.state in (S.ARMED, S.BRAKING):
            after = self.after if self.state == S.BRAKING else S.HOLD
            self.after = max(after, S.HOLD, key=SEVERITY.__getitem__)
            words = f"the clock went back by {(before_ns - now_ns) / NS:.3f} s"
            self.state = S.BRAKING
            self.reason = self.reason | Reason.WATCHDOG
            self.cause = words
        if not moving or current is None:
            return None
        try:
            stop = self.filter.stop(last, now_ns, floor)
        except Exception:
            stop = None
        stop = stop or rest_of(current, before_ns, now_ns)
        self._stop(stop, self._prove)
        return stop

    def _sooner(self, start_ns: int) -> SafeTrajectory | None:
        """A proven stop from an instant before that from which the motion under way stops
        anyway.
        """
        return self._prove(start_ns) if start_ns < self.accepted_ns else None

    def _in_time(
        self, now_ns: int, began_s: float, tries: int, stop_at: StopAt
    ) -> SafeTrajectory | None:
        """Do what is planned for the first instant for which that is possible and not over when it
        is planned.

        A stop that reaches the bridge long after it begins is refused there, and the arm would go
        on.
        """
        stopwatch = self.filter.stopwatch
        lead_s = max(self.params.stop_lead_s, 2 * (stopwatch() - began_s))
        for _ in range(tries):
            start_ns = now_ns + round(lead_s * NS)
            stop = stop_at(start_ns)
            took_s = stopwatch() - began_s
            if stop is not None and took_s <= max(lead_s, self.admission.late_s):
                self._stop(stop, stop_at)
                return stop
            lead_s = max(lead_s + ALONG_S, 2 * took_s)
        self._owed = stop_at
        return None

    def _begin(self, trajectory: SafeTrajectory) -> None:
        self.playback.play(trajectory)
        self.begun_ns = max(self.begun_ns, trajectory.start_ns)

    def _stop(self, stop: SafeTrajectory, stop_at: StopAt) -> None:
        self._begin(stop)
        self.accepted_ns = stop.start_ns
        self._sent = stop
        self._stop_at = stop_at
        self._owed = None

    def _prove(
        self, start_ns: int, spared: np.ndarray | None = None, overloaded: bool = False
    ) -> SafeTrajectory | None:
        """The proven stop from an instant; where its proof breaks down there is none, and what
        plays ends at rest.
        """
        try:
            state = self.playback.at(start_ns)
            return self.filter.stop(
                state, start_ns, self.floor, spared=spared, overloaded=overloaded
            )
        except Exception:
            return None

    def _conflict(self, now_ns: int) -> Finding | None:
        """What is in the way of the motion under way; not being able to tell counts as something.

        When a stop is heard meanwhile, another motion is under way, and that one is looked at.
        """
        error: Exception
        for _ in range(LOOKS):
            try:
                return self.filter.conflict(self.playback.ahead(now_ns), self.floor)
            except InterruptedWorkError as heard:
                error = heard
            except Exception as broken:
                error = broken
                break
        return Finding(
            Reason.ENV_COLLISION,
            f"the motion cannot be checked: {type(error).__name__} {error!s:.80}",
        )


def rest_of(trajectory: SafeTrajectory, at_ns: int, now_ns: int) -> SafeTrajectory:
    """The samples from `at_ns` on, as if that were `now_ns`."""
    t = trajectory
    k = min(int(np.searchsorted(t.t, (at_ns - t.start_ns) / NS)), len(t.t) - 1)
    start_ns = now_ns + max(0, t.start_ns + round(float(t.t[k]) * NS) - at_ns)
    return SafeTrajectory(
        *t[k:].arrays,
        start_ns=start_ns,
        joint_names=t.joint_names,
        t=t.t[k:] - t.t[k],
        chunk_seq=t.chunk_seq,
    )
