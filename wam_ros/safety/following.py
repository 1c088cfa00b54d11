"""Does the bridge command what it was given? A trajectory it refused must not be continued in thought only."""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import NS, JointState, Reason, SafetyState
from wam_ros.safety.answers import Answer, Output
from wam_ros.safety.machine import SafetyMachine
from wam_ros.safety.playback import Playback

TAKEN_NS = 50_000_000  # what has not been taken this long after its start is refused
MISSED = 16  # trajectories that may have been missed one after another
SAME = 0.1  # share of the tolerance; the bridge follows to rounding


class Following:
    """Compares what the safety node emitted with what the bridge says it commands. Not thread-safe.

    Args:
        tolerance: (A,) rad or m; the two agree to rounding except while a message is under way.
        patience_s: how long they may differ, or the bridge be silent.
    """

    def __init__(self, tolerance: np.ndarray, patience_s: float) -> None:
        self._tolerance, self._patience_ns = tolerance, round(patience_s * NS)
        self.told: JointState | None = None  # newest word of the bridge
        self._off_since_ns: int | None = None

    def on_commanded(self, told: JointState) -> None:
        """Take what the bridge says it commands, joints in model order."""
        self.told = told

    def lost(self, playback: Playback, now_ns: int) -> str:
        """Why what was emitted is not what is commanded, once that has lasted; else empty. Call it often."""
        reason = self._difference(playback, now_ns)
        if not reason:
            self._off_since_ns = None
            return ""
        if self._off_since_ns is None or self._off_since_ns > now_ns:
            self._off_since_ns = now_ns
        return reason if now_ns - self._off_since_ns > self._patience_ns else ""

    def _difference(self, playback: Playback, now_ns: int) -> str:
        told = self.told
        if playback.current is None:
            return ""
        if told is None or abs(now_ns - told.stamp_ns) > self._patience_ns:  # one of the future says nothing of now
            return "the bridge does not say what it commands"
        off = np.abs(told.positions - playback.at(told.stamp_ns).q) / self._tolerance
        if off.max() <= 1:
            return ""
        joint = told.joint_names[int(off.argmax())]
        return f"the bridge did not take the motion: it commands joint '{joint}' elsewhere"

    def missed(self, playback: Playback, now_ns: int) -> int:
        """How many of the newest trajectories the bridge did not take and can take no more; it goes on without them."""
        told, newest = self.told, playback.current
        if told is None or newest is None or not newest.start_ns + TAKEN_NS <= told.stamp_ns <= now_ns:
            return 0
        for less in range(1 + MISSED):
            off = np.abs(told.positions - playback.at(told.stamp_ns, less).q) / self._tolerance
            if off.max() <= SAME:
                return less
        return 0

    def rest(self, measured: np.ndarray) -> np.ndarray | None:
        """(A,) where the arm is commanded to stand, by the bridge's word, else as measured; None while it moves."""
        if self.told is None:
            return measured
        return self.told.positions if (self.told.velocities == 0).all() else None  # NaN is not known to rest


class Rejoining:
    """Arms by itself where that was asked for: once in simulation, and after the bridge missed a motion.

    A reset takes that back: after a fault or an emergency stop arming is a person's deliberate act.

    Args:
        machine: to arm.
        following: what the bridge commands.
        wants_arm: arm as soon as it is possible.
    """

    def __init__(self, machine: SafetyMachine, following: Following, wants_arm: bool) -> None:
        self._machine, self._following = machine, following
        self._wants_arm, self._resets = wants_arm, machine.resets

    def arm(self, on: bool, now_ns: int) -> Answer:
        """Arm or disarm as an operator says; disarming is the last word."""
        answer = self._machine.arm(on, now_ns)
        self._wants_arm = self._wants_arm and on and not answer.ok
        return answer

    def lost(self, now_ns: int) -> tuple[str, Output | None]:
        """Motion that the bridge did not take is ended here too, to begin anew from where the arm really stands.

        A stop that it did not take is sent again, whatever the state.
        """
        machine = self._machine
        playback = machine.brakes.playback
        missed = self._following.missed(playback, now_ns) if playback.seeded else 0
        stop = machine.brakes.again(now_ns, missed) if missed else None
        if stop is not None:
            output = machine.tick(now_ns)
            return "the bridge missed a stop; sent again", Output(output.trajectory or stop, output.report)
        if machine.state not in (SafetyState.ARMED, SafetyState.BRAKING):
            return "", None
        reason, brakes = self._following.lost(playback, now_ns), machine.brakes
        if not reason or (machine.state == SafetyState.BRAKING and brakes.after == SafetyState.FAULT):
            return "", None  # a fault stays one, whoever executes its stop
        again = machine.state == SafetyState.ARMED or brakes.after == SafetyState.ARMED
        self._wants_arm, self._resets = self._wants_arm or again, machine.resets
        playback.drop(missed)
        brakes.settle(SafetyState.HOLD, Reason.DISCONTINUITY, reason)
        return f"{reason}; waiting for the arm to rest, then going on", machine.tick(now_ns)

    def arm_by_itself(self, now_ns: int) -> bool:
        """Whether it has just armed from where the arm is told to stand."""
        q = self._machine.inputs.q
        self._wants_arm = self._wants_arm and self._resets == self._machine.resets
        if not self._wants_arm or self._machine.state != SafetyState.HOLD or q is None:
            return False
        rest = self._following.rest(q)
        if rest is None:
            return False
        self._machine.brakes.stand(rest)
        return self.arm(True, now_ns).ok
