"""Chunks of one session come in order: epoch and sequence never go back."""

from __future__ import annotations

from wam_ros.core.types import Reason
from wam_ros.safety.checks.base import MessageCheck
from wam_ros.safety.finding import Finding
from wam_ros.safety.message import Message


def refuse(message: Message) -> Finding | None:
    """Refuse another session, an older epoch, and a sequence number that does not rise within its
    epoch.
    """
    chunk = message.chunk
    stream = message.stream
    if stream is None:
        return None
    if chunk.session_id != stream.session_id:
        return Finding(
            Reason.SESSION, "of another session than the one that was armed; arm again to change"
        )
    if chunk.epoch < stream.epoch:
        return Finding(Reason.REORDER, f"epoch {chunk.epoch} after {stream.epoch}")
    if chunk.epoch == stream.epoch and chunk.seq <= stream.seq:
        return Finding(Reason.REORDER, f"sequence number {chunk.seq} after {stream.seq}")
    return None


CHECK = MessageCheck(refuse)
