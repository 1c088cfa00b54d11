"""`wam report`: one file that tells a run to who was not there."""

import re
from html import escape

import numpy as np
import pytest

from testing.recorded import GREY, IMAGINED, SENTENCE, STEP, STRANGE
from wam_ros import __version__
from wam_ros.core.errors import WamError
from wam_ros.runs import html
from wam_ros.runs.reading import read_run
from wam_ros.runs.report import Report, main
from wam_ros.runs.strips import TILE, film_strips

pytestmark = [pytest.mark.ros, pytest.mark.untimed]


@pytest.fixture(scope="module")
def page(recorded, tmp_path_factory):
    out = tmp_path_factory.mktemp("report") / "report.html"
    main(Report(recorded, str(out)))
    return out.read_text()


def test_it_tells_episodes_stops_decisions_and_versions(page):
    for words in (
        "1 episodes, 1 of 1 done, 25 chunks judged, stopped 1 times other than by disarming.",
        escape(SENTENCE),
        "tiny 0123456789ab",
        f"wam_ros {__version__}",
        "<td>truncated</td><td>1</td><td>4.0%</td>",
        "hand to table 20 mm",
    ):
        assert words in page, words


def test_what_was_recorded_never_becomes_markup(page):
    assert "pick up the &lt;red&gt; block" in page
    assert "<red>" not in page
    assert "<emergency>" not in page


def test_it_needs_nothing_else_and_runs_nothing(page):
    assert "<script" not in page
    assert "default-src 'none'" in page
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert {s.partition(",")[0] for s in sources if not s.startswith("#")} == {
        "data:image/png;base64"
    }


def test_the_worst_moments_are_shown(page):
    assert len(re.findall("<figcaption>", page)) == 3  # the stop, the error, what came nearest


def test_a_strip_holds_what_was_seen_above_what_was_imagined(recorded):
    run = read_run(recorded)
    at_ns = run.began_ns + STRANGE * STEP
    strip, nothing = film_strips(recorded, [at_ns, at_ns + 60 * 10**9])
    assert nothing is None
    column = strip[24:, 150 + TILE // 2]
    values = {tuple(v) for v in column}
    assert (GREY,) * 3 in values
    assert (IMAGINED,) * 3 in values


def test_a_run_that_was_never_armed_is_told_too(tmp_path):
    from testing.bags import Bag
    from wam_ros.msg import WamStatus

    with Bag(tmp_path / "bag") as bag:
        bag.write("wam_status", 1, WamStatus(model="tiny"))
    out = tmp_path / "report.html"
    main(Report(tmp_path / "bag", str(out)))
    text = out.read_text()
    assert "The arm was not armed." in text
    assert "the recording does not hold what safety decided" in text


def test_another_name_than_html_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(WamError, match=r"--out must end in \.html, found 'x.pdf'"):
        main(Report(tmp_path / "nowhere", "x.pdf"))
    with pytest.raises(WamError, match="does not exist"):
        main(Report(tmp_path / "nowhere", str(tmp_path / "x.html")))


def test_a_table_and_a_picture_escape_what_they_are_given():
    assert "&lt;b&gt;" in html.table(("<b>",), [("<i>", None)])
    assert "<i>" not in html.table(("<b>",), [("<i>", None)])
    assert 'alt="&quot;"' in html.picture(np.zeros((2, 2, 3), np.uint8), '"')
