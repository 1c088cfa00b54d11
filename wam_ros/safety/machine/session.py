"""The session of a policy that may move the arm: whose chunks are taken, what becomes of each, and
since when none came.
"""

from __future__ import annotations

import dataclasses

from wam_ros.core.types import (
    NS,
    ActionChunk,
    Decision,
    KinematicState,
    Reason,
    SafetyState,
)
from wam_ros.core.words import STATES
from wam_ros.safety.finding import Finding
from wam_ros.safety.machine.braking import Brakes
from wam_ros.safety.machine.inputs import Inputs
from wam_ros.safety.message import Stream
from wam_ros.safety.verdict import Verdict, rejected

S = SafetyState
PATIENCE_S = 1.0  # with a chunk that moves nothing, as in a dry run


class Session:
    """Has chunks judged and their trajectories executed. Not thread-safe.

    Args:
        brakes: what is being executed, and the filter.
        inputs: what is known of the outside.
    """

    def __init__(self, brakes: Brakes, inputs: Inputs) -> None:
        self.filter = brakes.filter
        self._params = brakes.params
        self._brakes = brakes
        self._inputs = inputs
        self.stream: Stream | None = None  # the newest chunk taken; None: whoever speaks first
        self.used_ns = 0  # when it was armed or took its newest chunk
        self._overruns = 0

    def belong_to(self, stream: Stream | None, now_ns: int) -> None:
        """Take only chunks that follow this one; None: those of whoever speaks first."""
        self.stream = stream
        self.used_ns = now_ns

    def begin(self, now_ns: int) -> None:
        """Be armed: belong to whoever speaks first."""
        self.belong_to(None, now_ns)
        self._overruns = 0

    def take(
        self, chunk: ActionChunk, now_ns: int, live: bool, doubt: Finding | None, stopping: bool
    ) -> Verdict:
        """Judge a chunk, and execute what is accepted where that moves the arm.

        Args:
            chunk: as it came, nothing about it is believed.
            now_ns: the present.
            live: what is accepted moves the arm.
            doubt: what is not known well enough to move.
            stopping: a stop is about to leave.
        """
        refusal = self._refusal(now_ns, doubt, stopping)
        if refusal is not None:
            return rejected(refusal, 0)
        verdict = self._judge(chunk, now_ns, live)
        if live and verdict.decision != Decision.REJECT:
            self.stream = Stream(chunk.session_id, chunk.epoch, chunk.seq, now_ns)
            if verdict.trajectory is not None:
                self.used_ns = verdict.trajectory.start_ns
            self._brakes.take(verdict)
        return verdict

    def _refusal(self, now_ns: int, doubt: Finding | None, stopping: bool) -> Finding | None:
        """Why no chunk is judged now; a stop that is about to leave must not be replaced by what
        continues it.
        """
        brakes = self._brakes
        reason = brakes.reason or Reason.WATCHDOG
        if brakes.state == S.DISABLED:
            return Finding(Reason.WATCHDOG, "disabled")
        if brakes.state in (S.FAULT, S.ESTOP) or (
            brakes.state == S.BRAKING and brakes.after != S.ARMED
        ):
            return Finding(reason, f"{STATES[brakes.state].label}: {brakes.cause}")
        if self._inputs.q is None:
            words = self._inputs.why_not_fresh(now_ns) or "no joint state since the clock went back"
            return Finding(Reason.STATE_STALE, words)
        return doubt or (Finding(reason, f"stopping: {brakes.cause}") if stopping else None)

    def _judge(self, chunk: ActionChunk, now_ns: int, live: bool) -> Verdict:
        """From the commanded state when armed, else as if the robot stood where it was measured."""
        assert self._inputs.q is not None
        params = self._params
        playback = self._brakes.playback
        start_ns = now_ns + round(params.lead_s * NS)
        # as commanded and as measured, within what a joint at rest may be off
        still_ns = playback.still_since_ns(self._inputs.slack, now_ns)
        measured_ns = self._inputs.still_since_ns
        if still_ns is not None:
            still_ns = None if measured_ns is None else max(measured_ns, still_ns)
        slow = self._inputs.surprise(now_ns) > params.surprise_slow
        verdict = self.filter.filter(
            chunk,
            playback.at(start_ns) if live else KinematicState.at_rest(self._inputs.q),
            start_ns,
            now_ns=now_ns,
            stream=self.stream if live else None,
            still_since_ns=still_ns,
            floor=self._brakes.floor if live else None,
            least_scale=params.surprise_scale if slow else 1.0,
            patience_s=params.lead_s if live else PATIENCE_S,
        )
        if slow and verdict.decision in (Decision.SCALED, Decision.TRUNCATED):
            verdict = dataclasses.replace(verdict, reasons=verdict.reasons | Reason.SURPRISE)
        if not live:
            return verdict
        if verdict.compute_s > params.lead_s:
            return self._too_late(verdict, now_ns)
        self._overruns = 0
        return verdict

    def _too_late(self, verdict: Verdict, now_ns: int) -> Verdict:
        """A chunk whose check took longer than the lead would begin in the past: it is refused."""
        self._overruns += 1
        words = (
            f"checking took {verdict.compute_s:.3f} s, allowed {self._params.lead_s} s, with "
            f"{len(self.filter.model.pairs.names)} pairs of bodies to keep apart"
        )
        finding = Finding(
            Reason.OVERRUN,
            words,
            measured=verdict.compute_s,
            allowed=self._params.lead_s,
            unit="s",
        )
        refused = dataclasses.replace(
            rejected(finding, verdict.steps_total), compute_s=verdict.compute_s
        )
        if self._overruns < self._params.overruns:
            return refused
        # as late as it is by now
        late_ns = now_ns + round(verdict.compute_s * NS)
        return dataclasses.replace(
            refused, trajectory=self._brakes.brake(late_ns, S.FAULT, Reason.OVERRUN, words)
        )
