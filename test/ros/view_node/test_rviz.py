"""What view_node draws for RViz, over DDS."""

import dataclasses
import functools
import time

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy")
pytest.importorskip("aiohttp")
pytest.importorskip("wam_ros.msg")

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image
from trajectory_msgs.msg import JointTrajectory
from transforms3d.quaternions import quat2mat
from visualization_msgs.msg import Marker, MarkerArray

from testing.markers import why_not_drawable
from wam_ros.core import types
from wam_ros.core.embodiment import Calibration, load_embodiment
from wam_ros.msg import ActionChunk, ImaginedFuture, Observation, SafetyReport, WamStatus
from wam_ros.nodes.view_node import ViewNode
from wam_ros.ros import convert, qos
from wam_ros.ros.launching.rviz import config_for
from wam_ros.ros.view_node.frames import FramePublisher
from wam_ros.ros.view_node.ghosts import part_markers, places_of, quaternions_of
from wam_ros.ros.view_node.wire import WireMarker, markers_to_wire
from wam_ros.view.board import MOST_HEIGHT, WIDTH
from wam_ros.view.description import pose_of
from wam_ros.view.ghost import Part
from wam_ros.view.solid import Solid

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
PANDA = load_embodiment("panda")
N = len(PANDA.joint_names)
BOARD = "imagination/board/image"
MARKERS = "imagination/markers"
FRAMES = "imagination/frames"


@pytest.fixture
def node(arena):
    """The node without a page, as bringup starts it for RViz."""
    return arena.add(ViewNode, port=0, arm_hz=60.0, image_hz=15.0, board_hz=30.0)


def plan(radians):
    """A trajectory from home that turns the first joint within ten seconds from now."""
    q = np.array([PANDA.home, PANDA.home])
    q[1, 0] += radians
    return types.SafeTrajectory(
        start_ns=time.time_ns(),
        joint_names=PANDA.joint_names,
        t=np.array([0.0, 10.0]),
        q=q,
        dq=0 * q,
        ddq=0 * q,
    )


def say(arena, kind, topic, message, profile=qos.STATUS):
    """Publish a message once somebody listens."""
    publisher = arena.observer.create_publisher(kind, topic, profile)
    arena.until(lambda: publisher.get_subscription_count() == 1)
    publisher.publish(message)


def say_plan(arena, radians, state=types.SafetyState.ARMED):
    """All that ghosts are drawn of."""
    say(arena, Observation, "observation", seen(0, q=np.array(PANDA.home)), qos.OBSERVATION)
    told = types.SafetyReport(0, 0, state, types.Decision.PASS)
    say(arena, SafetyReport, "safety_report", convert.report_to_msg(told))
    message = convert.trajectory_to_msg(plan(radians))
    say(arena, JointTrajectory, "safe_trajectory", message, qos.TRAJECTORY)


