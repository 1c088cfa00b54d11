"""Tasks: follows an instruction until it is done, failed, stuck or stopped, and then holds the arm.

A process of its own: whoever says how a task ended must outlive what the task fails of.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from std_srvs.srv import Trigger

from wam_ros.action import ExecuteTask
from wam_ros.core.appraisal import Appraisal
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.task import Task, TaskEnd, TaskState
from wam_ros.core.types import BridgeState, SafetyReport
from wam_ros.msg import ActionChunk
from wam_ros.msg import TaskState as TaskStateMsg
from wam_ros.robot.joints import load_joints
from wam_ros.ros import convert, qos
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.running import run_node
from wam_ros.ros.task_node.loop import Loop
from wam_ros.ros.task_node.parameters import TaskParams
from wam_ros.ros.task_node.run import Run, Step
from wam_ros.srv import GetActionChunk, StartTask

_LOOK_S = 0.02  # between two looks at answers that are waited for


class TaskNode(WamNode):
    """Wires the action `execute_task` and its twins to the loop."""

    def __init__(self, **options: Any) -> None:
        super().__init__("task_node", TaskParams, **options)
        self._server: ActionServer | None = None

    def configure(self) -> None:
        """Listen to the loop, and offer tasks."""
        p: TaskParams = self.params
        robot = load_embodiment(p.embodiment)
        joints = load_joints(robot).urdf.joints
        self._sliding = np.array([joints[name].sliding for name in robot.joint_names])
        self._run: Run | None = None  # that the arm follows, or that is letting go of it
        self._next: Run | None = None  # that follows it
        self._told: TaskState | None = None
        self._told_ns = 0
        self._loop = Loop(
            node=self,
            robot=robot,
            silence_s=p.silence_s,
            on_appraisal=self._on_appraisal,
            on_report=self._on_report,
            on_bridge=self._on_bridge,
            on_chunk=self._on_chunk,
        )
        self._state = self.create_lifecycle_publisher(TaskStateMsg, "task_state", qos.LATCHED)
        # an answer that is waited for must not hold up what it waits for
        meanwhile = ReentrantCallbackGroup()
        self.create_service(StartTask, "~/start", self._on_start, callback_group=meanwhile)
        self.create_service(Trigger, "~/cancel", self._on_cancel)
        self.create_service(GetActionChunk, "~/get_action_chunk", self._on_get_chunk)
        self._server = ActionServer(
            self,
            ExecuteTask,
            "execute_task",
            execute_callback=self._execute,
            goal_callback=lambda _goal: GoalResponse.ACCEPT if self.active else GoalResponse.REJECT,
            cancel_callback=lambda _goal: CancelResponse.ACCEPT,
        )

    def activate(self) -> None:
        """Take goals."""
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(_LOOK_S, self._look, clock=steady)
        self._publish(TaskState())

    def deactivate(self) -> None:
        """End what runs: nobody would."""
        for run in (self._run, self._next):
            if run is not None:
                run.task.finish(TaskEnd.FAILED, "task_node ends", self._now_ns())
                run.look(self._now_ns())
        self.destroy_timer(self._timer)

    def cleanup(self) -> None:
        """Take the action away."""
        if self._server is not None:
            self._server.destroy()
            self._server = None

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _begin(self, instruction: str, then: list[str], timeout_s: float) -> Run:
        """A task that begins as soon as the one before lets go; of those that wait the newest."""
        p: TaskParams = self.params
        task = Task((instruction, *then), timeout_s, p.judge(), self._sliding)
        run = Run(task, self._loop, p.call_timeout_s, p.rest_timeout_s)
        if self._next is not None:
            self._next.task.finish(TaskEnd.PREEMPTED, "by a newer task", self._now_ns())
            self._next.look(self._now_ns())
        self._next = run
        most = p.most_instructions
        if len(task.instructions) > most:
            run.task.finish(
                TaskEnd.REFUSED, f"{len(task.instructions)} instructions, at most {most}", 0
            )
        elif not 0 <= timeout_s <= (p.max_timeout_s or float("inf")):
            words = f"a timeout of {timeout_s:g} s, at most {p.max_timeout_s:g} s is allowed"
            run.task.finish(TaskEnd.REFUSED, words, 0)
        self._look()
        return run

    def _look(self) -> None:
        now_ns = self._now_ns()
        if self._run is not None:
            self._run.look(now_ns)
            if self._run.step == Step.OVER:
                self._close(self._run)
                self._run = None
        new = self._next
        if new is not None:
            if new.step == Step.WAIT and not new.task.over:
                if self._run is None or not self._run.holds_on:
                    new.start(now_ns)
            else:
                new.look(now_ns)
            self._take_over(new, now_ns)
        self._tell(now_ns)

    def _take_over(self, new: Run, now_ns: int) -> None:
        """The newer task takes the place of the one before once the model follows it."""
        if new.step == Step.OVER:
            self._next = None
            self._close(new)
        elif new.step == Step.FOLLOW:
            if self._run is not None:
                self._run.task.finish(TaskEnd.PREEMPTED, "by a newer task", now_ns)
                self._run.look(now_ns)
                self._close(self._run)
            self._run = new
            self._next = None

    def _close(self, run: Run) -> None:
        task = run.task
        self.get_logger().info(
            f"task '{task.instruction}': {task.end.name.lower()}, {task.message}"
        )
        if self._next is None and self._run in (None, run):
            self._publish(task.state("", self._now_ns()))

    def _tell(self, now_ns: int) -> None:
        run = self._run or self._next
        since_ns = now_ns - self._told_ns
        if run is None or 0 <= since_ns < 1e9 / self.params.feedback_hz:
            return
        self._publish(run.task.state(run.sentence, now_ns))

    def _publish(self, state: TaskState) -> None:
        self._told_ns = self._now_ns()
        self._state.publish(convert.task_state_to_msg(state, self._told_ns))

    # What the loop says concerns the task that the arm follows.

    def _on_appraisal(self, appraisal: Appraisal, q: np.ndarray) -> None:
        run = self._run
        if run is not None and run.step == Step.FOLLOW:
            if run.task.on_appraisal(appraisal, q, self._now_ns()):
                run.next()
            self._look()

    def _on_report(self, report: SafetyReport) -> None:
        if self._run is not None:
            self._run.task.on_report(report, self._now_ns())

    def _on_bridge(self, state: BridgeState) -> None:
        if self._run is not None:
            self._run.task.on_bridge(state, self._now_ns())

    def _on_chunk(self, chunk: ActionChunk) -> None:
        run = self._run
        if run is None or run.step != Step.FOLLOW:
            return
        if not run.task.why_not_mine(chunk.epoch, chunk.instruction, self._now_ns()):
            run.task.chunks += chunk.epoch == run.task.epoch

    async def _execute(self, handle: Any) -> ExecuteTask.Result:
        goal = handle.request
        run = self._begin(goal.instruction, list(goal.then), convert.time_to_ns(goal.timeout) / 1e9)
        follow = self.create_timer(
            1 / self.params.feedback_hz,
            lambda: self._feed(handle, run),
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        try:
            await run.over
        finally:
            self.destroy_timer(follow)
        task = run.task
        if task.end == TaskEnd.SUCCEEDED:
            handle.succeed()
        elif task.end == TaskEnd.CANCELED and handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()
        return ExecuteTask.Result(
            reason=int(task.end),
            message=task.message,
            elapsed_s=task.elapsed_s(self._now_ns()),
            succeeded=task.succeeded,
        )

    def _feed(self, handle: Any, run: Run) -> None:
        """Tell the caller how it goes, and hear whether he wants no more of it."""
        now_ns = self._now_ns()
        task = run.task
        if handle.is_cancel_requested:
            task.finish(TaskEnd.CANCELED, "by the caller", now_ns)
        if not handle.is_active or task.over:
            return
        state = 0 if self._loop.report is None else int(self._loop.report.state)
        handle.publish_feedback(
            ExecuteTask.Feedback(
                safety_state=state,
                chunks=task.chunks,
                elapsed_s=task.elapsed_s(now_ns),
                instruction=task.instruction,
                progress=task.progress,
                surprise=task.surprise,
                sentence=run.sentence,
            )
        )

    async def _on_start(self, request: Any, response: Any) -> Any:
        if not self.active:
            response.message = "task_node is not active"
            return response
        run = self._begin(request.instruction, list(request.then), request.timeout)
        response.ok, response.message = await run.begun
        return response

    def _on_cancel(self, request: Any, response: Any) -> Any:
        runs = [run for run in (self._run, self._next) if run is not None and not run.task.over]
        for run in runs:
            run.task.finish(TaskEnd.CANCELED, "by the service cancel", self._now_ns())
        response.success = bool(runs)
        response.message = "stopping" if runs else "no task runs"
        return response

    def _on_get_chunk(self, request: Any, response: Any) -> Any:
        chunk = self._loop.chunk
        told = self._loop.appraisal
        response.done = response.failed = response.surprise = float("nan")
        if told is not None:
            response.done = told.done
            response.failed = told.failed
            response.surprise = told.surprise
        if chunk is None:
            response.message = "no chunk yet"
            return response
        end_ns = convert.time_to_ns(chunk.header.stamp) + chunk.n_steps * convert.time_to_ns(
            chunk.step_period
        )
        if request.instruction and request.instruction != chunk.instruction:
            response.message = f"the newest chunk follows '{chunk.instruction}'"
        elif end_ns <= self._now_ns():
            response.message = "every step of the newest chunk is past"
        else:
            response.ok = True
            response.chunk = chunk
        return response


def main() -> None:
    """Entry point of `ros2 run wam_ros task_node`."""
    run_node(TaskNode)


if __name__ == "__main__":
    main()
