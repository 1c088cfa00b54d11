"""A page in the browser that shows the loop and takes instructions, arming and the emergency stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.types import ActionChunk
from wam_ros.msg import ActionChunk as ActionChunkMsg
from wam_ros.msg import ImaginedFuture, Observation, SafetyReport, WamStatus
from wam_ros.ros import convert, qos
from wam_ros.ros.lifecycle import WamNode, run_node
from wam_ros.ros.params import param
from wam_ros.srv import SetInstruction
from wam_ros.view.kinematics import LinkPath
from wam_ros.view.model import ViewModel
from wam_ros.view.window import Window

_PATH_POINTS = 20
_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


@dataclass(frozen=True)
class ViewParams:
    """Parameters of view_node."""

    embodiment: str = param("panda", doc="robot: a name in config/embodiments or the path of a YAML file")
    host: str = param("127.0.0.1", doc="address to listen on; anybody who reaches it can move the robot")
    port: int = param(8080, low=1, high=65535, doc="TCP port of the page")
    arm_hz: float = param(10.0, unit="Hz", low=1.0, high=60.0, doc="updates of the drawn arm per second")
    image_hz: float = param(4.0, unit="Hz", low=0.5, high=5.0, doc="updates of frames, plan and state per second")
    tile: int = param(192, unit="px", low=32, high=512, doc="edge of one frame in the page")


class ViewNode(WamNode):
    """Wires a `ViewModel` to topics and a `Window` to timers; buttons become service calls."""

    def __init__(self, **options: Any) -> None:
        super().__init__("view_node", ViewParams, **options)
        self._window: Window | None = None

    def configure(self) -> None:
        """Serve the page and listen."""
        p: ViewParams = self.params
        self._embodiment = load_embodiment(p.embodiment)
        self._model = ViewModel()
        self._raw: dict[str, bytes] = {}  # messages read only when the page is redrawn
        self._window = Window(self._embodiment, p.host, p.port)
        self._tool = LinkPath(self._embodiment.urdf_path, self._embodiment.tool_frame, self._embodiment.joint_names)
        self._subscribe(Observation, "observation", qos.OBSERVATION, "observation", convert.observation_from_msg)
        self._subscribe(ImaginedFuture, "imagined_future", qos.STATUS, "imagined", convert.imagined_from_msg)
        self._subscribe(SafetyReport, "safety_report", qos.STATUS, "report", convert.report_from_msg)
        self._subscribe(WamStatus, "wam_status", qos.STATUS, "status", convert.status_from_msg)
        self.create_subscription(ActionChunkMsg, "action_chunk", self._on_chunk, qos.CHUNK)
        self._keep(JointState, "joint_states")
        self._keep(JointTrajectory, "safe_trajectory")
        self._callees = {
            "instruct": self.create_client(SetInstruction, "inference_node/set_instruction"),
            "arm": self.create_client(SetBool, "safety_node/arm"),
            "disarm": self.create_client(SetBool, "safety_node/arm"),
            "reset": self.create_client(Trigger, "safety_node/reset"),
            "estop": self.create_client(Trigger, "safety_node/estop"),
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
        if self._window is not None:
            self._window.close()
            self._window = None

    def _subscribe(self, kind: type, topic: str, profile: QoSProfile, field: str, from_msg: Any) -> None:
        def on_message(message: Any) -> None:
            try:
                setattr(self._model, field, from_msg(message))
            except WamError as error:
                self._model.answer = f"{topic}: {error}"

        self.create_subscription(kind, topic, on_message, profile)

    def _keep(self, kind: type, topic: str) -> None:
        self.create_subscription(kind, topic, lambda data: self._raw.__setitem__(topic, data), _NEWEST, raw=True)

    def _on_chunk(self, message: ActionChunkMsg) -> None:
        chunk: ActionChunk = convert.chunk_from_msg(message)
        if chunk.instruction != self._model.instruction:
            self._window.show_instruction(chunk.instruction)
        self._model.on_chunk(chunk, self.get_clock().now().nanoseconds)

    def _draw_arm(self) -> None:
        for action, text in self._window.take_actions():
            self._call(action, text)
        data = self._raw.pop("joint_states", None)
        if data is None or not self._window.watched:
            return
        message = deserialize_message(data, JointState)
        try:
            self._window.show_joints(convert.joint_state_from_msg(message, self._embodiment.joint_names).positions)
        except WamError as error:
            self._model.answer = str(error)

    def _draw_rest(self) -> None:
        if not self._window.watched:
            return
        self._window.show_state(self._model.lines(self.get_clock().now().nanoseconds))
        if (board := self._model.board(self.params.tile)) is not None:
            self._window.show_images(board)
        self._draw_plan()

    def _draw_plan(self) -> None:
        data = self._raw.pop("safe_trajectory", None)
        if not self._model.plan_shown:
            self._window.show_plan(None, None)
        elif data is not None:
            q = convert.trajectory_from_msg(deserialize_message(data, JointTrajectory)).q
            points = q[np.unique(np.linspace(0, len(q) - 1, _PATH_POINTS).astype(int))]
            self._window.show_plan(q[-1], self._tool.positions(points))

    def _call(self, action: str, text: str) -> None:
        client = self._callees[action]
        if not client.service_is_ready():
            self._model.answer = f"{action}: {client.srv_name} is not there"
            return
        fields: dict[str, Any] = {"instruct": {"instruction": text}, "arm": {"data": True}, "disarm": {"data": False}}
        future = client.call_async(client.srv_type.Request(**fields.get(action, {})))
        future.add_done_callback(lambda done: self._on_answer(action, done.result()))

    def _on_answer(self, action: str, answer: Any) -> None:
        ok = answer.ok if hasattr(answer, "ok") else answer.success
        self._model.answer = f"{action}: {answer.message or ('done' if ok else 'refused')}"


def main() -> None:
    """Run the node."""
    run_node(ViewNode)


if __name__ == "__main__":
    main()
