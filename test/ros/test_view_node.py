"""view_node over DDS with a window that only remembers: what is drawn, and what the buttons do."""

import socket

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("viser")
pytest.importorskip("wam_ros.msg")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from sensor_msgs.msg import JointState as JointStateMsg
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import Marker, MarkerArray

from wam_ros.core import types
from wam_ros.core.embodiment import load_embodiment
from wam_ros.msg import ActionChunk, ImaginedFuture, Observation, SafetyReport, WamStatus
from wam_ros.nodes import view_node
from wam_ros.ros import convert, qos
from wam_ros.srv import SetInstruction

pytestmark = pytest.mark.ros
PANDA = load_embodiment("panda")
N = len(PANDA.joint_names)
FRAMES = np.full((2, 64, 64, 3), 77, np.uint8)


class Page:
    """Stands where the browser's page would, and keeps what it is told."""

    def __init__(self, embodiment, host, port):
        self.objects = self.joints = self.end = self.path = self.board = None
        self.instruction, self.state, self.pressed = "", {}, []
        self.watched, self.closed = True, False

    def take_actions(self):
        pressed, self.pressed = self.pressed, []
        return pressed

    def show_joints(self, q):
        self.joints = q

    def show_objects(self, boxes):
        self.objects = boxes

    def show_plan(self, end, path):
        self.end, self.path = end, path

    def show_images(self, board):
        self.board = board

    def show_state(self, lines):
        self.state = dict(lines)

    def show_instruction(self, instruction):
        self.instruction = instruction

    def close(self):
        self.closed = True


@pytest.fixture
def shown(arena, monkeypatch):
    """The running node's page, and the arena it runs in."""
    monkeypatch.setattr(view_node, "Window", Page)
    node = arena.add(view_node.ViewNode, arm_hz=60.0, image_hz=5.0, tile=32)
    return arena, node._window


def say(arena, kind, topic, message, profile=qos.STATUS):
    """Publish a message once somebody listens."""
    publisher = arena.observer.create_publisher(kind, topic, profile)
    arena.until(lambda: publisher.get_subscription_count() == 1)
    publisher.publish(message)


def report(state, **fields):
    return convert.report_to_msg(types.SafetyReport(0, 0, state, types.Decision.PASS, **fields))


def test_the_drawn_arm_follows_the_measured_one_by_joint_name(shown):
    arena, page = shown
    message = JointStateMsg(
        name=list(PANDA.joint_names)[::-1], position=[float(k) for k in range(N)]
    )
    say(arena, JointStateMsg, "joint_states", message, qos.JOINTS)
    arena.until(lambda: page.joints is not None)
    assert page.joints.tolist() == list(range(N))[::-1]


def test_frames_are_shown_beside_the_imagined_ones(shown):
    arena, page = shown
    joints = types.JointState(0, PANDA.joint_names, *[np.zeros(N)] * 3)
    observation = types.Observation(0, PANDA.view_names, FRAMES, (0, 0), joints)
    say(arena, Observation, "observation", convert.observation_to_msg(observation), qos.OBSERVATION)
    arena.until(lambda: page.board is not None)
    alone = page.board.shape
    future = types.ImaginedFuture(
        chunk_seq=1,
        view_names=PANDA.view_names,
        frames=FRAMES[None],
        instants_ns=(5,),
        joint_names=PANDA.joint_names,
        joint_path=np.zeros((8, N)),
    )
    say(arena, ImaginedFuture, "imagined_future", convert.imagined_to_msg(future), qos.OBSERVATION)
    arena.until(lambda: page.board.shape[1] > alone[1])


def test_state_and_instruction_are_said(shown):
    arena, page = shown
    say(
        arena,
        SafetyReport,
        "safety_report",
        report(types.SafetyState.FAULT, sentence="the camera is stale"),
    )
    status = types.WamStatus(9, bytes(16), "tiny", "grab the red block", types.ChunkingMode.REPLACE)
    say(arena, WamStatus, "wam_status", convert.status_to_msg(status))
    arena.until(lambda: page.instruction == "grab the red block")
    arena.until(lambda: "the camera is stale" in page.state.get("safety", ""))
    paused = types.BridgeState(types.Forwarding.PAUSED, "the bridge is paused", "it came late")
    say(
        arena,
        DiagnosticStatus,
        "bridge_state",
        convert.bridge_state_to_msg(paused, "bridge_node", "panda"),
        qos.LATCHED,
    )
    arena.until(lambda: page.state["bridge"] == "the bridge is paused (last refusal: it came late)")


