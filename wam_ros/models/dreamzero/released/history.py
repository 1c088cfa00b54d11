"""When the window of observed frames starts anew, slides or grows."""

from __future__ import annotations

from dataclasses import dataclass

from wam_ros.core.errors import require_known

HISTORY = ("reference", "newest", "sliding")


@dataclass(frozen=True)
class Turn:
    """What one chunk does with the window."""

    reset: bool  # the window starts anew from one frame
    anchor: int | None  # which of the given frames that is
    slide: bool  # the oldest block but the first frame is dropped
    start: int  # position of the block to denoise


class History:
    """Counts positions of one episode.

    `reference`: as the released server: a new window when it is full, when the prompt changes and
    when a single frame is given. It anchors on the last frame given when there are 4 or 9, else on
    the first, which for 8 frames is the oldest. `newest`: the same, always anchored on the last
    frame. `sliding`: a full window drops its oldest block but keeps its first frame; anchored on
    the last frame.
    """

    def __init__(self, rule: str, window_frames: int, frames_per_block: int) -> None:
        """Raises `WamError` for an unknown rule, with the choices."""
        self.rule = require_known("history", rule, HISTORY)
        self.full = window_frames
        self.block = frames_per_block
        self.start = 0  # position of the next block
        self._prompt: object = None

    def turn(self, frames: int, prompt: object) -> Turn:
        """Take a step with `frames` frames given under a prompt (anything that compares equal to
        itself).
        """
        full = self.start >= self.full
        reset = (
            self._prompt is None
            or prompt != self._prompt
            or frames == 1
            or (full and self.rule != "sliding")
        )
        slide = full and not reset
        start = 1 if reset else self.start - self.block if slide else self.start
        self._prompt = prompt
        self.start = start + self.block
        last = self.rule != "reference" or frames in (4, 9)
        return Turn(
            reset,
            anchor=(frames - 1 if last else 0) if reset else None,
            slide=slide,
            start=start,
        )
