"""The loop as the task node knows it: the newest word of every node, and what it can be asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from wam_ros.core.appraisal import Appraisal
from wam_ros.core.drivers import shown_on
from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.task import MOVES, Heard
from wam_ros.core.types import BridgeState, Forwarding, SafetyReport
from wam_ros.core.words import describe_state
from wam_ros.msg import ActionChunk, WamStatus
from wam_ros.msg import Appraisal as AppraisalMsg
from wam_ros.msg import SafetyReport as SafetyReportMsg
from wam_ros.ros import convert, qos
from wam_ros.ros.latest import Latest
from wam_ros.srv import HandOver, SetInstruction

STILL = 0.02  # rad/s or m/s, below which a joint is at rest


class Loop:
    """Listens and asks for one node; everything happens on its executor's thread.

    Args:
        node: that listens.
        robot: whose joints count.
        silence_s: how long the silence of a node is borne.
        on_appraisal: called with each, and with the joints (A,) at that moment.
        on_report: called with each word of the safety node.
        on_bridge: called with each word of the bridge.
        on_chunk: called with each chunk.
    """

    def __init__(
        self,
        node: Node,
        robot: Embodiment,
        silence_s: float,
        on_appraisal: Callable[[Appraisal, np.ndarray], None],
        on_report: Callable[[SafetyReport], None],
        on_bridge: Callable[[BridgeState], None],
        on_chunk: Callable[[ActionChunk], None],
    ) -> None:
        self._node = node
        self._names = robot.joint_names
        self._silence_s = silence_s
        self._tell = (on_appraisal, on_report, on_bridge, on_chunk)
        self._heard_s: dict[str, float] = {}
        self.report: SafetyReport | None = None
        self.reports = 0  # heard
        self.bridge: BridgeState | None = None
        self.appraisal: AppraisalMsg | None = None
        self.chunk: ActionChunk | None = None
        self.session = b""
        self.q: np.ndarray | None = None
        self.speed = 0.0
        listen = node.create_subscription
        listen(AppraisalMsg, "appraisal", self._on_appraisal, qos.OBSERVATION)
        listen(ActionChunk, "action_chunk", self._on_chunk, qos.CHUNK)
        listen(WamStatus, "wam_status", self._on_status, qos.STATUS)
        listen(SafetyReportMsg, "safety_report", self._on_report, qos.STATUS)
        listen(DiagnosticStatus, "bridge_state", self._on_bridge, qos.STATUS)
        self._joints = Latest(node, JointState, shown_on(robot))
        self.set_instruction = node.create_client(SetInstruction, "inference_node/set_instruction")
        self.stand_by = node.create_client(Trigger, "inference_node/stand_by")
        self.hand_over = node.create_client(HandOver, "safety_node/hand_over")

    @property
    def moving(self) -> bool:
        """Whether the arm is commanded to move, or is measured to."""
        return self.speed > STILL or (self.report is not None and self.report.stop_time_s > 0)

    @property
    def safe(self) -> bool:
        """Whether the safety node speaks and lets the arm move."""
        return (
            self.report is not None
            and self.report.state in MOVES
            and self._silent_s("safety_node") <= self._silence_s
        )

    @property
    def inferring(self) -> bool:
        """Whether the inference node speaks."""
        return self._silent_s("inference_node") <= self._silence_s

    def heard(self) -> tuple[Heard, ...]:
        """Who is needed, and when he was last heard."""
        return tuple(
            Heard(name, self._heard_s.get(name, 0.0), self._silence_s)
            for name in ("inference_node", "safety_node")
        )

    def why_not_ready(self) -> str:
        """Why no task can begin; '' when one can."""
        for one in self.heard():
            if time.monotonic() - one.at_s > one.patience_s:
                return f"nothing heard from {one.name}"
        if self.report is None or self.report.state not in MOVES:
            words = "" if self.report is None else self.report.sentence
            state = "nothing heard" if self.report is None else describe_state(self.report.state)
            return f"not armed: {words or state}"
        if self.bridge is not None and self.bridge.forwarding != Forwarding.FORWARDING:
            return f"the bridge does not forward: {self.bridge.words}"
        self.look_at_joints()
        return "no joint states" if self.q is None else ""

    def look_at_joints(self) -> None:
        """Take the newest joint state, if there is a new one."""
        msg = self._joints.take()
        if msg is None:
            return
        try:
            state = convert.joint_state_from_msg(msg, self._names)
        except WamError as error:
            self._node.get_logger().warning(str(error), throttle_duration_sec=5.0)
            return
        self.q = state.positions
        self.speed = float(np.nan_to_num(np.abs(state.velocities)).max(initial=0.0))

    def _silent_s(self, name: str) -> float:
        return time.monotonic() - self._heard_s.get(name, 0.0)

    def _hear(self, name: str) -> None:
        self._heard_s[name] = time.monotonic()

    def _on_appraisal(self, msg: AppraisalMsg) -> None:
        self._hear("inference_node")
        try:
            appraisal = convert.appraisal_from_msg(msg)
        except WamError as error:
            self._node.get_logger().warning(str(error), throttle_duration_sec=5.0)
            return
        self.appraisal = msg
        self.look_at_joints()
        if self.q is not None:
            self._tell[0](appraisal, self.q)

    def _on_status(self, msg: WamStatus) -> None:
        self._hear("inference_node")
        self.session = bytes(msg.session_id)

    def _on_chunk(self, msg: ActionChunk) -> None:
        self.chunk = msg
        self._tell[3](msg)

    def _on_report(self, msg: SafetyReportMsg) -> None:
        self._hear("safety_node")
        try:
            self.report = convert.report_from_msg(msg)
        except WamError as error:
            self._node.get_logger().warning(str(error), throttle_duration_sec=5.0)
            return
        self.reports += 1
        self._tell[1](self.report)

    def _on_bridge(self, msg: DiagnosticStatus) -> None:
        self.bridge = convert.bridge_state_from_msg(msg)
        self._tell[2](self.bridge)


class Question:
    """A service call that is waited for without blocking; the answer is None when nobody gave one
    in time.
    """

    def __init__(self, client: Any, request: Any, timeout_s: float) -> None:
        self._future = client.call_async(request) if client.service_is_ready() else None
        self._client = client
        self._until_s = time.monotonic() + timeout_s

    @property
    def answered(self) -> bool:
        """Whether the answer is there, or none is to be expected any more."""
        if self._future is None or self._future.done():
            return True
        if time.monotonic() < self._until_s:
            return False
        self._client.remove_pending_request(self._future)
        self._future = None
        return True

    @property
    def answer(self) -> Any | None:
        """What was answered."""
        return None if self._future is None else self._future.result()
