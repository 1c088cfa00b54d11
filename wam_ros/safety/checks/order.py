"""Chunks of one session come in order: epoch and sequence never go back, and never leap far ahead.

A number that leaped would lock out all that follow it, for as long as they take to count up to it.
"""

from __future__ import annotations

from wam_ros.core.types import NS, Reason
from wam_ros.safety.checks.base import MessageCheck
from wam_ros.safety.finding import Finding
from wam_ros.safety.message import MOST_EPOCH, Message

# Chunks are lost or refused on their way: so many numbers may be left out, and so many more for
# every second since one was taken.
SEQ_LEAP = 100
SEQ_HZ = 1000
# resets and instructions without a single chunk that was taken
EPOCH_LEAP = 1000
# a first chunk beyond half of what the message holds leaves no room to count on
MOST_SEQ = 2**63
AGAIN = "arm again, at rest, to take it from here"


def refuse(message: Message) -> Finding | None:
    """Refuse another session, an older epoch, a sequence number that does not rise within its
    epoch, and a leap of either.
    """
    stream = message.stream
    epoch = int(message.chunk.epoch)
    seq = int(message.chunk.seq)
    if stream is not None and message.chunk.session_id != stream.session_id:
        words = f"of another session than the one that moves the arm; {AGAIN}"
        return Finding(Reason.SESSION, words)
    if stream is not None and epoch < stream.epoch:
        return Finding(Reason.REORDER, f"epoch {epoch} after {stream.epoch}; {AGAIN}")
    if stream is None or not stream.begun:
        return _bad_beginning(epoch, seq)
    if epoch == stream.epoch and seq <= stream.seq:
        return Finding(Reason.REORDER, f"sequence number {seq} after {stream.seq}; {AGAIN}")
    passed_s = max(0.0, (message.now_ns - stream.taken_ns) / NS)
    seq_leap = SEQ_LEAP + round(SEQ_HZ * passed_s)
    for name, number, before, most in (
        ("epoch", epoch, stream.epoch, EPOCH_LEAP),
        ("sequence number", seq, stream.seq, seq_leap),
    ):
        if number - before > most:
            words = (
                f"{name} {number} after {before} leaps by more than {most}: it must count; "
                f"correct the sender, or {AGAIN}"
            )
            return Finding(Reason.REORDER, words)
    return None


def _bad_beginning(epoch: int, seq: int) -> Finding | None:
    """Numbers of a first chunk after which none could follow."""
    for name, number, most in (("epoch", epoch, MOST_EPOCH), ("sequence number", seq, MOST_SEQ)):
        if number > most:
            words = f"{name} {number} leaves no room to count on; begin with 0"
            return Finding(Reason.REORDER, words)
    return None


CHECK = MessageCheck(refuse)
