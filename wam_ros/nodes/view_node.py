"""A page in the browser that shows the loop and takes instructions, arming, pauses and the
emergency stop.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import Marker, MarkerArray

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.msg import ActionChunk, ImaginedFuture, Observation, SafetyReport, WamStatus
from wam_ros.ros import convert
from wam_ros.ros.latest import Latest
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.params import param
from wam_ros.ros.running import run_node
from wam_ros.srv import SetInstruction
from wam_ros.view.kinematics import LinkPath
from wam_ros.view.model import ViewModel
from wam_ros.view.window import Box, Window

_PATH_POINTS = 20
# topic: message, its reader, where it goes; the chunk comes after the frames that were imagined
# with it
SHOWN: dict[str, tuple[type, Callable[[Any], Any], Callable[[ViewModel, Any], None]]] = {
    "observation": (
        Observation,
        convert.observation_from_msg,
        lambda m, v: setattr(m, "observation", v),
    ),
    "imagined_future": (
        ImaginedFuture,
        convert.imagined_from_msg,
        lambda m, v: setattr(m, "imagined", v),
    ),
    "action_chunk": (ActionChunk, convert.chunk_from_msg, ViewModel.on_chunk),
    "safety_report": (SafetyReport, convert.report_from_msg, lambda m, v: setattr(m, "report", v)),
    "bridge_state": (
        DiagnosticStatus,
        convert.bridge_state_from_msg,
        lambda m, v: setattr(m, "bridge", v),
    ),
    "wam_status": (WamStatus, convert.status_from_msg, ViewModel.on_status),
}


@dataclass(frozen=True)
class ViewParams:
    """Parameters of view_node."""

    embodiment: str = param(
        "panda", doc="robot: a name in config/embodiments or the path of a YAML file"
    )
    host: str = param(
        "127.0.0.1", doc="address to listen on; anybody who reaches it can move the robot"
    )
    port: int = param(8080, low=1, high=65535, doc="TCP port of the page")
    arm_hz: float = param(
        10.0, unit="Hz", low=1.0, high=60.0, doc="updates of the drawn arm per second"
    )
    image_hz: float = param(
        4.0, unit="Hz", low=0.5, high=5.0, doc="updates of frames, plan and state per second"
    )
    tile: int = param(192, unit="px", low=32, high=512, doc="edge of one frame in the page")


class ViewNode(WamNode):
    """Wires a `ViewModel` to topics and a `Window` to timers; buttons become service calls."""

    def __init__(self, **options: Any) -> None:
        super().__init__("view_node", ViewParams, **options)
        self._opened = contextlib.ExitStack()
        self._shown_instruction = ""

    def configure(self) -> None:
        """Serve the page and listen."""
        p: ViewParams = self.params
        self._embodiment = load_embodiment(p.embodiment)
        self._model = ViewModel()
        self._window = Window(self._embodiment, p.host, p.port)
        self._opened.callback(self._window.close)
        self._tool = LinkPath(
            self._embodiment.urdf_path, self._embodiment.tool_frame, self._embodiment.joint_names
        )
        self._joints = Latest(self, JointState, "joint_states")
        self._objects = Latest(self, MarkerArray, "sim/objects")
        self._plan = Latest(self, JointTrajectory, "safe_trajectory", reliable=True)
        self._newest = {
            topic: Latest(self, kind, topic, reliable=True) for topic, (kind, _, _) in SHOWN.items()
        }
        self._callees = {
            "instruct": self.create_client(SetInstruction, "inference_node/set_instruction"),
            "arm": self.create_client(SetBool, "safety_node/arm"),
            "disarm": self.create_client(SetBool, "safety_node/arm"),
            "reset": self.create_client(Trigger, "safety_node/reset"),
            "estop": self.create_client(Trigger, "safety_node/estop"),
            "pause": (pause := self.create_client(SetBool, "bridge_node/pause")),
            "resume": pause,
        }
        self.get_logger().info(f"open http://localhost:{p.port}")

    def activate(self) -> None:
        """Redraw from now on."""
        p: ViewParams = self.params
        self._redraws = [
            self.create_timer(1 / p.arm_hz, self._draw_arm),
            self.create_timer(1 / p.image_hz, self._draw_rest),
        ]

    def deactivate(self) -> None:
        """Leave the page as it is."""
        for timer in self._redraws:
            self.destroy_timer(timer)

    def cleanup(self) -> None:
        """Stop serving."""
        self._opened.close()

    def _draw_arm(self) -> None:
        for action, text in self._window.take_actions():
            self._call(action, text)
        if not self._window.watched:
            return
        if (objects := self._objects.take()) is not None:
            self._window.show_objects(
                [box for m in objects.markers if (box := read_box(m)) is not None]
            )
        if (message := self._joints.take()) is None:
            return
        with self._complaining("joint_states"):
            self._window.show_joints(
                convert.joint_state_from_msg(message, self._embodiment.joint_names).positions
            )

    def _draw_rest(self) -> None:
        if not self._window.watched:
            return
        for topic, (_, from_msg, show) in SHOWN.items():
            if (message := self._newest[topic].take()) is not None:
                with self._complaining(topic):
                    show(self._model, from_msg(message))
        if self._model.instruction != self._shown_instruction:
            self._shown_instruction = self._model.instruction
            self._window.show_instruction(self._shown_instruction)
        self._window.show_state(self._model.lines())
        if (board := self._model.board(self.params.tile)) is not None:
            self._window.show_images(board)
        self._draw_plan()

    def _draw_plan(self) -> None:
        message = self._plan.take()
        q = self._model.proposal(self._embodiment.joint_names)
        if q is None and not self._model.plan_shown:
            self._window.show_plan(None, None)
        elif q is None and message is not None:
            with self._complaining("safe_trajectory"):
                q = convert.trajectory_from_msg(message).q
        if q is not None:
            points = q[np.unique(np.linspace(0, len(q) - 1, _PATH_POINTS).astype(int))]
            self._window.show_plan(q[-1], self._tool.positions(points))

    @contextlib.contextmanager
    def _complaining(self, topic: str) -> Iterator[None]:
        """A message that cannot be read is shown to the person; the page goes on."""
        try:
            yield
        except WamError as error:
            self._model.answer = f"{topic}: {error}"

    def _call(self, action: str, text: str) -> None:
        client = self._callees[action]
        if not client.service_is_ready():
            self._model.answer = f"{action}: {client.srv_name} is not there"
            return
        fields: dict[str, Any] = {"instruct": {"instruction": text}}
        fields |= {
            name: {"data": name in ("arm", "pause")}
            for name in ("arm", "disarm", "pause", "resume")
        }
        future = client.call_async(client.srv_type.Request(**fields.get(action, {})))
        future.add_done_callback(lambda done: self._on_answer(action, done.result()))

    def _on_answer(self, action: str, answer: Any) -> None:
        ok = answer.ok if hasattr(answer, "ok") else answer.success
        self._model.answer = f"{action}: {answer.message or ('done' if ok else 'refused')}"


def read_box(marker: Marker) -> Box | None:
    """A marker as a box, None when it is something else."""
    if marker.type != Marker.CUBE or marker.action != Marker.ADD:
        return None
    p = marker.pose.position
    q = marker.pose.orientation
    s = marker.scale
    c = marker.color
    name = f"{marker.ns or 'object'}_{marker.id}"
    return Box(name, (p.x, p.y, p.z), (q.w, q.x, q.y, q.z), (s.x, s.y, s.z), (c.r, c.g, c.b))


def main() -> None:
    """Run the node."""
    run_node(ViewNode)


if __name__ == "__main__":
    main()
