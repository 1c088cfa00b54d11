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


def state_in_words(
    brakes: Brakes, dry_run: bool, now_ns: int, doubt: str = "", released: str = ""
) -> str:
    """The state for a human, why it is that, and what else there is to know.

    Args:
        brakes: whose state it is.
        dry_run: nothing is emitted.
        now_ns: the present.
        doubt: why its joints are not to be trusted, or ''.
        released: why nothing here holds an arm that is to be held, or ''.
    """
    released = released if brakes.state == S.HOLD else ""
    words = _state(brakes, dry_run, now_ns)
    if brakes.state == S.HOLD and (doubt or released):
        words = f"not {words}"
    more = doubt or (released if released not in words else "")
    return f"{words}; {more}" if more else words


def _state(brakes: Brakes, dry_run: bool, now_ns: int) -> str:
    if brakes.state == S.SHADOW and not dry_run:
        return AWAITING_JOINTS
    if brakes.state in (S.SHADOW, S.DISABLED):
        return describe_state(brakes.state)
    if brakes.state == S.ARMED:
        left_s = max(0.0, (brakes.accepted_ns - now_ns) / NS)
        if left_s:
            return f"{describe_state(S.ARMED)}, {left_s:.2f} s of plan left"
        return f"{describe_state(S.ARMED)}, waiting for a chunk{because(brakes.cause)}"
    return describe_state(brakes.state, brakes.cause)
