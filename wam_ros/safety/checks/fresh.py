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
        words = f"anchored {age:.3f} s ago, allowed {params.stale_s} s"
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
    seen = (message.now_ns - chunk.observation_ns) / NS
    if chunk.observation_ns and not -params.future_s <= seen <= params.stale_s:
        words = f"made from an observation {seen:.3f} s old, allowed {params.stale_s} s"
        return Finding(
            Reason.CAMERA_STALE,
            words,
            measured=seen,
            allowed=params.stale_s,
            unit="s",
        )
    return None


CHECK = MessageCheck(refuse)
