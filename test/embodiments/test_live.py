"""`wam embodiment new` from what a robot that runs says of itself."""

import threading

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from wam_ros import cli
from wam_ros.core.embodiment import load_embodiment
from wam_ros.ros import qos
from wam_ros.tools import new_embodiment

from .body import write_body

pytestmark = pytest.mark.ros
PICTURES = {
    "/front/image_raw": Image,
    "/arm/wrist/image_rect": Image,
    "/front/depth/image_raw": Image,
    "/side/image_raw/compressed": CompressedImage,
    "/front/image_raw/compressed": CompressedImage,
}


@pytest.fixture
def robot(tmp_path, monkeypatch):
    """A driver that has said its description once, and cameras."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    write_body(tmp_path)
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    node = rclpy.create_node("driver", context=context)
    said = node.create_publisher(String, "robot_description", qos.LATCHED)
    said.publish(String(data=(tmp_path / "body.urdf").read_text()))
    kept = [node.create_publisher(kind, topic, qos.IMAGE) for topic, kind in PICTURES.items()]
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def spin():
        try:
            executor.spin()
        except ExternalShutdownException:
            return

    thread = threading.Thread(target=spin)
    thread.start()
    (tmp_path / "body.urdf").unlink()
    yield tmp_path
    rclpy.shutdown(context=context)
    thread.join()
    assert kept


def run(*words):
    return cli.main(["embodiment", "new", *words])


def test_its_description_is_kept_and_its_cameras_are_those_that_publish(robot, capsys):
    assert run("/robot_description", "--arm", "left") == 0
    said = capsys.readouterr().out
    assert "body.urdf is what '/robot_description' says" in said
    left = "not taken, of depth or compressed only (`compressed: true`): "
    assert left + "/front/depth/image_raw, /side/image_raw" in said
    e = load_embodiment("body.yaml")
    topics = {c.name: c.image_topic for c in e.cameras}
    assert topics == {"arm_wrist": "arm/wrist/image_rect", "front": "front/image_raw"}
    assert e.urdf_path == robot / "body.urdf"
    before = (robot / "body.yaml").read_text()
    assert run("/robot_description", "--arm", "left") == 2
    assert "body.urdf is there already" in capsys.readouterr().err
    assert (robot / "body.yaml").read_text() == before


def test_nothing_that_is_said_is_one_line_with_what_there_is(robot, monkeypatch, capsys):
    monkeypatch.setattr(new_embodiment, "WAITS_S", 2.0)
    assert run("/robot/description") == 2
    said = capsys.readouterr().err
    assert "nobody said anything on '/robot/description' for 2 s" in said
    assert "topics of text: /robot_description" in said
    assert run(str(robot / "gone.urdf")) == 2
    assert "there is no file" in capsys.readouterr().err
    assert list(robot.iterdir()) == []
