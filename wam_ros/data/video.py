"""Video files by PyAV: written whole or not at all, read at exactly the frames asked for."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np

from wam_ros.core.errors import WamError, require_known
from wam_ros.core.files import whole_file

T = TypeVar("T")
os.environ.setdefault("SVT_LOG", "1")  # errors only: the encoder of AV1 talks on stderr
# How frames are written: encoder, pixels, options. Every frame that another rests on lies at most
# as many before it as "g" says, so that a seek decodes few. No frame rests on a later one.
CODECS: dict[str, tuple[str, str, dict[str, str]]] = {
    # equal bit for bit: RGB, no quantisation
    "lossless": ("libx264rgb", "rgb24", {"qp": "0", "preset": "veryfast", "g": "10", "bf": "0"}),
    "h264": ("libx264", "yuv420p", {"crf": "20", "preset": "veryfast", "g": "10", "bf": "0"}),
    # LeRobot's own: https://huggingface.co/blog/video-encoding
    "av1": ("libsvtav1", "yuv420p", {"crf": "30", "preset": "12", "g": "2"}),
}
NEAR = 0.25  # of a period: a frame so near to a time is the one that was asked for
MOST_PX = 8192
REAL_TIME = (os.SCHED_FIFO, os.SCHED_RR)


class VideoWriter:
    """One mp4 file at a steady rate, there when `close` has returned and not before.

    Args:
        path: of the file.
        height: px of every frame.
        width: px of every frame.
        rate_hz: frames per second.
        codec: a key of `CODECS`.

    Raises:
        WamError: an unknown codec, a size that it cannot code, or a file that cannot be written.
    """

    def __init__(self, path: Path, height: int, width: int, rate_hz: float, codec: str) -> None:
        require_known("codec", codec, CODECS)
        encoder, pixels, options = CODECS[codec]
        if pixels == "yuv420p" and (height % 2 or width % 2):
            raise WamError(
                f"{path}: {codec} needs even sizes, frames are {height}x{width}; write 'lossless'"
            )
        self.path = path
        self.frames = 0
        self._size = height, width
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = whole_file(path)
        self._part = self._file.__enter__()
        self._container: Any = None
        self._handle: Any = None

        def begin() -> None:
            rate = Fraction(rate_hz).limit_denominator(1001)
            # a file of Python's, which is closed for certain when the disk is full
            self._handle = self._part.open("wb")
            self._container = av.open(self._handle, "w", format="mp4")
            self._stream = self._container.add_stream(encoder, rate, options=options)
            self._stream.pix_fmt = pixels
            self._stream.height = height
            self._stream.width = width
            self._stream.codec_context.time_base = 1 / rate
            _open_apart(self._stream.codec_context)

        self._do(begin)

    def add(self, frame: np.ndarray) -> None:
        """Append a frame (H, W, 3) uint8 RGB.

        Raises:
            WamError: another size or type, or the disk is full; the file is gone then.
        """
        if frame.shape != (*self._size, 3) or frame.dtype != np.uint8:
            raise WamError(
                f"{self.path}: a frame is {frame.shape} {frame.dtype}, expected "
                f"{(*self._size, 3)} uint8"
            )
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts = self.frames
        self._do(lambda: self._container.mux(self._stream.encode(picture)))
        self.frames += 1

    @property
    def bytes(self) -> int:
        """How large the file is by now."""
        return self._part.stat().st_size if self._part.exists() else 0

    def close(self) -> None:
        """Finish the file and put it in its place.

        Raises:
            WamError: the disk is full; the file is gone then.
        """

        def end() -> None:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._handle.close()

        self._do(end)
        self._file.__exit__(None, None, None)

    def discard(self) -> None:
        """Give the file up; nothing is left of it."""
        self._let_go()
        self._part.unlink(missing_ok=True)

    def _let_go(self) -> None:
        for thing in (self._container, self._handle):
            # of a full disk, which is why it is given up
            with contextlib.suppress(OSError, ValueError, av.FFmpegError):
                if thing is not None:
                    thing.close()

    def _do(self, what: Callable[[], T]) -> T:
        """Do something to the file; when it fails the file is gone, and a `WamError` says why."""
        try:
            return what()
        except BaseException:
            why = sys.exc_info()
            self._let_go()
            self._file.__exit__(*why)
            raise


def _open_apart(codec: Any) -> None:
    """Open an encoder in a thread that ends with it; no thread of this process keeps a real-time
    priority that it was given by that.

    SVT-AV1 gives the highest there is to its threads and to the one that opens it, where it may,
    as root: nothing else on the machine would run beside them. The one that opens it passes it on
    to threads that it starts later, also when the kernel was told otherwise meanwhile, for the C
    library remembers it, too.
    """
    before = _real_time_threads()
    try:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(codec.open, strict=False).result()
    finally:
        for thread in _real_time_threads() - before:
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def _real_time_threads() -> set[int]:
    found = set()
    for folder in Path("/proc/self/task").glob("*"):
        with contextlib.suppress(ProcessLookupError):
            if os.sched_getscheduler(int(folder.name)) & ~os.SCHED_RESET_ON_FORK in REAL_TIME:
                found.add(int(folder.name))
    return found


class VideoReader:
    """One video file, open while this object lives; for one thread.

    Raises:
        WamError: no video, or one that cannot be decoded here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._container = av.open(str(path))
        except (OSError, ValueError) as error:
            raise WamError(f"damaged video '{path}': {_reason(error)}") from error
        if not self._container.streams.video:
            raise WamError(f"'{path}' holds no video")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self._frames: Iterator[tuple[float, Any]] | None = None
        self._next_s = 0.0  # where the frames that are being decoded have come to

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, px."""
        return self._stream.height, self._stream.width

    @property
    def codec(self) -> str:
        """Its name, `h264` say."""
        return str(self._stream.codec_context.codec.canonical_name)

    @property
    def pixels(self) -> str:
        """Format of a pixel, `yuv420p` say."""
        return str(self._stream.pix_fmt)

    def frames(self, start_s: float, count: int, period_s: float) -> Iterator[np.ndarray]:
        """`count` frames (H, W, 3) uint8 RGB, the first at `start_s`, one period apart.

        Raises:
            WamError: no frame stands within a quarter of a period of such a time, or it is
                damaged.
        """
        if not 0 <= start_s - self._next_s + NEAR * period_s < 10 * period_s:
            self._frames = None
        for i in range(count):
            wanted = start_s + i * period_s
            yield self._frame_at(wanted, period_s)

    def _frame_at(self, wanted: float, period_s: float) -> np.ndarray:
        near = NEAR * period_s
        found = "it ends before"
        try:
            if self._frames is None:
                self._seek(wanted, period_s)
            assert self._frames is not None
            for time, frame in self._frames:
                self._next_s = time + period_s
                if time < wanted - near:
                    continue
                if time > wanted + near:
                    found = f"the next one is at {time:.4f} s"
                    break
                return np.asarray(frame.to_ndarray(format="rgb24"))
        except (OSError, ValueError, av.FFmpegError) as error:
            self._frames = None
            raise WamError(f"damaged video '{self.path}': {_reason(error)}") from error
        self._frames = None
        raise WamError(f"'{self.path}' holds no frame at {wanted:.4f} s: {found}")

    def _seek(self, wanted: float, period_s: float) -> None:
        base = self._stream.time_base
        assert base is not None
        goal = max(0.0, wanted - NEAR * period_s)
        self._container.seek(int(goal / base), stream=self._stream, backward=True)
        self._frames = (
            (float(frame.pts * base), frame)
            for frame in self._container.decode(self._stream)
            if frame.pts is not None
        )

    def close(self) -> None:
        """Let go of the file."""
        self._frames = None
        self._container.close()


def _reason(error: Exception) -> str:
    return " ".join(
        (getattr(error, "strerror", None) or str(error) or type(error).__name__).split()
    )


def decode_picture(data: bytes, where: str) -> np.ndarray:
    """A PNG or JPEG file in memory as (H, W, 3) uint8 RGB.

    Raises:
        WamError: neither of them, damaged, or larger than any camera's.
    """
    kinds = {b"\x89PNG": "png", b"\xff\xd8\xff": "mjpeg"}
    codec = next((c for start, c in kinds.items() if data.startswith(start)), None)
    if codec is None:
        raise WamError(f"{where}: a picture is neither PNG nor JPEG")
    try:
        context = av.CodecContext.create(codec, "r")
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]  # type: ignore[attr-defined]
    except (OSError, ValueError, av.FFmpegError) as error:
        raise WamError(f"{where}: a damaged picture: {_reason(error)}") from error
    if len(frames) != 1 or max(frames[0].height, frames[0].width) > MOST_PX:
        raise WamError(f"{where}: a damaged picture")
    return np.asarray(frames[0].to_ndarray(format="rgb24"))
