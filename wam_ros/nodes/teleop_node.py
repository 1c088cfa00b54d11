"""A person's joint commands as chunks, for a loop in which a person takes the model's place.

They pass the same safety as a model's, and what is executed of them is recorded as its actions.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

import numpy as np
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import JointState

from wam_ros.core.drivers import shown_on
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.leader import Leader
from wam_ros.core.notices import Notice
from wam_ros.core.types import NS, ActionChunk
from wam_ros.msg import ActionChunk as ActionChunkMsg
from wam_ros.robot.joints import load_joints
from wam_ros.ros import convert, qos
from wam_ros.ros.latest import Latest
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.running import run_node
from wam_ros.ros.teleop_node.commands import reader_of
from wam_ros.ros.teleop_node.parameters import TeleopParams
from wam_ros.srv import SetInstruction


class TeleopNode(WamNode):
    """Wires a `Leader` to the topic of a person's commands."""

    def __init__(self, **options: Any) -> None:
        super().__init__("teleop_node", TeleopParams, **options)

    def configure(self) -> None:
        """Load the robot and prepare to hear."""
        p: TeleopParams = self.params
        self._robot = robot = load_embodiment(p.embodiment)
        self._speed = p.speed * load_joints(robot).limits.velocity
        self._instruction = p.instruction
        kind, self._read = reader_of(p.kind, robot.joint_names, robot.gripper_joints)
        self._publisher = self.create_lifecycle_publisher(ActionChunkMsg, "action_chunk", qos.CHUNK)
        self._measured = Latest(self, JointState, shown_on(robot))  # in rad and m
        self._commanded = Latest(self, JointState, "commanded_state")
        self.create_subscription(kind, p.topic, self._on_command, qos.JOINT_STATES)
        self.create_service(SetInstruction, "~/set_instruction", self._on_instruction)

    def activate(self) -> None:
        """Begin a session of chunks."""
        p: TeleopParams = self.params
        self._leader = Leader(
            self._robot.joint_names,
            self._speed,
            step_period_ns=round(self._robot.step_period_s * NS),
            n_steps=self._robot.action_horizon,
            lookahead_s=p.lookahead_s,
            silence_s=p.silence_s,
        )
        self._notice = Notice(p.warn_period_s)
        self._session = uuid.uuid4().bytes
        self._seq = 0
        self._places: dict[str, tuple[int, np.ndarray]] = {}
        self._timer = self.create_timer(
            1 / p.rate_hz, self._follow, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def deactivate(self) -> None:
        """Send nothing more: what was sent last ends at rest."""
        self.destroy_timer(self._timer)

    def _on_command(self, msg: Any) -> None:
        if not self.active:
            return
        try:
            self._leader.take(self._read(msg), self.get_clock().now().nanoseconds)
        except WamError as error:
            self._complain(f"{self.params.topic}: {error}")

    def _follow(self) -> None:
        """A chunk from where the arm is commanded to be towards the leader."""
        now_ns = self.get_clock().now().nanoseconds
        measured = self._place("measured", self._measured, now_ns)
        commanded = self._place("commanded", self._commanded, now_ns)
        start = commanded or measured
        if self._leader.why_not_follow(now_ns) or start is None or measured is None:
            return  # silence: the arm ends its motion at rest
        self._seq += 1
        chunk = ActionChunk(
            anchor_ns=now_ns,
            step_period_ns=round(self._robot.step_period_s * NS),
            joint_names=self._robot.joint_names,
            positions=self._leader.chunk(start[1], now_ns),
            session_id=self._session,
            seq=self._seq,
            embodiment=self._robot.name,
            model="a person",
            instruction=self._instruction,
            observation_ns=measured[0],
        )
        self._publisher.publish(convert.chunk_to_msg(chunk))

    def _place(self, which: str, heard: Latest, now_ns: int) -> tuple[int, np.ndarray] | None:
        """Stamp and joints of the newest message; None where it is old."""
        if (msg := heard.take()) is not None:
            try:
                state = convert.joint_state_from_msg(msg, self._robot.joint_names)
                if np.isfinite(state.positions).all():
                    self._places[which] = state.stamp_ns, state.positions
            except WamError as error:
                self._complain(f"{which} joints: {error}")
        place = self._places.get(which)
        recent = place is not None and abs(now_ns - place[0]) <= self.params.silence_s * NS
        return place if recent else None

    def _complain(self, words: str) -> None:
        subject = "".join(c for c in words if not c.isdigit())
        if self._notice.due(words, time.monotonic(), subject):
            self.get_logger().warning(words)

    def _on_instruction(self, request: Any, response: Any) -> Any:
        response.ok = bool(request.instruction.strip())
        response.message = "" if response.ok else "the instruction is empty"
        if response.ok:
            self._instruction = request.instruction.strip()
        return response


def main() -> None:
    """Entry point of `ros2 run wam_ros teleop_node`."""
    run_node(TeleopNode)


if __name__ == "__main__":
    main()
