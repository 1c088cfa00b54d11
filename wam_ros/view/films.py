"""Writes what was seen and imagined: a video of a run, and a picture strip of an episode."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np

from wam_ros.core.comparison import Comparison
from wam_ros.core.errors import WamError
from wam_ros.core.files import whole_file
from wam_ros.core.types import NS, Observation
from wam_ros.view.pictures import Column, compose_board, compose_strip, pick_evenly

_HORIZONS = 3  # imagined columns at most


class Recorder:
    """What becomes a file beside the run; where it cannot, that is said at once and the run goes
    on.

    Args:
        file: to write.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.why_not = "nothing seen had been imagined"  # written; '' when it is
        self.failed = False

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except WamError as error:
            self.failed = True
            self.why_not = str(error)
            print(error, file=sys.stderr)


class VideoRecorder(Recorder):
    """One video frame per observation, at the model's frame rate.

    Args:
        file: .mp4 to write; it appears, whole, when it is closed.
        frame_rate_hz: of the observations.
        waits: begin once something has been imagined; without, with the first frame, and columns
            are those that it has.
    """

    def __init__(self, file: str, frame_rate_hz: float, waits: bool = True) -> None:
        super().__init__(file)
        self._waits = waits
        self._rate_hz = frame_rate_hz
        self._encoder: subprocess.Popen[bytes] | None = None
        self._whole = contextlib.ExitStack()  # open while frames are sent
        self._said: IO[bytes] = io.BytesIO()  # by the encoder
        self._horizons_s: tuple[float, ...] = ()

    def add(
        self,
        observation: Observation,
        comparisons: Sequence[Comparison],
        horizons_s: Sequence[float],
        title: str,
        footer: str,
    ) -> None:
        """Append one frame; `horizons_s` says how far ahead the model looks."""
        if self.failed:
            return
        # a video cannot grow columns later
        self._horizons_s = self._horizons_s or tuple(horizons_s)[-_HORIZONS:]
        if self._waits and not self._horizons_s:
            return
        found = {s.horizon_s: s.imagined for s in comparisons}
        columns = [Column("camera, now", observation.frames)]
        columns += [Column(f"imagined {h:.1f} s before", found.get(h)) for h in self._horizons_s]
        board = compose_board(columns, observation.view_names, 256, title or " ", footer or " ")
        with self._writing():
            self._send(board)

    def _send(self, board: np.ndarray) -> None:
        if self._encoder is None:
            self._encoder = self._start(board.shape[1], board.shape[0])
        try:
            self._encoder.stdin.write(board.tobytes())  # type: ignore[union-attr]
        except OSError:
            self._finish(self._encoder, cut=True)

    def _start(self, width: int, height: int) -> subprocess.Popen[bytes]:
        from imageio_ffmpeg import get_ffmpeg_exe

        with contextlib.ExitStack() as stack:
            part = stack.enter_context(whole_file(self.file))
            # in memory: the disk may be full
            self._said = stack.enter_context(os.fdopen(os.memfd_create("said"), "w+b"))
            command = [
                *(get_ffmpeg_exe(), "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"),
                *("-s", f"{width}x{height}", "-r", f"{self._rate_hz:g}", "-i", "-"),
                # the format of the pixels that every player knows takes even sizes
                *("-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"),
                *("-c:v", "libx264", "-crf", "10", "-preset", "ultrafast", "-threads", "1"),
                *("-movflags", "+faststart", "-f", "mp4", str(part)),
            ]
            encoder = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                # Ctrl-C is for the demo: what was sent becomes a whole file
                start_new_session=True,
            )
            self._whole = stack.pop_all()
        return encoder

    def _finish(self, encoder: subprocess.Popen[bytes], cut: bool = False) -> None:
        """Put the file in its place; `cut` when the encoder took no more frames."""
        self._encoder = None
        with self._whole:
            with contextlib.suppress(OSError):
                encoder.stdin.close()  # type: ignore[union-attr]
            code = encoder.wait()
            if code or cut:
                self._said.seek(0)
                said = self._said.read().decode(errors="replace").partition("\n")[0]
                said = re.sub(r"^\[[^]]*\] ", "", said)  # which part of it speaks, at 0x...
                raise OSError(f"the encoder ended with {code}: {said}")

    def close(self) -> None:
        """Finish the file, if there was anything to write."""
        if self._encoder is not None:
            with self._writing():
                self._finish(self._encoder)
                self.why_not = ""


class StripRecorder(Recorder):
    """Keeps what was seen and imagined in one episode and draws a few moments of it side by
    side.

    Args:
        file: .png to write.
        moments: drawn at most.
    """

    def __init__(self, file: str, moments: int = 8) -> None:
        super().__init__(file)
        self._n = moments
        self._closed = False
        self._seen: list[tuple[Observation, list[Comparison]]] = []

    def add(
        self,
        observation: Observation,
        comparisons: Sequence[Comparison],
        horizons_s: Sequence[float],
    ) -> None:
        """Remember an observation that had been imagined at every one of `horizons_s`."""
        wanted = set(horizons_s)
        if not self._closed and wanted and {c.horizon_s for c in comparisons} >= wanted:
            self._seen.append((observation, [c for c in comparisons if c.horizon_s in wanted]))

    def write(self) -> None:
        """Write the strip of what was seen so far, the first time that it is asked for."""
        seen = self._seen
        self._seen = []
        self._closed = True
        if not seen:
            return
        from PIL import Image

        first = seen[0][0]
        moments = []
        for i in pick_evenly(len(seen), self._n):
            observation, comparisons = seen[i]
            rows = [("observed", observation.frames)]
            rows += [(f"imagined\n{s.horizon_s:.1f} s before", s.imagined) for s in comparisons]
            moments.append((f"{(observation.stamp_ns - first.stamp_ns) / NS:.1f} s", rows))
        picture = Image.fromarray(compose_strip(moments, first.view_names))
        with self._writing():
            with whole_file(self.file) as part:
                picture.save(part, format="PNG")
            self.why_not = ""
