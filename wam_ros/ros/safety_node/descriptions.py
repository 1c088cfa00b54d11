"""The two texts that MoveIt is built from: the robot's description and its semantics."""

from __future__ import annotations

import time

import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.wait_for_message import wait_for_message
from std_msgs.msg import String

from wam_ros.ros import qos

AWAIT_S = 8.0  # for both together
AT_LEAST_S = 1.0  # for each: what is latched needs no longer to be found
TEXTS = {
    "robot_description": "robot_state_publisher says it",
    "robot_description_semantic": "move_group says it with publish_robot_description_semantic",
}


def why_no_description(node_name: str, namespace: str, files: list[str]) -> str:
    """Which of the two texts is missing and on which topic it was awaited; empty when both are
    there. MoveIt itself waits for each in turn and does not say which one it was.

    Args:
        node_name: whose parameters may hold the texts.
        namespace: of that node.
        files: parameter files that it reads.
    """
    context = Context()
    args = ["--ros-args", *(word for file in files for word in ("--params-file", file))]
    rclpy.init(args=args, context=context)
    try:
        node = Node(
            node_name,
            context=context,
            namespace=namespace,
            enable_rosout=False,
            start_parameter_services=False,
            allow_undeclared_parameters=True,
            automatically_declare_parameters_from_overrides=True,
        )
        words = "; ".join(_missing(node))
        node.destroy_node()
        return words
    finally:
        rclpy.shutdown(context=context)


def _missing(node: Node) -> list[str]:
    began_s = time.monotonic()
    found = []
    for name, who in TEXTS.items():
        if node.get_parameter_or(name).value:
            continue
        topic = node.resolve_topic_name(name)
        left_s = max(began_s + AWAIT_S - time.monotonic(), AT_LEAST_S)
        node.get_logger().info(f"awaits {name} on {topic} for {left_s:.0f} s")
        heard, _ = wait_for_message(
            String, node, topic, qos_profile=qos.LATCHED, time_to_wait=left_s
        )
        if not heard:
            found.append(f"{name} did not come on {topic} ({who})")
    return found
