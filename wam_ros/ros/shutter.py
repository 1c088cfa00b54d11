"""What a camera and the joints say, in turn, to a program that is no node of the loop."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence

from sensor_msgs.msg import CompressedImage, Image, JointState

from wam_ros.ros import qos
from wam_ros.ros.listening import listening


def watch(
    image_topic: str, compressed: bool, seconds: float, joint_topics: Sequence[str]
) -> Iterator[tuple[JointState | None, bytes]]:
    """A joint state, or None and a picture as it travelled, as they come, for so many seconds.

    Args:
        image_topic: of the camera, without `/compressed`.
        compressed: whether its pictures come compressed.
        seconds: to listen; Ctrl-C ends it sooner.
        joint_topics: of joint states.

    Raises:
        WamError: ROS does not start, or was ended.
    """
    heard: deque[tuple[JointState | None, bytes]] = deque()
    with listening("wam_calibrate") as (node, executor):
        node.create_subscription(
            CompressedImage if compressed else Image,
            image_topic + ("/compressed" if compressed else ""),
            lambda data: heard.append((None, data)),
            qos.IMAGE,
            raw=True,
        )
        for joints in joint_topics:
            node.create_subscription(
                JointState, joints, lambda msg: heard.append((msg, b"")), qos.JOINT_STATES
            )
        end = time.monotonic() + seconds
        try:
            while (left := end - time.monotonic()) > 0:
                executor.spin_once(timeout_sec=min(left, 0.1))
                while heard:
                    yield heard.popleft()
        except KeyboardInterrupt:
            return  # what was seen so far counts
