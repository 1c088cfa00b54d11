"""The board as an image that RViz shows."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node
from sensor_msgs.msg import Image

from wam_ros.ros import convert, qos
from wam_ros.view.board import draw_board
from wam_ros.view.model import ViewModel

TOPIC = "imagination/board/image"


class BoardPublisher:
    """Draws the board while somebody looks; without, it costs nothing.

    Args:
        node: that publishes.
        views: names of the cameras, in the order of the frames.
    """

    def __init__(self, node: Node, views: Sequence[str]) -> None:
        self._node = node
        self._views = tuple(views)
        self._publisher = node.create_publisher(Image, TOPIC, qos.OBSERVATION)

    @property
    def watched(self) -> bool:
        """Whether somebody looks."""
        return bool(self._publisher.get_subscription_count())

    def show(self, model: ViewModel) -> None:
        """Publish what there is now."""
        now_ns = self._node.get_clock().now().nanoseconds
        board = draw_board(model, self._views, now_ns)
        self._publisher.publish(convert.numpy_to_image(board, now_ns, "board"))
