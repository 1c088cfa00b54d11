"""Who says where the joints are."""

from __future__ import annotations

from rclpy.node import Node

MOST = 4  # that are named


def name_publishers(node: Node, topic: str) -> str:
    """All nodes that publish on a topic, in words."""
    infos = node.get_publishers_info_by_topic(topic)
    names = sorted(f"{i.node_namespace.rstrip('/')}/{i.node_name}" for i in infos)
    return f"{topic} is published by {', '.join(names[:MOST])}" + ", ..." * (len(names) > MOST)
