"""A task through the real nodes and a simulated arm: how it ends, and that nothing moves then."""

import signal

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mujoco")

from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Duration
from rclpy.action import ActionClient
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from wam_ros.action import ExecuteTask
from wam_ros.core.task import TaskEnd
from wam_ros.core.types import SafetyState
from wam_ros.msg import Appraisal, SafetyReport, TaskState
from wam_ros.nodes.task_node import TaskNode
from wam_ros.ros import qos
from wam_ros.srv import GetActionChunk, SetInstruction, StartTask

from .conftest import Arena

pytestmark = pytest.mark.ros
PATIENCE_S = 90.0
RED = "reach the red marker"
BLUE = "reach the blue marker"
AROUND = "go round"  # no marker is named: the script never comes to an end
STILL = 0.02  # rad/s


class Loop:
    """The loop with the script as its model; the task node is in this process."""

    def __init__(self, arena):
        self.arena = arena
        lockstep = {"lockstep": True, "use_sim_time": True}
        beats = {**lockstep, "heartbeat_s": 2.0}
        arena.spawn("sim_node", lockstep=True, camera_hz=10.0, rate=2.0, task="reach")
        arena.spawn("camera_node", **lockstep)
        arena.spawn("safety_node", **beats)
        arena.spawn("bridge_node", **beats)
        self.infer()
        self.node = arena.add(TaskNode, use_sim_time=True, silence_s=4.0)
        self.client = ActionClient(arena.observer, ExecuteTask, "execute_task")
        self.reports = arena.listen(SafetyReport, "safety_report", qos.STATUS)
        self.states = arena.listen(TaskState, "task_state", qos.LATCHED)
        self.appraisals = arena.listen(Appraisal, "appraisal", qos.STATUS)
        self.joints = arena.listen(JointState, "joint_states", qos.STATUS)
        self.estop = arena.observer.create_publisher(Bool, "estop", qos.LATCHED)
        self.feedback = []
        heard = self.node._loop
        self.until(lambda: self.reports and self.joints and self.client.server_is_ready())
        self.until(lambda: heard.inferring and heard.report is not None)
        arena.until_forwarding()

    def infer(self):
        self.arena.spawn("inference_node", lockstep=True, use_sim_time=True, model="reach")

    def until(self, condition, seconds=PATIENCE_S):
        self.arena.until(condition, seconds=seconds)

    def call(self, kind, service, **fields):
        client = self.arena.observer.create_client(kind, service)
        self.until(client.service_is_ready)
        future = client.call_async(kind.Request(**fields))
        self.until(future.done)
        self.arena.observer.destroy_client(client)
        return future.result()

    @property
    def state(self):
        return SafetyState(self.reports[-1].state) if self.reports else None

    @property
    def moving(self):
        return bool(np.abs(self.joints[-1].velocity).max() > STILL)

    def arm(self):
        """Reset what latched, and arm at rest."""
        self.call(SetBool, "safety_node/arm", data=False)
        self.until(lambda: not self.moving)

        def armed():
            if self.state in (SafetyState.ESTOP, SafetyState.FAULT):
                self.call(Trigger, "safety_node/reset")
            return self.call(SetBool, "safety_node/arm", data=True).success

        self.until(armed)
        self.until(lambda: self.state == SafetyState.ARMED)

    def send(self, instruction, then=(), timeout_s=0.0):
        """A goal that was accepted; its handle."""
        goal = ExecuteTask.Goal(instruction=instruction, then=list(then))
        goal.timeout = Duration(sec=int(timeout_s), nanosec=round(timeout_s % 1 * 1e9))
        self.feedback = []
        sent = self.client.send_goal_async(
            goal, feedback_callback=lambda m: self.feedback.append(m.feedback)
        )
        self.until(sent.done)
        assert sent.result().accepted
        return sent.result()

    def result(self, handle):
        got = handle.get_result_async()
        self.until(got.done)
        return got.result().status, got.result().result

    def require_no_motion(self):
        """The arm stands where it is, though a moment of the world's time goes by."""
        self.until(lambda: not self.moving)
        q = np.array(self.joints[-1].position)
        begun = len(self.joints)
        self.until(lambda: len(self.joints) > begun + 60)
        assert np.abs(np.array(self.joints[-1].position) - q).max() < 2e-3


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    with Arena(tmp_path_factory.mktemp("loop")) as arena:
        yield Loop(arena)


def test_not_armed_is_refused_in_words_and_the_model_is_told_nothing(loop):
    loop.until(lambda: loop.state == SafetyState.HOLD)
    status, result = loop.result(loop.send(RED))
    assert (status, result.reason) == (GoalStatus.STATUS_ABORTED, TaskEnd.REFUSED)
    assert "arm" in result.message
    answer = loop.call(StartTask, "task_node/start", instruction=RED)
    assert not answer.ok and "arm" in answer.message


