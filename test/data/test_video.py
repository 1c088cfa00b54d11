"""Video files: what was written comes back, at exactly the frame that was asked for."""

import contextlib
import ctypes
import os
import threading
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("av")

import av

from testing.recordings import frames
from wam_ros.core.errors import WamError
from wam_ros.core.images import mse, psnr_db
from wam_ros.data.episodes import View
from wam_ros.data.video import CODECS, VideoReader, VideoWriter, decode_picture

VIEW = View("front", 48, 64)
FRAMES = frames(0, 31, VIEW)


def written(path, codec, rate_hz=15.0, shown=FRAMES):
    video = VideoWriter(path, 48, 64, rate_hz, codec)
    for frame in shown:
        video.add(frame)
    video.close()
    return VideoReader(path)


@pytest.mark.parametrize("codec", CODECS)
def test_any_frame_is_found_in_any_order_as_if_all_were_decoded(codec, tmp_path):
    reader = written(tmp_path / "v.mp4", codec)
    every = list(reader.frames(0.0, 31, 1 / 15))
    for k in (30, 3, 4, 17, 0, 29):
        assert np.array_equal(next(reader.frames(k / 15, 1, 1 / 15)), every[k])
    assert np.array_equal(list(reader.frames(7 / 15, 9, 1 / 15)), every[7:16])


def schedulers():
    found = set()
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):
            found.add(os.sched_getscheduler(int(thread)))
    return found


def remembered():
    """What the C library believes of this thread, which it gives on to threads that it starts."""
    policy = ctypes.c_int(-1)
    thread = ctypes.c_ulong(threading.get_ident())
    priority = ctypes.byref(ctypes.c_int())
    ctypes.CDLL(None).pthread_getschedparam(thread, ctypes.byref(policy), priority)
    return policy.value


@pytest.mark.parametrize("codec", CODECS)
def test_no_thread_goes_before_the_rest_of_the_machine_while_a_video_is_written(codec, tmp_path):
    video = VideoWriter(tmp_path / "v.mp4", 48, 64, 15.0, codec)
    for frame in FRAMES:
        video.add(frame)
        assert not schedulers() & {os.SCHED_FIFO, os.SCHED_RR}
    video.close()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    assert remembered() == os.SCHED_OTHER


def test_lossless_frames_are_equal_bit_for_bit(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), dtype=np.uint8)
    reader = written(tmp_path / "v.mp4", "lossless", shown=noise)
    assert np.array_equal(list(reader.frames(0.0, 12, 1 / 15)), noise)


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_lossy_frames_stay_near_what_was_seen(codec, tmp_path):
    x, y, k = np.meshgrid(np.arange(64), np.arange(48), np.arange(31), indexing="xy")
    smooth = np.stack([4 * x, 5 * y, 3 * x + 8 * k], -1).transpose(2, 0, 1, 3) % 200
    reader = written(tmp_path / "v.mp4", codec, shown=smooth.astype(np.uint8))
    got = np.stack(list(reader.frames(0.0, 31, 1 / 15)))
    assert psnr_db(mse(got, smooth.astype(np.uint8))) > 27


def test_a_time_without_a_frame_is_an_error_and_not_the_next_frame(tmp_path):
    reader = written(tmp_path / "v.mp4", "h264")
    with pytest.raises(WamError, match=r"no frame at 2.0667 s: it ends before"):
        list(reader.frames(29 / 15, 3, 1 / 15))
    with pytest.raises(WamError, match=r"no frame at 0.1000 s: the next one is at 0.1333 s"):
        list(reader.frames(0.1, 1, 1 / 15))
    assert np.array_equal(next(reader.frames(0.0, 1, 1 / 15)).shape, (48, 64, 3))


def test_a_video_that_is_given_up_or_does_not_fit_leaves_nothing(small_disk):
    video = VideoWriter(small_disk / "v.mp4", 200, 200, 10.0, "lossless")
    noise = np.random.default_rng(0).integers(0, 256, (20, 200, 200, 3), dtype=np.uint8)

    def fill():
        for frame in noise:
            video.add(frame)
        video.close()

    with pytest.raises(WamError, match=r"v\.mp4 cannot be written: "):
        fill()
    other = VideoWriter(small_disk / "w.mp4", 48, 64, 10.0, "h264")
    other.add(FRAMES[0])
    other.discard()
    assert not list(small_disk.iterdir())


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (FRAMES[0][:, :-1], r"a frame is \(48, 63, 3\) uint8, expected \(48, 64, 3\)"),
        (FRAMES[0].astype(np.float32), "float32"),
        (FRAMES[0][..., :1], r"\(48, 64, 1\)"),
    ],
)
def test_a_frame_of_another_kind_is_refused(frame, words, tmp_path):
    video = VideoWriter(tmp_path / "v.mp4", 48, 64, 10.0, "h264")
    with pytest.raises(WamError, match=words):
        video.add(frame)
    video.discard()


def test_what_cannot_be_coded_is_said_with_what_can(tmp_path):
    with pytest.raises(WamError, match="h264 needs even sizes, frames are 15x64; write 'lossless'"):
        VideoWriter(tmp_path / "v.mp4", 15, 64, 10.0, "h264")
    with pytest.raises(WamError, match="unknown codec 'h265'. Did you mean 'h264'"):
        VideoWriter(tmp_path / "v.mp4", 16, 64, 10.0, "h265")


@pytest.mark.parametrize("kept", [0, 10, 3000])
def test_a_damaged_video_is_named(kept, tmp_path):
    written(tmp_path / "v.mp4", "h264").close()
    data = (tmp_path / "v.mp4").read_bytes()
    (tmp_path / "v.mp4").write_bytes(data[:kept])
    with pytest.raises(WamError, match=r"damaged video '.*v.mp4'"):
        VideoReader(tmp_path / "v.mp4")
    (tmp_path / "v.mp4").write_bytes(data[:2000] + b"\xff" * 4000 + data[6000:])
    with pytest.raises(WamError, match=r"v.mp4'"):
        list(VideoReader(tmp_path / "v.mp4").frames(0.0, 31, 1 / 15))


def png(image):
    context = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt = image.shape[1], image.shape[0], "rgb24"
    context.time_base = Fraction(1)
    packets = [*context.encode(av.VideoFrame.from_ndarray(image, format="rgb24"))]
    return b"".join(bytes(p) for p in [*packets, *context.encode(None)])


def test_a_picture_in_a_table_comes_back_as_it_was():
    assert np.array_equal(decode_picture(png(FRAMES[3]), "here"), FRAMES[3])


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", png(FRAMES[0])[:200], b"\xff\xd8\xff" + b"\0" * 9]
)
def test_a_picture_that_is_none_is_named(data):
    with pytest.raises(WamError, match="here: "):
        decode_picture(data, "here")
