"""From safe trajectories to what the arm's controller speaks. Stops passing anything when the
safety node is silent.
"""

from __future__ import annotations

import gc
import time
from typing import Any

from rclpy.clock import Clock, ClockType
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from wam_ros.core.admission import Admission
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.types import SafetyState
from wam_ros.msg import ActionChunk, SafetyReport
from wam_ros.ros import convert, qos
from wam_ros.ros.bridge_node.believed import Believed
from wam_ros.ros.bridge_node.diagnostics import BridgeDiagnostics
from wam_ros.ros.bridge_node.home import HomeSequence
from wam_ros.ros.bridge_node.outputs import Outputs
from wam_ros.ros.bridge_node.parameters import BridgeParams, make_bridge
from wam_ros.ros.controllers.base import ControllerParams
from wam_ros.ros.fields import HEADER, read_header
from wam_ros.ros.joint_topics import LatestJoints
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.progress import LockstepParams, ProgressTeller
from wam_ros.ros.running import run_node

POLL_S = 0.2  # between two looks for controllers that have appeared
INACTIVE = False, "the bridge is not active"
LATCHED = {state.value: state.name for state in (SafetyState.FAULT, SafetyState.ESTOP)}
ADMIT_NS = 1_500_000  # about what it takes to admit a trajectory
WATCH_HZ = 20.0  # by the steady clock, while a world in lock-step stands


