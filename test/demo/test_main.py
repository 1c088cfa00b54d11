import io
import os
from types import SimpleNamespace

import pytest
from rich.console import Console

from wam_ros.core.types import NS
from wam_ros.demo import main as demo
from wam_ros.demo.args import DemoArgs


class FakeSession:
    """Joints that follow a script: whether they move, one entry per turn of 0.02 s, `rate` times
    that of their own.
    """

    def __init__(self, script, missing=(), settles=0, rate=1.0):
        self.report = SimpleNamespace(stop_time_s=0.4)
        self.now_s, self.calls, self.went_on = 0.0, [], False
        self.link = SimpleNamespace(
            spin=self.turn, call=self.call, missing_services=lambda: list(missing)
        )
        self._script, self._settles, self._rate = list(script), settles, rate

    def go_on(self):
        self.went_on = True

    def turn(self, timeout_s):
        self.now_s += 0.02
        if len(self._script) > 1:
            self._script.pop(0)
        elif not self.moving:
            self._settles -= 1

    def call(self, service, **fields):
        self.calls.append((service, *fields.values()))

    @property
    def joints_ns(self):
        return round((5.0 + self._rate * self.now_s) * NS)

    @property
    def moving(self):
        return self._script[0]

    @property
    def at_rest(self):
        return not self.moving and self._settles <= 0


@pytest.fixture
def bring(monkeypatch):
    def bring_to_rest(session, dead, rate=1.0):
        monkeypatch.setattr(demo.time, "monotonic", lambda: session.now_s)
        out = io.StringIO()
        demo._bring_to_rest(session, rate, dead, Console(file=out, width=200))
        return out.getvalue()

    return bring_to_rest


def test_the_time_to_rest_is_told_beside_what_safety_promised(bring):
    session = FakeSession([True] * 15 + [False])
    assert "arm at rest after 0.30 s (safety reported 0.40 s)" in bring(session, "camera_node")


def test_passing_through_zero_speed_is_not_rest(bring):
    session = FakeSession([False, False] + [True] * 8 + [False])
    assert "at rest after 0.20 s" in bring(session, "camera_node")


def test_waiting_until_the_arm_is_let_alone_is_not_counted_as_motion(bring):
    session = FakeSession([True] * 15 + [False], settles=10)
    assert "at rest after 0.30 s" in bring(session, "camera_node")
    assert session.now_s > 0.5  # but it was waited for


def test_in_slow_motion_the_time_to_rest_is_the_arms_own_and_waited_for_longer(bring):
    session = FakeSession([True] * 200 + [False], rate=0.25)
    assert "at rest after 1.00 s (safety reported 0.40 s)" in bring(
        session, "camera_node", rate=0.25
    )


def test_an_arm_that_never_rests_is_said(bring):
    assert "still moves" in bring(FakeSession([True]), "bridge_node")


@pytest.mark.parametrize(
    ("dead", "missing", "calls"),
    [
        ("camera_node", (), [("safety_node/estop",)]),
        ("", (), [("safety_node/arm", False)]),
        ("safety_node", (), []),
        ("camera_node", ("safety_node/arm",), []),
        ("sim_node", (), []),
    ],
)
def test_safety_is_asked_to_stop_when_it_is_there_and_there_is_an_arm(bring, dead, missing, calls):
    session = FakeSession([False], missing)
    bring(session, dead)
    assert session.calls == calls
    assert session.went_on is (dead != "sim_node"), "a world that stands brings nothing to rest"


def test_what_a_process_would_miss_is_said_before_any_is_started(monkeypatch):
    monkeypatch.setattr(demo.os, "environ", dict(os.environ))  # it is told where its children are
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name == "mujoco" else object())
    monkeypatch.setattr(demo, "Supervisor", lambda *_: pytest.fail("started"))
    with pytest.raises(ModuleNotFoundError, match="mujoco") as missing:
        demo.main(DemoArgs(headless=True))
    assert missing.value.name == "mujoco"
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name == "torch" else object())
    with pytest.raises(ModuleNotFoundError, match="torch"):
        demo.main(DemoArgs(headless=True))
    with pytest.raises(pytest.fail.Exception, match="started"):
        demo.main(DemoArgs(headless=True, embodiment="so101"))  # its script needs none


def test_the_first_minute_has_three_sentences_that_the_shipped_model_follows():
    pytest.importorskip("torch")
    from wam_ros.models.dreamzero.small.config import load_model_config
    from wam_ros.models.dreamzero.small.text import words_of

    config = load_model_config("tiny")
    words = " ".join(demo.first_minute(config.text.vocabulary))
    for sentence in demo.SENTENCES:
        assert words_of(sentence, config.text, config.transformer.text_len)
        assert sentence in words
    assert len(demo.SENTENCES) == 3


def test_sentences_that_a_model_does_not_know_are_not_offered():
    offered = demo.first_minute(("lift", "the", "red", "cube"))[0]
    assert offered.endswith("arm moves: lift the red cube")
    assert not any("type" in line for line in demo.first_minute(("other",)))
