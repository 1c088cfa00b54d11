"""What the bridge says of itself: its state, and on /diagnostics also ticks and where the time
went.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from sensor_msgs.msg import JointState as JointStateMsg

from wam_ros.bridge.bridge import Bridge
from wam_ros.core.drivers import MEASURED, shown_on
from wam_ros.core.embodiment import Embodiment
from wam_ros.core.trace import Trace
from wam_ros.core.types import NS, BridgeState, JointState, KinematicState
from wam_ros.msg import ActionChunk, StageLatency
from wam_ros.ros import convert, qos
from wam_ros.ros.stages import stages_to_msgs

# commanded states per second at most: more would only keep the safety node busy
COMMANDED_HZ = 50.0
KEPT = 2000
STATE_NS = 200_000_000  # longest time between two words about the state
AGAIN_NS = 1_000_000_000  # least time between two complaints that differ in numbers only
MOST = 10  # different ones in that time
NO_DIGITS = str.maketrans("", "", "0123456789")


class Periods:
    """Time from tick to tick."""

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1 / rate_hz
        self._last_ns: int | None = None
        self._errors: deque[float] = deque(maxlen=KEPT)

    def on_tick(self, steady_ns: int) -> None:
        """A tick began."""
        if self._last_ns is not None:
            self._errors.append((steady_ns - self._last_ns) / NS - self._period_s)
        self._last_ns = steady_ns

    def late(self, deadline_s: float) -> int:
        """How many of the newest ticks came later than the deadline."""
        return sum(error > deadline_s for error in self._errors)

    def figures(self) -> dict[str, str]:
        """Percentiles of how far the newest periods were from the wanted one."""
        if not self._errors:
            return {}
        p50, p99 = np.percentile(np.abs(np.array(self._errors)), [50, 99]) * 1e3
        return {"period_error_p50_ms": f"{p50:.3f}", "period_error_p99_ms": f"{p99:.3f}"}


class BridgeDiagnostics:
    """What the bridge complains of, and publishes: `commanded_state`, `bridge_state`,
    `stage_latency`, /diagnostics.

    Args:
        node: that publishes.
        robot: that is commanded.
        rate_hz: ticks per second.
        figures: the node's own numbers, asked when they are published.
    """

    def __init__(
        self,
        node: Node,
        robot: Embodiment,
        rate_hz: float,
        figures: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._node = node
        self._hardware = robot.name
        self._figures = figures
        self._joint_names = robot.joint_names
        self._unknown = np.full(len(robot.joint_names), np.nan)
        self._every = max(1, round(rate_hz / COMMANDED_HZ))
        self._ticks = 0
        self.periods = Periods(rate_hz)
        self.trace = Trace(1000)
        self.cause = ""  # of the newest refusal or failure; empty after a trajectory that passed
        self._said_ns: dict[str, int] = {}
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", qos.STATUS)
        self._commanded_pub = node.create_publisher(JointStateMsg, "commanded_state", qos.JOINTS)
        self._measured_pub = (
            node.create_publisher(JointStateMsg, MEASURED, qos.JOINTS)
            if shown_on(robot) == MEASURED
            else None
        )
        self._state_pub = node.create_publisher(DiagnosticStatus, "bridge_state", qos.LATCHED)
        self._stages_pub = node.create_publisher(StageLatency, "stage_latency", qos.STATUS)
        # as it was told
        self._state: tuple[BridgeState, bool, tuple[int, int] | None] | None = None
        self._state_ns = 0

    def on_chunk(self, msg: ActionChunk) -> None:
        """The model answered the observation that the chunk names."""
        now_ns = self._node.get_clock().now().nanoseconds
        self.trace.on_chunk(msg.seq, convert.time_to_ns(msg.observation_stamp), now_ns, unseen=True)

    def publish_commanded(self, now_ns: int, commanded: KinematicState) -> None:
        """Publish what is commanded; call it at every tick, of which some are left out."""
        self._ticks += 1
        if self._ticks % self._every == 0:
            state = JointState(now_ns, self._joint_names, commanded.q, commanded.dq, self._unknown)
            self._commanded_pub.publish(convert.joint_state_to_msg(state))

    def publish_measured(self, state: JointState) -> None:
        """Publish what the drivers told of all joints, where they do not tell it so themselves."""
        if self._measured_pub is not None:
            self._measured_pub.publish(convert.joint_state_to_msg(state))

    def publish_state(self, bridge: Bridge) -> None:
        """Publish the state of the bridge, where it is another one or was not told for a while;
        call it often.
        """
        steady_ns = time.monotonic_ns()
        idle = bridge.idle
        state = bridge.state(steady_ns, self.cause)
        told = state, idle is not None, idle.refused if idle else None
        if told == self._state and steady_ns - self._state_ns < STATE_NS:
            return
        self._state = told
        self._state_ns = steady_ns
        name = f"{self._node.get_name()}: state"
        msg = convert.bridge_state_to_msg(state, name, self._hardware, bridge.gate.admission, idle)
        self._state_pub.publish(msg)

    def report_fault(self, cause: str, words: str = "") -> None:
        """Say what is wrong in the log and on /diagnostics: at once, then not more often than
        anybody can read.
        """
        self.cause = cause
        subject = cause.translate(NO_DIGITS)
        steady_ns = time.monotonic_ns()
        recent = {said: ns for said, ns in self._said_ns.items() if steady_ns - ns < AGAIN_NS}
        if subject in recent or len(recent) >= MOST:
            return
        self._said_ns = {**recent, subject: steady_ns}
        self._node.get_logger().error(words or cause)
        self.publish(cause)

    def publish(self, cause: str, warnings: Sequence[str] = ()) -> None:
        """Publish; `cause` is why nothing is forwarded."""
        name = self._node.get_name()
        msg = DiagnosticArray()
        msg.header.stamp = self._node.get_clock().now().to_msg()
        values = {**self._figures(), **self.periods.figures()}
        msg.status = [
            diagnose(f"{name}: forwarding", self._hardware, cause, warnings, values),
            latency_status(f"{name}: latency", self._hardware, self.trace.summary()),
        ]
        self._publisher.publish(msg)
        for stage in stages_to_msgs(self.trace.stages()):
            self._stages_pub.publish(stage)


def diagnose(
    name: str, hardware: str, cause: str, warnings: Sequence[str], values: Mapping[str, Any]
) -> DiagnosticStatus:
    """Error with its cause, else a warning with the first of several, else OK."""
    level = (
        DiagnosticStatus.ERROR
        if cause
        else DiagnosticStatus.WARN
        if warnings
        else DiagnosticStatus.OK
    )
    status = DiagnosticStatus(
        name=name, hardware_id=hardware, level=level, message=cause or "forwarding"
    )
    if warnings and not cause:
        status.message = warnings[0]
    numbered = {f"warning {k + 1}": words for k, words in enumerate(warnings)}
    status.values = [
        KeyValue(key=key, value=str(value)) for key, value in {**values, **numbered}.items()
    ]
    return status


def latency_status(
    name: str, hardware: str, summary: Mapping[str, Mapping[str, float]]
) -> DiagnosticStatus:
    """Percentiles of every stage, in ms."""
    status = DiagnosticStatus(name=name, hardware_id=hardware, level=DiagnosticStatus.OK)
    whole = summary.get("camera to command")
    status.message = (
        f"camera to command p95 {whole['p95_ms']:.0f} ms"
        if whole
        else "no chunk has been answered yet"
    )
    for stage, values in summary.items():
        text = " ".join(f"{p[:-3]} {values[p]:.1f}" for p in ("p50_ms", "p95_ms", "p99_ms"))
        status.values.append(KeyValue(key=f"{stage} [ms]", value=f"{text} n {values['n']:.0f}"))
    return status
