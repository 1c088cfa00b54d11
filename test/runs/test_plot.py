"""`wam plot` draws what the recording holds, and says by name what it cannot."""

import io
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from testing.recorded import ARMED, CUT, PRESSED, q_at
from wam_ros.core.errors import WamError
from wam_ros.runs.plot import Plot, limits_of, main
from wam_ros.runs.reading import read_run
from wam_ros.runs.run import Run

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
SVG = "{http://www.w3.org/2000/svg}"


def test_steps_are_accepted_or_cut_as_safety_judged(recorded):
    from wam_ros.runs.curves import _steps

    run = read_run(recorded)
    steps = _steps(run, run.joint_names[0])
    assert len(steps["cut"][0]) == 5, "of the one chunk that was cut after three steps"
    np.testing.assert_allclose(steps["cut"][0], (CUT + np.arange(4, 9)) / 10)
    np.testing.assert_allclose(steps["cut"][1], [q_at(CUT + k)[0] for k in range(4, 9)])
    assert len(steps["accepted"][0]) == 8 * (PRESSED - ARMED) - 5


def test_the_page_names_every_joint_and_fetches_nothing(recorded, tmp_path):
    out = tmp_path / "run.html"
    main(Plot(recorded, str(out)))
    text = out.read_text()
    figure = text[text.index("<svg") : text.index("</svg>") + 6]
    words = {e.text for e in ElementTree.fromstring(figure).iter(f"{SVG}text")}
    assert {f"{name} [rad or m]" for name in read_run(recorded).joint_names} <= words
    assert {"imagined", "pass 24", "truncated 1"} <= words
    assert 'src="http' not in text
    assert "<script" not in text


def test_of_what_was_not_recorded_a_picture_says_so():
    from wam_ros.runs.curves import draw, png

    figure = draw(Run("x"), {})
    said = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert said == ["nothing of it was recorded"] * len(figure.axes)
    with Image.open(io.BytesIO(png(figure))) as picture:
        assert picture.size[0] > 1000


@pytest.mark.parametrize("name", ["run.pdf", "run"])
def test_another_kind_of_file_is_refused(tmp_path, name):
    with pytest.raises(WamError, match=r"--out must end in \.png, \.svg or \.html"):
        main(Plot(tmp_path, str(tmp_path / name)))


def test_results_without_curves_are_refused(tmp_path):
    file = tmp_path / "run.json"
    file.write_text(
        '{"settings": {}, "episodes": [], "completed": true, "failure": "", "latency": {},'
        ' "summary": {"chunk_rate_hz": 0.0}, "imagination": {}}'
    )
    with pytest.raises(WamError, match="nothing to draw: a file of results holds no curves"):
        main(Plot(file, str(tmp_path / "run.png")))
    assert not (tmp_path / "run.png").exists()


def test_limits_of_a_robot_that_is_not_known_here_are_left_out_with_a_word():
    run = Run("x", embodiment="of_another_lab")
    assert limits_of(run) == {}
    assert "unknown embodiment" in run.notes[0]
    assert limits_of(Run("x")) == {}
    with pytest.raises(WamError, match="Did you mean 'panda'"):
        limits_of(run, "pnda")
    lower, upper = limits_of(Run("x", embodiment="panda"))["panda_joint1"]
    assert lower < -2 < 2 < upper
