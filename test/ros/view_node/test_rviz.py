"""What view_node draws for RViz, over DDS."""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("aiohttp")
pytest.importorskip("wam_ros.msg")

from sensor_msgs.msg import Image

from wam_ros.core import types
from wam_ros.core.embodiment import load_embodiment
from wam_ros.msg import Observation
from wam_ros.nodes.view_node import ViewNode
from wam_ros.ros import convert, qos
from wam_ros.view.board import MOST_HEIGHT, WIDTH

pytestmark = pytest.mark.ros
PANDA = load_embodiment("panda")
N = len(PANDA.joint_names)
BOARD = "imagination/board/image"


@pytest.fixture
def node(arena):
    """The node without a page, as bringup starts it for RViz."""
    return arena.add(ViewNode, port=0, arm_hz=60.0, image_hz=15.0, board_hz=30.0)


def seen(value):
    frames = np.full((2, 64, 64, 3), value, np.uint8)
    joints = types.JointState(0, PANDA.joint_names, *[np.zeros(N)] * 3)
    return convert.observation_to_msg(
        types.Observation(0, PANDA.view_names, frames, (0, 0), joints)
    )


def test_the_board_is_an_image_as_rviz_reads_it_and_shows_what_the_cameras_saw(arena, node):
    heard = arena.listen(Image, BOARD, qos.reliable(2))
    cameras = arena.observer.create_publisher(Observation, "observation", qos.OBSERVATION)
    arena.until(lambda: cameras.get_subscription_count() and heard)
    cameras.publish(seen(177))

    def newest():
        board = heard[-1]
        return np.frombuffer(bytes(board.data), np.uint8).reshape(board.height, board.width, 3)

    arena.until(lambda: (newest()[164, 72] == 177).all())
    board = heard[-1]
    assert (board.encoding, board.width, board.is_bigendian) == ("rgb8", WIDTH, 0)
    # RViz ignores what is behind a row
    assert board.step == 3 * WIDTH
    assert board.height <= MOST_HEIGHT
    (publisher,) = arena.observer.get_publishers_info_by_topic(f"/{BOARD}")
    assert publisher.qos_profile.reliability == qos.OBSERVATION.reliability, (
        "RViz asks for reliable"
    )


def test_the_board_costs_nothing_while_nobody_looks(arena, node):
    arena.until(lambda: len(node.made_entities()["_timers"]) == 1)
    heard = arena.listen(Image, BOARD, qos.reliable(2))
    arena.until(lambda: heard)
    (subscription,) = (s for s in arena.observer.subscriptions if s.topic_name == f"/{BOARD}")
    arena.observer.destroy_subscription(subscription)
    arena.until(lambda: len(node.made_entities()["_timers"]) == 1)


def test_an_inactive_node_draws_nothing(arena, node):
    heard = arena.listen(Image, BOARD, qos.reliable(2))
    arena.until(lambda: heard)
    node.trigger_deactivate()
    arena.spin(0.2)
    heard.clear()
    arena.spin(0.3)  # some turns of drawing
    assert not heard
    node.trigger_activate()
    arena.until(lambda: heard)


def test_without_a_port_there_is_no_page(node):
    assert node._server is None
