"""A topic on which every publisher is heard, whatever quality of service it offers."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from wam_ros.ros import qos


class AnyQuality:
    """Hears each publisher of a topic as well as that one offers, and lets none be warned that it
    is not heard.

    DDS connects a subscription with those publishers only that offer what it asks for, and both
    ends print of the others that no messages will flow. Here one subscription asks for nothing:
    it hears all, but may lose a message, and what was said before it came. Others ask for more, as
    long as somebody offers that. A publisher is warned, though it is heard, only if it comes beside
    one that offers more: a best-effort one beside a reliable one, or one that is not latched beside
    a latched one that is new. Those must not be heard worse for its sake.

    Args:
        node: that subscribes; everything happens in the thread that spins it.
        kind: message type.
        topic: name.
        hear: takes a message as bytes. It may be given one twice, the order of one publisher kept.
        depth: messages that wait at most.
    """

    LOOK_S = 0.2  # between two looks at who publishes
    # a latched publisher is new so long: what it said before it was found has come by then
    NEW_S = 2.0

    def __init__(
        self, node: Node, kind: type, topic: str, hear: Callable[[bytes], None], depth: int
    ) -> None:
        self._node = node
        self._kind = kind
        self._topic = topic
        self._hear = hear
        self._depth = depth
        self._better: dict[str, Subscription] = {}
        self._heard: deque[tuple[int, bytes]] = deque(maxlen=max(16, depth))
        self._found_s: dict[bytes, float] = {}  # when each latched publisher was
        self._any = self._subscribe(qos.any_quality(depth), self._on_any)
        # the ROS clock may stand still
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(self.LOOK_S, self.look, clock=steady)

    def asks(self, name: str) -> bool:
        """Whether more is asked for now: `reliable` or `latched`."""
        return name in self._better

    def take(self) -> None:
        """Hear what waits, now and not when the executor comes to it."""
        asked = [(self._any, self._on_any), *((s, self._on_better) for s in self._better.values())]
        for subscription, hear in asked:
            with subscription.handle:
                taken = subscription.handle.take_message(self._kind, True)
            if taken is not None:
                hear(*taken)

    def look(self) -> None:
        """Ask for as much as those who publish now offer."""
        found = self._node.get_publishers_info_by_topic(self._topic)
        reliable = [p for p in found if p.qos_profile.reliability != ReliabilityPolicy.BEST_EFFORT]
        latched = [
            bytes(p.endpoint_gid)
            for p in reliable
            if p.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        ]
        now_s = time.monotonic()
        self._found_s = {gid: self._found_s.get(gid, now_s) for gid in latched}
        new = any(now_s - at_s < self.NEW_S for at_s in self._found_s.values())
        self._ask("reliable", qos.reliable(self._depth), bool(reliable))
        self._ask("latched", qos.latched(self._depth), new)

    def _ask(self, name: str, profile: QoSProfile, wanted: bool) -> None:
        asked = self.asks(name)
        if wanted and not asked:
            self._better[name] = self._subscribe(profile, self._on_better)
        elif asked and not wanted:
            self._node.destroy_subscription(self._better.pop(name))

    def _subscribe(self, profile: QoSProfile, hear: Callable[..., None]) -> Subscription:
        return self._node.create_subscription(
            self._kind, self._topic, hear, profile, event_callbacks=qos.quiet(), raw=True
        )

    def _on_better(self, data: bytes, info: Any) -> None:
        self._heard.append((info["source_timestamp"], data))
        self._hear(data)

    def _on_any(self, data: bytes, info: Any) -> None:
        if (info["source_timestamp"], data) not in self._heard:
            self._hear(data)
