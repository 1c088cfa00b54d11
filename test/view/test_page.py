"""The page in a real browser: what a person sees and does, and what a foreign page cannot."""

import contextlib
import http.server
import json
import threading
import time

import numpy as np
import pytest

pytest.importorskip("aiohttp")

from testing.chromium import Chromium, find_chromium
from testing.peers import free_port
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.listening import listen
from wam_ros.core.takes import RecorderState
from wam_ros.core.task import TaskState
from wam_ros.core.types import (
    NS,
    ActionChunk,
    BridgeState,
    Candidates,
    ChunkingMode,
    Decision,
    Forwarding,
    ImaginedFuture,
    JointState,
    Observation,
    SafeTrajectory,
    SafetyReport,
    SafetyState,
    WamStatus,
)
from wam_ros.core.words import BRIDGE, STATES
from wam_ros.view.access import Access
from wam_ros.view.confirmation import Confirmation
from wam_ros.view.history import History
from wam_ros.view.model import ViewModel
from wam_ros.view.scene import make_scene
from wam_ros.view.server import Action, PageServer
from wam_ros.view.solid import Solid
from wam_ros.view.wire import Encoder, pack, to_json

pytestmark = pytest.mark.skipif(
    find_chromium() is None, reason="no Chromium: apt-get install chromium"
)
PANDA = load_embodiment("panda")
N = len(PANDA.joint_names)
TABLE = Solid("table", "box", (1.0, 1.4, 0.4), (0.7, 0.0, -0.2))
STOP = Action("estop")
DARK, LIGHT = 40, 200


