"""What a message check reads, and what it says when it refuses."""

from __future__ import annotations

from dataclasses import dataclass

from wam_ros.core.types import ActionChunk, Reason
from wam_ros.robot.model import SafetyModel
from wam_ros.safety.params import SafetyParams


@dataclass(frozen=True)
class Stream:
    """The newest chunk that was taken; the next one must follow it."""

    session_id: bytes
    epoch: int
    seq: int


@dataclass(frozen=True)
class Message:
    """A chunk as it came, nothing about it believed."""

    chunk: ActionChunk
    now_ns: int
    start_ns: int  # when its trajectory would begin
    model: SafetyModel
    params: SafetyParams
    stream: Stream | None = None


@dataclass(frozen=True)
class Finding:
    """The first offence, in words and units."""

    reason: Reason
    words: str
    joint: str = ""
    step: int = -1
    measured: float = float("nan")
    allowed: float = float("nan")
    unit: str = ""
