"""Writes what was seen and imagined: a video of the run and a picture strip of its first
episode.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.core.surprise import Surprise
from wam_ros.core.types import NS, Observation
from wam_ros.view.pictures import Column, compose_board, compose_strip, pick_evenly

_HORIZONS = 3  # imagined columns at most


class VideoRecorder:
    """One video frame per observation, at the model's frame rate.

    Args:
        file: .mp4 to write; it appears when the first frame does.
        frame_rate_hz: of the observations.

    Raises:
        WamError: the encoder cannot be started.
    """

    def __init__(self, file: str, frame_rate_hz: float) -> None:
        self._file = file
        self._rate_hz = frame_rate_hz
        self._writer: Generator[None, np.ndarray | None, None] | None = None
        self._horizons_s: tuple[float, ...] = ()

    def add(
        self,
        observation: Observation,
        surprises: Sequence[Surprise],
        horizons_s: Sequence[float],
        title: str,
        footer: str,
    ) -> None:
        """Append one frame, once something has been imagined; `horizons_s` says how far ahead the
        model looks.
        """
        # a video cannot grow columns later
        self._horizons_s = self._horizons_s or tuple(horizons_s)[-_HORIZONS:]
        if not self._horizons_s:
            return
        found = {s.horizon_s: s.imagined for s in surprises}
        columns = [Column("camera, now", observation.frames)]
        columns += [Column(f"imagined {h:.1f} s before", found.get(h)) for h in self._horizons_s]
        self._send(compose_board(columns, observation.view_names, 256, title or " ", footer or " "))

    def _send(self, board: np.ndarray) -> None:
        try:
            if self._writer is None:
                import imageio_ffmpeg

                size = (board.shape[1], board.shape[0])
                self._writer = imageio_ffmpeg.write_frames(
                    self._file,
                    size,
                    fps=self._rate_hz,
                    quality=8,
                    macro_block_size=2,
                    output_params=[
                        "-preset",
                        "ultrafast",
                        "-threads",
                        "1",
                        "-movflags",
                        "+faststart",
                    ],
                )
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
    """Keeps what was seen and imagined in one episode and draws a few moments of it side by
    side.
    """

    def __init__(self, moments: int = 8) -> None:
        self._n = moments
        self._seen: list[tuple[Observation, list[Surprise]]] = []

    def add(
        self, observation: Observation, surprises: Sequence[Surprise], horizons_s: Sequence[float]
    ) -> None:
        """Remember an observation that had been imagined at every one of `horizons_s`."""
        if horizons_s and {s.horizon_s for s in surprises} >= set(horizons_s):
            self._seen.append((observation, [s for s in surprises if s.horizon_s in horizons_s]))

    def write(self, file: str) -> bool:
        """Write the strip; False when nothing had been imagined.

        Raises:
            WamError: the file cannot be written.
        """
        if not self._seen:
            return False
        from PIL import Image

        first = self._seen[0][0]
        moments = []
        for i in pick_evenly(len(self._seen), self._n):
            observation, surprises = self._seen[i]
            rows = [("observed", observation.frames)]
            rows += [(f"imagined\n{s.horizon_s:.1f} s before", s.imagined) for s in surprises]
            moments.append((f"{(observation.stamp_ns - first.stamp_ns) / NS:.1f} s", rows))
        try:
            Image.fromarray(compose_strip(moments, first.view_names)).save(file)
        except OSError as error:
            raise WamError(
                f"picture cannot be written to {file}: {error.strerror or error}"
            ) from error
        return True
