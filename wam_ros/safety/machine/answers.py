"""What the safety machine hands back to whoever wires it."""

from __future__ import annotations

from typing import NamedTuple

from wam_ros.core.types import NS, SafeTrajectory, SafetyReport
from wam_ros.core.types import SafetyState as S
from wam_ros.core.words import AWAITING_JOINTS, because, describe_state
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
    if brakes.state == S.SHADOW and not dry_run:
        return AWAITING_JOINTS
    if brakes.state in (S.SHADOW, S.DISABLED):
        return describe_state(brakes.state)
    if brakes.state == S.ARMED:
        left_s = max(0.0, (brakes.accepted_ns - now_ns) / NS)
        if left_s:
            return f"{describe_state(S.ARMED)}, {left_s:.2f} s of plan left"
        return f"{describe_state(S.ARMED)}, waiting for a chunk{because(brakes.cause)}"
    words = describe_state(brakes.state, brakes.cause)
    return words if stands or brakes.state != S.HOLD else f"not {words}"