def seen(value, stamp_ns=0, q=None, robot=PANDA):
    views = robot.view_names
    frames = np.full((len(views), 64, 64, 3), value, np.uint8)
    rest = np.zeros(len(robot.joint_names))
    joints = types.JointState(0, robot.joint_names, rest if q is None else q, rest, rest)
    return convert.observation_to_msg(
        types.Observation(stamp_ns, views, frames, (0,) * len(views), joints)
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


def test_while_nobody_looks_nothing_is_heard_and_no_timer_runs(arena, node):
    made = lambda: [*node.made_entities()["_timers"], *node.made_entities()["_subscriptions"]]  # noqa: E731
    assert made() == []
    heard = arena.listen(Image, BOARD, qos.reliable(2))
    arena.until(lambda: heard)
    assert len(node.made_entities()["_timers"]) == 1
    (subscription,) = (s for s in arena.observer.subscriptions if s.topic_name == f"/{BOARD}")
    arena.observer.destroy_subscription(subscription)
    arena.until(lambda: made() == [])


def test_an_inactive_node_draws_nothing(arena, node):
    heard = arena.listen(Image, BOARD, qos.reliable(2))
    markers = arena.listen(MarkerArray, MARKERS, qos.STATUS)
    arena.until(lambda: heard and markers)
    node.trigger_deactivate()
    arena.spin(0.2)
    heard.clear()
    markers.clear()
    arena.spin(0.3)  # some turns of drawing
    assert not heard and not markers
    node.trigger_activate()
    arena.until(lambda: heard and markers)


def kinds(message, action=Marker.ADD):
    return {(m.ns, m.id) for m in message.markers if m.action == action}


def test_ghosts_stand_along_the_plan_in_the_prefixed_base_frame_and_go_with_it(arena):
    arena.add(ViewNode, port=0, tf_prefix="left/", arm_hz=60.0, image_hz=15.0)
    heard = arena.listen(MarkerArray, MARKERS, qos.STATUS)
    say_plan(arena, 1.5)
    names = {"ghost 1", "ghost 2", "ghost 3"}
    arena.until(lambda: heard and names <= {name for name, _ in kinds(heard[-1])})
    for _ in range(3):  # another plan, more and fewer bodies
        for radians in (0.2, 1.5, 0.8):
            say_plan(arena, radians)
            arena.spin(0.15)
    say_plan(arena, 1.5, types.SafetyState.HOLD)
    arena.until(lambda: not names & {name for name, _ in kinds(heard[-1])})
    there = set()
    for message in heard:
        assert why_not_drawable(message, {f"left/{PANDA.base_frame}"}) == []
        gone = kinds(message, Marker.DELETE)
        assert gone <= there, "only what was told is taken away"
        there = (there - gone) | kinds(message)
        assert there == kinds(message), "what is no more is taken away, so that counts do not grow"


def test_where_the_arm_is_ghosts_are_told_by_observations_and_not_by_every_joint_state(arena, node):
    heard = arena.listen(MarkerArray, MARKERS, qos.STATUS)
    armed = types.SafetyReport(0, 0, types.SafetyState.ARMED, types.Decision.PASS)
    say(arena, SafetyReport, "safety_report", convert.report_to_msg(armed))
    message = convert.trajectory_to_msg(plan(1.5))
    say(arena, JointTrajectory, "safe_trajectory", message, qos.TRAJECTORY)

    def first():
        return {key for key in kinds(heard[-1]) if key[0] == "ghost 1"} if heard else set()

    arena.until(first)
    everything = first()
    assert arena.observer.count_subscribers("/joint_states") == 0, "a hundred come a second"
    say(arena, Observation, "observation", seen(0, q=np.array(PANDA.home)), qos.OBSERVATION)
    arena.until(lambda: first() < everything)
    assert first(), "the base stays where it is, and the rest does not"


def test_two_arms_in_a_namespace_are_drawn_as_the_layout_of_that_namespace_asks(arena):
    robot = load_embodiment("bimanual")
    layout = yaml.safe_load(config_for(robot, "cell/"))["Visualization Manager"]
    frame = f"cell/{robot.base_frame}"
    assert layout["Global Options"]["Fixed Frame"] == frame
    asked = {d["Topic"]["Value"] for d in layout["Displays"] if "Topic" in d}
    assert {BOARD, MARKERS, FRAMES} <= asked
    assert not any(topic.startswith("/") for topic in asked), "RViz' namespace is in front of them"
    drawn = arena.listen(MarkerArray, f"/cell/{MARKERS}", qos.STATUS)
    boards = arena.listen(Image, f"/cell/{BOARD}", qos.reliable(2))
    spaces = arena.listen(MarkerArray, f"/cell/{FRAMES}", qos.reliable(2))
    node = arena.add(
        functools.partial(ViewNode, namespace="cell"),
        embodiment="bimanual",
        tf_prefix="cell/",
        port=0,
        image_hz=15.0,
    )
    home = np.array(robot.home)
    look = seen(0, q=home, robot=robot)
    say(arena, Observation, "/cell/observation", look, qos.OBSERVATION)
    armed = types.SafetyReport(0, 0, types.SafetyState.ARMED, types.Decision.PASS)
    say(arena, SafetyReport, "/cell/safety_report", convert.report_to_msg(armed))

    def follow(*joints):
        q = np.array([home, home])
        q[1, list(joints)] += 1.0
        ten_s = types.SafeTrajectory(
            start_ns=time.time_ns(),
            joint_names=robot.joint_names,
            t=np.array([0.0, 10.0]),
            q=q,
            dq=0 * q,
            ddq=0 * q,
        )
        message = convert.trajectory_to_msg(ten_s)
        say(arena, JointTrajectory, "/cell/safe_trajectory", message, qos.TRAJECTORY)

    def bodies():
        """Of the first ghost."""
        return {key for key in kinds(drawn[-1]) if key[0] == "ghost 1"} if drawn else set()

    left, right = 0, len(home) // 2
    follow(left)
    arena.until(bodies)
    arms = [bodies()]
    follow(right)
    arena.until(lambda: bodies() and not bodies() & arms[0])
    arms.append(bodies())
    for _ in range(3):
        follow(left, right)
        arena.until(lambda: bodies() == arms[0] | arms[1])
        follow(left)
        arena.until(lambda: bodies() == arms[0])
    arena.until(lambda: boards)
    assert boards[-1].width == WIDTH and boards[-1].height <= MOST_HEIGHT
    there = set()
    for message in drawn:
        assert why_not_drawable(message, {frame}) == []
        there = (there - kinds(message, Marker.DELETE)) | kinds(message)
        assert there == kinds(message), "counts do not grow"
    assert not spaces, "no camera of this robot is mounted anywhere"
    node.trigger_deactivate()
    arena.spin(0.2)
    drawn.clear()
    boards.clear()
    arena.spin(0.3)
    assert not drawn and not boards, "an inactive node is silent"


def test_what_was_not_chosen_is_thin_and_goes_when_the_next_chunk_was_alone(arena):
    arena.add(ViewNode, port=0, tf_prefix="left/", arm_hz=60.0, image_hz=15.0)
    heard = arena.listen(MarkerArray, MARKERS, qos.STATUS)
    say_plan(arena, 1.5)
    anchor_ns = time.time_ns() + 60 * types.NS
    q = np.array([PANDA.home] * 8) + 0.05 * np.arange(8)[:, None]
    period_ns = types.NS // 10
    beside = types.Candidates(anchor_ns, period_ns, PANDA.joint_names, (q, -q, 0.5 * q))
    chunk = types.ActionChunk(anchor_ns, period_ns, PANDA.joint_names, q)
    message = convert.candidates_to_msg(beside)
    say(arena, JointTrajectory, "candidates", message, qos.OBSERVATION)
    say(arena, ActionChunk, "action_chunk", convert.chunk_to_msg(chunk), qos.CHUNK)

    def lines():
        return [m for m in heard[-1].markers if m.ns == "not chosen" and m.action == Marker.ADD]

    arena.until(lambda: heard and len(lines()) == 3)
    assert why_not_drawable(heard[-1], {f"left/{PANDA.base_frame}"}) == []
    for marker in lines():
        assert len(marker.points) == 8 and marker.scale.x < 0.003 and marker.color.a < 0.5
    alone = dataclasses.replace(chunk, anchor_ns=anchor_ns + 1, seq=1)
    say(arena, ActionChunk, "action_chunk", convert.chunk_to_msg(alone), qos.CHUNK)
    arena.until(lambda: not lines())
    gone = {key for m in heard for key in kinds(m, Marker.DELETE)}
    assert {("not chosen", k) for k in range(3)} <= gone


def test_the_state_is_written_line_by_line_beside_the_arm(arena, node):
    heard = arena.listen(MarkerArray, MARKERS, qos.STATUS)
    status = types.WamStatus(
        0, bytes(16), "tiny", "grab the\nred block", types.ChunkingMode.GUIDED, latency_last_s=0.08
    )
    say(arena, WamStatus, "wam_status", convert.status_to_msg(status))
    told = types.SafetyReport(0, 0, types.SafetyState.ARMED, types.Decision.SCALED, scale=1.5)
    say(arena, SafetyReport, "safety_report", convert.report_to_msg(told))

    def lines():
        return [m.text for m in heard[-1].markers if m.ns == "state"] if heard else []

    arena.until(lambda: len(lines()) == 4)
    assert lines()[0] == "grab the red block"
    assert lines()[1] == "armed, guided by the running plan"
    assert lines()[2].startswith("scaled, 1.50 times slower")
    assert lines()[3] == "latency 80 ms"
    heights = [m.pose.position.z for m in heard[-1].markers if m.ns == "state"]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize(
    ("shape", "size", "kinds"),
    [
        ("box", (0.1, 0.2, 0.3), [Marker.CUBE]),
        ("sphere", (0.1,), [Marker.SPHERE]),
        ("cylinder", (0.1, 0.3), [Marker.CYLINDER]),
        ("capsule", (0.1, 0.3), [Marker.CYLINDER, Marker.SPHERE, Marker.SPHERE]),
        ("mesh", (0.001, 0.001, 0.001), [Marker.MESH_RESOURCE]),
    ],
)
def test_every_body_of_a_robot_is_drawn_as_what_rviz_knows(shape, size, kinds):
    solid = Solid("link", shape, size, uri="package://a/b.stl" if shape == "mesh" else "")
    pose = pose_of((1.0, 0.0, 0.0), (np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0))  # z along x
    part = Part(7, solid, pose)
    made = part_markers(part, "ghost 1", (1.0, 0.0, 0.0), "base")
    wires = [WireMarker(marker) for marker in made]
    for wire, place in zip(wires, places_of(part, len(made)), strict=True):
        wire.move(place, (1.0, 0.0, 0.0, 0.0))
    made = deserialize_message(markers_to_wire(wires, 0), MarkerArray).markers
    assert [m.type for m in made] == kinds
    assert why_not_drawable(MarkerArray(markers=made), {"base"}) == []
    assert all(m.mesh_resource == solid.uri and 0 < m.color.a < 0.5 for m in made)
    for marker, x in zip(made, (1.0, 1.15, 0.85), strict=False):
        p = marker.pose.position
        np.testing.assert_allclose((p.x, p.y, p.z), (x, 0.0, 0.0), atol=1e-9)


def test_the_quaternions_of_many_rotations_are_those_of_each():
    turns = np.random.default_rng(0).normal(size=(50, 4))
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    turns[0] = (0.0, 1.0, 0.0, 0.0)  # half a turn
    found = np.array(quaternions_of([quat2mat(turn) for turn in turns]))
    # a quaternion and its negative are one rotation
    np.testing.assert_allclose(np.abs((found * turns).sum(1)), 1.0, atol=1e-9)
    assert quaternions_of([]) == []


def test_imagined_frames_hang_before_their_cameras_when_these_are_calibrated(arena):
    arena.add(ViewNode, port=0, tf_prefix="left/", arm_hz=60.0)
    heard = arena.listen(MarkerArray, FRAMES, qos.reliable(2))
    cameras = arena.observer.create_publisher(Observation, "observation", qos.OBSERVATION)
    look = lambda: cameras.publish(seen(50, arena.now_ns()))  # noqa: E731
    arena.until(lambda: cameras.get_subscription_count() == 1)
    look()
    imagined = np.zeros((2, 2, 64, 64, 3), np.uint8)
    imagined[1, 0, :32] = 255  # the last one of the first view: white above, black below
    future = types.ImaginedFuture(
        chunk_seq=1,
        view_names=PANDA.view_names,
        frames=imagined,
        instants_ns=tuple(arena.now_ns() + k * 60 * types.NS for k in (1, 2)),
        joint_names=PANDA.joint_names,
        joint_path=np.zeros((8, N)),
    )
    arena.spin(0.3)
    message = convert.imagined_to_msg(future)
    say(arena, ImaginedFuture, "imagined_future", message, qos.OBSERVATION)
    arena.spin(0.6, look)
    assert not heard, "no camera is calibrated"
    spoilt = CameraInfo(width=128, height=128)
    good = CameraInfo(width=128, height=128, k=[100.0, 0, 64, 0, 100.0, 64, 0, 0, 1])
    say(arena, CameraInfo, "wrist/camera_info", spoilt, qos.IMAGE)
    say(arena, CameraInfo, "front/camera_info", good, qos.IMAGE)
    arena.until(lambda: heard, look)
    assert why_not_drawable(heard[-1], {f"left/{PANDA.base_frame}"}) == []
    picture, frustum = heard[-1].markers
    assert (picture.ns, frustum.ns) == ("imagined front", "camera front")
    cells = len(picture.points) // 3
    assert len(picture.colors) == cells
    shades = [c.g for c in picture.colors]
    assert shades == [1.0] * (cells // 2) + [0.0] * (cells // 2)
    # above is above: the camera looks at the table from in front
    top, bottom = picture.points[0], picture.points[-2]
    assert top.z > bottom.z
    arena.spin(1.5)  # no more pictures come
    heard.clear()
    arena.spin(1.0)
    assert not heard, "what was imagined from a picture of long ago is no future"


def test_a_camera_whose_lens_is_told_in_the_file_needs_no_camera_info(arena):
    lens = Calibration((128, 128), (100.0, 100.0), (64.0, 64.0))
    front, wrist = PANDA.cameras
    told = dataclasses.replace(PANDA, cameras=(dataclasses.replace(front, calibration=lens), wrist))
    publisher = FramePublisher(arena.make(ViewNode), told, "", on_matched=lambda: None)
    assert [marker.key for marker in publisher._shapes["front"]] == [
        ("imagined front", 0),
        ("camera front", 0),
    ]
    assert set(publisher._shapes) == {"front"}


def test_without_a_port_there_is_no_page(node):
    assert node._server is None
