"""What states, decisions and reasons are called, for every process that says them to a person.

The enums stand in `core/types.py`; each member has its words here, once. What is said of one
occasion (a joint, a number, a cause) is put in by whoever saw it.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from wam_ros.core.types import Decision, Forwarding, Reason, SafetyState


class StateWords(NamedTuple):
    """A state of the safety node in words."""

    said: str  # what it is
    onward: str = ""  # what a person does to get on; empty: it passes by itself
    unarmed: str = ""  # what is said to who wants to arm in it
    short: str = ""  # what it is where there is little room; empty: the same

    @property
    def label(self) -> str:
        """What it is, in one word or two."""
        return self.short or self.said


STATES = {
    SafetyState.UNKNOWN: StateWords("nothing heard from safety yet", short="safety unheard"),
    SafetyState.DISABLED: StateWords("disabled", unarmed="enable first"),
    SafetyState.SHADOW: StateWords(
        "dry run, nothing is emitted", unarmed="nothing is emitted", short="dry run"
    ),
    SafetyState.HOLD: StateWords("held", onward="arm to move"),
    SafetyState.ARMED: StateWords("armed"),
    SafetyState.BRAKING: StateWords("braking", unarmed="wait until it stands"),
    SafetyState.FAULT: StateWords("fault", onward="reset, then arm", unarmed="reset first"),
    SafetyState.ESTOP: StateWords(
        "emergency stop", onward="reset, then arm", unarmed="reset first"
    ),
}
# what SHADOW is where it is no dry run
AWAITING_JOINTS = "waiting for the joint state"


class DecisionWords(NamedTuple):
    """A decision in words, to be filled in by `str.format`."""

    short: str  # with scale, accepted and total
    sentence: str  # those, and why, and for a stop stop_s, slowed (itself words) or end


DECISIONS = {
    Decision.UNKNOWN: DecisionWords("no chunk judged yet", ""),
    Decision.PASS: DecisionWords("pass", "all {total} steps pass"),
    Decision.SCALED: DecisionWords(
        "scaled, {scale:.2f} times slower", "all {total} steps, slowed {scale:.2f} times: {why}"
    ),
    Decision.TRUNCATED: DecisionWords(
        "truncated, {accepted} of {total} steps",
        "cut after {accepted} of {total} steps{slowed}: {why}; then stops in {stop_s:.2f} s",
    ),
    Decision.BRAKE: DecisionWords("brake", "no step can be accepted: {why}; {end}"),
    Decision.REJECT: DecisionWords("reject", "refused: {why}"),
}

REASONS = {
    Reason.SCHEMA: "not of this robot or version",
    Reason.SHAPE: "arrays of another shape",
    Reason.NONFINITE: "not finite",
    Reason.SESSION: "another session",
    Reason.STALE: "too old",
    Reason.FUTURE: "of the future",
    Reason.REORDER: "out of order",
    Reason.POSITION: "position",
    Reason.VELOCITY: "velocity",
    Reason.ACCELERATION: "acceleration",
    Reason.JERK: "jerk",
    Reason.TORQUE: "torque",
    Reason.SELF_COLLISION: "self collision",
    Reason.ENV_COLLISION: "collision with what stands around",
    Reason.WORKSPACE: "workspace",
    Reason.TCP_SPEED: "tcp speed",
    Reason.SINGULARITY: "singularity",
    Reason.DISCONTINUITY: "begins elsewhere",
    Reason.NO_BRAKE: "no proven stop",
    Reason.WATCHDOG: "something stopped coming",
    Reason.OVERRUN: "checking took too long",
    Reason.STATE_STALE: "no recent joint state",
    Reason.CAMERA_STALE: "no recent observation",
    Reason.SURPRISE: "surprise",
    Reason.ESTOP: "emergency stop",
}


class BridgeWords(NamedTuple):
    """What the bridge does, in words."""

    said: str
    label: str  # the same where there is little room; empty where nothing need be said


BRIDGE = {
    Forwarding.FORWARDING: BridgeWords("forwarding", ""),
    Forwarding.PAUSED: BridgeWords("the bridge is paused", "bridge paused"),
    Forwarding.HELD_BACK: BridgeWords("held back", "bridge held back"),
    Forwarding.UNHEARD: BridgeWords(
        "the bridge does not hear the safety node", "bridge hears no safety"
    ),
}


def because(cause: str) -> str:
    """What is put behind a state that has a cause."""
    return f": {cause}" if cause else ""


def describe_state(state: SafetyState, cause: str = "") -> str:
    """A state, why it is that, and what leads on from it."""
    words = STATES[state]
    onward = f"; {words.onward}" if words.onward else ""
    return f"{words.said}{because(cause)}{onward}"


@functools.lru_cache(maxsize=64)
def describe_reasons(reasons: Reason) -> str:
    """The set bits, lowest first; empty for none."""
    return ", ".join(words for reason, words in REASONS.items() if reason in reasons)
