"""The only publisher of motion: judges chunks, proves stops, watches inputs. Small, alone in its
process, no torch.
"""

from __future__ import annotations

import functools
import gc
import time
from collections.abc import Mapping
from typing import Any

from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from wam_ros import msg as wam_msg
from wam_ros.core.admission import Admission
from wam_ros.core.drivers import WholeStates
from wam_ros.core.errors import WamError
from wam_ros.core.types import NS, Decision, Reason, SafeTrajectory, SafetyReport, SafetyState
from wam_ros.ros import convert, qos
from wam_ros.ros.any_quality import AnyQuality
from wam_ros.ros.fields import HEADER, number_of, read_header, read_pressed
from wam_ros.ros.latest import Latest, serve_waiting
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.progress import LockstepParams, ProgressTeller
from wam_ros.ros.running import keep_memory, run_node
from wam_ros.ros.safety_node.bridge_listener import BridgeListener
from wam_ros.ros.safety_node.joint_publishers import name_publishers
from wam_ros.ros.safety_node.machine import make_machine, make_sender
from wam_ros.ros.safety_node.markers import MarkerPublisher
from wam_ros.ros.safety_node.moveit_scene import MoveItBackend, MoveItScene
from wam_ros.ros.safety_node.obstacles import ObstacleTopics
from wam_ros.ros.safety_node.parameters import SafetyNodeParams
from wam_ros.ros.safety_node.surroundings import SurroundingsPublisher
from wam_ros.safety.machine.bridge_watch import BridgeWatch
from wam_ros.safety.machine.machine import Answer, Emission
from wam_ros.safety.params import SafetyParams
from wam_ros.srv import HandOver

# After each stretch of work others get the processor for so long: from a real-time thread that
# never pauses the kernel takes it, 50 ms of a second at once, and nobody hears the stop meanwhile.
PAUSE_S = 2e-4


