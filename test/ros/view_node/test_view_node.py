"""view_node over DDS with a server that only remembers: what is shown, and what the buttons do; and
the process itself.
"""

import gc
import json
import re
import signal
import socket

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("aiohttp")
pytest.importorskip("wam_ros.msg")

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Point
from rcl_interfaces.msg import Log
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.task import Future
from sensor_msgs.msg import JointState as JointStateMsg
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import Marker, MarkerArray

from testing.peers import Deaf, free_port, raw_head
from testing.wire import unpack
from wam_ros.core import types
from wam_ros.core.admission import SHIPPED
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.takes import RecorderState
from wam_ros.msg import ActionChunk, ImaginedFuture, Observation, SafetyReport, WamStatus
from wam_ros.nodes import view_node
from wam_ros.ros import convert, qos
from wam_ros.ros.view_node import listener
from wam_ros.ros.view_node.listener import COSTLY
from wam_ros.srv import SetInstruction, StartTask
from wam_ros.view.server import Action

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
PANDA = load_embodiment("panda")
N = len(PANDA.joint_names)
FRAMES = np.full((2, 64, 64, 3), 77, np.uint8)


class Page:
    """Stands where the page's server would, and keeps what it is told."""

    def __init__(self, access, listening, assets, history, on_action, *, on_change, tls):
        self.access, self.assets, self.tls = access, assets, tls
        self.pose, self.moment, self.images, self.shown = {}, {}, [], 0
        self.pressed, self.press = [], on_action
        self.on_change = on_change
        self.watched, self.closed, self.trouble = True, False, ""
        listening.close()

    def watch(self, watched):
        """A page comes or leaves."""
        self.watched = watched
        self.on_change()

    def take_actions(self):
        pressed, self.pressed = self.pressed, []
        return pressed

    def show(self, kind, message):
        self.shown += 1
        if kind == "moment":
            self.moment, self.images = unpack(message)
        else:
            self.pose = json.loads(message)

    @property
    def lines(self):
        return dict(self.moment.get("lines", ()))

    @property
    def plan(self):
        return self.moment.get("plan")

    def close(self):
        self.closed = True


@pytest.fixture
def shown(arena, monkeypatch):
    """The running node's page, and the arena it runs in."""
    monkeypatch.setattr(view_node, "PageServer", Page)
    node = arena.add(view_node.ViewNode, arm_hz=60.0, image_hz=15.0, port=free_port())
    return arena, node._server


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
    arena.until(lambda: page.pose.get("q"))
    assert page.pose["q"] == list(range(N))[::-1]
    arena.until(lambda: page.moment.get("q") == page.pose["q"])


