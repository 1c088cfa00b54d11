"""`joint_trajectory_controller` of ros2_control, and whatever else takes `trajectory_msgs/JointTrajectory`."""

from __future__ import annotations

from rclpy.node import Node
from trajectory_msgs.msg import JointTrajectory

from wam_ros.core.types import SafeTrajectory
from wam_ros.ros import convert, qos

TOPIC = "joint_trajectory_controller/joint_trajectory"


class JointTrajectoryOutput:
    """Publishes positions, velocities and accelerations, so that the controller interpolates with quintics."""

    def __init__(self, node: Node, topic: str = "") -> None:
        self._publisher = node.create_publisher(JointTrajectory, topic or TOPIC, qos.TRAJECTORY)

    def send(self, trajectory: SafeTrajectory) -> None:
        """Publish with the absolute start, so that a late message starts in the middle and not late."""
        self._publisher.publish(convert.trajectory_to_msg(trajectory))

    def listeners(self) -> int:
        """Controllers that listen."""
        return self._publisher.get_subscription_count()
