"""The safety state machine: who may move, and what happens when something stops coming. The clock
is an argument.

DISABLED -> SHADOW (everything is computed, nothing is emitted) -> HOLD -> ARMED <-> BRAKING -> HOLD
| FAULT | ESTOP. FAULT and ESTOP latch until `reset`; `arm` is a second, separate call. A plan that
runs out is no fault: its verified stop plays out and the next valid chunk moves the arm again.
"""

from __future__ import annotations

from collections.abc import Iterable

from wam_ros.core.admission import SHIPPED, Admission
from wam_ros.core.embodiment import Load
from wam_ros.core.errors import WamError
from wam_ros.core.types import (
    NS,
    ActionChunk,
    Decision,
    JointState,
    KinematicState,
    Reason,
    SafeTrajectory,
    SafetyReport,
    SafetyState,
)
from wam_ros.core.words import AWAITING_JOINTS, STATES, describe_state
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.finding import Finding
from wam_ros.safety.machine.answers import Answer, Emission, state_in_words
from wam_ros.safety.machine.braking import Brakes
from wam_ros.safety.machine.inputs import Inputs
from wam_ros.safety.machine.live import Change
from wam_ros.safety.machine.session import Session
from wam_ros.safety.machine.standstill import Standstill
from wam_ros.safety.machine.surroundings import Surroundings
from wam_ros.safety.machine.tracking import Tracking
from wam_ros.safety.message import MOST_EPOCH, Stream
from wam_ros.safety.verdict import Verdict

S = SafetyState
FORGET = "if it is gone for good, call ~/forget_sources"
SETTLED_NS = NS  # after the end of a motion an arm that lags behind has come to rest


