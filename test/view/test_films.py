import numpy as np
import pytest
from PIL import Image

from wam_ros.core.comparison import Comparison
from wam_ros.core.types import JointState, Observation
from wam_ros.view.films import StripRecorder, VideoRecorder

VIEWS = ("front", "wrist")
HORIZONS = (0.4, 0.8)
JOINTS = JointState(0, ("j",), np.zeros(1), np.zeros(1), np.zeros(1))


def frames(value):
    return np.full((2, 16, 16, 3), value, np.uint8)


def observation(value, stamp_ns=0):
    return Observation(stamp_ns, VIEWS, frames(value), (0, 0), JOINTS)


def comparisons(*imagined):
    return [
        Comparison(0, (i + 1) * 400_000_000, frames(v), frames(0), frames(0))
        for i, v in enumerate(imagined)
    ]


def test_a_video_has_one_frame_per_observation_from_the_first_imagined_one(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    file = tmp_path / "run.mp4"
    video = VideoRecorder(str(file), 10.0)
    video.add(observation(0), [], (), "", "")
    for k in range(12):
        video.add(
            observation(200),
            comparisons(40, 90) if k != 5 else [],
            HORIZONS,
            "pick up the red block",
            "armed",
        )
    video.close()
    assert not video.why_not
    n, duration_s = ffmpeg.count_frames_and_secs(str(file))
    assert (n, duration_s) == (12, pytest.approx(1.2, abs=0.01))
    reader = ffmpeg.read_frames(str(file))
    width, height = next(reader)["size"]
    first = np.frombuffer(next(reader), np.uint8).reshape(height, width, 3)
    reader.close()
    row = first[height // 3]
    for column, value in enumerate((200, 40, 90)):  # centres of the three tiles
        assert abs(int(row[round((column + 0.5) * width / 3)].mean()) - value) < 12


def test_nothing_seen_is_no_file(tmp_path):
    video = VideoRecorder(str(tmp_path / "run.mp4"), 10.0)
    video.close()
    strip = StripRecorder(str(tmp_path / "a.png"))
    strip.write()
    for recorder in (video, strip):
        assert recorder.why_not == "nothing seen had been imagined" and not recorder.failed
    assert list(tmp_path.iterdir()) == []


def test_the_strip_shows_observed_above_imagined_from_first_to_last(tmp_path):
    strip = StripRecorder(str(tmp_path / "a.png"), moments=3)
    strip.add(observation(10), comparisons(20), HORIZONS)  # only one horizon yet: left out
    for k in range(5):
        strip.add(observation(50 + k, k * 10**8), comparisons(100 + k, 150 + k), HORIZONS)
    strip.write()
    assert not strip.why_not
    strip.add(observation(0), comparisons(0, 0), HORIZONS)
    strip.write()  # of the next episode: not of the first
    picture = np.asarray(Image.open(tmp_path / "a.png"))
    columns = picture[60:, 150:]  # right of the labels
    for m, k in enumerate((0, 2, 4)):
        x = m * 131 + 64
        values = [int(columns[r * 131 + 20, x, 0]) for r in range(3)]
        assert values == [50 + k, 100 + k, 150 + k]


def test_a_video_that_does_not_fit_is_said_once_and_the_one_before_stays(small_disk, capfd):
    pytest.importorskip("imageio_ffmpeg")
    file = small_disk / "run.mp4"
    file.write_text("of yesterday")
    noise = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    video = VideoRecorder(str(file), 10.0)
    for _ in range(400):
        noise = np.roll(noise, 1, axis=2)
        seen = Observation(0, VIEWS, noise, (0, 0), JOINTS)
        video.add(seen, comparisons(40, 90), HORIZONS, "pick", "armed")
    video.close()
    assert video.failed
    assert video.why_not.startswith(f"{file} cannot be written: the encoder ended with ")
    assert capfd.readouterr().err == f"{video.why_not}\n"
    assert file.read_text() == "of yesterday"
    assert list(small_disk.iterdir()) == [file]


def test_a_strip_that_cannot_be_written_does_not_end_the_run(tmp_path, capfd):
    strip = StripRecorder(str(tmp_path / "gone" / "a.png"))
    strip.add(observation(1), comparisons(2, 3), HORIZONS)
    strip.write()
    assert strip.failed
    assert "a.png cannot be written: No such file or directory" in capfd.readouterr().err
