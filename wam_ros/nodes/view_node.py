"""A page in the browser that shows the loop and takes instructions, arming, pauses and the
emergency stop.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import MarkerArray

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.types import NS
from wam_ros.msg import ActionChunk, ImaginedFuture, Observation, SafetyReport, WamStatus
from wam_ros.ros import convert
from wam_ros.ros.latest import Latest
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.running import run_node
from wam_ros.ros.view_node.parameters import ViewParams
from wam_ros.ros.view_node.solids import (
    lines_from_markers,
    solids_from_markers,
    solids_of_world,
)
from wam_ros.srv import SetInstruction
from wam_ros.view.access import Access, is_loopback, make_token
from wam_ros.view.history import History
from wam_ros.view.model import ViewModel
from wam_ros.view.port import listen
from wam_ros.view.scene import make_scene
from wam_ros.view.server import Action, PageServer, tls_context
from wam_ros.view.wire import Encoder, pack, to_json

# topic: message, its reader, where it goes; the chunk comes before the frames that were imagined
# with it, and the observation last of those that it is held against
SHOWN: dict[str, tuple[type, Callable[[Any], Any], Callable[[ViewModel, Any], None]]] = {
    "action_chunk": (ActionChunk, convert.chunk_from_msg, ViewModel.on_chunk),
    "imagined_future": (ImaginedFuture, convert.imagined_from_msg, ViewModel.on_imagined),
    "observation": (Observation, convert.observation_from_msg, ViewModel.on_observation),
    "safe_trajectory": (
        JointTrajectory,
        convert.trajectory_from_msg,
        lambda m, v: setattr(m, "trajectory", v),
    ),
    "safety_report": (SafetyReport, convert.report_from_msg, ViewModel.on_report),
    "bridge_state": (
        DiagnosticStatus,
        convert.bridge_state_from_msg,
        lambda m, v: setattr(m, "bridge", v),
    ),
    "wam_status": (WamStatus, convert.status_from_msg, ViewModel.on_status),
}
# what costs its publisher something: heard only while somebody watches
COSTLY = ("safety/markers", "safety/surroundings")
_ASKED_S = 1.0  # a service that has not answered so long is asked again


class ViewNode(WamNode):
    """Wires a `ViewModel` to topics and a `PageServer` to timers; buttons become service calls."""

    def __init__(self, **options: Any) -> None:
        super().__init__("view_node", ViewParams, **options)
        self._opened = contextlib.ExitStack()
        self._token = ""

    def configure(self) -> None:
        """Serve the page and listen."""
        p: ViewParams = self.params
        robot = load_embodiment(p.embodiment)
        self._model = ViewModel(robot.joint_names, round(NS / robot.frame_rate_hz))
        self._history = History()
        self._encoder = Encoder()
        self._objects: list[dict[str, Any]] = []
        self._costly: dict[str, Latest] = {}
        self._asked: dict[str, tuple[Any, float]] = {}
        self._callees = {
            "estop": self.create_client(Trigger, "safety_node/estop"),
            "pause": (pause := self.create_client(SetBool, "bridge_node/pause")),
            "resume": pause,
            "arm": (arm := self.create_client(SetBool, "safety_node/arm")),
            "disarm": arm,
            "reset": self.create_client(Trigger, "safety_node/reset"),
            "home": self.create_client(Trigger, "bridge_node/home"),
            "forget": self.create_client(Trigger, "safety_node/forget_sources"),
            "instruct": self.create_client(SetInstruction, "inference_node/set_instruction"),
        }
        self._joints = Latest(self, JointState, "joint_states")
        self._markers = Latest(self, MarkerArray, "sim/objects")
        self._newest = {
            topic: Latest(self, kind, topic, reliable=True) for topic, (kind, _, _) in SHOWN.items()
        }
        self._serve(make_scene(robot, solids_of_world(p.world or robot.world)))

    def _serve(self, scene: dict[str, Any]) -> None:
        p: ViewParams = self.params
        self._token = self._token or make_token()
        tls = tls_context(p.tls_certificate, p.tls_key)
        access = Access(p.host, p.port, self._token, secure=tls is not None)
        pressed = self.create_guard_condition(self._on_pressed)
        self._server = PageServer(
            access, listen(p.port, p.host), scene, self._history, pressed.trigger, tls
        )
        self._opened.callback(self._server.close)
        if not is_loopback(p.host):
            risk = "" if tls else "; without TLS everybody on the network can read that link"
            self.get_logger().warning(
                f"listening on {p.host}: whoever reaches port {p.port} and has the link of this "
                f"start can move the robot{risk}"
            )
        # not by the logger: everybody on the ROS network hears that
        print(f"open {access.address}", flush=True)

    def activate(self) -> None:
        """Redraw from now on."""
        p: ViewParams = self.params
        # a person watches in their own time, also when that of a simulation stands still
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._redraws = [
            self.create_timer(1 / p.arm_hz, self._draw_arm, clock=steady),
            self.create_timer(1 / p.image_hz, self._draw_rest, clock=steady),
        ]

    def deactivate(self) -> None:
        """Leave the page as it is."""
        for timer in self._redraws:
            self.destroy_timer(timer)

    def cleanup(self) -> None:
        """Stop serving."""
        self._opened.close()

    def _draw_arm(self) -> None:
        if trouble := self._server.trouble:
            self._server.trouble = ""
            self.get_logger().error(trouble, throttle_duration_sec=2.0)
        watched = self._server.watched
        self.attend(watched)
        if not watched:
            return
        self._hear()
        self._server.show(
            "pose",
            to_json({"type": "pose", "q": self._model.joints, "objects": self._objects}),
        )

    def attend(self, watched: bool) -> None:
        """Begin or cease to hear what its publisher draws only because somebody looks."""
        if watched and not self._costly:
            self._costly = {t: Latest(self, MarkerArray, t, reliable=True) for t in COSTLY}
        elif not watched and self._costly:
            for heard in self._costly.values():
                heard.close()
            self._costly.clear()
            self._model.paths = self._model.surroundings = []

    def _hear(self) -> None:
        """Take what has come since the last time."""
        if (message := self._joints.take()) is not None:
            with self._complaining("joint_states"):
                state = convert.joint_state_from_msg(message, self._model.joint_names)
                self._model.joints = state.positions
        if (message := self._markers.take()) is not None:
            self._objects = [s.described() for s in solids_from_markers(message)]
        if (message := self._costly["safety/markers"].take()) is not None:
            self._model.paths = lines_from_markers(message)
        if (message := self._costly["safety/surroundings"].take()) is not None:
            self._model.surroundings = [s.described() for s in solids_from_markers(message)]
        for topic, (_, from_msg, show) in SHOWN.items():
            if (message := self._newest[topic].take()) is not None:
                with self._complaining(topic):
                    show(self._model, from_msg(message))

    def _draw_rest(self) -> None:
        """One moment: it is shown, and kept for the timeline."""
        if not self._server.watched:
            return
        head = self._model.head(self.get_clock().now().nanoseconds)
        columns = self._model.columns()
        images = [image for images in self._encoder.encode(columns) for image in images]
        head |= {
            "objects": self._objects,
            "columns": [{"kind": c.kind, "ahead_s": c.ahead_s} for c in columns],
        }
        now_s = time.monotonic()
        moment = pack({**head, "n": self._history.next_number, "t": now_s}, images)
        self._history.add(now_s, head["figures"], moment)
        self._server.show("moment", moment)

    @contextlib.contextmanager
    def _complaining(self, topic: str) -> Iterator[None]:
        """A message that cannot be read is shown to the person; the page goes on."""
        try:
            yield
        except WamError as error:
            self._model.answer = f"{topic}: {error}"

    def _on_pressed(self) -> None:
        for action in self._server.take_actions():
            self._call(action)

    def _call(self, action: Action) -> None:
        """Ask the service of a button; while it has not answered, pressing again asks nothing
        new.
        """
        name = action.name
        client = self._callees[name]
        if not client.service_is_ready():
            self._model.answer = f"{name}: {client.srv_name} is not there"
            return
        now_s = time.monotonic()
        asked, since_s = self._asked.get(name, (None, 0.0))
        if asked is not None and not asked.done():
            if now_s - since_s < _ASKED_S and name != "instruct":
                return
            client.remove_pending_request(asked)
        fields: dict[str, Any] = {"instruct": {"instruction": action.text}}
        fields |= {
            name: {"data": name in ("arm", "pause")}
            for name in ("arm", "disarm", "pause", "resume")
        }
        future = client.call_async(client.srv_type.Request(**fields.get(name, {})))
        self._asked[name] = future, now_s
        future.add_done_callback(lambda done: self._on_answer(name, done))

    def _on_answer(self, name: str, done: Any) -> None:
        if done.cancelled() or (answer := done.result()) is None:
            return
        ok = answer.ok if hasattr(answer, "ok") else answer.success
        self._model.answer = f"{name}: {answer.message or ('done' if ok else 'refused')}"


def main() -> None:
    """Run the node."""
    run_node(ViewNode)


if __name__ == "__main__":
    main()