class SafetyMachine:
    """Not thread-safe: one thread owns it. It begins DISABLED; call `enable`.

    Args:
        safety_filter: judges chunks and plans stops.
        dry_run: stay in SHADOW; nothing is ever emitted.
        admission: what the bridge takes of what is emitted.
    """

    def __init__(
        self,
        safety_filter: SafetyFilter,
        dry_run: bool = False,
        admission: Admission = SHIPPED,
    ) -> None:
        self.filter = safety_filter
        self.model = safety_filter.model
        self.params = safety_filter.params
        self.dry_run = dry_run
        self.pressed = False  # an emergency stop that is held down forbids the reset
        self.resets = 0
        self._enabled = False
        self.inputs = Inputs(self.model, self.params)
        self.brakes = Brakes(safety_filter, admission)
        self.surroundings = Surroundings(self.brakes)
        self.session = Session(self.brakes, self.inputs)
        self.verdict: Verdict | None = None  # newest one
        self._now_ns: int | None = None
        self._tracking = Tracking(self.model, self.params)
        self.standstill = Standstill(self.model, self.params)

    @property
    def state(self) -> SafetyState:
        """Where it is."""
        return self.brakes.state

    @property
    def _label(self) -> str:
        """The state in a word or two, for an answer."""
        waits = self.state == S.SHADOW and not self.dry_run
        return AWAITING_JOINTS if waits else STATES[self.state].label

    def commanded(self, at_ns: int) -> KinematicState | None:
        """What the robot is commanded to do at an instant; None before it was first armed."""
        return self.brakes.playback.at(at_ns) if self.brakes.playback.seeded else None

    def enable(self, now_ns: int) -> Answer:
        """Leave DISABLED."""
        self._enabled = True
        if self.state == S.DISABLED:
            self.brakes.settle(S.SHADOW)
        return Answer(True, self._label)

    def disable(self, now_ns: int) -> Answer:
        """Stop, then do nothing until enabled: a stop that is not possible yet is planned ahead. A
        latch stays one.
        """
        self._enabled = False
        trajectory = self.arm(False, now_ns).trajectory or self.brakes.owed(
            now_ns, self.brakes.last_tries
        )
        if not self.brakes.latched(now_ns):
            self.brakes.settle(S.DISABLED)
        return Answer(True, self._label, trajectory)

    def arm(self, on: bool, now_ns: int) -> Answer:
        """Let chunks move the arm, or stop and hold."""
        if not on:
            live = self.state in (S.ARMED, S.BRAKING)
            trajectory = (
                self.brakes.brake(now_ns, S.HOLD, Reason.NONE, "disarmed") if live else None
            )
            return Answer(True, self._label, trajectory)
        if self.state == S.ARMED:
            return self._arm_anew(now_ns)
        if self.state != S.HOLD:
            advice = STATES[self.state].unarmed
            if self.state == S.SHADOW and not self.dry_run:
                advice = self.inputs.why_not_fresh(now_ns) or "ask again: joints have just come"
            return Answer(False, f"not armed: {self._label}, {advice}")
        moving = (
            "what was commanded is still on its way to rest" if self.brakes.moving(now_ns) else ""
        )
        refusal = moving or self.inputs.why_not_fit(now_ns) or self.inputs.why_not_startable()
        if refusal:
            return Answer(False, f"not armed: {refusal}")
        self.session.begin(now_ns)
        self._tracking.clear()
        self.standstill.clear()
        assert self.inputs.q is not None
        limits = self.model.limits
        self.brakes.seed(self.inputs.q, self.inputs.slack, limits.lower, limits.upper)
        self.brakes.settle(S.ARMED)
        return Answer(True, "; ".join(("armed", *self.model.unseen)))

    def _arm_anew(self, now_ns: int) -> Answer:
        """Armed already: whoever speaks next moves the arm, be it a policy that was restarted. Not
        in motion, which belongs to the session that began it.
        """
        if self.brakes.moving(now_ns):
            return Answer(False, "not armed anew: the arm still moves; arm again once it stands")
        self.session.begin(now_ns)
        return Answer(True, "armed anew: the next session that speaks moves the arm")

    def hand_over(self, session_id: bytes, now_ns: int, epoch: int = 0) -> Answer:
        """Stop, stay armed, and take chunks of this session (16 bytes) only, and none of an older
        `epoch`; whoever disarms ends that, too.
        """
        if self.state != S.ARMED and not (self.state == S.BRAKING and self.brakes.after == S.ARMED):
            return Answer(False, f"not handed over: {self._label}; arm it first")
        if epoch > MOST_EPOCH:
            return Answer(False, f"not handed over: epoch {epoch} leaves no room to count on")
        before = self.session.stream
        same = before is not None and before.session_id == session_id
        self.session.belong_to(Stream(session_id, epoch, begun=False), now_ns)
        words = "stopping; its next instruction moves it" if same else "another session takes over"
        return Answer(True, words, self.brakes.brake(now_ns, S.ARMED, Reason.NONE, words))

    def estop(self, now_ns: int, cause: str = "pressed") -> Answer:
        """Stop as soon as is proven, whatever the state, and latch."""
        trajectory = self.brakes.brake(now_ns, S.ESTOP, Reason.ESTOP, cause)
        self.brakes.settle(S.ESTOP, Reason.ESTOP, cause)
        self.brakes.latched_ns = now_ns
        return Answer(
            True, f"stopping, {self.brakes.playback.rest_in_s(now_ns):.2f} s to rest", trajectory
        )

    def reset(self, now_ns: int) -> Answer:
        """Leave FAULT or ESTOP for HOLD, if nothing moves, nothing is pending and the inputs are
        healthy.
        """
        if self.state not in (S.FAULT, S.ESTOP):
            return Answer(False, f"nothing to reset: {self._label}")
        if self.pressed:
            return Answer(False, "not reset: the emergency stop is still pressed")
        wait = self.params.reset_cooldown_s - (now_ns - self.brakes.latched_ns) / NS
        if self.brakes.moving(now_ns):
            return Answer(False, "not reset: still stopping")
        if wait > 0:
            return Answer(False, f"not reset: wait {wait:.1f} s")
        refusal = self.inputs.why_not_fit(now_ns)
        if refusal:
            return Answer(False, f"not reset: {refusal}")
        self.resets += 1
        ready = S.SHADOW if self.dry_run else S.HOLD
        self.brakes.settle(ready if self._enabled else S.DISABLED)
        return Answer(True, f"reset: {describe_state(self.state)}")

    def on_joints(self, state: JointState, now_ns: int) -> Emission | None:
        """Take a joint state; an emission only when it is a reason to stop."""
        trajectory = self._clock(now_ns)
        was = self.state
        taken = self.inputs.take_joints(state, now_ns)
        if taken and self.brakes.playback.seeded and self.state in (S.ARMED, S.BRAKING):
            trajectory = self._track(now_ns) or trajectory
        elif taken and self.state == S.HOLD and self._settled:
            moved = self.standstill.why_not_still(self.inputs, now_ns)
            if moved:
                self.brakes.settle(S.FAULT, Reason.WATCHDOG, moved)
                self.brakes.latched_ns = now_ns
        if trajectory is None and self.state == was:
            return None
        return Emission(trajectory, self.heartbeat(now_ns))

    def on_sensed(self, state: JointState, now_ns: int) -> Emission | None:
        """Take what a joint state says of sensed joints; an emission only when it is a reason to
        stop.
        """
        trajectory = self._clock(now_ns)
        was = self.state
        sensed = self.inputs.sensed
        sensed.take(state, now_ns)
        if sensed.due(now_ns):
            trajectory = self.surroundings.sense(sensed.positions, now_ns) or trajectory
        trajectory = trajectory or self._watch(now_ns)[0]
        if trajectory is None and self.state == was:
            return None
        return Emission(trajectory, self.heartbeat(now_ns))

    def on_observation(self, stamp_ns: int, now_ns: int) -> None:
        """Note that an observation was made; once one was, their absence stops the arm."""
        self.inputs.take_observation(stamp_ns, now_ns)

    def on_surprise(self, value: float, now_ns: int) -> None:
        """Note the surprise of the newest frame."""
        self.inputs.take_surprise(value, now_ns)

    def on_obstacles(self, changes: Iterable[Change], now_ns: int) -> Emission | None:
        """Take words about obstacles; an emission only when they are a reason to stop."""
        trajectory = self._clock(now_ns)
        was = self.state
        trajectory = self.surroundings.take(changes, now_ns) or trajectory
        if trajectory is None and self.state == was:
            return None
        return Emission(trajectory, self.heartbeat(now_ns))

    def hold(self, name: str, load: Load | None, now_ns: int) -> Answer:
        """Count an object as part of the robot that holds it; None lets go of it."""
        try:
            trajectory = self.surroundings.hold(name, load, now_ns)
        except WamError as error:
            return Answer(False, f"not held: {error}")
        held = ", ".join(self.model.held) or "nothing"
        return Answer(True, f"holds {held}", trajectory)

    def forget_sources(self, now_ns: int) -> Answer:
        """Forget the obstacles in doubt, as a person says: nobody waits for them any more."""
        if self.brakes.moving(now_ns):
            return Answer(False, "nothing forgotten: the arm still moves")
        names, trajectory = self.surroundings.forget(now_ns)
        if not names:
            return Answer(False, "nothing to forget: no obstacle is in doubt")
        return Answer(True, f"forgotten: {', '.join(names[:8])}"[:300], trajectory)

    def tick(self, now_ns: int) -> Emission:
        """Watchdogs and the passage of time; call it at 10 Hz or faster and publish what it
        returns.
        """
        trajectory, _ = self._watch(now_ns)
        return Emission(trajectory, self.heartbeat(now_ns))

    def on_chunk(self, chunk: ActionChunk, now_ns: int) -> Emission:
        """Judge a chunk; its trajectory leaves only when armed."""
        brakes = self.brakes
        early, doubt = self._watch(now_ns)
        live = brakes.state == S.ARMED or (brakes.state == S.BRAKING and brakes.after == S.ARMED)
        self.verdict = self.session.take(chunk, now_ns, live, doubt, stopping=early is not None)
        trajectory = self.verdict.trajectory if live else None
        seq = chunk.seq if isinstance(chunk.seq, int) else 0
        report = self.verdict.report(now_ns, seq, brakes.state, brakes.playback.rest_in_s(now_ns))
        return Emission(trajectory if trajectory is not None else early, report)

    def _mistrust(self, now_ns: int) -> Finding | None:
        """What is not known well enough to move."""
        doubt = self.surroundings.live.why_not_known(now_ns)
        return self.inputs.mistrust(now_ns) or (
            Finding(Reason.ENV_COLLISION, f"{doubt}; {FORGET}") if doubt else None
        )

    def _clock(self, now_ns: int) -> SafeTrajectory | None:
        """Notice a clock that went back: stop, and forget all stamps."""
        before = self._now_ns
        self._now_ns = now_ns
        if before is None or before - now_ns <= self.params.clock_jump_s * NS:
            self._now_ns = max(before or now_ns, now_ns)
            return None
        self.inputs.clear(now_ns)
        self.surroundings.live.clock_went_back(now_ns)
        self.session.belong_to(None, now_ns)
        self.brakes.latched_ns = now_ns
        return self.brakes.clock_went_back(before, now_ns)

    def _track(self, now_ns: int) -> SafeTrajectory | None:
        """Compare the newest measured joints with the commanded path."""
        assert self.inputs.q is not None and self.inputs.joints_ns is not None
        words = self._tracking.why_not_on_path(
            self.brakes.playback, self.inputs.joints_ns, self.inputs.q
        )
        return self.brakes.escalate(now_ns, S.FAULT, Reason.WATCHDOG, words) if words else None

    def _watch(self, now_ns: int) -> tuple[SafeTrajectory | None, Finding | None]:
        """Everything that must keep coming, and what follows when time passes.

        Returns:
            A stop to emit, if one is needed, and what is not known well enough to move.
        """
        inputs = self.inputs
        brakes = self.brakes
        stop = self._clock(now_ns)
        doubt = self._mistrust(now_ns)
        if stop is not None:
            return stop, doubt
        if brakes.state == S.SHADOW and not self.dry_run and not inputs.why_not_fresh(now_ns):
            brakes.settle(S.HOLD)
        if doubt is not None and brakes.state in (S.ARMED, S.BRAKING):
            # a fault even of an arm that stands
            blind = doubt.reason == Reason.STATE_STALE
            if blind or brakes.moving(now_ns):
                after = S.FAULT if blind else S.ARMED
                stop = brakes.escalate(now_ns, after, doubt.reason, doubt.words)
            # it stands, and no chunk could move it
            elif brakes.state == S.ARMED:
                brakes.settle(S.ARMED, doubt.reason, doubt.words)
        if brakes.state != S.HOLD or not self._settled or inputs.why_not_fresh(now_ns):
            self.standstill.clear()
        stop = stop or brakes.owed(now_ns)
        brakes.pass_time(now_ns)
        idle = (now_ns - max(self.session.used_ns, brakes.playback.end_ns())) / NS
        if brakes.state == S.ARMED and 0 < self.params.idle_disarm_s < idle:
            brakes.settle(S.HOLD, Reason.WATCHDOG, f"armed for {idle:.0f} s without a chunk")
        return stop, doubt

    @property
    def _settled(self) -> bool:
        """Whether the newest joints were measured after all that was emitted, also by what lags. A
        simulation that is behind tells late what was long ago.
        """
        joints_ns = self.inputs.joints_ns
        return joints_ns is not None and joints_ns > self.brakes.playback.end_ns() + SETTLED_NS

    def _why_not_trusted(self, now_ns: int) -> str:
        """Why the joints of an arm that nobody moves from here are not to be trusted, or '': nobody
        should have to look for it.
        """
        if self.state in (S.SHADOW, S.HOLD):
            return self.inputs.why_not_trusted(now_ns, self._settled)
        return self.inputs.one_arm.why_not_one if self.state == S.FAULT else ""

    def heartbeat(self, now_ns: int) -> SafetyReport:
        """The report when nothing has happened."""
        seq = self.session.stream.seq if self.session.stream else 0
        stop = self.brakes.playback.rest_in_s(now_ns)
        words = state_in_words(
            self.brakes,
            self.dry_run,
            now_ns,
            doubt=self._why_not_trusted(now_ns),
            released=self.standstill.released,
        )
        reason = self.brakes.reason
        return SafetyReport(
            now_ns, seq, self.state, Decision.UNKNOWN, reason, stop_time_s=stop, sentence=words
        )
