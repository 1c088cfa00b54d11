"""When a task has ended, and why."""

import numpy as np
import pytest

from wam_ros.core.appraisal import Appraisal, Outlook
from wam_ros.core.task import Heard, JudgeParams, OutcomeJudge, Task, TaskEnd
from wam_ros.core.types import (
    NS,
    BridgeState,
    Decision,
    Forwarding,
    SafetyReport,
    SafetyState,
)

STEP = NS // 10
SLIDING = np.array([False, False, True])
Q = np.zeros(3)
DONE = Outlook(done=0.9, failed=0.0, done_ahead=0.9, failed_ahead=0.0)
LOST = Outlook(done=0.0, failed=0.9, done_ahead=0.0, failed_ahead=0.9)
GOING = Outlook(done=0.0, failed=0.0, done_ahead=0.2, failed_ahead=0.0)


def judged(outlooks, joints=None):
    """What a judge says after each of these, a tenth of a second apart."""
    judge = OutcomeJudge(JudgeParams(), SLIDING)
    joints = joints or [Q + 0.1 * k for k in range(len(outlooks))]
    rows = zip(outlooks, joints, strict=True)
    return [judge.look(k * STEP, o, q)[0] for k, (o, q) in enumerate(rows)]


def test_done_is_what_the_model_says_of_now_and_of_what_is_to_come_for_a_while():
    assert judged([DONE] * 3) == [0, 0, TaskEnd.SUCCEEDED]
    assert TaskEnd.SUCCEEDED not in judged([DONE, GOING] * 4)
    only_now = Outlook(done=0.9, failed=0.0, done_ahead=0.1, failed_ahead=0.0)
    only_then = Outlook(done=0.1, failed=0.0, done_ahead=0.9, failed_ahead=0.0)
    assert not any(judged([only_now] * 9)) and not any(judged([only_then] * 9))


def test_an_observation_of_which_the_model_says_nothing_breaks_nothing():
    assert judged([DONE, Outlook(), DONE])[-1] == TaskEnd.SUCCEEDED


def test_failed_takes_longer_to_be_believed_and_a_doubt_in_between_does_not_undo_it():
    assert judged([LOST] * 7) == [0] * 6 + [TaskEnd.FAILED]
    assert judged([LOST, LOST, GOING] * 3)[6] == TaskEnd.FAILED
    assert TaskEnd.FAILED not in judged([LOST, GOING] * 9)


def test_a_word_that_is_taken_back_is_not_believed():
    assert judged([LOST] * 6 + [GOING, LOST]) == [0] * 7 + [TaskEnd.FAILED]
    assert judged([GOING, DONE, DONE, GOING, DONE])[3:] == [0, 0]


def test_failed_is_what_is_seen_whatever_is_imagined_to_come_of_it():
    hoped = Outlook(done=0.0, failed=0.9, done_ahead=0.4, failed_ahead=0.0)
    assert judged([hoped] * 7) == [0] * 6 + [TaskEnd.FAILED]
    feared = Outlook(done=0.0, failed=0.0, done_ahead=0.0, failed_ahead=0.9)
    assert not any(judged([feared] * 9))


def test_an_arm_that_stays_within_a_small_range_for_three_seconds_is_stuck():
    shaking = [Q + 0.01 * (k % 2) * np.array([1, 1, 0.1]) for k in range(31)]
    assert judged([GOING] * 31, shaking) == [0] * 30 + [TaskEnd.STUCK]
    finger = [Q + np.array([0, 0, 0.005]) * (k % 2) for k in range(40)]
    assert not any(judged([GOING] * 40, finger)), "a finger that moves 5 mm works"


def test_a_model_that_says_nothing_is_told_so_when_the_arm_rests():
    judge = OutcomeJudge(JudgeParams(), SLIDING)
    end, words = [judge.look(k * STEP, Outlook(), Q) for k in range(31)][-1]
    assert end == TaskEnd.STUCK and "does not say whether it is done" in words