class SafetyNode(WamNode):
    """Wires a `SafetyMachine` to topics and services."""

    def __init__(self, **options) -> None:
        classes = (SafetyNodeParams, Admission, SafetyParams, LockstepParams)
        super().__init__("safety_node", *classes, **options)

    def configure(self) -> None:
        """Load the robot and its world; a missing limit or an unknown name fails here."""
        p = self.params
        margins = self.params_of(SafetyParams)
        if weakened := margins.weakened():
            self.get_logger().warning(f"guards less than as shipped: {'; '.join(weakened)}")
        self._progress = ProgressTeller(self, self._on_clock)
        waits = (lambda: self._now_ns() / NS) if self._progress.enabled else None
        self._machine, echo = make_machine(p, self.params_of(Admission), margins, waits)
        model = self._machine.model
        if slow := self._machine.filter.why_not_in_time():
            self.get_logger().warning(slow)
        for words in model.warnings:
            self.get_logger().warning(words)
        self._bridge_watch = BridgeWatch(self._machine, echo, p.arm_on_start)
        self._sender = make_sender(self.get_fully_qualified_name())
        self._malformed = self._reported_ns = 0
        self._trajectory_pub = self.create_publisher(
            JointTrajectory, "safe_trajectory", qos.TRAJECTORY
        )
        self._report_pub = self.create_publisher(wam_msg.SafetyReport, "safety_report", qos.STATUS)
        self._markers = MarkerPublisher(self, model, p.markers_hz, p.tf_prefix)
        self._surroundings = SurroundingsPublisher(self, model, p.tf_prefix)
        if p.collision_backend == "moveit":
            scene = MoveItScene(model, p.moveit_group, namespace=self.get_namespace())
            MoveItBackend(self, self._machine, self._emit, scene, p.moveit_hz)
        ObstacleTopics(
            node=self,
            machine=self._machine,
            emit=self._emit,
            serve=self._serve,
            voxel_m=p.cloud_voxel_m,
            lifetime_s=p.cloud_lifetime_s,
        )
        self.create_subscription(wam_msg.ActionChunk, "action_chunk", self._on_chunk, qos.CHUNK)
        self._whole = WholeStates(model.embodiment)
        self._joints = [
            self.create_subscription(
                JointState, topic, functools.partial(self._on_joints, topic), qos.EVERY_JOINT_STATE
            )
            for topic in self._whole.topics
        ]
        self._bridge = BridgeListener(self, model.joint_names, echo, self._bridge_watch, self._emit)
        # Only its stamp counts: it need not wake the process, least of all while a chunk is being
        # made of it.
        self._seen = Latest(self, wam_msg.Observation, "observation", reliable=True, raw=True)
        self.create_subscription(
            wam_msg.ImaginedFuture, "imagined_future", self._on_imagined, qos.OBSERVATION
        )
        self._estop = AnyQuality(self, Bool, "estop", self._on_estop, depth=10)
        arm = self.create_service(
            SetBool,
            "~/arm",
            lambda q, r: self._serve(r, self._bridge_watch.arm(q.data, self._now_ns())),
        )
        self.create_service(HandOver, "~/hand_over", self._on_hand_over)
        estop = self.create_service(
            Trigger, "~/estop", lambda q, r: self._serve(r, self._machine.estop(self._now_ns()))
        )
        self.create_service(
            Trigger, "~/reset", lambda q, r: self._serve(r, self._machine.reset(self._now_ns()))
        )
        self.create_service(
            Trigger,
            "~/forget_sources",
            lambda q, r: self._serve(r, self._machine.forget_sources(self._now_ns())),
        )
        self._stops = (estop, arm)
        self._machine.filter.attention.hear = self._look_up
        gc.collect()
        gc.freeze()  # what stays for good is not walked again in the middle of a motion

    def activate(self) -> None:
        """Begin to judge; nothing moves before `arm`."""
        self._machine.enable(self._now_ns())
        # the ROS clock may stand still or be set back
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(1 / self.params.tick_hz, self._on_tick, clock=steady)
        self._progress.start()

    def deactivate(self) -> None:
        """Stop the arm, then fall silent."""
        self._progress.stop()
        self.destroy_timer(self._timer)
        self._move(self._bridge_watch.disable(self._now_ns()).trajectory)
        self._surroundings.clear()

    def cleanup(self) -> None:
        """Let go of the robot and its world."""
        gc.unfreeze()
        self.__dict__.pop("_machine", None)

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _catch_up(self) -> None:
        """Hear the inputs that wait: a process that was held up itself must not call the robot
        silent.
        """
        for topic, heard in zip(self._whole.topics, self._joints, strict=True):
            with heard.handle:
                waiting = [heard.handle.take_message(JointState, False)]
                while waiting[-1] is not None and len(waiting) < qos.EVERY_JOINT_STATE.depth:
                    waiting.append(heard.handle.take_message(JointState, False))
            for taken in filter(None, waiting):
                self._on_joints(topic, *taken)
        if len(seen := self._seen.take() or b"") >= HEADER:
            self._machine.on_observation(read_header(seen)[0], self._now_ns())

    def _look_up(self) -> bool:
        """Pause in the middle of other work, and hear who may stop the arm; whether somebody
        did.
        """
        time.sleep(PAUSE_S)
        return self._hear_stops()

    def _hear_stops(self) -> bool:
        """Hear who may stop the arm; whether somebody did."""
        before = self._machine.state
        self._estop.take()
        for service in self._stops:
            serve_waiting(service)
        return self._machine.state != before

    def _on_clock(self) -> None:
        """A world in lock-step has gone on: it waits until this is done."""
        if self.active:
            self._on_tick()

    def _on_tick(self) -> None:
        self._catch_up()
        one_arm = self._machine.inputs.one_arm
        if one_arm.why_not_one and not one_arm.named:
            one_arm.publishers, one_arm.named = name_publishers(self, self._joints)
        emission = self._machine.tick(self._now_ns())
        now_ns = self._now_ns()
        self._move(emission.trajectory)
        self._bridge.look(now_ns)
        due = time.monotonic_ns() - self._reported_ns > 0.9e9 / self.params.report_hz
        if due or emission.trajectory is not None:
            self._report(emission.report)
        if self.params.markers_hz:
            self._surroundings.look()

    def _on_chunk(self, msg: wam_msg.ActionChunk) -> None:
        if not self.active:
            return
        self._take_chunk(msg)
        self._progress.heard = (msg.seq + 1) % 2**63  # whoever sent it may count as he likes
        self._progress.tell()

    def _take_chunk(self, msg: wam_msg.ActionChunk) -> None:
        try:
            chunk = convert.chunk_from_msg(msg)
        except WamError as error:
            return self._refuse(msg, str(error))
        self._hear_stops()
        self._catch_up()
        self._emit(self._machine.on_chunk(chunk, self._now_ns()))
        self._hear_stops()
        self._markers.show(self._machine.verdict, chunk)

    def _refuse(self, msg: wam_msg.ActionChunk, why: str) -> None:
        """A message that is not a chunk: counted and told, never executed."""
        self._malformed += 1
        sentence = f"refused: malformed chunk ({self._malformed} so far): {why}"
        state = self._machine.state
        self._report(
            SafetyReport(
                self._now_ns(), msg.seq, state, Decision.REJECT, Reason.SHAPE, sentence=sentence
            )
        )

    def _on_joints(self, topic: str, msg: JointState, info: Mapping[str, Any]) -> None:
        if not self.active:
            return
        said = set(msg.name)
        told = self._whole.topics[topic]
        if sensed := tuple(n for n in self._machine.model.sensed_names if n in said):
            self._on_sensed(msg, sensed)
        if not told or (sensed and said.isdisjoint(told)):
            return
        inputs = self._machine.inputs
        try:
            part = convert.joint_state_from_msg(msg, told)
        except WamError as error:
            words = inputs.refuse(str(error))
            self.get_logger().error(words, throttle_duration_sec=2.0)
            return
        inputs.one_arm.count(number_of(info), self._now_ns(), topic)
        state = self._whole.take(topic, part)
        if state is None:
            inputs.refusal = f"nothing new on {', '.join(self._whole.awaited)}"
        else:
            emission = self._machine.on_joints(state, self._now_ns())
            if emission is not None:
                self._emit(emission)

    def _on_sensed(self, msg: JointState, names: tuple[str, ...]) -> None:
        try:
            state = convert.joint_state_from_msg(msg, names)
        except WamError as error:
            self._machine.inputs.sensed.refusal = str(error)
            self.get_logger().error(str(error), throttle_duration_sec=2.0)
            return
        emission = self._machine.on_sensed(state, self._now_ns())
        if emission is not None:
            self._emit(emission)

    def _on_imagined(self, msg: wam_msg.ImaginedFuture) -> None:
        if self.active:
            self._machine.on_surprise(msg.surprise, self._now_ns())

    def _on_estop(self, data: bytes) -> None:
        again = self._machine.pressed and self._machine.state == SafetyState.ESTOP
        pressed = self._machine.pressed = read_pressed(data)
        if pressed and not again:  # also before activation: a latched one must not be missed
            self._tell(self._machine.estop(self._now_ns(), "the topic estop"))

    def _on_hand_over(
        self, request: HandOver.Request, response: HandOver.Response
    ) -> HandOver.Response:
        session = bytes(request.session_id)
        return self._serve(
            response, self._machine.hand_over(session, self._now_ns(), request.epoch)
        )

    def _serve(self, response, answer: Answer):
        self._tell(answer)
        response.success = answer.ok
        response.message = answer.message
        return response

    def _tell(self, answer: Answer) -> None:
        """Carry out an operator's answer at once, without waiting for the next tick."""
        self._move(answer.trajectory)
        self.get_logger().info(answer.message)
        if self.active:
            self._emit(self._machine.tick(self._now_ns()))

    def _emit(self, emission: Emission) -> None:
        self._move(emission.trajectory)
        self._report(emission.report)

    def _move(self, trajectory: SafeTrajectory | None) -> None:
        if trajectory is not None:
            self._trajectory_pub.publish(convert.trajectory_to_wire(trajectory, self._sender))
            self._progress.said = trajectory.start_ns
            self._progress.tell()

    def _report(self, report: SafetyReport) -> None:
        self._reported_ns = time.monotonic_ns()
        admission = self._machine.brakes.admission
        self._report_pub.publish(convert.report_to_msg(report, self._sender, admission))


def main() -> None:
    """Run the node until it is told to stop."""
    # else every chunk would ask the kernel anew for megabytes, and no stop be heard meanwhile
    keep_memory()
    run_node(SafetyNode)


if __name__ == "__main__":
    main()