class BridgeNode(WamNode):
    """Wires a `Bridge` between the safety node and the controllers."""

    def __init__(self, **options) -> None:
        classes = (BridgeParams, Admission, ControllerParams, LockstepParams)
        super().__init__("bridge_node", *classes, **options)

    def configure(self) -> None:
        """Read limits and choose the controllers by name."""
        p: BridgeParams = self.params
        robot = load_embodiment(p.embodiment)
        self._progress = ProgressTeller(self, self._on_clock)
        # in lock-step each tick of the world's clock is one of the bridge; the others keep watch
        self._rate_hz = WATCH_HZ if self._progress.enabled else p.rate_hz
        self._outputs = Outputs(
            self, robot, (p.controller, p.gripper), (p.controller_name, p.gripper_name), p.rate_hz
        )
        self._bridge = make_bridge(robot, p, self.params_of(Admission), self._outputs.streams)
        self._gate = self._bridge.gate
        self._diagnostics = BridgeDiagnostics(self, robot, self._rate_hz, self._figures)
        self._heard: bool | None = None
        self._ticks = self._passed = self._refused = 0
        self._poll_ticks = max(1, round(self._rate_hz * POLL_S))
        self._believed = Believed(self, self._bridge)
        self._trajectories = self._believed.watch(
            self.create_subscription(
                JointTrajectory, "safe_trajectory", self._on_trajectory, qos.TRAJECTORY, raw=True
            )
        )
        self._reports = self._believed.watch(
            self.create_subscription(SafetyReport, "safety_report", self._on_report, qos.STATUS)
        )
        # looked at when they are wanted: they need not wake the process
        self._joints = LatestJoints(self, robot)
        self.create_subscription(ActionChunk, "action_chunk", self._diagnostics.on_chunk, qos.CHUNK)
        self._home = HomeSequence(
            self, robot, self._gate.limits, p.home_speed, lambda: self._gate.measured
        )
        self.create_service(SetBool, "~/pause", self._on_pause)
        self.create_service(Trigger, "~/home", self._on_home)
        gc.collect()
        gc.freeze()  # what stays for good is not walked again between two ticks

    def activate(self) -> None:
        """Open the gate and start telling what is commanded."""
        self._bridge.pause(False)
        self._arrived: list[bytes] = []  # trajectories that wait for a tick
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # the ROS clock may be what fails
        self._timer = self.create_timer(1 / self._rate_hz, self._on_tick, clock=steady)
        self._progress.start()

    def deactivate(self) -> None:
        """Close the gate; what a controller plays comes to its rest, what is streamed is led
        there.
        """
        self._progress.stop()
        self.destroy_timer(self._timer)
        self._bridge.shut()
        self._admit_waiting()  # it may be what stops the arm sooner; nothing else passes any more
        while self._bridge.moving:
            self._tick()
            time.sleep(1 / self.params.rate_hz)
        self._diagnostics.publish_state(self._bridge)
        self._outputs.stop()

    def cleanup(self) -> None:
        """Let go of the controllers."""
        gc.unfreeze()
        if outputs := self.__dict__.pop("_outputs", None):
            outputs.close()

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _on_trajectory(self, data: bytes, info: Any) -> None:
        """Look at it now, or just after the tick that it would hold up: a stream of commands keeps
        its rhythm.
        """
        why = self._believed.why_not_believed(self._trajectories, info, time.monotonic_ns())
        if why:
            self._refused += 1
            self._diagnostics.report_fault(why, f"refused: {why}")
            self._dealt_with(data)
        elif self.active:
            self._arrived.append(data)
            if self._timer.time_until_next_call() >= ADMIT_NS:
                self._admit_waiting()

    def _admit_waiting(self) -> None:
        while self._arrived:
            data = self._arrived.pop(0)
            self._admit(data)
            self._dealt_with(data)

    def _dealt_with(self, data: bytes) -> None:
        """Whatever became of a trajectory, a world in lock-step need not wait for it any more."""
        if self._progress.enabled and len(data) >= HEADER:
            self._progress.heard = read_header(data)[0]
            self._progress.tell()

    def _admit(self, data: bytes) -> None:
        # the safety node made it of joints that have come here, too, perhaps since the last tick
        self._hear_joints()
        now_ns = self._now_ns()
        try:
            proposed = convert.trajectory_from_wire(data)
            sender = convert.sender_from_wire(data)
            trajectory, reason = self._bridge.admit(proposed, now_ns, time.monotonic_ns(), sender)
        except WamError as error:
            trajectory = None
            reason = f"malformed trajectory: {error}"
        if trajectory is None:
            self._refused += 1
            words = f"refused: {reason}; the arm is at rest in {self._gate.rest_in_s(now_ns):.2f} s"
            return self._diagnostics.report_fault(reason, words)
        self._passed += 1
        self._diagnostics.cause = ""
        self._outputs.send(trajectory)
        if not self._outputs.streams:
            self._progress.said = trajectory.start_ns
        self._diagnostics.trace.on_safe(proposed.chunk_seq, proposed.start_ns, now_ns)
        self._diagnostics.trace.on_command(proposed.chunk_seq, self._now_ns())

    def _on_report(self, msg: SafetyReport, info: Any) -> None:
        why = self._believed.why_not_believed(self._reports, info, time.monotonic_ns())
        if why:
            return self._diagnostics.report_fault(why)
        before = self._bridge.why_not_open
        commands = self._bridge.on_report(
            msg.header.frame_id,
            time.monotonic_ns(),
            convert.admission_from_msg(msg.admission),
            LATCHED.get(msg.state, ""),
        )
        closed = self._bridge.why_not_open
        if closed and not (commands and closed == before):
            self._diagnostics.report_fault(closed)
        try:
            self._home.on_report(msg, self._gate.rest_in_s(self._now_ns()))
        # of another version: a sign of life all the same, and no reason to drop the arm
        except WamError as error:
            self.get_logger().error(str(error), throttle_duration_sec=2.0)

    def _hear_joints(self) -> None:
        try:
            if (state := self._joints.take()) is None:
                return
        except WamError as error:
            return self.get_logger().error(str(error), throttle_duration_sec=2.0)
        self._bridge.on_joints(state)
        self._diagnostics.publish_measured(state)
        self._diagnostics.trace.lag_s = self._bridge.lag.servo.lag_s

    def _on_tick(self) -> None:
        self._diagnostics.periods.on_tick(time.monotonic_ns())
        self._tick()
        self._admit_waiting()
        self._ticks += 1
        if self._ticks % self._poll_ticks == 0:
            self._look_around()
        if self._ticks % round(self._rate_hz) == 0:
            self._diagnostics.publish(
                self._bridge.why_not_open or self._diagnostics.cause, self._outputs.warnings
            )

    def _look_around(self) -> None:
        """See which controllers there are, who else commands them, whether there are too many."""
        before = self._bridge.why_not_open
        self._outputs.poll()
        self._bridge.distrust("commanders", self._outputs.rivals)
        self._bridge.distrust("controllers", self._outputs.doubles, for_good=False)
        if (closed := self._bridge.why_not_open) and closed != before:
            self._diagnostics.report_fault(closed)

    def _on_clock(self) -> None:
        """A world in lock-step has gone on: it waits until this is done."""
        if self.active:
            self._tick()
            self._admit_waiting()

    def _tick(self) -> None:
        """One look at clocks, controllers and the safety node, and one command where one is
        streamed.
        """
        self._hear_joints()
        now_ns = self._now_ns()
        steady_ns = time.monotonic_ns()
        before = self._bridge.why_not_open
        self._believed.look(steady_ns, again=self._ticks % self._poll_ticks == 0)
        commanded = self._bridge.tick(now_ns, steady_ns, self._outputs.why_not_ready)
        self._outputs.stream(now_ns, commanded, self._gate.measured)
        if commanded is not None:
            self._diagnostics.publish_commanded(now_ns, commanded)
        arm, gripper = self._outputs.failures()
        if arm:  # a gripper that fails stops nothing
            self._bridge.on_failure()
        for words in (arm, gripper, self._bridge.why_not_open):
            if words and words != before:
                self._diagnostics.report_fault(words)
        self._watch(steady_ns)
        self._diagnostics.publish_state(self._bridge)

    def _watch(self, steady_ns: int) -> None:
        """Say once that the safety node fell silent, and once that it is back."""
        silence = self._gate.why_not_heard(steady_ns)
        if self._heard is not None and self._heard != bool(silence):
            return
        self._heard = not silence
        if silence:
            return self._diagnostics.report_fault(silence, f"{silence}: nothing more is forwarded")
        self._diagnostics.cause = ""
        self.get_logger().info("the safety node is heard")

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if not self.active:
            return self._answer(response, *INACTIVE)
        self._bridge.pause(request.data)
        paused = f"paused; the arm is at rest in {self._gate.rest_in_s(self._now_ns()):.2f} s"
        return self._answer(response, True, paused if request.data else "forwarding again")

    def _on_home(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, *(self._home.start() if self.active else INACTIVE))

    def _answer(self, response, success: bool, message: str):
        response.success = success
        response.message = message
        self.get_logger().info(message)
        return response

    def _figures(self) -> dict[str, object]:
        player = self._bridge.player
        late = self._diagnostics.periods.late
        return {
            "passed": self._passed,
            "refused": self._refused,
            "overruns": player.overruns if player else late(self._gate.admission.deadline_s),
            "controllers": self._outputs.listeners(),
            "rest_in_s": f"{self._gate.rest_in_s(self._now_ns()):.2f}",
            "home": self._home.step.value,
        }


def main() -> None:
    """Run the node until it is told to stop."""
    run_node(BridgeNode)


if __name__ == "__main__":
    main()
