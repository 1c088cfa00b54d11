"""camera_node over DDS: images and joints in, observations out, and what it says when something is
missing.
"""

import array
import io
import os
import time

import numpy as np
import pytest
import yaml

rclpy = pytest.importorskip("rclpy")
PILImage = pytest.importorskip("PIL.Image")
pytest.importorskip("wam_ros.msg")

from rclpy.context import Context  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image, JointState  # noqa: E402

from wam_ros.core.embodiment import Camera, load_embodiment  # noqa: E402
from wam_ros.core.errors import WamError  # noqa: E402
from wam_ros.core.images import shape  # noqa: E402
from wam_ros.core.resources import share_dir  # noqa: E402
from wam_ros.msg import Observation  # noqa: E402
from wam_ros.nodes.camera_node import CameraNode  # noqa: E402
from wam_ros.ros import convert, qos  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
PANDA = load_embodiment("panda")
DEADLINE_S = 20.0


class Rig:
    """The node under test and a robot that publishes what the test says, spun in one thread."""

    def __init__(self, **parameters):
        self.context = Context()
        rclpy.init(args=[], context=self.context, domain_id=100 + os.getpid() % 100)
        overrides = [Parameter(k, value=v) for k, v in parameters.items()]
        self.node = CameraNode(context=self.context, parameter_overrides=overrides)
        self.robot = Node("robot", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.executor.add_node(self.robot)
        self.cameras = {
            c.name: self.robot.create_publisher(Image, c.image_topic, qos.IMAGE)
            for c in PANDA.cameras
        }
        self.compressed = {
            c.name: self.robot.create_publisher(
                CompressedImage, c.image_topic + "/compressed", qos.IMAGE
            )
            for c in PANDA.cameras
        }
        self.joints = self.robot.create_publisher(JointState, "joint_states", 10)
        self.seen, self.fed_s = [], 0.0
        self.robot.create_subscription(
            Observation, "observation", self.seen.append, qos.OBSERVATION
        )

    def start(self, compressed=False):
        assert self.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        publishers = [*(self.compressed if compressed else self.cameras).values(), self.joints]
        self.spin_until(lambda: all(p.get_subscription_count() == 1 for p in publishers))

    def spin_until(self, condition, feed=lambda: None):
        end = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end, "the condition did not come true"
            feed()
            self.executor.spin_once(timeout_sec=0.02)

    def feed(self, views=("front", "wrist"), joints=PANDA.joint_names, size=(128, 128), value=0):
        """One sample of every stream, stamped now, not oftener than every 20 ms."""
        now = time.monotonic()
        if now < self.fed_s + 0.02:
            return
        self.fed_s = now
        stamp = self.robot.get_clock().now().to_msg()
        height, width = size
        for view in views:
            image = Image(height=height, width=width, encoding="rgb8", step=3 * width)
            image.header.stamp = stamp
            image.data = array.array(
                "B", np.full((height, width, 3), value + (view == "wrist"), np.uint8).tobytes()
            )
            self.cameras[view].publish(image)
        if joints:
            state = JointState(name=list(joints), position=[0.1 * k for k in range(len(joints))])
            state.header.stamp = stamp
            self.joints.publish(state)

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        self.robot.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def make_rig():
    rigs = []

    def make(**parameters):
        rigs.append(Rig(**parameters))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def test_cameras_and_joints_become_observations_of_the_models_size(make_rig):
    rig = make_rig()
    rig.start()
    rig.spin_until(lambda: len(rig.seen) >= 3, lambda: rig.feed(value=40))
    o = convert.observation_from_msg(rig.seen[-1])
    assert o.view_names == ("front", "wrist")
    assert o.frames.shape == (2, PANDA.image_height, PANDA.image_width, 3)
    assert (o.frames[0] == 40).all()
    assert (o.frames[1] == 41).all()
    assert o.joints.joint_names == PANDA.joint_names
    assert o.joints.positions == pytest.approx([0.1 * k for k in range(8)])
    assert max(o.frame_stamps_ns) == o.stamp_ns


def test_observations_come_at_the_frame_rate_however_fast_the_cameras_are(make_rig):
    rig = make_rig()
    rig.start()
    rig.spin_until(lambda: len(rig.seen) >= 8, rig.feed)
    stamps = np.array([convert.observation_from_msg(m).stamp_ns for m in rig.seen])
    assert np.diff(stamps).min() >= 0.75e9 / PANDA.frame_rate_hz


def test_a_camera_that_never_comes_is_named_and_nothing_is_published(make_rig, capfd):
    rig = make_rig(grace_s=0.0)
    rig.start()
    said = []

    def complained():
        said.append("".join(capfd.readouterr()))
        return "/wrist/image_raw: nothing has arrived" in "".join(said)

    rig.spin_until(complained, lambda: rig.feed(views=("front",)))
    end = time.monotonic() + 0.5
    rig.spin_until(lambda: time.monotonic() > end, lambda: rig.feed(views=("front",)))
    complained()
    assert "".join(said).count("/wrist/image_raw") == 1
    assert "/front/image_raw: nothing has arrived" not in "".join(said)
    assert rig.seen == []
    rig.spin_until(lambda: rig.seen, rig.feed)


def test_joint_states_that_lack_a_joint_are_named(make_rig, capfd):
    rig = make_rig(grace_s=0.0)
    rig.start()
    said = []

    def complained():
        said.append("".join(capfd.readouterr()))
        return any("/joint_states" in s and "panda_joint7" in s for s in said)

    joints = [j for j in PANDA.joint_names if j != "panda_joint7"]
    rig.spin_until(complained, lambda: rig.feed(joints=joints))
    assert rig.seen == []
    rig.spin_until(lambda: rig.seen, rig.feed)
    said.clear()
    rig.spin_until(
        lambda: complained() or any("/wrist/image_raw" in s for s in said),
        lambda: rig.feed(views=("front",)),
    )
    assert "panda_joint7" not in "".join(said)


def test_an_image_of_an_unknown_encoding_is_reported_not_fatal(make_rig, capfd):
    rig = make_rig(grace_s=0.0)
    rig.start()
    said = []

    def odd():
        rig.feed(views=("front",))
        bad = Image(height=4, width=4, encoding="yuv999", step=12, data=array.array("B", bytes(48)))
        bad.header.stamp = rig.robot.get_clock().now().to_msg()
        rig.cameras["wrist"].publish(bad)

    def complained():
        said.append("".join(capfd.readouterr()))
        return any("yuv999" in s for s in said)

    rig.spin_until(complained, odd)
    rig.spin_until(lambda: rig.seen, rig.feed)


@pytest.mark.parametrize("tail", [0, 10])
def test_bytes_that_are_no_image_are_reported_not_fatal(make_rig, capfd, tail):
    rig = make_rig(grace_s=0.0)
    rig.start()
    said = []

    def damaged():
        rig.feed(views=("front",))
        header = Image().header
        header.stamp = rig.robot.get_clock().now().to_msg()
        rig.cameras["wrist"].publish(serialize_message(header)[:12] + bytes(tail))

    def complained():
        said.append("".join(capfd.readouterr()))
        return any(("no Image" if tail else "has no header") in s for s in said)

    rig.spin_until(complained, damaged)
    rig.spin_until(lambda: rig.seen, rig.feed)


def test_a_missing_clock_is_named(make_rig, capfd):
    rig = make_rig(use_sim_time=True, grace_s=0.0)
    rig.start()
    said = []

    def complained():
        said.append("".join(capfd.readouterr()))
        return any("nothing has arrived on /clock" in s for s in said)

    rig.spin_until(complained, rig.feed)
    assert rig.seen == []


def test_compressed_images_are_taken_when_asked_for(make_rig):
    rig = make_rig(compressed=True)
    rig.start(compressed=True)
    pixels = np.full((128, 128, 3), (200, 100, 50), np.uint8)
    png = io.BytesIO()
    PILImage.fromarray(pixels).save(png, "png")

    def feed():
        rig.feed(views=())
        for publisher in rig.compressed.values():
            msg = CompressedImage(
                format="rgb8; png compressed", data=array.array("B", png.getvalue())
            )
            msg.header.stamp = rig.robot.get_clock().now().to_msg()
            publisher.publish(msg)

    rig.spin_until(lambda: rig.seen, feed)
    assert (convert.observation_from_msg(rig.seen[-1]).frames == (200, 100, 50)).all()


def test_each_camera_has_its_own_transport_turn_and_crop(make_rig, tmp_path):
    data = yaml.safe_load((share_dir() / "config/embodiments/panda.yaml").read_text())
    front, wrist = data["cameras"]
    front |= {"compressed": True, "rotation": 90}
    wrist |= {"crop": [64, 0, 64, 128]}
    (tmp_path / "robot.yaml").write_text(yaml.safe_dump(data))
    rig = make_rig(embodiment=str(tmp_path / "robot.yaml"))
    assert rig.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert rig.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    top = np.zeros((128, 128, 3), np.uint8)
    top[:64] = (200, 100, 50)
    png = io.BytesIO()
    PILImage.fromarray(top).save(png, "png")
    left = np.zeros((128, 128, 3), np.uint8)
    left[:, :64] = 255

    def feed():
        rig.feed(views=())
        stamp = rig.robot.get_clock().now()
        packed = CompressedImage(format="png", data=array.array("B", png.getvalue()))
        packed.header.stamp = stamp.to_msg()
        rig.compressed["front"].publish(packed)
        rig.cameras["wrist"].publish(convert.numpy_to_image(left, stamp.nanoseconds, "w"))

    rig.spin_until(lambda: rig.seen, feed)
    frames = convert.observation_from_msg(rig.seen[-1]).frames
    half = PANDA.image_width // 2
    assert (frames[0][:, half + 1 :] == (200, 100, 50)).all()  # what was above is now on the right
    assert not frames[0][:, : half - 1].any()
    assert not frames[1].any()


def test_a_crop_outside_the_picture_is_refused_by_camera():
    camera = Camera("front", "t", crop=(100, 0, 64, 64))
    with pytest.raises(WamError, match="of 'front' lies outside its 128 x 128 pixels"):
        shape(np.zeros((128, 128, 3), np.uint8), camera)


@pytest.mark.parametrize(
    ("feed", "words"),
    [
        ({"size": (128, 96)}, "/front/image_raw: is portrait (96 x 128)"),
        ({"value": 0}, "is black"),
        ({"value": 90}, "has no colours"),
        ({"nan": True}, "/joint_states: position of 'panda_joint3' is nan"),
    ],
)
def test_a_picture_that_shows_that_something_is_wrong_is_mentioned(make_rig, capfd, feed, words):
    rig = make_rig(grace_s=0.0)
    rig.start()
    said = []
    bad = feed.pop("nan", False)

    def complained():
        said.append("".join(capfd.readouterr()))
        return words in "".join(said)

    def fed():
        if bad:
            positions = [0.1] * 8
            positions[2] = float("nan")
            state = JointState(name=list(PANDA.joint_names), position=positions)
            state.header.stamp = rig.robot.get_clock().now().to_msg()
            rig.joints.publish(state)
        rig.feed(**feed, joints=() if bad else PANDA.joint_names)

    rig.spin_until(complained, fed)


def test_an_inactive_node_is_silent(make_rig):
    rig = make_rig()
    rig.start()
    rig.spin_until(lambda: rig.seen, rig.feed)
    assert rig.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    rig.spin_until(lambda: rig.joints.get_subscription_count() == 0)
    rig.seen.clear()
    end = time.monotonic() + 0.3
    rig.spin_until(lambda: time.monotonic() > end, rig.feed)
    assert rig.seen == []
    assert rig.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    rig.spin_until(lambda: rig.seen, rig.feed)


def test_an_unknown_embodiment_fails_to_configure_with_the_choices(make_rig, capfd):
    rig = make_rig(embodiment="pandra")
    assert rig.node.trigger_configure() != TransitionCallbackReturn.SUCCESS
    said = "".join(capfd.readouterr())
    assert "unknown embodiment 'pandra'. Did you mean 'panda'?" in said
