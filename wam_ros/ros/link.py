"""A listener of the whole loop that can also call its services: what a supervising program needs of
ROS.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.exceptions import InvalidNamespaceException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import JointState as JointStateMsg
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from wam_ros.core.drivers import JOINTS, MEASURED
from wam_ros.core.errors import WamError
from wam_ros.msg import (
    ActionChunk,
    EpisodeState,
    ImaginedFuture,
    Observation,
    Pace,
    SafetyReport,
    WamStatus,
)
from wam_ros.ros import convert
from wam_ros.ros.fields import read_header
from wam_ros.ros.latest import Latest
from wam_ros.srv import ResetEpisode, SetInstruction

TOPICS: dict[str, tuple[type, Callable[[Any], Any]]] = {
    "observation": (Observation, convert.observation_from_msg),
    "action_chunk": (ActionChunk, convert.chunk_from_msg),
    "imagined_future": (ImaginedFuture, convert.imagined_from_msg),
    "wam_status": (WamStatus, convert.status_from_msg),
    "safe_trajectory": (JointTrajectory, read_header),
    "commanded_state": (JointStateMsg, lambda m: m),
    "bridge_state": (DiagnosticStatus, convert.bridge_state_from_msg),
    "safety_report": (SafetyReport, convert.report_from_msg),
    "episode": (EpisodeState, lambda m: m),
    "pace": (Pace, convert.pace_from_msg),
}
# any other topic: what a controller of whatever name is sent
COMMAND = (JointTrajectory, read_header)
_QUEUE = 20  # messages kept while the listener is busy with a video frame
SERVICES: dict[str, type] = {
    "inference_node/set_instruction": SetInstruction,
    "bridge_node/pause": SetBool,
    "safety_node/arm": SetBool,
    "safety_node/estop": Trigger,
    "safety_node/reset": Trigger,
    "sim_node/reset_episode": ResetEpisode,
}
WAITING = {"sim_node/stand": SetBool}  # of a world in lock-step

# the converted message and when it was published [ns, system clock]
Handler = Callable[[Any, int], None]


class Link:
    """One ROS node with a single-threaded executor that runs only inside `spin`; belongs to one
    thread.

    Args:
        name: of the node.
        handlers: what to do with each topic of `TOPICS`, and with those on which controllers are
            sent trajectories; topics without a handler are not subscribed to.
        domain_id: ROS domain, or None for the environment's.
        namespace: of the loop.
        waiting: whether the loop has a simulated world in lock-step.
    """

    def __init__(
        self,
        name: str,
        handlers: dict[str, Handler],
        domain_id: int | None = None,
        namespace: str = "",
        waiting: bool = False,
    ) -> None:
        # Signals stay with the program: a Ctrl-C must still find a context that can ask for a stop.
        self._context = rclpy.Context()
        signals = SignalHandlerOptions.NO
        try:
            rclpy.init(
                args=[], context=self._context, domain_id=domain_id, signal_handler_options=signals
            )
        except RuntimeError as error:
            raise WamError(f"ROS does not start: {' '.join(str(error).split())}") from error
        quiet = {"enable_rosout": False, "start_parameter_services": False}
        try:
            self.node = Node(name, context=self._context, namespace=namespace, **quiet)
        except InvalidNamespaceException as error:
            rclpy.shutdown(context=self._context)
            raise WamError(
                f"'{namespace}' is no namespace: letters, digits, _ and / only"
            ) from error
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        for topic, handler in handlers.items():
            self._subscribe(topic, handler)
        services = {**SERVICES, **(WAITING if waiting else {})}
        self._services = {n: self.node.create_client(kind, n) for n, kind in services.items()}
        self._latest_joints = {t: Latest(self.node, JointStateMsg, t) for t in (JOINTS, MEASURED)}
        self._joints: JointStateMsg | None = None

    def _subscribe(self, topic: str, handler: Handler) -> None:
        kind, from_msg = TOPICS.get(topic, COMMAND)

        def on_message(message: Any, info: dict[str, Any]) -> None:
            handler(from_msg(message), info.get("source_timestamp") or time.time_ns())

        # nothing may go uncounted
        profile = QoSProfile(depth=_QUEUE, reliability=ReliabilityPolicy.RELIABLE)
        self.node.create_subscription(kind, topic, on_message, profile, raw=from_msg is read_header)

    def joints(self) -> JointStateMsg | None:
        """The newest joint state, in rad and m; None before the first."""
        if (measured := self._latest_joints[MEASURED].take()) is not None:
            # what drivers with topics or numbers of their own say besides is something else
            self._latest_joints.pop(JOINTS, None)
            self._joints = measured
        elif (heard := self._latest_joints.get(JOINTS)) is not None:
            self._joints = heard.take() or self._joints
        return self._joints

    def joint_speed(self) -> float | None:
        """Largest joint speed of the newest joint state [rad/s or m/s]; None before the first."""
        if (message := self.joints()) is None:
            return None
        return float(np.max(np.abs(message.velocity))) if len(message.velocity) else 0.0

    def spin(self, timeout_s: float) -> None:
        """Handle what has arrived; return at the latest after `timeout_s` without anything."""
        try:
            self._executor.spin_once(timeout_sec=timeout_s)
        except ExternalShutdownException as error:
            raise WamError("the ROS context was shut down") from error

    def missing_services(self) -> list[str]:
        """Names of services that nobody offers yet."""
        return [n for n, client in self._services.items() if not client.service_is_ready()]

    def call(self, service: str, **fields: Any) -> Any:
        """Send a request; returns the future, done while `spin` runs."""
        client = self._services[service]
        return client.call_async(client.srv_type.Request(**fields))

    def close(self) -> None:
        """Leave ROS; safe to call twice."""
        if self._context.ok():
            self._executor.shutdown(timeout_sec=0.5)
            self.node.destroy_node()
            rclpy.shutdown(context=self._context)
