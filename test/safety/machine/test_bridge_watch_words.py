"""What a bridge says of itself decides whether anything is armed, and ends motion that it would not
take.
"""

import numpy as np
import pytest

from testing.rig import MS, Rig
from wam_ros.core.admission import SHIPPED, Admission, why_not_agreed
from wam_ros.core.interpolation import Curve
from wam_ros.core.types import NS, BridgeState, Forwarding, JointState, Reason, SafetyState
from wam_ros.safety.machine.bridge_watch import SILENT_S, BridgeWatch, CommandEcho

S, F = SafetyState, Forwarding
WORDS = "the bridge is held back by a test"
# rad per step: its stop takes longer than the patience with a silent bridge
FAST = np.r_[0.15, np.zeros(7)]
CLOSED = (F.PAUSED, F.HELD_BACK)
# what a bridge may admit that is not what the machine counts on; None: it does not say
OTHERS = [None, Admission(deadline_s=0.2), Admission(ahead_s=0.6), Admission(heartbeat_s=1.0)]


class Cell(Rig):
    """A rig whose bridge takes everything and says of itself what the test lets it say."""

    def __init__(self, panda, home, wants_arm=False):
        super().__init__(panda, home)
        self.shown_s = 0.0
        self.filter.stopwatch = lambda: self.shown_s
        self.echo = CommandEcho(np.where(panda.model.sliding, 0.005, 0.02), 0.15)
        self.watch = BridgeWatch(self.machine, self.echo, wants_arm)
        self.ended = []
        self.held()

    def say(self, forwarding, admission=SHIPPED):
        self.watch.hear(BridgeState(forwarding, WORDS), admission)
        self.look()

    def look(self):
        words, output = self.watch.look(self.now)
        if output is not None:
            self.ended.append((words, self.keep(output)))
        self.watch.arm_by_itself(self.now)

    def on(self, seconds, taken=True):
        """Time passes: the arm follows, and the bridge, unless it takes nothing and says of no
        command.
        """
        for _ in range(round(seconds * 100)):
            self.run(0.01)
            self.echo.told = self.told() if taken else None
            self.look()

    def told(self):
        commanded = self.machine.commanded(self.now)
        q, dq = (self.home, 0 * self.home) if commanded is None else (commanded.q, commanded.dq)
        return JointState(self.now, self.filter.model.joint_names, q, dq, 0 * q)

    def arm(self):
        return self.watch.arm(True, self.now)

    def drive(self):
        assert self.arm().ok
        self.chunk(rate=FAST)
        self.on(0.6)
        assert not self.at_rest

    @property
    def sentence(self):
        return self.machine.tick(self.now).report.sentence


@pytest.fixture
def cell(panda, home):
    return Cell(panda, home)


@pytest.mark.parametrize("forwarding", [f for f in F if f != F.FORWARDING])
def test_nothing_is_armed_while_the_bridge_does_not_forward_and_the_words_are_its_own(
    cell, forwarding
):
    cell.say(forwarding)
    answer = cell.arm()
    assert (answer.ok, answer.message, cell.state) == (False, f"not armed: {WORDS}", S.HOLD)
    cell.say(F.FORWARDING)
    assert cell.state == S.HOLD, "a refusal is not kept for later"
    assert cell.arm().ok


@pytest.mark.parametrize("forwarding", CLOSED)
def test_motion_that_the_bridge_would_not_take_is_ended_once_by_a_proven_stop_in_its_words(
    cell, forwarding
):
    cell.drive()
    end_ns = cell.machine.brakes.playback.end_ns()
    cell.say(forwarding)
    ((words, output),) = cell.ended
    assert words == WORDS
    assert (output.report.state, output.report.reasons) == (S.BRAKING, Reason.WATCHDOG)
    assert output.trajectory.start_ns + output.trajectory.duration_s * NS < end_ns
    cell.on(1.5)
    assert (cell.state, cell.at_rest, len(cell.ended)) == (S.HOLD, True, 1)
    assert WORDS in cell.sentence
    cell.say(F.FORWARDING)
    assert cell.state == S.ARMED, "as after every motion that the bridge missed"


@pytest.mark.parametrize("forwarding", CLOSED)
def test_an_arm_that_stands_armed_is_held_too(cell, forwarding):
    assert cell.arm().ok
    cell.say(forwarding)
    assert (cell.state, len(cell.emitted), WORDS in cell.sentence) == (S.HOLD, 0, True)


def test_that_the_bridge_did_not_hear_the_safety_node_ends_no_motion(cell):
    cell.drive()
    cell.say(F.UNHEARD)
    cell.on(0.1)
    assert (cell.state, cell.ended) == (S.ARMED, [])


