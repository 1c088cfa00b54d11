"""The answer of the filter to one chunk."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from wam_ros.core.types import Decision, Reason, SafeTrajectory, SafetyReport, SafetyState
from wam_ros.safety.finding import Finding
from wam_ros.safety.motion.bounds import Floor


@dataclass(frozen=True)
class Verdict:
    """Decision, proven trajectory and why.

    PASS: all steps, in their time. A step within the clamp tolerance outside a limit was moved to
        it; then the reason
    POSITION is set, for the record. SCALED: all steps, slower. TRUNCATED: the first steps, then a
    stop. BRAKE: none, a stop from the commanded state. REJECT: the message was refused; what is
    being executed plays out to its rest.
    """

    decision: Decision
    _: KW_ONLY
    reasons: Reason = Reason.NONE
    trajectory: SafeTrajectory | None = None  # None: go on with the former one, which ends at rest
    scale: float = 1.0
    steps_accepted: int = 0  # number of steps from the first that are executed or were already due
    steps_total: int = 0
    # the offence that decided: what cut the chunk, else what slowed it
    first: Finding | None = None
    slowed: Finding | None = None  # the first one that was met by slowing
    nearest_pair: tuple[str, str] = ("", "")
    nearest_distance: float = float("nan")  # m, smallest that was computed along the trajectory
    accepted_s: float = 0.0  # s after the start at which the stop begins
    compute_s: float = 0.0
    sentence: str = ""
    # (n, A) path that was cut
    refused: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    floor: Floor | None = None  # hand it back with the next chunk

    @property
    def stop_s(self) -> float:
        """Duration of the stop that ends the trajectory."""
        return self.trajectory.duration_s - self.accepted_s if self.trajectory else 0.0

    def report(
        self, stamp_ns: int, chunk_seq: int, state: SafetyState, stop_time_s: float
    ) -> SafetyReport:
        """The same as a message for humans and logs."""
        first = self.first or Finding(Reason.NONE, "")
        return SafetyReport(
            stamp_ns=stamp_ns,
            chunk_seq=chunk_seq,
            state=state,
            decision=self.decision,
            reasons=self.reasons,
            scale=self.scale,
            steps_accepted=self.steps_accepted,
            steps_total=self.steps_total,
            first_joint=first.joint,
            first_step=first.step,
            measured=first.measured,
            allowed=first.allowed,
            unit=first.unit,
            nearest_pair=self.nearest_pair,
            nearest_distance=self.nearest_distance,
            stop_time_s=stop_time_s,
            compute_s=self.compute_s,
            sentence=self.sentence,
        )


def rejected(finding: Finding, n_steps: int) -> Verdict:
    """A refused message."""
    words = f"refused: {finding.words}"
    return Verdict(
        Decision.REJECT,
        reasons=finding.reason,
        steps_total=n_steps,
        first=finding,
        sentence=words,
    )


def in_words(verdict: Verdict) -> str:
    """One sentence for a human."""
    total = verdict.steps_total
    accepted = verdict.steps_accepted
    scale = verdict.scale
    why = verdict.first.words if verdict.first else "asked for from outside"
    a, b = verdict.nearest_pair
    near = f", nearest {a} to {b} {verdict.nearest_distance:.3f} m" if a else ""
    if verdict.decision == Decision.BRAKE:
        end = (
            f"stops in {verdict.stop_s:.2f} s"
            if verdict.trajectory
            else "the former motion plays out to its rest"
        )
        return f"no step can be accepted: {why}; {end}{near}"
    if verdict.decision == Decision.TRUNCATED:
        cause = f" ({verdict.slowed.words})" if verdict.slowed else ""
        slow = f", slowed {scale:.2f} times{cause}" if scale > 1 else ""
        return (
            f"cut after {accepted} of {total} steps{slow}: {why}; then stops in "
            f"{verdict.stop_s:.2f} s{near}"
        )
    if verdict.decision == Decision.SCALED:
        return f"all {total} steps, slowed {scale:.2f} times: {why}{near}"
    note = f"; {verdict.first.words}" if verdict.first else ""
    return f"all {total} steps pass{near}{note}"
