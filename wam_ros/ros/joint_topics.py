"""Joint states of the whole robot, read when they are wanted."""

from __future__ import annotations

from rclpy.node import Node
from sensor_msgs.msg import JointState as JointStateMsg

from wam_ros.core.drivers import WholeStates
from wam_ros.core.embodiment import Embodiment
from wam_ros.core.types import JointState
from wam_ros.ros import convert
from wam_ros.ros.latest import Latest


class LatestJoints:
    """What the drivers of a robot tell, on one topic or several, in rad and m.

    Args:
        node: that subscribes; everything happens in the thread that calls `take`.
        embodiment: whose joints they are.
    """

    def __init__(self, node: Node, embodiment: Embodiment) -> None:
        self._whole = WholeStates(embodiment)
        self._heard = {
            t: Latest(node, JointStateMsg, t) for t, n in self._whole.topics.items() if n
        }

    def take(self) -> JointState | None:
        """The newest whole state that has not been taken yet, or None.

        Raises:
            WamError: a message that cannot be read; the others are taken with the next call.
        """
        newest = None
        for topic, heard in self._heard.items():
            if (msg := heard.take()) is not None:
                state = convert.joint_state_from_msg(msg, self._whole.topics[topic])
                newest = self._whole.take(topic, state) or newest
        return newest