def test_motion_that_is_not_taken_has_the_words_of_a_bridge_that_says_why(cell):
    cell.drive()
    cell.say(F.HELD_BACK)
    cell.on(0.3, taken=False)  # it takes no stop either
    assert all(WORDS in output.report.sentence for _, output in cell.ended)
    assert (cell.state, cell.machine.brakes.cause) == (S.HOLD, WORDS)
    cell.on(1.0)
    assert cell.state == S.HOLD


@pytest.mark.parametrize("wants", [True, False])
def test_a_person_who_disarmed_meanwhile_has_the_last_word(cell, wants):
    cell.drive()
    cell.say(F.PAUSED)
    cell.on(0.1)
    if not wants:
        cell.watch.arm(False, cell.now)
    cell.on(1.0)
    cell.say(F.FORWARDING)
    assert (cell.state == S.ARMED) == wants


def test_a_fault_stays_one_whatever_the_bridge_says(cell):
    cell.drive()
    cell.machine.brakes.escalate(cell.now, S.FAULT, Reason.WATCHDOG, "a cause")
    cell.say(F.PAUSED)
    cell.on(1.5, taken=False)
    cell.say(F.FORWARDING)
    assert (cell.state, cell.machine.brakes.cause) == (S.FAULT, "a cause")


def test_at_start_it_arms_itself_only_when_the_bridge_forwards(panda, home):
    cell = Cell(panda, home, wants_arm=True)
    cell.say(F.HELD_BACK)
    cell.on(0.5)
    assert (cell.state, WORDS in cell.sentence) == (S.HOLD, True)
    cell.say(F.FORWARDING)
    assert (cell.state, WORDS in cell.sentence) == (S.ARMED, False)


def test_a_silent_bridge_is_not_known_to_forward_and_an_unheard_one_is_judged_by_deeds(
    cell,
):
    assert cell.arm().ok
    cell.watch.arm(False, cell.now)
    cell.say(F.FORWARDING)
    cell.shown_s += SILENT_S - 0.01
    assert cell.arm().ok
    cell.watch.arm(False, cell.now)
    cell.shown_s += 0.02
    answer = cell.arm()
    assert (answer.ok, "has not told its state" in answer.message) == (False, True)
    cell.say(F.FORWARDING)
    assert cell.arm().ok


def test_who_disables_it_has_the_last_word_too(cell):
    cell.drive()
    cell.say(F.PAUSED)
    cell.watch.disable(cell.now)
    cell.on(1.5)
    cell.machine.enable(cell.now)
    cell.say(F.FORWARDING)
    cell.on(0.5)
    assert cell.state == S.HOLD


def test_nothing_is_armed_on_top_of_a_motion_that_another_safety_node_began_however_slow_it_is(
    cell,
):
    cell.echo.on_commanded(
        JointState(
            cell.now, cell.filter.model.joint_names, cell.home, cell.home * 0 + 0.01, cell.home
        )
    )
    answer = cell.arm()
    assert (answer.ok, cell.state) == (False, S.HOLD)
    assert "not begun here" in answer.message
    cell.on(0.02)
    assert cell.arm().ok


def test_a_stop_that_a_paused_bridge_did_not_take_is_missed_before_anything_is_armed_anew(cell):
    """It came before the motion had begun, and that begins all the same."""
    assert cell.arm().ok
    moves = cell.chunk().trajectory
    assert cell.watch.arm(False, cell.now).trajectory is not None
    model = cell.filter.model
    while cell.now < moves.start_ns + 100 * MS:
        cell.now += 10 * MS
        cell.machine.tick(cell.now)
        q, dq, _ = Curve.from_trajectory(moves).at(cell.now).arrays
        cell.echo.on_commanded(JointState(cell.now, model.joint_names, q, dq, 0 * q))
        answer = cell.arm()
        assert (answer.ok, cell.state) == (False, S.HOLD) or cell.state == S.BRAKING
    assert "not begun here" in answer.message


@pytest.mark.parametrize("told", OTHERS)
def test_nothing_is_armed_for_a_bridge_that_admits_something_else_and_the_answer_says_what(
    cell, told
):
    cell.say(F.FORWARDING, told)
    answer = cell.arm()
    words = why_not_agreed(told, SHIPPED)
    assert words and (answer.ok, answer.message) == (False, f"not armed: {words}")
    cell.say(F.FORWARDING)
    assert cell.arm().ok


@pytest.mark.parametrize("told", OTHERS)
def test_motion_is_stopped_when_the_bridge_turns_out_to_admit_something_else(cell, told):
    cell.drive()
    end_ns = cell.machine.brakes.playback.end_ns()
    cell.say(F.FORWARDING, told)
    ((words, output),) = cell.ended
    assert words == why_not_agreed(told, SHIPPED)
    assert (output.report.state, output.report.reasons) == (S.BRAKING, Reason.WATCHDOG)
    assert output.trajectory.start_ns + output.trajectory.duration_s * NS < end_ns
    cell.on(1.5)
    assert (cell.state, cell.at_rest, words in cell.sentence) == (S.HOLD, True, True)
