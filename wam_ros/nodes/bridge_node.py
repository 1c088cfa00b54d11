"""From safe trajectories to what the arm's controller speaks. Stops passing anything when the safety node is silent."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from wam_ros.core import types
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.msg import SafetyReport
from wam_ros.ros import convert, qos
from wam_ros.ros.controllers import make_controller
from wam_ros.ros.lifecycle import WamNode, run_node
from wam_ros.ros.params import param
from wam_ros.safety.gate import Gate, load_gate_limits

DIAGNOSTICS_NS = 200_000_000  # least time between two diagnostics that refusals ask for


@dataclass(frozen=True)
class BridgeParams:
    """Parameters of bridge_node."""

    embodiment: str = param("panda", doc="robot: a name in config/embodiments or the path of a YAML file")
    controller: str = param("", doc="kind of controller; empty: the embodiment's")
    topic: str = param("", doc="topic of the controller; empty: its usual one")
    rate_hz: float = param(50.0, unit="Hz", low=10.0, high=500.0, doc="commanded states per second")
    deadline_s: float = param(0.05, unit="s", low=0.005, high=0.5, doc="a trajectory later than this is refused")
    seam_s: float = param(0.02, unit="s", low=0.001, high=0.1, doc="a seam may jump by full acceleration in this")
    heartbeat_s: float = param(0.3, unit="s", low=0.05, high=2.0, doc="silence of the safety node that closes the gate")
    start_rad: float = param(0.02, unit="rad", low=0.0, high=0.2, doc="first start this close to the measured joints")
    start_m: float = param(0.005, unit="m", low=0.0, high=0.05, doc="the same for sliding joints")


class BridgeNode(WamNode):
    """Wires a `Gate` between the safety node and one controller."""

    def __init__(self, **options) -> None:
        super().__init__("bridge_node", BridgeParams, **options)

    def configure(self) -> None:
        """Read limits and choose the controller by name."""
        p: BridgeParams = self.params
        embodiment = load_embodiment(p.embodiment)
        self._joint_names = embodiment.joint_names
        limits = load_gate_limits(embodiment, p.start_rad, p.start_m)
        self._gate = Gate(limits, p.deadline_s, p.seam_s, p.heartbeat_s)
        self._controller = make_controller(p.controller or embodiment.controller, self, p.topic)
        self._cause, self._silent = "", True
        self._refused = self._passed = self._overruns = self._told_ns = 0
        self._commanded_pub = self.create_publisher(JointState, "commanded_state", qos.JOINTS)
        self._diagnostics_pub = self.create_publisher(DiagnosticArray, "/diagnostics", qos.STATUS)
        self.create_subscription(JointTrajectory, "safe_trajectory", self._on_trajectory, qos.TRAJECTORY)
        self.create_subscription(SafetyReport, "safety_report", self._on_report, qos.STATUS)
        self.create_subscription(JointState, "joint_states", self._on_joints, qos.JOINT_STATES)
        self.create_service(SetBool, "~/pause", self._on_pause)

    def activate(self) -> None:
        """Open the gate and start telling what is commanded."""
        self._tick_ns = time.monotonic_ns()
        self._ticks = 0
        self._timer = self.create_timer(1 / self.params.rate_hz, self._on_tick)

    def deactivate(self) -> None:
        """Close the gate; the last trajectory plays out to its rest."""
        self.destroy_timer(self._timer)

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _on_trajectory(self, msg: JointTrajectory) -> None:
        if not self.active:
            return
        try:
            proposed = convert.trajectory_from_msg(msg)
            trajectory, reason = self._gate.admit(proposed, self._now_ns(), time.monotonic_ns())
        except WamError as error:
            trajectory, reason = None, f"malformed trajectory: {error}"
        if trajectory is None:
            self._refused += 1
            self._cause = reason
            rest_s = self._gate.rest_in_s(self._now_ns())
            self.get_logger().error(
                f"refused: {reason}; the arm is at rest in {rest_s:.2f} s", throttle_duration_sec=1.0
            )
            if time.monotonic_ns() - self._told_ns > DIAGNOSTICS_NS:
                self._publish_diagnostics()
            return
        self._passed += 1
        self._cause = ""
        self._controller.send(trajectory)

    def _on_report(self, msg: SafetyReport) -> None:
        self._gate.on_heartbeat(time.monotonic_ns())

    def _on_joints(self, msg: JointState) -> None:
        try:
            self._gate.on_joints(convert.joint_state_from_msg(msg, self._joint_names))
        except WamError as error:
            self.get_logger().error(str(error), throttle_duration_sec=2.0)

    def _on_tick(self) -> None:
        steady_ns = time.monotonic_ns()
        late_s = (steady_ns - self._tick_ns) / types.NS - 1 / self.params.rate_hz
        self._tick_ns = steady_ns
        self._overruns += late_s > self.params.deadline_s
        now_ns = self._now_ns()
        commanded = self._gate.commanded(now_ns)
        if commanded is not None:
            q, dq, _ = commanded
            state = types.JointState(now_ns, self._joint_names, q, dq, np.full(len(q), np.nan))
            self._commanded_pub.publish(convert.joint_state_to_msg(state))
        self._watch(steady_ns, now_ns)
        self._ticks += 1
        if self._ticks % round(self.params.rate_hz) == 0:
            self._publish_diagnostics()

    def _watch(self, steady_ns: int, now_ns: int) -> None:
        """Say once that the safety node fell silent, and once that it is back."""
        silence = self._gate.silence(steady_ns)
        if bool(silence) == self._silent:
            return
        self._silent = bool(silence)
        self._cause = silence
        if silence:
            rest_s = self._gate.rest_in_s(now_ns)
            self.get_logger().error(f"{silence}: nothing more is forwarded; the arm is at rest in {rest_s:.2f} s")
        else:
            self.get_logger().info("the safety node is heard")
        self._publish_diagnostics()

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._gate.paused = request.data
        rest_s = self._gate.rest_in_s(self._now_ns())
        response.success = True
        response.message = f"paused; the arm is at rest in {rest_s:.2f} s" if request.data else "forwarding again"
        self.get_logger().info(response.message)
        return response

    def _publish_diagnostics(self) -> None:
        self._told_ns = time.monotonic_ns()
        status = DiagnosticStatus(name=f"{self.get_name()}: forwarding", hardware_id=self.params.embodiment)
        listeners = self._controller.listeners()
        cause = self._cause or ("" if listeners else "no controller listens")
        status.level = DiagnosticStatus.ERROR if cause else DiagnosticStatus.OK
        status.message = cause or "forwarding"
        values = {
            "passed": self._passed,
            "refused": self._refused,
            "overruns": self._overruns,
            "controllers": listeners,
            "rest_in_s": f"{self._gate.rest_in_s(self._now_ns()):.2f}",
        }
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        msg = DiagnosticArray(status=[status])
        msg.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics_pub.publish(msg)


def main() -> None:
    """Run the node until it is told to stop."""
    run_node(BridgeNode)


if __name__ == "__main__":
    main()
