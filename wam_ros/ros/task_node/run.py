"""The steps of one task: ask the model, follow how it goes, and in the end hold the arm."""

from __future__ import annotations

import enum
import time
from typing import Any

import numpy as np
from rclpy.task import Future
from std_srvs.srv import Trigger

from wam_ros.core.task import Task, TaskEnd
from wam_ros.ros.task_node.loop import Loop, Question
from wam_ros.srv import HandOver, SetInstruction


class Step(enum.Enum):
    """What is waited for."""

    WAIT = "waiting for the task before it to let go"
    ASK = "waiting for the model to take the instruction"
    FOLLOW = "following"
    HOLD = "waiting for the safety node to stop the arm"
    REST = "waiting for the arm to rest"
    OVER = "over"


class Run:
    """One task on its way through the loop.

    Args:
        task: what is to be done, and when it has ended.
        loop: it is done by.
        call_timeout_s: longest wait for an answer.
        rest_timeout_s: longest wait for the arm to rest.
    """

    def __init__(
        self, task: Task, loop: Loop, call_timeout_s: float, rest_timeout_s: float
    ) -> None:
        self.task = task
        self.step = Step.WAIT
        self.begun: Future = Future()  # (ok, message): whether the model took the instruction
        self.over: Future = Future()  # done when the arm is held
        self._loop = loop
        self._call_timeout_s = call_timeout_s
        self._rest_timeout_s = rest_timeout_s
        self._question: Question | None = None
        self._epoch = 0  # newest one that was followed
        self._session = b""
        self._until_s = 0.0
        self._held_reports = 0  # reports heard when the safety node had answered

    @property
    def holds_on(self) -> bool:
        """Whether another task must wait: what it was asked last would come after the other's."""
        return self.step not in (Step.WAIT, Step.FOLLOW, Step.OVER)

    def start(self, now_ns: int) -> None:
        """Ask the model, or say why not."""
        if why := self._loop.why_not_ready():
            self._refuse(why, now_ns)
        else:
            self._session = self._loop.session
            self._ask()

    def look(self, now_ns: int) -> None:
        """Go on; called often."""
        task = self.task
        task.on_time(now_ns, time.monotonic(), self._loop.heard())
        if self.step == Step.FOLLOW and self._session != self._loop.session:
            task.finish(TaskEnd.FAILED, "inference_node has begun anew", now_ns)
        if self.step == Step.ASK and self._question is not None and self._question.answered:
            self._asked(self._question.answer, now_ns)
        if task.over and self.step in (Step.WAIT, Step.FOLLOW):
            self._let_go()
        if self.step == Step.HOLD:
            self._look_at_hold()
        if self.step == Step.REST:
            self._look_at_rest()

    def next(self) -> None:
        """The instruction is done: give the next one."""
        self._epoch = max(self._epoch, self.task.epoch or 0)
        self._ask()

    @property
    def sentence(self) -> str:
        """What is going on."""
        if self.step != Step.FOLLOW:
            return self.step.value
        report = self._loop.report
        return f"following '{self.task.instruction}'; " + ("" if not report else report.sentence)

    def _ask(self) -> None:
        request = SetInstruction.Request(instruction=self.task.instruction)
        self._question = Question(self._loop.set_instruction, request, self._call_timeout_s)
        self.step = Step.ASK

    def _asked(self, answer: Any | None, now_ns: int) -> None:
        if answer is None:
            self._refuse("inference_node did not answer", now_ns)
        elif not answer.ok:
            self._refuse(answer.message, now_ns)
        else:
            self._epoch = answer.epoch
            self.task.begin(answer.epoch, now_ns)
            self.step = Step.FOLLOW
            if not self.begun.done():
                self.begun.set_result((True, f"following '{self.task.instruction}'"))

    def _refuse(self, why: str, now_ns: int) -> None:
        self.task.finish(TaskEnd.REFUSED, why, now_ns)
        self._let_go()

    def _let_go(self) -> None:
        """It has ended: hold the arm, unless it never moved it or another instruction does now.

        Chunks that are still on their way are void before the model hears that it may rest: it may
        be gone, or in the middle of a long prediction.
        """
        if not self.begun.done():
            self.begun.set_result((False, self.task.message))
        self._epoch = max(self._epoch, self.task.epoch or 0)
        if self._epoch == 0 or self.task.end == TaskEnd.PREEMPTED:
            return self._end()
        self._until_s = time.monotonic() + self._rest_timeout_s
        self._question = None
        if self._loop.safe:  # else it has stopped the arm itself, or the bridge has
            request = HandOver.Request(
                session_id=np.frombuffer(self._session, np.uint8), epoch=self._epoch + 1
            )
            self._question = Question(self._loop.hand_over, request, self._call_timeout_s)
        self._stand_by = Question(self._loop.stand_by, Trigger.Request(), self._call_timeout_s)
        self.step = Step.HOLD
        return None

    def _look_at_hold(self) -> None:
        if self._question is not None:
            if not self._question.answered:
                return
            answer = self._question.answer
            if answer is None or not answer.success:
                why = "it did not answer" if answer is None else answer.message
                self.task.message += f"; safety_node did not hold the arm: {why}"
        self._held_reports = self._loop.reports  # what was said before counts no more
        self.step = Step.REST

    def _look_at_rest(self) -> None:
        self._loop.look_at_joints()
        rests = self._loop.reports > self._held_reports and not self._loop.moving
        if rests and (self._stand_by.answered or not self._loop.inferring):
            self._end()
        elif time.monotonic() > self._until_s:
            if not rests:
                self.task.message += "; the arm was not seen to rest"
            self._end()

    def _end(self) -> None:
        self.step = Step.OVER
        self._question = None
        if not self.over.done():
            self.over.set_result(None)
