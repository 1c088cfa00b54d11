"""What the pictures for RViz share: each is drawn only while somebody looks at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wam_ros.ros.lifecycle import WamNode
from wam_ros.view.model import ViewModel


class Picture:
    """One topic that RViz shows; without somebody who looks it costs nothing.

    `hears` are the topics of the listener that it is drawn of.

    Args:
        node: that publishes.
        kind: of its messages.
        topic: name.
        profile: quality of service.
        hz: how often it is drawn.
        on_matched: called when somebody begins or ceases to look.
    """

    hears: frozenset[str] = frozenset()

    def __init__(
        self,
        node: WamNode,
        kind: type,
        topic: str,
        *,
        profile: Any,
        hz: float,
        on_matched: Callable[[], None],
    ) -> None:
        self.hz = hz
        self._node = node
        self._due_s = 0.0
        self._publisher = node.create_publisher(kind, topic, profile, on_matched=on_matched)

    @property
    def watched(self) -> bool:
        """Whether somebody looks."""
        return bool(self._publisher.get_subscription_count())

    def takes_turn(self, now_s: float, turn_s: float) -> bool:
        """Whether it is drawn in this turn, of turns that come every `turn_s`; asked once in
        each.
        """
        # the turn that is nearest to its time
        if now_s < self._due_s - turn_s / 2:
            return False
        self._due_s = max(self._due_s, now_s - turn_s / 2) + 1 / self.hz
        return True

    def show(self, model: ViewModel) -> None:
        """Publish what there is now."""
        raise NotImplementedError