@pytest.fixture
def task():
    made = Task(("pick", "put"), 5.0, JudgeParams(), SLIDING)
    made.begin(3, 0)
    return made


def appraisal(k, outlook, epoch=3, instruction="pick"):
    return Appraisal(k * STEP, ("front",), epoch=epoch, instruction=instruction, outlook=outlook)


def feed(task, outlook, ks, epoch=3, instruction="pick"):
    return [
        task.on_appraisal(appraisal(k, outlook, epoch, instruction), Q + 0.1 * k, k * STEP)
        for k in ks
    ]


def test_the_next_instruction_is_given_when_the_one_before_is_done(task):
    assert feed(task, DONE, range(3)) == [False, False, True]
    assert (task.succeeded, task.instruction, task.over) == (1, "put", False)
    feed(task, DONE, range(3, 6))
    assert not task.over, "what is said before the model follows it does not count"
    task.begin(4, 6 * STEP)
    feed(task, DONE, range(4, 6), epoch=4, instruction="put")
    assert not task.over, "nor what was seen before"
    feed(task, DONE, range(6, 9), epoch=4, instruction="put")
    assert (task.end, task.succeeded, task.progress) == (TaskEnd.SUCCEEDED, 2, 1.0)


def test_the_first_reason_stays(task):
    hold = SafetyReport(0, 0, SafetyState.ESTOP, Decision.UNKNOWN, sentence="pressed")
    task.on_report(hold, STEP)
    feed(task, LOST, range(9))
    task.on_time(100 * NS, 100.0, (Heard("inference_node", 0.0, 1.0),))
    assert not task.finish(TaskEnd.CANCELED, "late", 2 * STEP)
    assert (task.end, task.message) == (TaskEnd.STOPPED, "pressed")
    assert task.elapsed_s(100 * NS) == pytest.approx(0.1)


@pytest.mark.parametrize("state", [s for s in SafetyState if s.name not in ("ARMED", "BRAKING")])
def test_an_arm_that_may_not_move_ends_it_a_brake_does_not(task, state):
    task.on_report(SafetyReport(0, 0, SafetyState.BRAKING, Decision.UNKNOWN), 0)
    assert not task.over
    task.on_report(SafetyReport(0, 0, state, Decision.UNKNOWN), 0)
    assert task.end == TaskEnd.STOPPED and task.message


def test_a_paused_bridge_ends_it(task):
    task.on_bridge(BridgeState(Forwarding.FORWARDING, ""), 0)
    assert not task.over
    task.on_bridge(BridgeState(Forwarding.PAUSED, "a person paused"), 0)
    assert (task.end, task.message) == (TaskEnd.STOPPED, "a person paused")


def test_time_is_counted_for_each_instruction_anew(task):
    task.on_time(4 * NS, 0.0, ())
    task.begin(4, 4 * NS)
    task.on_time(8 * NS, 0.0, ())
    assert not task.over
    task.on_time(9 * NS, 0.0, ())
    assert task.end == TaskEnd.TIMEOUT
    forever = Task(("pick",), 0.0, JudgeParams(), SLIDING)
    forever.begin(1, 0)
    forever.on_time(10**6 * NS, 0.0, ())
    assert not forever.over


def test_who_is_needed_and_silent_fails_it_by_name(task):
    task.on_time(0, 10.0, (Heard("safety_node", 9.5, 1.0), Heard("inference_node", 8.0, 1.0)))
    assert task.end == TaskEnd.FAILED and "inference_node" in task.message


def test_another_instruction_ends_it_and_a_mere_reset_does_not(task):
    assert not task.why_not_mine(4, "pick", 0)
    assert not task.over and task.epoch == 4
    assert "'put it away'" in task.why_not_mine(5, "put it away", 0)
    assert task.end == TaskEnd.PREEMPTED
