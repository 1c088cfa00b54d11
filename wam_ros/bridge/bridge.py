"""What stands between the safety node and a controller: the gate, the player of a stream, and a
look at the arm.
"""

from __future__ import annotations

import numpy as np

from wam_ros.bridge.gate import Gate
from wam_ros.bridge.lag import Lag
from wam_ros.bridge.masters import Masters
from wam_ros.bridge.player import Player
from wam_ros.core.admission import Admission, why_not_agreed
from wam_ros.core.idle import Idle
from wam_ros.core.types import (
    NS,
    BridgeState,
    Forwarding,
    JointState,
    KinematicState,
    SafeTrajectory,
)
from wam_ros.core.words import BRIDGE

SETTLED_S = 0.1  # past its end a trajectory has had its last command
AFTER_S = 1.0  # past its end a trajectory is still to blame when the arm is elsewhere
RESUME = "`~/pause` with false lets motion begin again"


class Bridge:
    """Decides what the controller gets. Not thread-safe; the clocks come by argument.

    Args:
        gate: judges trajectories.
        lag: compares the measured joints with the commanded ones.
        player: samples what passed, for a controller that is streamed to; None for one that plays
            trajectories.
    """

    def __init__(self, gate: Gate, lag: Lag, player: Player | None = None) -> None:
        self.gate = gate
        self.lag = lag
        self.player = player
        self.paused = self._shut = False
        self._missing = "no controller listens yet"
        self._latched = ""  # a cause that a person must clear
        self.masters = Masters(gate.admission.heartbeat_s)
        # that more than one spoke where one alone should, until a person clears it
        self._disputed = ""
        self._doubted: dict[str, str] = {}  # the same, by subject, while it lasts
        # where the one that commands relies on something else than what the gate does
        self._disagreed = ""
        self._stopped = ""  # that it has stopped the arm for good, until a person resets it
        self._measured_ns: int | None = None
        self._now_ns = 0  # of the newest tick
        # newest trajectory that did not pass, since one did
        self._refused: tuple[int, int] | None = None

    @property
    def why_not_open(self) -> str:
        """Why nothing is forwarded but what brings the arm to rest sooner, or not even that; empty
        while all is.
        """
        paused = f"{BRIDGE[Forwarding.PAUSED].said}; {RESUME}"
        return (
            self._disputed
            or next(iter(self._doubted.values()), "")
            or self._disagreed
            or (paused if self.paused else self._why_not_forwarding)
            # what is under way is left to the stops of the safety node
            or (self._stopped if self.rests else "")
        )

    @property
    def _why_not_forwarding(self) -> str:
        """Why nothing at all is forwarded; empty while something is."""
        return self._latched or (self.player.cause if self.player else "") or self._missing

    def state(self, steady_ns: int, error: str = "") -> BridgeState:
        """What it says of itself; `error` is the newest refusal or failure."""
        released = self.rests and bool(self.paused or self._missing)
        if self._shut:
            words = "the bridge is not active"
            return BridgeState(Forwarding.HELD_BACK, words, error, released)
        if self.why_not_open:
            forwarding = Forwarding.PAUSED if self.paused else Forwarding.HELD_BACK
            return BridgeState(forwarding, self.why_not_open, error, released)
        if self.gate.why_not_heard(steady_ns):
            return BridgeState(Forwarding.UNHEARD, BRIDGE[Forwarding.UNHEARD].said, error)
        return BridgeState(Forwarding.FORWARDING, BRIDGE[Forwarding.FORWARDING].said, error)

    @property
    def idle(self) -> Idle | None:
        """What there is to say while nothing is commanded; None while something is."""
        return (
            Idle(self._now_ns, self._refused)
            if self.gate.curve is None and not self.moving
            else None
        )

    def pause(self, on: bool) -> None:
        """Forward nothing, or forward again; the latter also clears that the arm did not follow."""
        self.paused = on
        if not on:
            self._shut = False
            self._latched = self._disputed = ""
            self.lag.clear()

    def on_report(
        self, sender: str, steady_ns: int, admission: Admission | None, latched: str = ""
    ) -> bool:
        """A safety node lives; whether it is the one that commands.

        Args:
            sender: name of the safety node.
            steady_ns: a clock that never jumps.
            admission: what it takes the bridge to admit; None: it does not say.
            latched: its state, when it stays in that until a person resets it.
        """
        self.gate.on_heartbeat(steady_ns)
        commands = self._hear(sender, steady_ns)
        if commands:
            self._disagreed = why_not_agreed(self.gate.admission, admission)
            self._stopped = (
                f"the safety node is in {latched}; its `~/reset` leads on" if latched else ""
            )
        return commands

    def _hear(self, sender: str, steady_ns: int) -> bool:
        """Whether a sender is the one that commands. A second one ends the motion."""
        commands = self.masters.hear(sender, steady_ns)
        if self.masters.why_not_one:
            self._disputed = f"{self.masters.why_not_one}; then {RESUME}"
        return commands

    def distrust(self, subject: str, words: str, for_good: bool = True) -> None:
        """Somebody else may speak where the safety node or this bridge alone should, or another arm
        may listen: the motion under way ends.

        Args:
            subject: what it is about; what was said of it before is void.
            words: who; empty: nobody does any more.
            for_good: nothing begins until a person says so; else until the words are empty.
        """
        self._doubted.pop(subject, None)
        if words:
            self._doubted[subject] = words
        if words and for_good:
            self._disputed = f"{words}; then {RESUME}"

    @property
    def rests(self) -> bool:
        """Whether nothing that passed is under way; a stream may still say where the arm stands."""
        slowing = self.player is not None and self.player.cause and self.moving
        return not slowing and self.gate.rest_in_s(self._now_ns) == 0.0

    def shut(self) -> None:
        """Forward nothing more; a stream slows down to rest on its path."""
        self.paused = self._shut = True
        if self.player:
            self.player.brake("the bridge is being closed")

    def on_joints(self, state: JointState) -> None:
        """Measured joints, in the order of the gate's; what is not finite says nothing."""
        if not np.isfinite(state.positions).all():
            return
        self.gate.on_joints(state)
        measured = self.gate.measured
        assert measured is not None
        self._measured_ns = state.stamp_ns
        curve = self.gate.curve
        if curve is None or (self.player and self.player.cause):
            self.lag.clear()
            return
        if (
            self.paused
            and not self.moving
            and state.stamp_ns > int(curve.t_ns[-1]) + SETTLED_S * NS
        ):
            # nothing is commanded while paused at rest: the arm may be moved by others
            self._give_up()
            return
        commanded = curve.at(state.stamp_ns)
        self.lag.on_measured(state.stamp_ns, measured, commanded.q, commanded.dq)
        if not self.lag.why_not_following:
            return
        # later it was moved by somebody else: no fault
        if state.stamp_ns < int(curve.t_ns[-1]) + AFTER_S * NS:
            self._latched = f"{self.lag.why_not_following}; {RESUME}"
        if self.moving and self.player:
            self.player.brake(self._latched or self.lag.why_not_following)
        else:
            self._give_up()

    def admit(
        self, trajectory: SafeTrajectory, now_ns: int, steady_ns: int, sender: str = ""
    ) -> tuple[SafeTrajectory | None, str]:
        """What to send to the controller, or None and one sentence that says why not.

        Args:
            trajectory: proven by a safety node.
            now_ns: ROS time.
            steady_ns: a clock that never jumps.
            sender: name of the safety node.
        """
        commands = self._hear(sender, steady_ns)
        self.gate.why_not_open = (
            "" if commands and self._is_stop(trajectory, now_ns) else self.why_not_open
        )
        admitted, reason = self.gate.admit(trajectory, now_ns, steady_ns)
        self._refused = (
            None if admitted is not None else (trajectory.start_ns, trajectory.chunk_seq)
        )
        if admitted is not None and self.player and self.gate.curve is not None:
            self.player.play(self.gate.curve, self.gate.measured_near(self.gate.curve))
        return admitted, reason

    def _is_stop(self, trajectory: SafeTrajectory, now_ns: int) -> bool:
        """Whether it brings the arm to rest sooner than it comes by itself: no pause, dispute or
        disagreement holds that back.
        """
        curve = self.gate.curve
        t = trajectory.t
        held_back = self._why_not_forwarding or not (
            self.paused or self._disputed or self._doubted or self._disagreed
        )
        if held_back or curve is None or not (len(t) and np.isfinite(t[-1])):
            return False
        return now_ns < trajectory.start_ns + float(t[-1]) * NS < int(curve.t_ns[-1])

    def on_failure(self) -> None:
        """The controller did not take or finish what it was sent: nothing is commanded any more."""
        self._give_up()

    def tick(self, now_ns: int, steady_ns: int, missing: str) -> KinematicState | None:
        """What is commanded now; None while nothing is.

        Args:
            now_ns: ROS time.
            steady_ns: a clock that never jumps.
            missing: why the controller cannot be driven; empty while it can.
        """
        if missing and not self._missing:
            self._give_up()
        self._missing = missing
        self._now_ns = now_ns
        found = self.gate.commanded(now_ns)
        if self.player is None:
            return found
        if (
            self._measured_ns is None
            or abs(now_ns - self._measured_ns) > self.gate.admission.heartbeat_s * NS
        ):
            self.player.brake("no recent joint state says where the arm is")
        state = self.player.tick(now_ns, steady_ns)
        if self.player.cause and self.player.resting:
            self._give_up()
        return state

    @property
    def moving(self) -> bool:
        """Whether a streamed controller must still be led to rest."""
        return self.player is not None and not self.player.resting

    def _give_up(self) -> None:
        self.gate.forget()
        self.lag.clear()
        if self.player:
            self.player.release()
