"""What a robot that runs tells of itself, to a program that is no node of the loop: its description
and which pictures it publishes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from std_msgs.msg import String

from wam_ros.core.errors import WamError
from wam_ros.ros import qos
from wam_ros.ros.environment import RANGE
from wam_ros.ros.listening import listening

TEXT = "std_msgs/msg/String"
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
SETTLE_S = 1.5  # that others have to be found, once something is heard


@dataclass(frozen=True)
class RobotTopics:
    """What was heard."""

    description: str = ""  # URDF
    pictures: list[str] = field(default_factory=list)  # topics of plain pictures
    compressed: list[str] = field(default_factory=list)  # of those that come compressed only


def hear_robot(description: str, seconds: float) -> RobotTopics:
    """Listen until a robot has said what it is.

    Args:
        description: topic of its URDF (std_msgs/String, latched); '' for pictures alone.
        seconds: to wait for it at most.

    Raises:
        WamError: ROS does not start, or nothing came.
    """
    heard: list[str] = []
    with listening("wam_embodiment") as (node, executor):
        if description:
            node.create_subscription(
                String, description, lambda msg: heard.append(msg.data), qos.LATCHED
            )
        began = time.monotonic()
        end = began + (seconds if description else SETTLE_S)
        while time.monotonic() < end:
            executor.spin_once(timeout_sec=0.1)
            if heard and end == began + seconds:
                end = min(end, time.monotonic() + SETTLE_S)
        every = node.get_topic_names_and_types()
        topics = {topic: kinds for topic, kinds in every if node.count_publishers(topic)}
    if description and not heard:
        listed = ", ".join(sorted(t for t, kinds in topics.items() if TEXT in kinds)) or "none"
        raise WamError(
            f"nobody said anything on '{description}' for {seconds:g} s; topics of text: {listed} "
            f"(are ROS_DOMAIN_ID and {RANGE} those of the driver?)"
        )
    plain = sorted(t for t, kinds in topics.items() if IMAGE in kinds)
    packed = sorted(
        t.removesuffix("/compressed")
        for t, kinds in topics.items()
        if COMPRESSED in kinds and t.endswith("/compressed")
    )
    return RobotTopics(heard[-1] if heard else "", plain, [t for t in packed if t not in plain])