class Loop:
    """A server and a loop that says what a test wants."""

    def __init__(self):
        self.port = free_port()
        self.access = Access("127.0.0.1", self.port, "a-token-of-this-start-0123456789")
        self.history = History()
        scene = make_scene(PANDA, [TABLE])
        self.heard = threading.Event()  # something was pressed
        self.server = PageServer(
            self.access, listen(self.port), scene, self.history, self.heard.set
        )
        self.pressed = []
        self.begin()

    def begin(self):
        """What is said of the first moment."""
        self.model = ViewModel(PANDA.joint_names)
        self.model.joints = np.array(PANDA.home)
        joints = JointState(0, PANDA.joint_names, *[np.zeros(N)] * 3)
        views = np.full((2, 64, 64, 3), DARK, np.uint8)
        self.model.on_observation(Observation(NS, PANDA.view_names, views, (0, 0), joints))
        self.model.on_imagined(
            ImaginedFuture(
                chunk_seq=0,
                view_names=PANDA.view_names,
                frames=np.stack([views + 60, np.full_like(views, LIGHT)]),
                instants_ns=(NS + 4 * NS // 10, NS + 8 * NS // 10),
                joint_names=PANDA.joint_names,
                joint_path=np.zeros((8, N)),
                surprise=0.003,
            )
        )
        t = np.linspace(0, 1, 20)
        q = np.array(PANDA.home) + np.outer(t, np.full(N, 0.3))
        self.model.trajectory = SafeTrajectory(
            q, 0 * q, 0 * q, start_ns=NS, joint_names=PANDA.joint_names, t=t
        )
        self.report(SafetyState.ARMED)

    def report(self, state, **fields):
        report = {"scale": 1.2, "nearest_distance": 0.05, **fields}
        self.model.on_report(SafetyReport(NS, 1, state, Decision.SCALED, **report))

    def tell(self):
        """One moment, as the node makes it."""
        head, columns = self.model.head(NS), self.model.columns()
        images = [image for images in Encoder().encode(columns) for image in images]
        named = [{"kind": c.kind, "ahead_s": c.ahead_s} for c in columns]
        now_s = time.monotonic()
        told = {"n": self.history.next_number, "t": now_s, "objects": [], "columns": named}
        moment = pack(head | told, images)
        self.history.add(now_s, head["figures"], moment)
        self.server.show("moment", moment)
        pose = {"type": "pose", "q": self.model.joints, "objects": []}
        self.server.show("pose", to_json(pose))

    def take(self):
        self.pressed += self.server.take_actions()
        return self.pressed

    def moving(self):
        """What was pressed and stops nothing; a stop of the test before may still be on its way."""
        return [a for a in self.take() if a != STOP]

    def until(self, found):
        """Look whenever something was pressed."""
        while not found():
            assert self.heard.wait(20), self.pressed
            self.heard.clear()

    def until_pressed(self, *actions):
        self.until(lambda: set(actions) <= set(self.take()))
        pressed = self.take() if STOP in actions else self.moving()
        assert set(pressed) == set(actions), pressed


@pytest.fixture(scope="module")
def browser():
    started = Chromium("--host-resolver-rules=MAP evil.test 127.0.0.1")
    yield started
    started.close()


@pytest.fixture
def loop():
    made = Loop()
    yield made
    made.server.close()


@pytest.fixture(scope="module")
def open_for_all(browser):
    """One page for the tests that leave it as it was, because to open one takes seconds."""
    made = Loop()
    tab = open_page(browser, made)
    yield made, tab
    tab.close()
    made.server.close()


@pytest.fixture
def opened(open_for_all):
    """The page as after it was opened, and its loop."""
    loop, tab = open_for_all
    loop.begin()
    loop.take().clear()
    tab.errors.clear()
    tab.evaluate(
        "(() => { document.getElementById('ahead').value = 1000;"
        " document.getElementById('difference').checked = false;"
        " document.getElementById('instruction').value = ''; document.activeElement.blur(); })()"
    )
    loop.tell()
    tab.until(f"wam.frames.moment.n === {loop.history.next_number - 1}")
    return loop, tab


@pytest.fixture
def own(browser, loop):
    """A page and a loop of this test alone."""
    tab = open_page(browser, loop)
    yield loop, tab
    tab.close()


def open_page(browser, loop, **size):
    tab = browser.tab(loop.access.address, **size)
    tab.until("document.body.dataset.connected && wam.frames && wam.space")
    loop.tell()
    tab.until("document.getElementById('mode').textContent === 'armed'")
    return tab


def test_states_are_called_what_reports_call_them(opened):
    loop, tab = opened
    for state in (SafetyState.ESTOP, SafetyState.HOLD, SafetyState.SHADOW):
        loop.report(state)
        loop.tell()
        words = STATES[state].label
        tab.until(f"document.getElementById('mode').textContent === '{words}'")
    for state in (Forwarding.PAUSED, Forwarding.UNHEARD, Forwarding.FORWARDING):
        loop.model.bridge = BridgeState(state, "words")
        loop.tell()
        words = BRIDGE[state].label
        tab.until(f"document.getElementById('bridge').textContent === '{words}'")


def test_the_page_shows_the_loop_without_a_complaint(opened):
    _, tab = opened
    assert "safety" in tab.evaluate("document.getElementById('lines').textContent")
    tab.until("document.querySelectorAll('figcaption')[1].textContent === 'imagined, +0.8 s'")
    tab.evaluate("wam.space.ready")
    assert tab.evaluate("wam.space.ghost.root.visible")
    assert tab.evaluate("wam.timeline.samples.length") >= 1
    assert tab.errors == []
    assert tab.refused == []
    assert "token" not in tab.evaluate("location.href"), "the link does not stay in the bar"


def test_the_arm_is_drawn_where_its_kinematics_say(opened):
    pin = pytest.importorskip("pinocchio")
    _, tab = opened
    model = pin.buildModelFromUrdf(str(PANDA.urdf_path), mimic=False)
    data, frame = model.createData(), model.getFrameId(PANDA.tool_frame)
    rng = np.random.default_rng(2)
    for q in rng.uniform(-1, 1, (3, N)):
        tab.evaluate(f"wam.space.probe.set({json.dumps(q.tolist())})")
        found = tab.evaluate("wam.space.probe.place(wam.scene.tools[0]).toArray()")
        full = pin.neutral(model)
        for name, value in zip(PANDA.joint_names, q, strict=True):
            full[model.joints[model.getJointId(name)].idx_q] = value
        pin.framesForwardKinematics(model, data, full)
        np.testing.assert_allclose(found, data.oMf[frame].translation, atol=1e-6)


def test_the_measured_arm_moves_and_the_ghost_stands_at_the_end_of_the_plan(opened):
    loop, tab = opened
    place = "wam.space.{}.place(wam.scene.tools[0]).toArray()"
    ghost, arm = (tab.evaluate(place.format(name)) for name in ("ghost", "arm"))
    assert np.linalg.norm(np.subtract(ghost, arm)) > 0.1
    loop.model.joints = loop.model.trajectory.q[-1]
    loop.tell()
    tab.until(f"Math.abs({place.format('arm')}[0] - {ghost[0]}) < 1e-6")


def brightness(tab, pane):
    """Mean red of a pane's middle."""
    return tab.evaluate(
        f"(() => {{ const c = document.querySelectorAll('.view canvas')[{pane}];"
        " const d = c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data;"
        " return d[0]; })()"
    )


def slide(tab, value):
    tab.evaluate(
        f"(() => {{ const s = document.getElementById('ahead'); s.value = {value};"
        " s.dispatchEvent(new Event('input')); })()"
    )


def test_the_slider_changes_the_imagined_frame_and_the_ghost(opened):
    _, tab = opened
    tab.until("document.querySelectorAll('figcaption')[1].textContent.includes('0.8')")
    assert brightness(tab, 0) == DARK
    assert brightness(tab, 1) == LIGHT
    far = tab.evaluate("wam.space.ghost.place(wam.scene.tools[0]).toArray()")
    slide(tab, 500)
    tab.until("document.querySelectorAll('figcaption')[1].textContent.includes('0.4')")
    assert brightness(tab, 1) == DARK + 60
    assert brightness(tab, 0) == DARK
    near = tab.evaluate("wam.space.ghost.place(wam.scene.tools[0]).toArray()")
    assert np.linalg.norm(np.subtract(near, far)) > 0.05


def test_all_views_change_to_another_moment_at_once(own):
    loop, tab = own
    tab.until("document.querySelectorAll('.view canvas')[2].width > 2")
    # the picture of the second view takes its time to be unpacked
    tab.evaluate(
        "(() => { const f = wam.frames; const real = f.bitmap.bind(f);"
        " const free = new Promise((go) => { f.release = go; });"
        " f.bitmap = async (moment, column, view) => {"
        " const made = await real(moment, column, view);"
        " if (view === 1) { f.waits = true; await free; } return made; }; })()"
    )
    joints = JointState(0, PANDA.joint_names, *[np.zeros(N)] * 3)
    views = np.full((2, 64, 64, 3), LIGHT, np.uint8)
    loop.model.on_observation(Observation(NS + 1, PANDA.view_names, views, (0, 0), joints))
    loop.tell()
    tab.until("wam.frames.waits")
    assert [brightness(tab, 0), brightness(tab, 2)] == [DARK, DARK], "of the moment before, both"
    tab.evaluate("wam.frames.release()")
    tab.until(
        "[0, 2].every((k) => { const c = document.querySelectorAll('.view canvas')[k];"
        f" return c.getContext('2d').getImageData(9, 9, 1, 1).data[0] === {LIGHT}; }})"
    )


def colours(tab):
    """Colours of the lines that are drawn, as hexadecimal numbers."""
    return tab.evaluate("wam.space.path.children.map((m) => m.material.color.getHexString())")


def test_the_tool_path_has_the_colours_of_safety_and_a_legend(opened):
    loop, tab = opened
    tab.until("wam.space.path.children.length === 1")  # along the plan, as nothing was judged
    line = lambda name, rgb: {"name": name, "rgba": [*rgb, 1], "points": [[0, 0, 1], [0, 1, 1]]}  # noqa: E731
    loop.model.paths = [
        line("accepted", (0.1, 0.9, 0.2)),
        line("cut", (1.0, 0.1, 0.1)),
        line("nearest", (1.0, 0.65, 0.0)),
        {"name": "distance", "rgba": [1, 1, 1, 1], "text": "hand to table 23 mm"},
    ]
    loop.tell()
    tab.until("wam.space.path.children.length === 3")
    assert colours(tab) == ["1ae633", "ff1a1a", "ffa600"]
    beside = np.array(PANDA.home) + np.outer(np.linspace(0, 1, 8), np.full(N, -0.3))
    loop.model.on_chunk(ActionChunk(NS, NS // 10, PANDA.joint_names, beside))
    loop.model.candidates = Candidates(NS, NS // 10, PANDA.joint_names, (beside, beside / 2))
    loop.tell()
    tab.until("wam.space.path.children.length === 5")
    assert colours(tab)[3:] == ["9aa3b2", "9aa3b2"]
    loop.model.candidates = None
    legend = tab.evaluate("document.getElementById('legend').innerText")
    for words in (
        "imagined, not chosen",
        "accepted by safety",
        "cut by safety",
        "hand to table 23 mm",
        "where it will be",
    ):
        assert words in legend
    loop.model.paths = [line("accepted", (0.95, 0.85, 0.1))]
    loop.tell()
    tab.until("document.getElementById('legend').innerText.includes('slowed by safety')")
    loop.report(SafetyState.HOLD)
    loop.tell()
    tab.until("wam.space.path.children.length === 0 && !wam.space.ghost.root.visible")


def test_bodies_are_drawn_in_their_frames_and_leave(opened):
    loop, tab = opened
    box = Solid("box", "box", (0.1, 0.1, 0.1), (0.5, 0.3, 0.1))
    cup = Solid("cup", "sphere", (0.05,), (0.0, 0.0, 0.1), frame="panda_hand")
    cloud = Solid("cloud", "points", (0.02,), cells=((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    loop.model.surroundings = [s.described() for s in (box, cup, cloud, TABLE)]
    loop.tell()
    tab.until("wam.space.keeping?.length === 3")  # the table is there already
    assert tab.evaluate("wam.space.keeping.map((b) => b.parent === wam.space.around)") == [
        *(True, False, True)
    ]
    hand = "wam.space.arm.links[wam.space.names.get('panda_hand')].group"
    assert tab.evaluate(f"wam.space.keeping[1].parent === {hand}")
    assert tab.evaluate("wam.space.keeping[2].count") == 2
    loop.model.surroundings = []
    loop.tell()
    tab.until("wam.space.keeping.length === 0")


def test_safetys_bodies_are_shown_on_demand(opened):
    _, tab = opened
    visible = "wam.space.shown.filter((b) => b.visible).length"
    tab.evaluate("wam.space.ready")
    assert tab.evaluate(visible) == 0
    tab.click("#show-bodies")
    assert tab.evaluate(visible) > 20
    tab.click("#show-bodies")
    assert tab.evaluate(visible) == 0


def test_the_words_that_the_model_knows_can_be_clicked(opened):
    loop, tab = opened
    loop.model.on_status(
        WamStatus(
            stamp_ns=0,
            session_id=bytes(16),
            model="tiny",
            instruction="",
            mode=ChunkingMode.REPLACE,
            vocabulary=("pick", "up", "red"),
            choose_one=("red",),
        )
    )
    loop.tell()
    tab.until("document.querySelectorAll('#words button').length === 3")
    for k in (1, 3):
        tab.click(f"#words button:nth-of-type({k})")
    assert tab.evaluate("document.getElementById('instruction').value") == "pick red"
    assert tab.evaluate("document.querySelectorAll('#words .choice').length") == 1
    assert "exactly one of red" in tab.evaluate("document.getElementById('words').textContent")


def test_the_difference_is_shown_on_demand(opened):
    _, tab = opened
    slide(tab, 500)
    tab.click("#difference")
    tab.until("document.querySelectorAll('figcaption')[1].textContent.includes('changes')")
    assert brightness(tab, 1) == 3 * 60


def test_the_stop_button_stops(opened):
    loop, tab = opened
    tab.mouse("mousePressed", "#stop")  # before it is released
    loop.until_pressed(STOP)


def test_the_space_bar_stops_wherever_nobody_is_typing(opened):
    loop, tab = opened
    for element in ("#stop", "#arm", "#show-ghost", "#ahead"):
        tab.evaluate(f"document.querySelector({element!r}).focus()")
        tab.press(" ", "Space")
        loop.until_pressed(STOP)  # and it presses no button that has the focus
        loop.pressed = []
    assert tab.evaluate("document.getElementById('show-ghost').checked")


def test_a_space_in_the_instruction_is_a_space(opened):
    loop, tab = opened
    tab.click("#instruction")
    for key, code in (("a", "KeyA"), (" ", "Space"), ("b", "KeyB")):
        tab.press(key, code)
    assert tab.evaluate("document.getElementById('instruction').value") == "a b"
    tab.press("Enter")
    loop.until_pressed(Action("instruct", "a b"))
    tab.press(" ", "Space")  # the box has let go of the keyboard
    loop.until(lambda: STOP in loop.take())


def test_a_task_is_asked_for_beside_the_instruction_and_ended_by_one_click(opened):
    loop, tab = opened
    tab.click("#instruction")
    tab.type("lift it; drop it")
    tab.click("#do")
    loop.until_pressed(Action("task", "lift it; drop it"))
    loop.take().clear()
    tab.click("#cancel")
    loop.until(lambda: Action("cancel") in loop.take())
    loop.model.task = TaskState(running=True, instruction="lift it", sentence="it moves")
    loop.tell()
    tab.until("document.getElementById('lines').innerText.includes('lift it: it moves')")


def test_the_stop_works_without_the_socket(own):
    loop, tab = own
    tab.evaluate("(wam.link.socket.onclose = null, wam.link.socket.close())")
    tab.click("#stop")
    loop.until_pressed(STOP)


def test_a_stop_that_does_not_arrive_is_said_loudly(own):
    loop, tab = own
    loop.server.close()
    tab.until("!document.getElementById('banner').hidden")
    tab.click("#stop")
    tab.until("document.getElementById('banner').textContent.includes('did not reach')")


# The page's timers, which go off when a test wants; their numbers begin at a thousand.
TIMERS = """(() => {
  window.own = [setTimeout, clearTimeout];
  const clear = clearTimeout.bind(window);
  window.late = new Map();
  window.setTimeout = (f, ms) => (late.set(1000 + late.size, [f, ms]), 999 + late.size);
  window.clearTimeout = (n) => late.has(n) ? late.set(n, [() => {}, 0]) : clear(n);
})()"""
PASS_A_SECOND = "(() => { for (const [f, ms] of late.values()) if (ms < 1000) f(); })()"


@pytest.fixture
def clock(opened, monkeypatch):
    """Neither page nor server waits for a person."""
    monkeypatch.setattr(Confirmation, "SOONEST_S", 0.0)
    _, tab = opened
    tab.evaluate(TIMERS)
    yield
    tab.evaluate("([window.setTimeout, window.clearTimeout] = own, 0)")


@pytest.mark.usefixtures("clock")
def test_arming_takes_a_click_and_a_held_button(opened):
    loop, tab = opened
    waits = "[...late.values()].filter(([, ms]) => ms === 800).length"
    tab.click("#arm")
    tab.until("document.getElementById('hold')")
    assert loop.moving() == []
    code = tab.evaluate("document.querySelector('#question code').textContent")
    assert len(code) == 6, "the number is shown"
    tab.click("#hold")
    assert tab.evaluate(waits) == 0, "a click is not enough"
    tab.evaluate(PASS_A_SECOND)
    assert loop.moving() == []
    tab.mouse("mousePressed", "#hold")
    assert tab.evaluate(waits) == 1
    tab.evaluate(PASS_A_SECOND)
    loop.until_pressed(Action("arm"))
    tab.mouse("mouseReleased", "#stop", 0.5, 3.0)
    tab.until("document.getElementById('question').hidden")


def test_takes_are_begun_saved_and_marked_at_once_and_thrown_away_in_two_steps(opened):
    loop, tab = opened
    assert tab.evaluate("document.getElementById('takes').hidden"), "nobody records"
    loop.model.recorder = RecorderState("", "no take", alarm=False)
    loop.tell()
    tab.until("!document.getElementById('takes').hidden")
    tab.press("s", "KeyS")  # there is nothing to save
    tab.press("t", "KeyT")
    loop.until_pressed(Action("take"))
    loop.pressed.clear()
    loop.model.recorder = RecorderState("take_000007", "take_000007, 1 s, 2 MB", alarm=True)
    loop.tell()
    tab.until("document.getElementById('recorded').textContent === '● take_000007'")
    assert tab.evaluate("document.getElementById('recorded').className") == "pill bad"
    tab.click("#good")
    loop.until_pressed(Action("good"))
    tab.press("s", "KeyS")
    loop.until_pressed(Action("good"), Action("save"))
    tab.press("d", "KeyD")
    tab.until("document.getElementById('question').textContent.includes('thrown away')")
    tab.mouse("mousePressed", "#hold")
    loop.until_pressed(Action("good"), Action("save"), Action("discard"))
    tab.mouse("mouseReleased", "#stop", 0.5, 3.0)
    tab.click("#instruction")
    tab.press("s", "KeyS")  # a letter of a sentence
    assert tab.evaluate("document.getElementById('instruction').value") == "s"
    assert loop.moving()[3:] == []


def test_what_calms_is_pressed_once(opened):
    loop, tab = opened
    tab.click("#disarm")
    loop.until(lambda: Action("disarm") in loop.take())
    assert set(loop.moving()) == {Action("disarm")}


def test_a_new_instruction_does_not_replace_what_a_person_is_writing(opened):
    _, tab = opened
    box = "document.getElementById('instruction').value"
    follow = "(wam.link.on.moment({{...wam.frames.moment, n: 1e9, instruction: {!r}}}), 0)"
    tab.evaluate(follow.format("pick up the red block"))
    assert tab.evaluate(box) == "pick up the red block"
    tab.evaluate(f"({box} = 'pick up the bl', 0)")
    tab.evaluate(follow.format("grab the green block"))
    assert tab.evaluate(box) == "pick up the bl"
    tab.evaluate(f"({box} = 'pick up the blue block', 0)")  # and it is followed
    tab.evaluate(follow.format("pick up the blue block"))
    tab.evaluate(follow.format("grab the red cube"))
    assert tab.evaluate(box) == "grab the red cube"


def test_what_the_loop_says_is_text_and_never_html(opened):
    loop, tab = opened
    evil = "<img src=x onerror=document.title='taken'><b>bold</b>"
    loop.report(SafetyState.FAULT, sentence=evil)
    loop.model.answer = evil
    loop.tell()
    tab.until("document.getElementById('lines').textContent.includes('<b>bold</b>')")
    assert tab.evaluate("document.querySelectorAll('#lines img, #lines b').length") == 0
    assert tab.evaluate("document.title") == "wam_ros: panda"


def test_the_moment_under_the_pointer_is_shown_again(own):
    loop, tab = own
    loop.report(SafetyState.FAULT, sentence="it was the camera")
    loop.model.joints = loop.model.trajectory.q[-1]
    loop.tell()
    tab.until("document.getElementById('mode').textContent === 'fault'")
    tab.evaluate("(wam.timeline.samples[0].t -= 30, wam.timeline.draw())")
    x = tab.evaluate("wam.timeline.x(wam.timeline.samples[0].t) / wam.timeline.canvas.clientWidth")
    tab.mouse("mouseMoved", "#timeline", x)
    tab.until("document.getElementById('mode').textContent === 'armed'")
    assert "ago" in tab.evaluate("document.getElementById('banner').textContent")
    tool = tab.evaluate("wam.space.arm.place(wam.scene.tools[0]).toArray()")
    tab.mouse("mouseMoved", "#robot")
    tab.until("document.getElementById('mode').textContent === 'fault'")
    tab.until("document.getElementById('banner').hidden")
    loop.tell()
    tab.until(f"Math.abs(wam.space.arm.place(wam.scene.tools[0]).x - {tool[0]}) > 0.01")


def test_the_end_of_calm_is_marked_in_the_strip_of_surprise(opened):
    _, tab = opened
    tab.until("wam.timeline.samples.length > 0 && !wam.timeline.due")
    marked = tab.evaluate(
        "(() => { const c = document.getElementById('timeline'); const { data } ="
        " c.getContext('2d').getImageData(0, 0, c.width, c.height); const rows = new Set();"
        " for (let k = 0; k < data.length; k += 4)"
        " if (data[k] === 138 && data[k + 1] === 111 && data[k + 2] === 153)"
        " rows.add(Math.floor(k / 4 / c.width)); return [...rows]; })()"
    )
    assert len(marked) == 1, "one line, at surprise 1"


def test_who_comes_late_sees_everything_and_two_see_the_same(own, browser):
    loop, tab = own
    for _ in range(3):
        loop.tell()
    late = browser.tab(loop.access.address)
    late.until("document.getElementById('mode').textContent === 'armed'")
    late.until("wam.timeline.samples.length === 4")
    late.until("document.querySelectorAll('figcaption')[1].textContent.includes('0.8')")
    slide(late, 500)
    late.until("document.querySelectorAll('figcaption')[1].textContent.includes('0.4')")
    assert "0.8" in tab.evaluate("document.querySelectorAll('figcaption')[1].textContent")
    late.close()


def test_on_a_phone_nothing_scrolls_sideways_and_the_stop_stays_in_sight(browser, loop):
    tab = open_page(browser, loop, width=390, height=844, phone=True)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    tab.evaluate("(scrollTo(0, 1e6), 0)")
    box = tab.evaluate("document.getElementById('stop').getBoundingClientRect().toJSON()")
    assert 0 <= box["top"] < box["bottom"] <= 844
    assert 0 <= box["left"] < box["right"] <= 390
    assert box["height"] >= 44
    assert tab.errors == []
    tab.close()


def test_a_page_of_another_start_is_told_to_open_the_new_link(own, browser):
    loop, tab = own
    loop.server.close()
    again = PageServer(
        Access("127.0.0.1", loop.port, "another-token-0123456789"),
        listen(loop.port),
        {},
        History(),
        lambda: None,
    )
    try:
        tab.until("document.getElementById('banner').textContent.includes('open the link')")
    finally:
        again.close()


# A foreign page, in a browser that is logged in

ATTACK = """<!doctype html><title>foreign</title><body><script>
const at = "TARGET";
const attempts = {
  socket: () => new Promise((done) => {
    const s = new WebSocket(at.replace("http", "ws") + "/socket");
    s.onopen = () => {
      s.send(JSON.stringify({type: "press", action: "estop"}));
      s.send(JSON.stringify({type: "ask", action: "arm"}));
      done("open");
    };
    s.onerror = () => done("refused");
  }),
  post: () => fetch(at + "/press/estop", {method: "POST", mode: "no-cors", credentials: "include"})
    .then((a) => a.type, () => "refused"),
  read: () => fetch(at + "/timeline.json", {credentials: "include"})
    .then((a) => a.text(), () => "refused"),
  script: () => new Promise((done) => {
    const s = document.createElement("script");
    s.type = "module";
    s.src = at + "/main.js";
    s.onload = () => done("loaded");
    s.onerror = () => done("refused");
    document.body.append(s);
  }),
  image: () => new Promise((done) => {
    const i = new Image();
    i.onload = () => done("loaded");
    i.onerror = () => done("refused");
    i.src = at + "/icon.svg";
  }),
  form: () => new Promise((done) => {
    const f = document.createElement("iframe");
    f.name = "inside";
    f.onload = () => done("sent");
    document.body.append(f);
    const form = document.createElement("form");
    Object.assign(form, {method: "post", action: at + "/press/estop", target: "inside"});
    document.body.append(form);
    form.submit();
  }),
  frame: () => new Promise((done) => {
    const f = document.createElement("iframe");
    f.onload = () => done("loaded");
    f.src = at + "/";
    document.body.append(f);
  }),
};
window.found = {};
(async () => {
  for (const [name, attempt] of Object.entries(attempts)) found[name] = await attempt();
  window.done = true;
})();
</script>"""


@contextlib.contextmanager
def foreign_page(text):
    """A server of somebody else on this machine; gives its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "evil.test"])
def test_a_foreign_page_in_the_operators_browser_can_do_nothing(opened, browser, host):
    """From localhost, another port is the same site: the browser sends the cookie along."""
    loop, _ = opened
    clients = set(loop.server._clients)
    with foreign_page(ATTACK.replace("TARGET", f"http://localhost:{loop.port}")) as port:
        foreign = browser.tab(f"http://{host}:{port}/")
        foreign.until("window.done")
        found = foreign.evaluate("window.found")
    assert found["socket"] == "refused"
    assert found["read"] == "refused"
    assert found["script"] == "refused"
    assert found["image"] == "refused"
    assert found["post"] in ("refused", "opaque")  # nobody may read what it was answered
    assert loop.take() == []
    assert set(loop.server._clients) == clients, "no frame of ours runs inside it"
    statuses = {status for url, status in foreign.refused if f":{loop.port}/" in url}
    assert statuses == {403}
    foreign.close()


def test_a_name_that_was_let_point_here_is_refused(opened, browser):
    loop, _ = opened
    rebound = browser.tab(f"http://evil.test:{loop.port}/")
    assert rebound.refused[0] == (f"http://evil.test:{loop.port}/", 403)
    link = loop.access.address.replace("localhost", "evil.test")
    rebound.go(link)
    assert (link, 403) in rebound.refused
    rebound.close()


def test_a_tab_without_the_link_sees_nothing(browser, loop):
    tab = browser.tab(f"http://localhost:{loop.port}/")
    assert "open the link" in tab.evaluate("document.body.textContent")
    assert not loop.server.watched
    tab.close()


def test_a_link_in_a_foreign_page_opens_the_page_with_its_token_only(browser, loop):
    """The cookie is `SameSite=Strict`: the browser must still have it after such a link."""
    bare = f"http://localhost:{loop.port}/"
    text = f"<a id=with href='{loop.access.address}'>with</a> <a id=bare href='{bare}'>bare</a>"
    with foreign_page(text) as port:
        tab = browser.tab(f"http://127.0.0.1:{port}/")
        tab.click("#with")
        tab.until("document.body.dataset.connected")
        tab.go(f"http://127.0.0.1:{port}/")
        tab.click("#bare")
        tab.until("document.body.textContent.includes('another page')")
    tab.close()
