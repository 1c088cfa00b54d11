"""What is recorded, and how it is heard: as bytes, polled, each topic as well as it is offered."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from nav_msgs.msg import Path
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Bool, Float64MultiArray
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import MarkerArray

from wam_ros.core.drivers import shown_on, topics_of
from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.msg import (
    ActionChunk,
    Appraisal,
    EpisodeState,
    ImaginedFuture,
    Observation,
    SafetyReport,
    TaskState,
    WamStatus,
)
from wam_ros.ros import qos
from wam_ros.ros.latest import NeverExecuted
from wam_ros.ros.recorder_node.clock import RecordingClock
from wam_ros.ros.recorder_node.definitions import Definitions
from wam_ros.ros.takes import Topic

# of the loop, without namespace
LOOP: dict[str, type] = {
    "observation": Observation,
    "action_chunk": ActionChunk,
    "candidates": JointTrajectory,
    "imagined_future": ImaginedFuture,
    "wam_status": WamStatus,
    "appraisal": Appraisal,
    "task_state": TaskState,
    "safe_trajectory": JointTrajectory,
    "safety_report": SafetyReport,
    "safety/markers": MarkerArray,
    "safety/surroundings": MarkerArray,
    "safety/ghost_path": Path,
    "commanded_state": JointState,
    "bridge_state": DiagnosticStatus,
    "joint_states": JointState,
    "intervention": Bool,
    "episode": EpisodeState,
    "sim/objects": MarkerArray,
    # what controllers are told by topic
    "joint_trajectory_controller/joint_trajectory": JointTrajectory,
    "forward_position_controller/commands": Float64MultiArray,
    "forward_velocity_controller/commands": Float64MultiArray,
}
# of a type that need not be installed
LATER = ("servo_node/delta_joint_cmds",)
_DEPTH = 50  # messages of a topic that wait between two polls


def kinds_of(robot: Embodiment, images: bool) -> dict[str, type]:
    """Topics to record of a robot, with their types."""
    found = LOOP | dict.fromkeys((*topics_of(robot), shown_on(robot)), JointState)
    if images:
        for camera in robot.cameras:
            compressed = camera.compressed
            found[camera.image_topic + "/compressed" * compressed] = (
                CompressedImage if compressed else Image
            )
    return found


class _Heard:
    """One topic."""

    def __init__(self, node: Node, kind: type, topic: Topic) -> None:
        self.topic = topic
        self._node = node
        self._kind = kind
        self._asked = False, False
        self._last_ns = 0
        self._subscription = self._subscribe(qos.any_quality(_DEPTH))

    def look(self) -> None:
        """Ask for as much as all who publish it now offer."""
        infos = self._node.get_publishers_info_by_topic(self.topic.name)
        profiles = [info.qos_profile for info in infos]
        if not profiles:
            return
        reliable = all(p.reliability == ReliabilityPolicy.RELIABLE for p in profiles)
        latched = reliable and all(
            p.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in profiles
        )
        if (reliable, latched) == self._asked:
            return
        self._asked = reliable, latched
        # publishers of the same kind offer the same: one profile tells a player all
        self.topic = replace(self.topic, offered=_yaml(profiles[:1]))
        self._node.destroy_subscription(self._subscription)
        asked = qos.latched if latched else qos.reliable if reliable else qos.any_quality
        self._subscription = self._subscribe(asked(_DEPTH))

    def take(self) -> tuple[bytes, dict[str, int]] | None:
        """A message that waits, and when it was sent and received."""
        with self._subscription.handle:
            return self._subscription.handle.take_message(self._kind, True)

    def after_last_ns(self, at_ns: int) -> int:
        """A time that no other message of this topic has: readers find frames by it."""
        self._last_ns = max(at_ns, self._last_ns + 1)
        return self._last_ns

    def close(self) -> None:
        self._node.destroy_subscription(self._subscription)

    def _subscribe(self, profile: QoSProfile) -> Subscription:
        return self._node.create_subscription(
            self._kind,
            self.topic.name,
            lambda _message: None,
            profile,
            callback_group=NeverExecuted(),
            event_callbacks=qos.quiet(),
            raw=True,
        )


class HeardTopics:
    """All topics that are recorded. Everything happens in the thread that calls.

    Args:
        node: that subscribes.
        kinds: topics with their types.
        later: topics whose type is that of whoever publishes them first.
        clock: of the recording.
    """

    def __init__(
        self, node: Node, kinds: dict[str, type], later: Iterable[str], clock: RecordingClock
    ) -> None:
        self._node = node
        self._clock = clock
        self._definitions = Definitions()
        self._later = {node.resolve_topic_name(name) for name in later}
        self._heard = [_Heard(node, kind, self.topic(name, kind)) for name, kind in kinds.items()]

    def topic(self, name: str, kind: type) -> Topic:
        """A topic as a recording knows it.

        Raises:
            WamError: the definition of its type is installed nowhere.
        """
        named = f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"
        text, digest = self._definitions.of(named)
        return Topic(self._node.resolve_topic_name(name), named, text, digest)

    def look(self) -> list[str]:
        """Follow who publishes what; what cannot be recorded, in words."""
        wrong = []
        if self._later:
            found = dict(self._node.get_topic_names_and_types())
            for name in sorted(self._later & set(found)):
                self._later.discard(name)
                try:
                    kind = _class_of(found[name][0])
                    self._heard.append(_Heard(self._node, kind, self.topic(name, kind)))
                except WamError as error:
                    wrong.append(f"{name} is not recorded: {error}")
        for heard in self._heard:
            heard.look()
        return wrong

    def take(self, put: Callable[[Topic, int, int, bytes], None]) -> None:
        """Hand on all that waits: topic, when it was heard and sent [ns], and the message."""
        system_ns = time.time_ns()
        steady_ns = time.monotonic_ns()
        for heard in self._heard:
            for _ in range(_DEPTH):
                if (taken := heard.take()) is None:
                    break
                data, info = taken
                received_ns = info["received_timestamp"] or system_ns
                at_ns = self._clock.heard_ns(received_ns, system_ns, steady_ns)
                put(heard.topic, heard.after_last_ns(at_ns), info["source_timestamp"], data)
        self._clock.taken(steady_ns)

    def close(self) -> None:
        """Hear no more."""
        for heard in self._heard:
            heard.close()
        self._heard.clear()


def _class_of(kind: str) -> type:
    """The class of `package/msg/Name`; raises `WamError` where it is not installed."""
    package, _, name = kind.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise WamError(f"its type {kind} is not installed") from error


def _yaml(profiles: Iterable[QoSProfile]) -> str:
    """Qualities of service as rosbag2 writes them."""
    return yaml.safe_dump([_described(p) for p in profiles], sort_keys=False)


def _described(p: QoSProfile) -> dict[str, Any]:
    def duration(value: Any) -> dict[str, int]:
        sec, nsec = divmod(value.nanoseconds, 10**9)
        return {"sec": sec, "nsec": nsec}

    return {
        "history": p.history.name.lower(),
        "depth": p.depth,
        "reliability": p.reliability.name.lower(),
        "durability": p.durability.name.lower(),
        "deadline": duration(p.deadline),
        "lifespan": duration(p.lifespan),
        "liveliness": p.liveliness.name.lower(),
        "liveliness_lease_duration": duration(p.liveliness_lease_duration),
        "avoid_ros_namespace_conventions": p.avoid_ros_namespace_conventions,
    }