def test_words_that_cannot_be_read_are_refused_by_the_model(loop):
    loop.arm()
    status, result = loop.result(loop.send("reach\tthe \x07 marker"))
    assert (status, result.reason) == (GoalStatus.STATUS_ABORTED, TaskEnd.REFUSED)
    assert "cannot be shown" in result.message
    loop.require_no_motion()


def test_two_instructions_succeed_one_after_the_other_and_then_nothing_moves(loop):
    loop.arm()
    status, result = loop.result(loop.send(RED, then=[BLUE]))
    assert (status, result.reason) == (GoalStatus.STATUS_SUCCEEDED, TaskEnd.SUCCEEDED), (
        result.message
    )
    assert result.succeeded == 2 and result.elapsed_s > 1.0
    assert {f.instruction for f in loop.feedback} == {RED, BLUE}
    assert loop.feedback[-1].chunks > 3 and loop.feedback[-1].safety_state == SafetyState.ARMED
    assert loop.state == SafetyState.ARMED, "held, not disarmed"
    loop.require_no_motion()
    loop.until(lambda: not loop.states[-1].running)
    assert loop.states[-1].reason == TaskEnd.SUCCEEDED and loop.states[-1].instruction == BLUE


def test_a_cancelled_task_stops_the_arm_and_says_who_wanted_it(loop):
    loop.arm()
    handle = loop.send(AROUND)
    loop.until(lambda: loop.moving)
    chunk = loop.call(GetActionChunk, "task_node/get_action_chunk", instruction=AROUND)
    assert chunk.ok and chunk.chunk.instruction == AROUND and chunk.done == 0.0
    assert not loop.call(GetActionChunk, "task_node/get_action_chunk", instruction=RED).ok
    cancelled = handle.cancel_goal_async()
    loop.until(cancelled.done)
    status, result = loop.result(handle)
    assert (status, result.reason) == (GoalStatus.STATUS_CANCELED, TaskEnd.CANCELED)
    assert not loop.moving
    loop.require_no_motion()


def test_time_that_is_up_ends_a_task(loop):
    loop.arm()
    status, result = loop.result(loop.send(AROUND, timeout_s=1.5))
    assert (status, result.reason) == (GoalStatus.STATUS_ABORTED, TaskEnd.TIMEOUT)
    assert 1.5 <= result.elapsed_s < 3.0
    loop.require_no_motion()


def test_a_second_goal_takes_over_and_a_refused_one_does_not(loop):
    loop.arm()
    first = loop.send(AROUND)
    loop.until(lambda: loop.moving)
    refused = loop.call(StartTask, "task_node/start", instruction="")
    assert not refused.ok and "empty" in refused.message
    second = loop.send(RED)
    status, result = loop.result(first)
    assert (status, result.reason) == (GoalStatus.STATUS_ABORTED, TaskEnd.PREEMPTED)
    status, result = loop.result(second)
    assert (status, result.reason) == (GoalStatus.STATUS_SUCCEEDED, TaskEnd.SUCCEEDED)


def test_an_instruction_of_somebody_else_ends_the_task_and_is_followed(loop):
    loop.arm()
    assert loop.call(StartTask, "task_node/start", instruction=AROUND).ok
    loop.until(lambda: loop.moving)
    loop.call(SetInstruction, "inference_node/set_instruction", instruction=BLUE)
    loop.until(lambda: not loop.states[-1].running)
    assert loop.states[-1].reason == TaskEnd.PREEMPTED and BLUE in loop.states[-1].sentence
    loop.until(lambda: loop.appraisals[-1].instruction == BLUE and loop.appraisals[-1].done == 1.0)


def test_the_emergency_stop_ends_a_task_and_after_the_reset_it_is_not_followed_any_more(loop):
    loop.arm()
    handle = loop.send(AROUND)
    loop.until(lambda: loop.moving)
    loop.estop.publish(Bool(data=True))
    status, result = loop.result(handle)
    assert (status, result.reason) == (GoalStatus.STATUS_ABORTED, TaskEnd.STOPPED)
    assert "emergency stop" in result.message
    loop.estop.publish(Bool(data=False))
    loop.arm()
    loop.require_no_motion()


def test_a_model_that_is_killed_in_the_middle_fails_the_task_and_the_arm_is_held(loop):
    loop.arm()
    handle = loop.send(AROUND)
    loop.until(lambda: loop.moving)
    loop.arena.processes["inference_node"].send_signal(signal.SIGKILL)
    status, result = loop.result(handle)
    assert (status, result.reason) == (GoalStatus.STATUS_ABORTED, TaskEnd.FAILED)
    assert "inference_node" in result.message
    loop.require_no_motion()
