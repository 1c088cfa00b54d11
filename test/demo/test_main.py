import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from wam_ros.demo import main as demo
from wam_ros.demo.args import DemoArgs


class FakeSession:
    """Joints that follow a script: one entry per turn of the executor."""

    def __init__(self, script, missing=()):
        self.report = SimpleNamespace(stop_time_s=0.4)
        self.now_s, self.calls = 0.0, []
        self.link = SimpleNamespace(spin=self.turn, call=self.call, missing_services=lambda: list(missing))
        self._script = list(script)

    def turn(self, timeout_s):
        self.now_s += 0.02
        if len(self._script) > 1:
            self._script.pop(0)

    def call(self, service, **fields):
        self.calls.append((service, *fields.values()))

    @property
    def at_rest(self):
        return self._script[0]


@pytest.fixture
def bring(monkeypatch):
    def bring_to_rest(session, dead):
        monkeypatch.setattr(demo.time, "monotonic", lambda: session.now_s)
        out = io.StringIO()
        demo._bring_to_rest(session, None, dead, Console(file=out, width=200))
        return out.getvalue()

    return bring_to_rest


def test_the_time_to_rest_is_told_beside_what_safety_promised(bring):
    session = FakeSession([False] * 15 + [True])
    assert "arm at rest after 0.30 s (safety reported 0.40 s)" in bring(session, "camera_node")


def test_passing_through_zero_speed_is_not_rest(bring):
    session = FakeSession([True, True] + [False] * 8 + [True])
    assert "at rest after 0.20 s" in bring(session, "camera_node")


def test_an_arm_that_never_rests_is_said(bring):
    assert "still moves" in bring(FakeSession([False]), "bridge_node")


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
    session = FakeSession([True], missing)
    bring(session, dead)
    assert session.calls == calls


def test_what_a_process_would_miss_is_said_before_any_is_started(monkeypatch):
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name == "mujoco" else object())
    monkeypatch.setattr(demo, "Supervisor", lambda *_: pytest.fail("started"))
    with pytest.raises(ModuleNotFoundError, match="mujoco") as missing:
        demo.main(DemoArgs(headless=True))
    assert missing.value.name == "mujoco"