def test_the_plan_is_drawn_while_armed_from_where_it_starts_to_its_end_at_rest(shown):
    arena, page = shown
    t = np.linspace(0, 1, 50)
    q = np.outer(t, np.ones(N)) + np.array(PANDA.home)
    plan = types.SafeTrajectory(
        start_ns=0,
        joint_names=PANDA.joint_names,
        t=t,
        q=q,
        dq=np.zeros_like(q),
        ddq=np.zeros_like(q),
    )
    say(arena, SafetyReport, "safety_report", report(types.SafetyState.ARMED))
    say(arena, JointTrajectory, "safe_trajectory", convert.trajectory_to_msg(plan), qos.TRAJECTORY)
    arena.until(lambda: page.path is not None)
    np.testing.assert_allclose(page.end, q[-1])
    assert 2 < len(page.path) <= 20
    say(arena, SafetyReport, "safety_report", report(types.SafetyState.HOLD))
    arena.until(lambda: page.end is None)


def test_a_dry_run_draws_the_chunk_that_nothing_executes(shown):
    arena, page = shown
    q = np.outer(np.linspace(0, 0.1, 8), np.ones(N)) + np.array(PANDA.home)
    chunk = types.ActionChunk(0, types.NS // 10, PANDA.joint_names, q)
    say(arena, SafetyReport, "safety_report", report(types.SafetyState.SHADOW))
    say(arena, ActionChunk, "action_chunk", convert.chunk_to_msg(chunk), qos.CHUNK)
    arena.until(lambda: page.path is not None)
    np.testing.assert_allclose(page.end, q[-1])
    assert len(page.path) == 8


@pytest.mark.parametrize(
    ("button", "kind", "service", "asked"),
    [
        ("instruct", SetInstruction, "inference_node/set_instruction", "lift the blue cube"),
        ("arm", SetBool, "safety_node/arm", True),
        ("disarm", SetBool, "safety_node/arm", False),
        ("reset", Trigger, "safety_node/reset", None),
        ("estop", Trigger, "safety_node/estop", None),
        ("pause", SetBool, "bridge_node/pause", True),
        ("resume", SetBool, "bridge_node/pause", False),
    ],
)
def test_every_button_calls_its_service_and_the_answer_is_shown(
    shown, button, kind, service, asked
):
    arena, page = shown
    requests = []

    def answer(request, response):
        requests.append(getattr(request, "instruction", getattr(request, "data", None)))
        response.message = "heard you"
        return response

    arena.observer.create_service(kind, service, answer)
    client = arena.observer.create_client(kind, service)
    arena.until(client.service_is_ready)

    def press():
        if not requests:
            page.pressed = [(button, "lift the blue cube")]

    arena.until(lambda: requests, each=press)
    assert requests[0] == asked
    arena.until(lambda: page.state.get("answer") == f"{button}: heard you")


def test_a_button_without_its_service_says_so(shown):
    arena, page = shown
    page.pressed = [("estop", "")]
    arena.until(lambda: "safety_node/estop is not there" in page.state.get("answer", ""))


def test_nobody_watching_is_drawn_nothing(shown):
    arena, page = shown
    page.watched = False
    say(arena, SafetyReport, "safety_report", report(types.SafetyState.ARMED))
    page.pressed = [("estop", "")]
    arena.until(lambda: not page.pressed)  # buttons still work
    arena.spin(0.5)  # two turns of drawing
    assert page.state == {}


def test_joints_that_lack_one_are_named_in_the_page(shown):
    arena, page = shown
    message = JointStateMsg(name=["panda_joint1"], position=[0.0])
    say(arena, JointStateMsg, "joint_states", message, qos.JOINTS)
    arena.until(lambda: "panda_joint2" in page.state.get("answer", ""))
    assert page.joints is None


def test_boxes_of_the_simulated_task_are_drawn_and_other_markers_are_not(shown):
    arena, page = shown
    cube = Marker(type=Marker.CUBE, ns="red_block", id=3)
    cube.pose.position.z, cube.pose.orientation.x, cube.pose.orientation.w = 0.1, 0.6, 0.8
    cube.scale.x, cube.color.r = 0.04, 0.5
    markers = MarkerArray(
        markers=[Marker(type=Marker.SPHERE), cube, Marker(type=Marker.CUBE, action=Marker.DELETE)]
    )
    say(arena, MarkerArray, "sim/objects", markers)
    arena.until(lambda: page.objects is not None)
    (box,) = page.objects
    assert (box.name, box.position, box.wxyz) == (
        "red_block_3",
        (0.0, 0.0, 0.1),
        (0.8, 0.6, 0.0, 0.0),
    )
    assert (box.size[0], box.rgb[0]) == (0.04, 0.5)


def test_a_port_in_use_fails_at_configure_and_names_it(arena, capfd):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        node = arena.make(view_node.ViewNode, port=port)
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert f"port {port}" in capfd.readouterr().err


def test_cleaning_up_closes_the_page(shown):
    arena, page = shown
    node = arena.nodes[0]
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert page.closed
