"""`~/home` step by step, its safety node played by the test, and a home that cannot be reached."""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mujoco")

from rclpy.task import Future
from std_srvs.srv import Trigger

from wam_ros.bridge.gate import load_gate_limits
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.resources import share_dir
from wam_ros.core.types import Decision, Reason, SafetyState
from wam_ros.core.types import SafetyReport as Report
from wam_ros.ros import convert
from wam_ros.ros.bridge_node.home import HomeSequence, Step
from wam_ros.srv import HandOver

from .cells import Cell

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
HOME = np.array(load_embodiment("panda").home)


class Client:
    """Of a service: keeps what it is asked, and is answered by the test."""

    def __init__(self):
        self.requests, self.answers = [], []

    def call_async(self, request):
        self.requests.append(request)
        self.answers.append(Future())
        return self.answers[-1]


class Asked:
    """A way home whose safety node is the test."""

    def __init__(self, arena, answered=True):
        self.now_s = 0.0
        robot = load_embodiment("panda")
        self.homing = HomeSequence(
            node=arena.observer,
            embodiment=robot,
            limits=load_gate_limits(robot, start_rad=0.02, start_m=0.005),
            speed=0.2,
            measured=lambda: HOME,
            clock=lambda: self.now_s,
        )
        self.homing._arm, self.homing._hand_over = self.arm, self.hand_over = Client(), Client()
        self.report(SafetyState.ARMED)
        assert self.homing.start()[0]
        if answered:
            self.answer()

    def answer(self, success=True, k=-1):
        self.hand_over.answers[k].set_result(HandOver.Response(success=success, message="because"))
        return self.homing.step

    def report(
        self,
        state,
        sender="safety_node 1",
        decision=Decision.UNKNOWN,
        seq=0,
        stop_s=0.0,
        reasons=Reason.NONE,
    ):
        report = Report(0, seq, state, decision, reasons, stop_time_s=stop_s)
        msg = convert.report_to_msg(report)
        msg.header.frame_id = sender
        self.homing.on_report(msg, 0.0)
        return self.homing.step

    def up_to(self, step):
        """Take it to a step."""
        if step in (Step.JUDGE, Step.MOVE):
            assert self.report(SafetyState.ARMED) == Step.JUDGE
        if step == Step.MOVE:
            self.report(SafetyState.ARMED, decision=Decision.PASS, seq=self.homing._seq, stop_s=1.0)
        assert self.homing.step == step

    @property
    def disarmed(self):
        assert not any(r.data for r in self.arm.requests), "a way home arms nothing"
        return len(self.arm.requests)


def test_a_safety_node_that_was_started_anew_gets_no_way_home_that_was_asked_of_another(arena):
    same, other = Asked(arena), Asked(arena)
    assert same.report(SafetyState.ARMED) == Step.JUDGE
    assert other.report(SafetyState.ARMED, "safety_node 2") == Step.IDLE
    assert (same.disarmed, other.disarmed) == (0, 1)


@pytest.mark.parametrize(
    "state", [SafetyState.HOLD, SafetyState.FAULT, SafetyState.ESTOP, SafetyState.DISABLED]
)
@pytest.mark.parametrize("step", [Step.ASK, Step.STOP, Step.JUDGE, Step.MOVE])
def test_whatever_disarms_ends_the_way_home_at_every_step(arena, step, state):
    asked = Asked(arena, answered=step != Step.ASK)
    asked.up_to(step)
    assert asked.report(state) == Step.IDLE
    for later in (SafetyState.HOLD, SafetyState.ARMED):  # armed by a person, for something else
        assert asked.report(later) == Step.IDLE
    if step == Step.ASK:
        assert asked.answer() == Step.IDLE
    assert not asked.disarmed


@pytest.mark.parametrize("step", [Step.ASK, Step.STOP, Step.JUDGE])
def test_a_way_home_that_cannot_begin_is_given_up_and_ends_disarmed(arena, step):
    asked = Asked(arena, answered=step != Step.ASK)
    asked.up_to(step)
    asked.now_s = 9.0
    assert asked.report(SafetyState.BRAKING) == step
    asked.now_s = 11.0
    assert asked.report(SafetyState.BRAKING) == Step.IDLE
    assert asked.disarmed == 1
    asked.report(SafetyState.ARMED)
    assert asked.homing.start()[0]
    if step == Step.ASK:
        assert asked.answer(k=0) == Step.ASK, "the answer to an older question says nothing"
    assert asked.answer() == Step.STOP


def test_a_refused_hand_over_is_told_and_nothing_is_sent(arena):
    asked = Asked(arena, answered=False)
    assert asked.answer(success=False) == Step.IDLE
    assert not asked.disarmed


def test_a_chunk_that_the_arm_has_crept_away_from_is_made_anew_but_not_for_ever(arena):
    asked, sent = Asked(arena), []
    for _ in range(3):
        asked.up_to(Step.JUDGE)
        sent.append(asked.homing._seq)
        step = asked.report(
            SafetyState.ARMED, decision=Decision.REJECT, seq=sent[-1], reasons=Reason.DISCONTINUITY
        )
    assert step == Step.IDLE
    assert asked.disarmed == 1
    assert sent == sorted(set(sent))


def test_a_home_inside_the_table_is_not_reached_and_the_reason_is_told(arena, arm, tmp_path):
    text = (share_dir() / "config" / "embodiments" / "panda.yaml").read_text()
    low = tmp_path / "low.yaml"
    low.write_text(text.replace("home: [0.0, -0.3, 0.0, -2.2,", "home: [0.0, 0.9, 0.0, -2.2,"))
    assert load_embodiment(str(low)).home[1] == 0.9
    cell = Cell(arena, arm, embodiment=str(low))
    cell.arm_it()
    arena.until(lambda: arena.call(Trigger, "bridge_node/home").success)
    arena.until(lambda: "home: " in arena.log("bridge_node").partition("ends disarmed")[2])
    assert "panda" in arena.log("bridge_node").rpartition("home: ")[2]
    assert abs(arm.state.positions[1] - 0.9) > 0.05
