"""Does the bridge command what it was given? A trajectory it refused must not be continued in
thought only.
"""

from __future__ import annotations

import numpy as np

from wam_ros.core.admission import SHIPPED, Admission, why_not_agreed
from wam_ros.core.idle import Idle
from wam_ros.core.types import NS, BridgeState, Forwarding, JointState, Reason, SafetyState
from wam_ros.safety.machine.answers import Answer, Emission
from wam_ros.safety.machine.machine import SafetyMachine
from wam_ros.safety.machine.playback import Playback

MISSED = 16  # trajectories that may have been missed one after another
SILENT_S = 1.0  # a bridge that spoke of itself and then not for this long is not known to forward
SAME = 0.1  # share of the tolerance; the bridge follows to rounding


class CommandEcho:
    """Compares what the safety node emitted with what the bridge says it commands. Not thread-safe.

    Args:
        tolerance: (A,) rad or m; the two agree to rounding except while a message is under way.
        patience_s: how long they may differ, or the bridge be silent.
        admission: how long the bridge still takes what was emitted.
    """

    def __init__(
        self, tolerance: np.ndarray, patience_s: float, admission: Admission = SHIPPED
    ) -> None:
        self._tolerance = tolerance
        self._deadline_ns = admission.deadline_ns
        self._patience_ns = round(patience_s * NS)
        self.told: JointState | None = None  # newest word of the bridge
        # its newest word that nothing is commanded, until something is
        self.idle: Idle | None = None
        self.begin()

    def begin(self) -> None:
        """Motion begins anew: the patience with the former one is over."""
        self._off_since_ns: int | None = None

    def on_commanded(self, told: JointState) -> None:
        """Take what the bridge says it commands, joints in model order."""
        if self.idle is not None and told.stamp_ns <= self.idle.at_ns:
            # it was overtaken
            return
        self.told = told
        self.idle = None

    def on_idle(self, idle: Idle | None) -> None:
        """Take that the bridge commands nothing; None: it commands something."""
        self.idle = idle
        if idle is not None and self.told is not None and self.told.stamp_ns <= idle.at_ns:
            self.told = None

    def void(self, playback: Playback, now_ns: int) -> bool:
        """Whether by the bridge's word nothing that was emitted is executed, now or later."""
        newest = playback.current
        if self.idle is None or self._told(now_ns) is not None:
            return False
        return newest is None or self.idle.voids(newest, now_ns, self._deadline_ns)

    def _told(self, now_ns: int) -> JointState | None:
        """What it commands; a word of the future was said before the clock went back."""
        told = self.told
        return None if told is None or told.stamp_ns > now_ns + self._patience_ns else told

    def why_not_taken(self, playback: Playback, now_ns: int) -> str:
        """Why what was emitted is not what is commanded, once that has lasted; else empty. Call it
        often.

        That nothing is commanded need not last.
        """
        if playback.current is not None and self.void(playback, now_ns):
            return "the bridge commands nothing"
        reason = self._why_not_same(playback, now_ns)
        if not reason:
            self._off_since_ns = None
            return ""
        if self._off_since_ns is None or self._off_since_ns > now_ns:
            self._off_since_ns = now_ns
        return reason if now_ns - self._off_since_ns > self._patience_ns else ""

    def _why_not_same(self, playback: Playback, now_ns: int) -> str:
        told = self.told
        if playback.current is None:
            return ""
        # one of the future says nothing of now
        if told is None or abs(now_ns - told.stamp_ns) > self._patience_ns:
            return "the bridge does not say what it commands"
        off = np.abs(told.positions - playback.at(told.stamp_ns).q) / self._tolerance
        if off.max() <= 1:
            return ""
        joint = told.joint_names[int(off.argmax())]
        return f"the bridge did not take the motion: it commands joint '{joint}' elsewhere"

    def missed(self, playback: Playback, now_ns: int) -> int:
        """How many of the newest trajectories the bridge did not take and can take no more; it goes
        on without them.
        """
        told = self.told
        newest = playback.current
        if (
            told is None
            or newest is None
            or not newest.start_ns + self._deadline_ns <= told.stamp_ns <= now_ns
        ):
            return 0
        for less in range(1 + MISSED):
            off = np.abs(told.positions - playback.at(told.stamp_ns, less).q) / self._tolerance
            if off.max() <= SAME:
                return less
        return 0

    def why_not_settled(self, playback: Playback, begun_ns: int, now_ns: int) -> str:
        """Why what the bridge commands may be motion that is not known here; empty while it is
        known.

        Args:
            playback: what was emitted.
            begun_ns: when the last of it has begun, perhaps one that a stop was to replace and did
                not.
            now_ns: the present.
        """
        told = self._told(now_ns)
        if (
            self.void(playback, now_ns)
            or told is None
            or now_ns - told.stamp_ns > self._patience_ns
        ):
            return ""
        if playback.current is not None and told.stamp_ns < begun_ns + self._deadline_ns:
            return "what was emitted may still begin"
        if not (np.abs(told.velocities) > 0).any():
            return ""
        if playback.current is not None:
            here = playback.at(told.stamp_ns)
            same = (np.abs(told.positions - here.q) <= SAME * self._tolerance).all()
            if same and here.dq.any():
                return ""
        return "the bridge commands another motion, not begun here"

    def rest(self, playback: Playback, measured: np.ndarray, now_ns: int) -> np.ndarray | None:
        """(A,) where the arm is commanded to stand, by the bridge's word, else as measured.

        None while it moves, or while what was emitted may still be executed.
        """
        if self.void(playback, now_ns):
            return measured
        told = self._told(now_ns)
        newest = playback.current
        over = playback.end_ns() <= now_ns
        if told is None:
            return measured if over else None
        early = newest is not None and told.stamp_ns < newest.start_ns + self._deadline_ns
        if early or not (over or self._why_not_same(playback, now_ns)):
            return None
        # NaN is not known to rest
        return told.positions if (told.velocities == 0).all() else None


