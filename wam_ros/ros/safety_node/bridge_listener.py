"""What the bridge says, heard: what it commands and whether it forwards. What comes of it for the
motion is published.
"""

from __future__ import annotations

from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import JointState

from wam_ros.core.errors import WamError
from wam_ros.ros import convert, qos
from wam_ros.ros.lifecycle import WamNode
from wam_ros.safety.machine.answers import Emission
from wam_ros.safety.machine.bridge_watch import BridgeWatch, CommandEcho


class BridgeListener:
    """Subscribes to the words of the bridge.

    Args:
        node: that subscribes.
        joint_names: order of the joints.
        echo: what the bridge commands.
        bridge_watch: what comes of it.
        emit: publishes it.
    """

    def __init__(
        self,
        node: WamNode,
        joint_names: tuple[str, ...],
        echo: CommandEcho,
        bridge_watch: BridgeWatch,
        emit: Callable[[Emission], None],
    ) -> None:
        self._node = node
        self._joint_names = joint_names
        self._emit = emit
        self._echo = echo
        self._bridge_watch = bridge_watch
        node.create_subscription(
            JointState, "commanded_state", self._on_commanded, qos.JOINT_STATES
        )
        node.create_subscription(DiagnosticStatus, "bridge_state", self._on_state, qos.LATCHED)

    def _on_commanded(self, msg: JointState) -> None:
        try:
            self._echo.on_commanded(convert.joint_state_from_msg(msg, self._joint_names))
        except WamError as error:
            self._node.get_logger().error(f"commanded_state: {error}", throttle_duration_sec=2.0)

    def _on_state(self, msg: DiagnosticStatus) -> None:
        self._bridge_watch.hear(
            convert.bridge_state_from_msg(msg),
            convert.admission_from_state(msg),
            convert.idle_from_msg(msg),
        )
        if self._node.active:  # at once: until then what is emitted would not be taken
            self.look(self._node.get_clock().now().nanoseconds)

    def look(self, now_ns: int) -> None:
        """End what the bridge does not take, or take up again what ended so; call it often."""
        words, ended = self._bridge_watch.look(now_ns)
        if ended is not None:
            self._node.get_logger().error(words, throttle_duration_sec=1.0)
            self._emit(ended)
        if self._bridge_watch.arm_by_itself(now_ns):
            self._node.get_logger().info("armed")
