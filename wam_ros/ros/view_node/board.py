"""The board as an image that RViz shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sensor_msgs.msg import Image

from wam_ros.ros import convert, qos
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.view_node.picture import Picture
from wam_ros.view.board import draw_board
from wam_ros.view.model import ViewModel

TOPIC = "imagination/board/image"


class BoardPublisher(Picture):
    """Draws the board.

    Args:
        node: that publishes.
        views: names of the cameras, in the order of the frames.
        hz: boards a second.
        on_matched: called when somebody begins or ceases to look.
    """

    hears = frozenset(
        (
            *("observation", "action_chunk", "imagined_future", "appraisal"),
            *("safety_report", "wam_status"),
        )
    )

    def __init__(
        self, node: WamNode, views: Sequence[str], hz: float, on_matched: Callable[[], None]
    ) -> None:
        super().__init__(node, Image, TOPIC, profile=qos.OBSERVATION, hz=hz, on_matched=on_matched)
        self._views = tuple(views)

    def show(self, model: ViewModel) -> None:
        """Publish what there is now."""
        now_ns = self._node.get_clock().now().nanoseconds
        board = draw_board(model, self._views, now_ns)
        self._publisher.publish(convert.image_to_wire(board, now_ns, "board"))
