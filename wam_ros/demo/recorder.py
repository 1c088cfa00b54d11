"""Writes what was seen and imagined: a video of the run and a picture strip of its first episode."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.core.types import NS, Observation
from wam_ros.demo.imagination import Match
from wam_ros.view.pictures import Column, compose_board, compose_strip, pick_evenly

_OFFSETS = 3  # imagined columns at most


class VideoRecorder:
    """One video frame per observation, at the model's frame rate.

    Args:
        file: .mp4 to write; it appears when the first frame does.
        frame_rate_hz: of the observations.

    Raises:
        WamError: the encoder cannot be started.
    """

    def __init__(self, file: str, frame_rate_hz: float) -> None:
        self._file, self._rate_hz = file, frame_rate_hz
        self._writer: Generator[None, np.ndarray | None, None] | None = None
        self._offsets: tuple[float, ...] = ()

    def add(
        self,
        observation: Observation,
        matches: Sequence[Match],
        offsets_s: Sequence[float],
        title: str,
        footer: str,
    ) -> None:
        """Append one frame, once something has been imagined; `offsets_s` says how far ahead the model looks."""
        self._offsets = self._offsets or tuple(offsets_s)[-_OFFSETS:]  # a video cannot grow columns later
        if not self._offsets:
            return
        found = {m.offset_s: m.imagined for m in matches}
        columns = [Column("camera, now", observation.frames)]
        columns += [Column(f"imagined {o:.1f} s before", found.get(o)) for o in self._offsets]
        self._send(compose_board(columns, observation.view_names, 256, title or " ", footer or " "))

    def _send(self, board: np.ndarray) -> None:
        try:
            if self._writer is None:
                import imageio_ffmpeg

                size = (board.shape[1], board.shape[0])
                self._writer = imageio_ffmpeg.write_frames(
                    self._file, size, fps=self._rate_hz, quality=8, macro_block_size=2,
                    output_params=["-preset", "ultrafast", "-threads", "1", "-movflags", "+faststart"],
                )  # fmt: skip
                self._writer.send(None)
            self._writer.send(np.ascontiguousarray(board))
        except (OSError, StopIteration) as error:
            raise WamError(f"video cannot be written to {self._file}: {error}") from error

    def close(self) -> bool:
        """Finish the file; False when nothing was written."""
        if self._writer is None:
            return False
        self._writer.close()
        self._writer = None
        return True


class StripRecorder:
    """Keeps the matches of one episode and draws a few of them side by side."""

    def __init__(self, moments: int = 8) -> None:
        self._n = moments
        self._seen: list[tuple[int, list[Match]]] = []

    def add(self, stamp_ns: int, matches: list[Match], offsets_s: Sequence[float]) -> None:
        """Remember an observation that had been imagined at every one of `offsets_s`."""
        if offsets_s and {m.offset_s for m in matches} >= set(offsets_s):
            self._seen.append((stamp_ns, [m for m in matches if m.offset_s in offsets_s]))

    def write(self, file: str) -> bool:
        """Write the strip; False when nothing had been imagined.

        Raises:
            WamError: the file cannot be written.
        """
        if not self._seen:
            return False
        from PIL import Image

        first_ns, views = self._seen[0][0], self._seen[0][1][0].view_names
        moments = []
        for i in pick_evenly(len(self._seen), self._n):
            stamp_ns, matches = self._seen[i]
            rows = [("observed", matches[0].observed)]
            rows += [(f"imagined\n{m.offset_s:.1f} s before", m.imagined) for m in matches]
            moments.append((f"{(stamp_ns - first_ns) / NS:.1f} s", rows))
        try:
            Image.fromarray(compose_strip(moments, views)).save(file)
        except OSError as error:
            raise WamError(f"picture cannot be written to {file}: {error.strerror or error}") from error
        return True
