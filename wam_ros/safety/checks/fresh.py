"""A chunk belongs to now: not from the future, not stale, and with a step that is still due."""

from __future__ import annotations

from wam_ros.core.types import NS, Reason
from wam_ros.safety.checks.base import MessageCheck
from wam_ros.safety.finding import Finding
from wam_ros.safety.message import Message


def refuse(message: Message) -> Finding | None:
    """Refuse chunks by the age of their anchor and of the observation they were made from."""
    chunk = message.chunk
    params = message.params
    age = (message.now_ns - chunk.anchor_ns) / NS
    if age < -params.future_s:
        words = f"anchored {-age:.3f} s in the future, allowed {params.future_s} s"
        return Finding(
            Reason.FUTURE,
            words,
            measured=-age,
            allowed=params.future_s,
            unit="s",
        )
    if age > params.stale_s:
        words = (
            f"anchored {age:.3f} s ago, allowed {params.stale_s} s; a policy that thinks so long "
            "looks while the arm stands and anchors its chunk at the moment it sends it"
        )
        return Finding(
            Reason.STALE,
            words,
            measured=age,
            allowed=params.stale_s,
            unit="s",
        )
    late = (message.start_ns - chunk.anchor_ns - chunk.n_steps * chunk.step_period_ns) / NS
    if late >= 0:
        return Finding(
            Reason.STALE,
            f"its last step was due {late:.3f} s ago",
            measured=late,
            allowed=0.0,
            unit="s",
        )
    return _refuse_sight(message) if chunk.observation_ns else None


def _refuse_sight(message: Message) -> Finding | None:
    """Refuse what was seen too long ago. Of an arm that has stood still since, what was seen may be
    older: it executes, stops and thinks, and its next motion begins where it was seen.
    """
    params = message.params
    seen_ns = message.chunk.observation_ns
    age = (message.now_ns - seen_ns) / NS
    stood_ns = message.still_since_ns
    stands = stood_ns is not None and stood_ns <= seen_ns
    allowed = max(params.stale_s, params.think_s) if stands else params.stale_s
    if -params.future_s <= age <= allowed:
        return None
    words = f"made from an observation {age:.3f} s old, allowed {allowed} s"
    if age > allowed and not stands:
        moved = "moves" if stood_ns is None else "has moved since"
        words += (
            f", or think_s ({params.think_s} s) of an arm that stands still, but it {moved}: a "
            "policy that thinks so long looks only once the arm stands"
        )
    elif age > allowed:
        words += " (think_s) of an arm that stands still"
    return Finding(
        Reason.CAMERA_STALE,
        words,
        measured=age,
        allowed=allowed,
        unit="s",
    )


CHECK = MessageCheck(refuse)
