"""Films of what was seen and imagined, as a video or as a picture that moves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from wam_ros.core.errors import WamError
from wam_ros.core.files import require_writable, whole_file
from wam_ros.view.board import heat_of
from wam_ros.view.pictures import Column

if TYPE_CHECKING:
    from wam_ros.data.video import VideoWriter

MOVING = (".webp", ".gif")
KINDS = (".mp4", *MOVING)
MOST_FRAMES = 1200  # of a picture that moves: they are in memory until it is written


def require_film(option: str, file: str) -> None:
    """Raise `WamError` for a name of another kind, or one that cannot be written."""
    if Path(file).suffix not in KINDS:
        raise WamError(f"{option} must end in {' or '.join(KINDS)}, found '{file}'")
    require_writable(option, file)


def difference_of(a: np.ndarray | None, b: np.ndarray | None) -> Column:
    """How far two sets of frames (V, H, W, 3) are apart, as heat; empty unless both are there."""
    both = a is not None and b is not None and a.shape == b.shape
    return Column("difference", heat_of(a, b) if both else None)  # type: ignore[arg-type]


class Film:
    """Frames at a steady rate; the file is there, whole, when `close` has returned.

    Args:
        file: .mp4, .webp or .gif.
        rate_hz: frames per second.
    """

    def __init__(self, file: str, rate_hz: float) -> None:
        self.file = Path(file)
        self.frames = 0
        self._rate_hz = rate_hz
        self._video: VideoWriter | None = None
        self._pictures: list[Image.Image] = []

    def add(self, frame: np.ndarray) -> None:
        """Append a frame (H, W, 3) uint8 RGB, all of one size.

        Raises:
            WamError: it cannot be written, or a picture that moves becomes too long.
        """
        self.frames += 1
        if self.file.suffix in MOVING:
            if self.frames > MOST_FRAMES:
                raise WamError(f"{self.file}: more than {MOST_FRAMES} frames: write an .mp4")
            self._pictures.append(Image.fromarray(frame))
            return
        if self._video is None:
            from wam_ros.data.video import VideoWriter

            height, width = frame.shape[:2]
            self._video = VideoWriter(self.file, height, width, self._rate_hz, "h264")
        self._video.add(frame)

    def close(self) -> None:
        """Put the file in its place; raises `WamError` where it cannot, or without any frame."""
        if not self.frames:
            raise WamError(f"{self.file}: there is nothing to show")
        if self._video is not None:
            return self._video.close()
        first, *others = self._pictures
        with whole_file(self.file) as part:
            first.save(
                part,
                format=self.file.suffix[1:].upper(),
                save_all=True,
                append_images=others,
                duration=round(1000 / self._rate_hz),
                loop=0,
                **({"quality": 60, "method": 4} if self.file.suffix == ".webp" else {}),
            )
        return None

    def discard(self) -> None:
        """Give it up; nothing is left of it."""
        if self._video is not None:
            self._video.discard()
