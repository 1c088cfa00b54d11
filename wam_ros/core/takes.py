"""What a recorder says of itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RecorderState:
    """State of the recorder as a person is told it."""

    take: str  # name of the one that grows; '' for none
    words: str
    alarm: bool  # nothing can be written
