"""What the safety machine hands back to whoever wires it."""

from __future__ import annotations

from typing import NamedTuple

from wam_ros.core.types import NS, SafeTrajectory, SafetyReport
from wam_ros.core.types import SafetyState as S
from wam_ros.safety.machine.braking import Brakes


class Emission(NamedTuple):
    """What to publish: a trajectory that replaces the former one, or None, and a report."""

    trajectory: SafeTrajectory | None
    report: SafetyReport


class Answer(NamedTuple):
    """The answer to an operator; a trajectory is to be published like any other."""

    ok: bool
    message: str
    trajectory: SafeTrajectory | None = None


def state_in_words(brakes: Brakes, dry_run: bool, now_ns: int, stands: bool = True) -> str:
    """The state for a human, and why it is that.

    Args:
        brakes: whose state it is.
        dry_run: nothing is emitted.
        now_ns: the present.
        stands: an arm that is to be held is known to stand.
    """
    why = f": {brakes.cause}" if brakes.cause else ""
    left = max(0.0, (brakes.accepted_ns - now_ns) / NS)
    return {
        S.DISABLED: "disabled",
        S.SHADOW: "dry run, nothing is emitted" if dry_run else "waiting for the joint state",
        S.HOLD: f"{'held' if stands else 'not held'}{why}; arm to move",
        S.ARMED: f"armed, {left:.2f} s of plan left"
        if left
        else f"armed, waiting for a chunk{why}",
        S.BRAKING: f"braking{why}",
        S.FAULT: f"fault{why}; reset, then arm",
        S.ESTOP: f"emergency stop{why}; reset, then arm",
    }[brakes.state]