class BridgeWatch:
    """Arms by itself where that was asked for: once in simulation, and after the bridge missed a
    motion.

    A reset takes that back: after a fault or an emergency stop arming is a person's deliberate act.

    Nothing is armed while a bridge that speaks of itself says that it does not forward, or that it
    admits something else than what is relied on here; what is armed then stops. That it does not
    hear the safety node stops nothing: when that is read it may be over, and motion that it misses
    is noticed.

    Args:
        machine: to arm.
        echo: what the bridge commands.
        wants_arm: arm as soon as it is possible.
    """

    def __init__(self, machine: SafetyMachine, echo: CommandEcho, wants_arm: bool) -> None:
        self._machine = machine
        self._echo = echo
        self._wants_arm = wants_arm
        self._resets = machine.resets
        self._bridge: BridgeState | None = None  # its newest word of itself
        self._heard_s = 0.0  # when that came, by the stopwatch
        self._disagreed = ""  # where it admits something else than what is relied on here

    def hear(
        self, bridge: BridgeState, admission: Admission | None, idle: Idle | None = None
    ) -> None:
        """Take what the bridge says of itself; `look` then does what comes of it.

        Args:
            bridge: whether it forwards.
            admission: what it takes; None: it does not say.
            idle: that it commands nothing.
        """
        self._bridge = bridge
        self._heard_s = self._machine.filter.stopwatch()
        self._disagreed = why_not_agreed(admission, self._machine.brakes.admission)
        self._echo.on_idle(idle)
        self._machine.standstill.released = bridge.words if bridge.released else ""

    @property
    def _why_not_ready(self) -> str:
        """Why nothing may be armed, in the bridge's words; empty also for a bridge that never spoke
        of itself.
        """
        if self._bridge is None:
            return ""
        if self._disagreed:
            return self._disagreed
        if self._bridge.forwarding != Forwarding.FORWARDING:
            return self._bridge.words
        silent = self._machine.filter.stopwatch() - self._heard_s > SILENT_S
        return f"the bridge has not told its state for {SILENT_S:g} s" if silent else ""

    @property
    def _why_not_forwarding(self) -> str:
        """Why the bridge, by its own words, forwards nothing to an arm that is armed already."""
        held = self._bridge is not None and self._bridge.forwarding in (
            Forwarding.PAUSED,
            Forwarding.HELD_BACK,
        )
        return self._why_not_ready if held or self._disagreed else ""

    def arm(self, on: bool, now_ns: int) -> Answer:
        """Arm or disarm as an operator says; disarming is the last word."""
        begins = on and self._machine.state == SafetyState.HOLD
        brakes = self._machine.brakes
        refusal = self._why_not_ready or self._echo.why_not_settled(
            brakes.playback, brakes.begun_ns, now_ns
        )
        if begins and refusal:
            answer = Answer(False, f"not armed: {refusal}")
        else:
            if begins:
                self._stand(now_ns)
            answer = self._machine.arm(on, now_ns)
        self._wants_arm = self._wants_arm and on and not answer.ok
        return answer

    def disable(self, now_ns: int) -> Answer:
        """Stop, and arm no more by itself: enabled again, it waits for an operator."""
        self._wants_arm = False
        return self._machine.disable(now_ns)

    def look(self, now_ns: int) -> tuple[str, Emission | None]:
        """Motion that the bridge did not take is ended here too, to begin anew from where the arm
        really stands.

        A stop that it did not take is sent again, whatever the state.
        """
        machine = self._machine
        playback = machine.brakes.playback
        missed = self._echo.missed(playback, now_ns) if playback.seeded else 0
        stop = machine.brakes.again(now_ns, missed) if missed else None
        if stop is not None:
            emission = machine.tick(now_ns)
            return "the bridge missed a stop; sent again", Emission(
                emission.trajectory or stop, emission.report
            )
        if machine.state not in (SafetyState.ARMED, SafetyState.BRAKING):
            return "", None
        off = self._echo.why_not_taken(playback, now_ns)
        brakes = machine.brakes
        again = machine.state == SafetyState.ARMED or brakes.after == SafetyState.ARMED
        closed = self._why_not_forwarding
        if not (off or (closed and again)) or (machine.state, brakes.after) == (
            SafetyState.BRAKING,
            SafetyState.FAULT,
        ):
            # a fault stays one, whoever executes its stop
            return "", None
        self._wants_arm = self._wants_arm or again
        self._resets = machine.resets
        playback.drop(missed)
        if off:
            cause = closed or (
                f"{off}: {error}" if (error := self._bridge.error if self._bridge else "") else off
            )
            words = f"{cause}; waiting for the arm to rest, then going on"
            brakes.settle(
                SafetyState.HOLD, Reason.WATCHDOG if closed else Reason.DISCONTINUITY, cause
            )
        else:
            # a paused bridge takes what brings the arm to rest sooner
            words = closed
            stop = brakes.brake(now_ns, SafetyState.HOLD, Reason.WATCHDOG, closed)
        emission = machine.tick(now_ns)
        return words, Emission(emission.trajectory or stop, emission.report)

    def arm_by_itself(self, now_ns: int) -> bool:
        """Whether it has just armed from where the arm is told to stand."""
        self._wants_arm = self._wants_arm and self._resets == self._machine.resets
        if not self._wants_arm or self._machine.state != SafetyState.HOLD:
            return False
        if refusal := self._why_not_ready:
            brakes = self._machine.brakes
            brakes.reason = brakes.reason | Reason.WATCHDOG
            brakes.cause = refusal
            return False
        return self.arm(True, now_ns).ok

    def _stand(self, now_ns: int) -> None:
        """Be commanded to stand where the arm is told to, if it is known to stand; motion begins
        anew from there.
        """
        inputs = self._machine.inputs
        brakes = self._machine.brakes
        if inputs.q is None or inputs.why_not_fit(now_ns):
            return
        rest = self._echo.rest(brakes.playback, inputs.q, now_ns)
        if rest is not None:
            brakes.stand(rest)
            self._echo.begin()
