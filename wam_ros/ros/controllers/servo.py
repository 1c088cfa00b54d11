"""MoveIt Servo by `control_msgs/JointJog`: joint velocities that Servo slows near collisions and
limits.

Servo stops by itself when commands stop coming (`incoming_command_timeout`). Twists are not sent:
Servo would choose the joints for them, and a path in joints is what was proven. Servo knows no kind
of command until it is told one, so it is told to take joint jogs (`~/switch_command_type`) whenever
it appears. It drops a jog that names a joint outside of its `move_group_name`: fingers that are not
in that group need a `gripper` of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from wam_ros.core.types import KinematicState
from wam_ros.ros import convert, qos
from wam_ros.ros.controllers.base import Output, Setting, messages
from wam_ros.ros.controllers.forward_velocity import pulled
from wam_ros.ros.fields import doubles


class ServoOutput(Output):
    """Publishes one jog per tick."""

    NAME = "servo_node"
    STREAMS = True
    SETTINGS = (
        Setting(
            "moveit_servo.command_in_type",
            lambda kind: kind == "speed_units",
            "moveit_servo.command_in_type is not 'speed_units': velocities would be taken as "
            "shares of a scale",
        ),
        Setting(
            "moveit_servo.incoming_command_timeout",
            lambda seconds: 0 < seconds <= 0.2,
            "moveit_servo.incoming_command_timeout is longer than 0.2 s: the arm goes on that "
            "long without commands",
        ),
    )

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._jog = messages("servo", "control_msgs", "msg").JointJog
        self._kind = messages("servo", "moveit_msgs", "srv").ServoCommandType
        self._switch = self.node.create_client(self._kind, f"{self.name}/switch_command_type")
        self._asked = False
        self.blocked = f"{self.name} has not said yet that it takes joint jogs"
        self._publisher = self.node.create_publisher(
            self._jog, f"{self.name}/delta_joint_cmds", qos.STREAM
        )

    def poll(self) -> None:
        """Tell Servo what kind of command will come, once each time it appears."""
        super().poll()
        if not self._switch.service_is_ready():
            self._asked = False
        elif not self._asked:
            self._asked = True
            future = self._switch.call_async(
                self._kind.Request(command_type=self._kind.Request.JOINT_JOG)
            )
            future.add_done_callback(self._on_switched)

    def _on_switched(self, future: Any) -> None:
        answer = future.result()
        self.blocked = (
            "" if answer is not None and answer.success else f"{self.name} does not take joint jogs"
        )

    def stream(self, now_ns: int, commanded: KinematicState, measured: np.ndarray | None) -> None:
        """Publish one command."""
        self._publish(now_ns, self.numbers.rates(pulled(self, commanded, measured)))

    def _publish(self, now_ns: int, velocities: np.ndarray) -> None:
        msg = self._jog(joint_names=list(self.joint_names), velocities=doubles(velocities))
        msg.header.stamp = convert.ns_to_time(now_ns)
        self._publisher.publish(msg)

    def stop(self) -> None:
        """Zero velocity is the last word."""
        self._publish(self.node.get_clock().now().nanoseconds, np.zeros(len(self.joint_names)))
