"""`wam view`: a recording on the page, from which nothing can be commanded."""

import http.client
import json

import numpy as np
import pytest

pytest.importorskip("aiohttp")

from testing.chromium import Chromium, find_chromium
from testing.peers import free_port
from testing.recorded import ARMED, CUT, PRESSED, STEPS
from testing.wire import unpack
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.ros.recording import Recording
from wam_ros.runs.replay import RecordedMoments, Replay
from wam_ros.runs.view import View, read_moments, recorded_page, serve
from wam_ros.view.server import RECORDED

pytestmark = [pytest.mark.ros, pytest.mark.untimed]


@pytest.fixture(scope="module")
def served(recorded):
    server, access = serve(View(recorded, port=free_port()))
    yield access
    server.close()


def ask(access, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", access.port, timeout=10)
    headers["Cookie"] = f"{access.cookie_name}={access.cookie}"
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode("utf-8", "replace")


def test_every_tenth_of_a_second_is_a_moment(served):
    samples = json.loads(ask(served, "/timeline.json")[1])
    assert len(samples) == STEPS
    np.testing.assert_allclose([s["t"] for s in samples], np.arange(STEPS) / 10, atol=1e-3)
    decisions = [s["decision"] for s in samples]
    # what was said last stands in a moment, as on the page of a loop
    assert decisions.index("pass") == pytest.approx(ARMED, abs=1)
    assert decisions.index("truncated") == pytest.approx(CUT, abs=1)
    assert [s["safety"] for s in samples].index("estop") == pytest.approx(PRESSED, abs=1)


@pytest.mark.parametrize("path", ["/press/estop", "/press/pause", "/press/arm", "/"])
def test_nothing_can_be_pressed(served, path):
    assert ask(served, path, "POST") == (403, f"{RECORDED}\n")


def test_there_is_no_socket(served):
    origin = f"http://127.0.0.1:{served.port}"
    upgrade = {"Origin": origin, "Upgrade": "websocket", "Connection": "Upgrade"}
    assert ask(served, "/socket", **upgrade) == (403, f"{RECORDED}\n")


def test_the_link_is_needed_here_too(served):
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    connection.request("GET", "/timeline.json")
    assert connection.getresponse().status == 403


@pytest.mark.parametrize("number", ["40", "-1", "x", "99999999"])
def test_a_moment_that_is_none_is_refused(served, number):
    assert ask(served, f"/moment/{number}")[0] == 404


def test_a_part_of_a_recording_is_shown(recorded):
    with Recording(recorded) as recording:
        kept, more = read_moments(Replay(recording, load_embodiment("panda")), 1.0, 1.5)
        times = [m.t_s for m in kept.moments(0.0)]
        assert (times[0], times[-1], more) == (pytest.approx(1.0), pytest.approx(2.5), True)
        assert [unpack(kept.frames(k))[0]["n"] for k in (0, 15)] == [0, 15]
        with pytest.raises(WamError, match=r"--start 50: the recording ends after 3\.9 s"):
            read_moments(Replay(recording, load_embodiment("panda")), 50.0, 1.0)


def test_what_is_kept_is_what_was_added():
    kept = RecordedMoments()
    for message in (b"one", b"", b"three"):
        kept.add(0.0, {}, message)
    assert [kept.frames(k) for k in (-1, 0, 1, 2, 3)] == [None, b"one", b"", b"three", None]
    kept.close()


def test_a_robot_that_is_not_said_is_asked_for(tmp_path):
    from testing.bags import Bag
    from wam_ros.msg import SafetyReport

    with Bag(tmp_path / "bag") as bag:
        bag.write("safety_report", 1, SafetyReport())
    with pytest.raises(WamError, match="does not say of which robot it is: add --embodiment"):
        serve(View(tmp_path / "bag", port=free_port()))


def test_a_name_is_text_in_the_page():
    body = recorded_page('"><script>').body.decode()
    assert 'data-recording="&quot;&gt;&lt;script&gt;"' in body


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium: apt-get install chromium")
def test_the_page_plays_the_recording_and_says_that_it_is_one(served):
    browser = Chromium()
    try:
        tab = browser.tab(served.address, width=390, height=800, phone=True)
        tab.until("document.body.dataset.connected && wam.space && wam.player.playing")
        assert "nothing can be commanded" in tab.evaluate("document.body.innerText")
        for hidden in ("stop", "instruct", "buttons"):
            assert not tab.evaluate(f"document.getElementById('{hidden}').checkVisibility()")
        # a slow machine has played it to its end by now
        tab.evaluate("(wam.player.seek(0), wam.player.playing || wam.player.toggle())")
        tab.evaluate("(document.getElementById('speed').value = '0.25', 0)")
        tab.evaluate("document.getElementById('play').focus()")
        tab.press(" ", "Space")
        assert not tab.evaluate("wam.player.playing"), "once, although a button has the focus"
        assert tab.evaluate("wam.player.t") < (STEPS - 1) / 10
        joint = "wam.space.arm.links.find((l) => l.told.kind === 'revolute').group.quaternion.z"
        tab.evaluate("(wam.player.seek(0.5), 0)")
        tab.until("wam.frames.moment.n === 5")
        before = tab.evaluate(joint)
        tab.evaluate("(wam.player.seek(2.5), 0)")
        tab.until("wam.frames.moment.n === 25")
        assert tab.evaluate(joint) != before, "the arm has moved"
        tab.press("ArrowLeft")
        tab.until("wam.frames.moment.n === 24")
        tab.until("document.querySelectorAll('figcaption')[1].textContent.startsWith('imagined')")
        far = tab.evaluate("document.querySelectorAll('figcaption')[1].textContent")
        tab.evaluate(
            "(() => { const s = document.getElementById('ahead'); s.value = 400;"
            " s.dispatchEvent(new Event('input')); })()"
        )
        caption = "document.querySelectorAll('figcaption')[1].textContent"
        tab.until(f"{caption} !== {json.dumps(far)}")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 390
        assert tab.errors == []
        assert tab.refused == []
    finally:
        browser.close()
