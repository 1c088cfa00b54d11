"""Who says where the joints are."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node
from rclpy.subscription import Subscription

MOST = 4  # that are named
UNKNOWN = "_NODE_NAME_UNKNOWN_"  # whose name has not come yet, though its messages have


def name_publishers(node: Node, heard: Sequence[Subscription]) -> tuple[str, bool]:
    """All nodes that publish on the topics of joint states, in words, and whether all of them are
    known: names come some time after the first messages.
    """
    found = []
    known = False
    for subscription in heard:
        topic = subscription.topic_name
        infos = node.get_publishers_info_by_topic(topic)
        if len(heard) > 1 and len(infos) < 2:
            continue  # one alone speaks there
        names = sorted(f"{i.node_namespace.rstrip('/')}/{i.node_name}" for i in infos)
        known = known or len(names) > 1
        if any(UNKNOWN in name for name in names):
            return "", False
        listed = f"{', '.join(names[:MOST])}" + ", ..." * (len(names) > MOST)
        found.append(f"{topic} is published by {listed}")
    return "; ".join(found), known
