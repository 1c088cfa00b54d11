"""Which messages of the safety node's topics count: those of its own publishers."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.subscription import Subscription

from wam_ros.bridge.bridge import Bridge
from wam_ros.bridge.publishers import Endpoint, OnlyPublisher
from wam_ros.ros.fields import number_of

# a safety node that was silent for so long has died, and another one may be its successor
DIED_S = 2.0
SUBJECT = "safety node"


class Believed:
    """Watches who publishes on some topics, and tells the bridge of those that should not.

    Args:
        node: that subscribes.
        bridge: is told of a dispute.
    """

    def __init__(self, node: Node, bridge: Bridge) -> None:
        self._node = node
        self._bridge = bridge
        self._topics: list[tuple[Subscription, OnlyPublisher]] = []
        self._counts: list[int] = []

    def watch(self, subscription: Subscription) -> OnlyPublisher:
        """Let the messages of one publisher of its topic count, and of no other."""
        only = OnlyPublisher(subscription.topic_name)
        self._topics.append((subscription, only))
        return only

    def look(self, steady_ns: int, again: bool = False) -> None:
        """See who publishes, where that has changed or `again` is asked for; call it at every tick
        and before a message is taken.

        The count takes microseconds; the list, ten times that, also has those that were found and
        are not connected yet.
        """
        counts = [s.get_publisher_count() for s, _ in self._topics]
        if counts == self._counts and not again:
            return
        self._counts = counts
        bridge = self._bridge
        resting = bridge.rests
        silent_s = bridge.gate.silent_s(steady_ns)
        for _, only in self._topics:
            endpoints = self._endpoints(only.topic)
            only.look(
                endpoints,
                steady_ns,
                resting=resting,
                silent=silent_s > bridge.gate.admission.heartbeat_s,
                died=silent_s > DIED_S,
            )
        words = next((only.dispute for _, only in self._topics if only.dispute), "")
        # beside one that fell silent its successor may have come: that is over by itself
        contested = any(only.contested for _, only in self._topics)
        bridge.distrust(SUBJECT, words, for_good=contested)

    def _endpoints(self, topic: str) -> list[Endpoint]:
        return [
            Endpoint(
                bytes(info.endpoint_gid), f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            )
            for info in self._node.get_publishers_info_by_topic(topic)
        ]

    def why_not_believed(self, only: OnlyPublisher, info: dict[str, Any], steady_ns: int) -> str:
        """Why a message of a watched topic does not count; empty when it does.

        Args:
            only: of its topic.
            info: what came with the message.
            steady_ns: of a clock that never jumps.
        """
        self.look(steady_ns)
        words = only.why_not_believed(number_of(info), _gid(info))
        if words and not only.dispute and only.known:
            self._bridge.distrust(SUBJECT, words)
        return words


def _gid(info: dict[str, Any]) -> bytes | None:
    """Endpoint of a message's publisher, as distributions after Jazzy tell it; None: not told."""
    gid = info.get("publisher_gid")
    gid = gid.get("data") if isinstance(gid, dict) else gid
    return bytes(gid) if isinstance(gid, bytes | bytearray | list | tuple) else None