def test_frames_are_shown_beside_the_imagined_ones(shown):
    arena, page = shown
    joints = types.JointState(0, PANDA.joint_names, *[np.zeros(N)] * 3)
    observation = types.Observation(0, PANDA.view_names, FRAMES, (0, 0), joints)
    say(arena, Observation, "observation", convert.observation_to_msg(observation), qos.OBSERVATION)
    arena.until(lambda: page.images)
    assert page.moment["columns"] == [{"kind": "observed", "ahead_s": 0.0}]
    assert len(page.images) == 2
    future = types.ImaginedFuture(
        chunk_seq=1,
        view_names=PANDA.view_names,
        frames=FRAMES[None],
        instants_ns=(types.NS // 2,),
        joint_names=PANDA.joint_names,
        joint_path=np.zeros((8, N)),
    )
    say(arena, ImaginedFuture, "imagined_future", convert.imagined_to_msg(future), qos.OBSERVATION)
    arena.until(lambda: len(page.images) == 4)
    assert page.moment["columns"][1] == {"kind": "imagined", "ahead_s": 0.5}


def test_state_and_instruction_are_said(shown):
    arena, page = shown
    fault = report(types.SafetyState.FAULT, sentence="the camera is stale")
    say(arena, SafetyReport, "safety_report", fault)
    status = types.WamStatus(9, bytes(16), "tiny", "grab the red block", types.ChunkingMode.REPLACE)
    say(arena, WamStatus, "wam_status", convert.status_to_msg(status))
    arena.until(lambda: page.moment.get("instruction") == "grab the red block")
    arena.until(lambda: "the camera is stale" in page.lines["safety"])
    assert page.moment["figures"]["safety"] == "fault"
    paused = types.BridgeState(types.Forwarding.PAUSED, "the bridge is paused", "it came late")
    message = convert.bridge_state_to_msg(paused, "bridge_node", "panda", SHIPPED)
    say(arena, DiagnosticStatus, "bridge_state", message, qos.LATCHED)
    arena.until(lambda: page.lines["bridge"] == "the bridge is paused (last refusal: it came late)")
    assert page.moment["bridge"] == "paused"


def test_every_moment_is_kept_for_the_timeline(shown):
    arena, page = shown
    history = arena.nodes[0]._history
    arena.until(lambda: history.next_number > 3)
    number = page.moment["n"]
    head, _ = unpack(history.frames(number))
    assert head["n"] == number


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
    arena.until(lambda: page.plan)
    np.testing.assert_allclose(page.plan["q"][-1], q[-1], atol=1e-6)
    np.testing.assert_allclose(page.plan["q"][0], q[0], atol=1e-6)
    assert 2 < len(page.plan["q"]) == len(page.plan["t"]) <= 24
    assert not page.moment["proposed"]
    say(arena, SafetyReport, "safety_report", report(types.SafetyState.HOLD))
    arena.until(lambda: not page.plan)


def test_a_dry_run_draws_the_chunk_that_nothing_executes(shown):
    arena, page = shown
    q = np.outer(np.linspace(0, 0.1, 8), np.ones(N)) + np.array(PANDA.home)
    chunk = types.ActionChunk(0, types.NS // 10, PANDA.joint_names, q)
    say(arena, SafetyReport, "safety_report", report(types.SafetyState.SHADOW))
    say(arena, ActionChunk, "action_chunk", convert.chunk_to_msg(chunk), qos.CHUNK)
    arena.until(lambda: page.plan)
    np.testing.assert_allclose(page.plan["q"][-1], q[-1], atol=1e-6)
    assert len(page.plan["q"]) == 8
    assert page.moment["proposed"]


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
        ("home", Trigger, "bridge_node/home", None),
        ("forget", Trigger, "safety_node/forget_sources", None),
        ("task", StartTask, "task_node/start", "lift the blue cube"),
        ("cancel", Trigger, "task_node/cancel", None),
        ("save", Trigger, "recorder_node/save", None),
        ("good", SetBool, "recorder_node/mark", True),
        ("bad", SetBool, "recorder_node/mark", False),
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

    page.pressed = [Action(button, "lift the blue cube")]

    def press():
        if page.pressed:
            page.press()

    # the node may not have found the service yet
    arena.until(lambda: arena.nodes[0]._callees[button].service_is_ready())
    arena.until(lambda: requests, each=press)
    assert requests == [asked]
    arena.until(lambda: page.lines.get("answer") == f"{button}: heard you")


def test_what_the_recorder_does_is_shown_and_when_it_is_silent_that(shown, monkeypatch):
    arena, page = shown
    state = RecorderState("take_000003", "take_000003, 7 s, 12 MB", False)
    message = convert.recorder_state_to_msg(state, "recorder_node", False, {})
    assert page.moment.get("recorder") is None
    say(arena, DiagnosticStatus, "recorder_state", message, qos.LATCHED)
    arena.until(lambda: page.moment.get("recorder") == {"take": "take_000003", "alarm": False})
    assert page.lines["recorder"] == "take_000003, 7 s, 12 MB"
    monkeypatch.setattr(listener, "_RECORDER_S", 0.0)
    arena.until(lambda: page.moment["recorder"] == {"take": "", "alarm": True})
    assert page.lines["recorder"] == "the recorder is silent"


def test_a_button_pressed_a_hundred_times_asks_once_until_it_is_answered(shown):
    arena, page = shown
    asked, node = [], arena.nodes[0]
    client = node._callees["estop"]
    client.service_is_ready = lambda: True
    client.call_async = lambda request: asked.append(request) or Future()
    for _ in range(100):
        page.pressed = [Action("estop")]
        node._on_news()
    assert len(asked) == 1
    node._asked["estop"] = node._asked["estop"][0], -10.0  # long ago, and never answered
    page.pressed = [Action("estop")]
    node._on_news()
    assert len(asked) == 2


def test_a_stop_does_not_wait_for_the_page_to_be_drawn(shown):
    arena, page = shown
    arena.nodes[0].trigger_deactivate()
    page.pressed = [Action("estop")]
    page.press()
    arena.until(lambda: not page.pressed)


def test_a_button_without_its_service_says_so(shown):
    arena, page = shown
    page.pressed = [Action("estop")]
    page.press()
    arena.until(lambda: "safety_node/estop is not there" in page.lines.get("answer", ""))


def test_a_simulation_whose_time_stands_still_is_still_shown(arena, monkeypatch):
    monkeypatch.setattr(view_node, "PageServer", Page)
    node = arena.add(view_node.ViewNode, use_sim_time=True, port=free_port())
    arena.until(lambda: node._history.next_number > 3)


def test_nobody_watching_is_drawn_nothing_and_nothing_is_read(shown):
    arena, page = shown
    node = arena.nodes[0]
    told = arena.observer.create_publisher(SafetyReport, "safety_report", qos.STATUS)
    arena.until(lambda: told.get_subscription_count() == 1)
    page.watch(False)
    arena.until(lambda: told.get_subscription_count() == 0)
    page.shown, kept = 0, node._history.next_number
    told.publish(report(types.SafetyState.ARMED))
    page.pressed = [Action("estop")]
    page.press()
    arena.until(lambda: not page.pressed)  # buttons still work
    arena.spin(0.3)  # some turns of drawing
    assert page.shown == 0
    assert node._history.next_number == kept
    assert node._model.report is None


def test_who_looks_again_is_shown_what_is_now_and_not_what_was(shown):
    arena, page = shown
    state = types.BridgeState(types.Forwarding.PAUSED, "the bridge is paused", "")
    kept = convert.bridge_state_to_msg(state, "bridge_node", "panda", SHIPPED)
    say(arena, DiagnosticStatus, "bridge_state", kept, qos.LATCHED)
    say(arena, SafetyReport, "safety_report", report(types.SafetyState.ARMED))
    arena.until(lambda: page.moment.get("figures", {}).get("safety") == "armed")
    page.watch(False)
    arena.until(lambda: arena.nodes[0]._model.report is None)
    page.moment = {}
    page.watch(True)
    arena.until(lambda: page.moment.get("bridge") == "paused")
    assert page.moment["figures"]["safety"] == "unknown", "nobody has said so since"


def test_what_costs_safety_something_is_heard_only_while_somebody_watches(shown):
    arena, page = shown
    page.watch(False)
    made = {
        topic: arena.observer.create_publisher(MarkerArray, topic, qos.STATUS) for topic in COSTLY
    }
    listeners = lambda: [p.get_subscription_count() for p in made.values()]  # noqa: E731
    arena.until(lambda: listeners() == [0, 0])
    page.watch(True)
    arena.until(lambda: listeners() == [1, 1])
    line = Marker(type=Marker.LINE_STRIP, ns="accepted", points=[Point(), Point(x=1.0)])
    box = Marker(type=Marker.CUBE, text="box")
    box.scale.x = box.scale.y = box.scale.z = 0.1
    made["safety/markers"].publish(MarkerArray(markers=[line]))
    made["safety/surroundings"].publish(MarkerArray(markers=[box]))
    arena.until(lambda: page.moment.get("surroundings"))
    assert page.moment["surroundings"][0]["name"] == "box"
    assert page.moment["paths"] == [], "nothing is planned"
    say(arena, SafetyReport, "safety_report", report(types.SafetyState.ARMED))
    say(arena, JointTrajectory, "safe_trajectory", convert.trajectory_to_msg(still()))
    arena.until(lambda: page.moment["paths"])
    assert page.moment["paths"][0]["points"] == [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    page.watch(False)
    arena.until(lambda: listeners() == [0, 0])


def still():
    """A trajectory that stays at home."""
    q = np.array([PANDA.home, PANDA.home])
    return types.SafeTrajectory(
        q, 0 * q, 0 * q, start_ns=0, joint_names=PANDA.joint_names, t=np.array([0.0, 1.0])
    )


def test_joints_that_lack_one_are_named_in_the_page(shown):
    arena, page = shown
    message = JointStateMsg(name=["panda_joint1"], position=[0.0])
    say(arena, JointStateMsg, "joint_states", message, qos.JOINTS)
    arena.until(lambda: "panda_joint2" in page.lines.get("answer", ""))
    assert page.pose["q"] is None


def test_bodies_of_the_simulated_task_are_drawn_and_other_markers_are_not(shown):
    arena, page = shown
    cube = Marker(type=Marker.CUBE, ns="red_block", id=3)
    cube.scale.x = cube.scale.y = cube.scale.z = 0.04
    markers = MarkerArray(markers=[Marker(type=Marker.LINE_STRIP), cube])
    say(arena, MarkerArray, "sim/objects", markers)
    arena.until(lambda: page.pose.get("objects"))
    assert [o["name"] for o in page.pose["objects"]] == ["red_block_3"]


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


def test_the_link_is_printed_and_not_logged_where_the_network_hears_it(arena, capfd):
    # rcl knows one /rosout for all nodes of a name: that of an earlier test until it is collected
    gc.collect()
    node = arena.make(view_node.ViewNode, port=free_port())
    logged = arena.listen(Log, "/rosout", qos.STATUS)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    found = capfd.readouterr()
    assert re.search(r"^open http://localhost:\d+/open\?token=\S{43}$", found.out, re.MULTILINE)
    said = lambda: node.get_logger().info("the last word")  # noqa: E731
    arena.until(lambda: any("the last word" in m.msg for m in logged), each=said)
    assert not any("token" in m.msg for m in logged)
    assert "token" not in found.err
    assert "can move the robot" not in found.err
    node.trigger_cleanup()


def test_listening_beyond_this_machine_is_warned_of(arena, capfd):
    port = free_port()
    node = arena.make(view_node.ViewNode, port=port, host="0.0.0.0")
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    words = capfd.readouterr().err
    assert f"whoever reaches port {port} and has the link of this start can move the robot" in words
    assert "without TLS everybody on the network can read that link" in words
    node.trigger_cleanup()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"host": "nowhere.test"}, "host 'nowhere.test' is no IP address"),
        ({"tls_key": "/key.pem"}, "both files"),
        ({"world": "tabel"}, "Did you mean 'table'"),
    ],
)
def test_what_cannot_be_served_fails_at_configure_in_one_line(arena, capfd, wrong, words):
    node = arena.make(view_node.ViewNode, port=free_port(), **wrong)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert words in capfd.readouterr().err


def test_the_process_ends_although_a_page_does_not_read(arena):
    port = free_port()
    process = arena.spawn("view_node", port=port)
    arena.until(lambda: "token=" in arena.log("view_node") or process.poll() is not None)
    token = re.search(r"token=(\S+)", arena.log("view_node"))[1]
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(raw_head(port, path=f"/open?token={token}"))
        cookie = re.search(rb"Set-Cookie: ([^;]+)", s.recv(8192))[1].decode()
    deaf = [Deaf(port, cookie) for _ in range(3)]
    process.send_signal(signal.SIGTERM)
    arena.until(lambda: process.poll() is not None, seconds=10)
    assert process.returncode == 0, arena.log("view_node")
    for one in deaf:
        one.close()
