"""The answer of the filter to one chunk."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field

import numpy as np

from wam_ros.core.types import (
    Decision,
    MotionTable,
    Reason,
    SafeTrajectory,
    SafetyReport,
    SafetyState,
)
from wam_ros.core.words import DECISIONS
from wam_ros.safety.finding import Finding
from wam_ros.safety.message import Message
from wam_ros.safety.motion.bounds import Floor
from wam_ros.safety.motion.retime import Plan
from wam_ros.safety.motion.stops import Proven


@dataclass(frozen=True)
class Verdict:
    """Decision, proven trajectory and why.

    - PASS: all steps, in their time. A step within the clamp tolerance outside a limit was moved to
      it; then the reason POSITION is set, for the record.
    - SCALED: all steps, slower.
    - TRUNCATED: the first steps, then a stop.
    - BRAKE: none, a stop from the commanded state.
    - REJECT: the message was refused; what is being executed plays out to its rest.
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


def decide(
    message: Message,
    plan: Plan,
    proven: Proven,
    second_opinion: Callable[[SafeTrajectory], str] | None = None,
) -> Verdict:
    """The answer to a message of which a part of a plan was proven, or at least a stop.

    Args:
        message: the chunk.
        plan: what may be executed of it.
        proven: the part that ends at rest.
        second_opinion: why motion should not be executed, or ''; a stop is nobody's to veto.
    """
    seam = plan.seam
    total = len(seam.way.q)
    accepted = proven.steps
    if accepted == 0:
        decision = Decision.BRAKE
    elif accepted < total:
        decision = Decision.TRUNCATED
    else:
        decision = Decision.SCALED if plan.scale > 1.0 + 1e-9 else Decision.PASS
    decisive = plan.slowed if accepted == total else plan.cut or plan.slowed
    sample_s = seam.params.sample_s
    trajectory = None
    if proven.motion is not None:
        trajectory = as_trajectory(
            proven.motion,
            joint_names=seam.joints.names,
            sample_s=sample_s,
            start_ns=message.start_ns,
            chunk_seq=message.chunk.seq,
        )
    if second_opinion is not None and trajectory is not None and decision != Decision.BRAKE:
        words = second_opinion(trajectory)
        if words:
            return rejected(Finding(Reason.ENV_COLLISION, words), total)
    verdict = Verdict(
        decision,
        reasons=plan.reasons | (seam.clamped.reason if seam.clamped else Reason.NONE),
        trajectory=trajectory,
        scale=plan.scale if accepted else 1.0,
        steps_accepted=accepted,
        steps_total=total,
        first=decisive or seam.clamped,
        slowed=plan.slowed if accepted else None,
        nearest_pair=proven.nearest.pair,
        nearest_distance=proven.nearest.distance,
        accepted_s=float(plan.samples[accepted - 1]) * sample_s if accepted else 0.0,
        refused=seam.way.q[max(accepted, seam.first_due) :],
        floor=proven.floor,
    )
    return dataclasses.replace(verdict, sentence=in_words(verdict))


def as_trajectory(
    motion: MotionTable,
    *,
    joint_names: tuple[str, ...],
    sample_s: float,
    start_ns: int,
    chunk_seq: int,
) -> SafeTrajectory:
    """A proven motion on the clock."""
    return SafeTrajectory(
        *motion.arrays,
        start_ns=start_ns,
        joint_names=joint_names,
        t=np.arange(len(motion)) * sample_s,
        chunk_seq=chunk_seq,
    )


def rejected(finding: Finding, n_steps: int) -> Verdict:
    """A refused message."""
    return Verdict(
        Decision.REJECT,
        reasons=finding.reason,
        steps_total=n_steps,
        first=finding,
        sentence=DECISIONS[Decision.REJECT].sentence.format(why=finding.words),
    )


def in_words(verdict: Verdict) -> str:
    """One sentence for a human."""
    slowed_by = f" ({verdict.slowed.words})" if verdict.slowed else ""
    sentence = DECISIONS[verdict.decision].sentence.format(
        total=verdict.steps_total,
        accepted=verdict.steps_accepted,
        scale=verdict.scale,
        why=verdict.first.words if verdict.first else "asked for from outside",
        slowed=f", slowed {verdict.scale:.2f} times{slowed_by}" if verdict.scale > 1 else "",
        stop_s=verdict.stop_s,
        end=f"stops in {verdict.stop_s:.2f} s"
        if verdict.trajectory
        else "the former motion plays out to its rest",
    )
    a, b = verdict.nearest_pair
    near = f", nearest {a} to {b} {verdict.nearest_distance:.3f} m" if a else ""
    note = ""
    # a step was moved to its limit
    if verdict.decision == Decision.PASS and verdict.first:
        note = f"; {verdict.first.words}"
    return f"{sentence}{near}{note}"
