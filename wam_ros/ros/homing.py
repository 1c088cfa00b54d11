"""`~/home`: leads the arm home through the safety node, as a session of chunks of its own.

Disarm, so that the arm rests; arm again, which binds the safety node to the next session it hears; one chunk, judged by
the filter like any other; disarm when home. The model's chunks are of another session and are refused meanwhile.
"""

from __future__ import annotations

import enum
import time
import uuid
from collections.abc import Callable

import numpy as np
from rclpy.node import Node
from std_srvs.srv import SetBool

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.types import Decision, Reason, SafetyReport, SafetyState
from wam_ros.msg import ActionChunk
from wam_ros.msg import SafetyReport as SafetyReportMsg
from wam_ros.ros import convert, qos
from wam_ros.safety.home import make_home_chunk

TRIES = 8  # of arming: the arm trails its commands, and another session's chunk may slip in before ours
FIRST = 1 << 40  # far from the numbers of a model's chunks, whose reports come in between
STEP_S = 10.0  # longest step but the way itself
NEAR = 0.02  # rad or m from home that counts as home


class Step(enum.Enum):
    """What is waited for."""

    IDLE = "idle"
    STOP = "waiting for the arm to rest"
    ARM = "waiting for the safety node to arm"
    JUDGE = "waiting for the safety node's judgement"
    MOVE = "on the way"


class Homing:
    """One way home at a time; steps on with every safety report.

    Args:
        node: that publishes and asks.
        embodiment: whose home it is.
        velocity: (A,) rad/s or m/s, limits.
        speed: share of the limits that is used.
        measured: gives the measured joints (A,), None before the first.
        clock: steady time in s.
    """

    def __init__(
        self,
        node: Node,
        embodiment: Embodiment,
        velocity: np.ndarray,
        speed: float,
        measured: Callable[[], np.ndarray | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node, self._embodiment, self._velocity, self._speed = node, embodiment, velocity, speed
        self._measured, self._clock = measured, clock
        self._since_s = clock()
        self._sender = self._asked = ""  # the safety node that speaks, and the one that spoke when home was asked for
        self._publisher = node.create_publisher(ActionChunk, "action_chunk", qos.CHUNK)
        self._arm = node.create_client(SetBool, "safety_node/arm")
        self.step = Step.IDLE
        self._state = SafetyState.UNKNOWN
        self._seq = FIRST

    def start(self) -> tuple[bool, str]:
        """Begin, or say why not."""
        if self.step != Step.IDLE:
            return False, f"already going home: {self.step.value}"
        if self._state not in (SafetyState.ARMED, SafetyState.BRAKING):
            return False, f"not going home: safety_node is in {self._state.name}; arm it first"
        if self._measured() is None:
            return False, "not going home: no joint state yet"
        self._tries, self._asked = 0, self._sender
        self._stop()
        return True, "going home: stopping, then one chunk through the safety node; it ends disarmed"

    def on_report(self, msg: SafetyReportMsg, rest_in_s: float) -> None:
        """Step on; `rest_in_s` is how long the forwarded motion still lasts.

        Raises:
            WamError: the report is of another version.
        """
        report, self._sender = convert.report_from_msg(msg), msg.header.frame_id
        self._state = report.state
        still = rest_in_s == 0.0 and report.stop_time_s == 0.0
        if self.step == Step.IDLE:
            return
        if report.state in (SafetyState.FAULT, SafetyState.ESTOP):
            self._end(f"not home: {report.sentence}")
        elif self.step != Step.MOVE and (over := self._over()):
            self._call(False, Step.IDLE)
            self._end(over)
        elif self.step == Step.STOP and report.state == SafetyState.HOLD and still:
            self._call(True, Step.ARM)
        elif self.step == Step.ARM and report.state == SafetyState.ARMED:
            self._send()
        elif self.step == Step.JUDGE and report.chunk_seq == self._seq and report.decision != Decision.UNKNOWN:
            self._judged(report)
        elif self.step == Step.MOVE and still:
            self._call(False, Step.IDLE)
            self._end("home" if self._is_home() else f"stopped on the way home: {self._words}")

    def _over(self) -> str:
        """Why what was asked for is not begun any more; empty while it may be."""
        if self._sender != self._asked:  # nobody has armed that one
            return "not home: the safety node is another one"
        return f"not home: {self.step.value} took too long" if self._clock() - self._since_s > STEP_S else ""

    def _judged(self, report: SafetyReport) -> None:
        if report.reasons & Reason.SESSION and self._tries < TRIES:
            self._stop()
        elif report.decision == Decision.REJECT:
            self._call(False, Step.IDLE)
            self._end(f"not home: {report.sentence}")
        else:
            self._words = report.sentence
            self._go(Step.MOVE)

    def _is_home(self) -> bool:
        q = self._measured()
        return q is not None and bool((np.abs(q - np.array(self._embodiment.home)) < NEAR).all())

    def _stop(self) -> None:
        self._tries += 1
        self._call(False, Step.STOP)

    def _send(self) -> None:
        q0 = self._measured()
        assert q0 is not None
        self._seq += 1
        now_ns = self._node.get_clock().now().nanoseconds
        chunk = make_home_chunk(
            self._embodiment, self._velocity, q0, self._speed, now_ns, uuid.uuid4().bytes, self._seq
        )
        self._go(Step.JUDGE)
        self._publisher.publish(convert.chunk_to_msg(chunk))

    def _call(self, arm: bool, then: Step) -> None:
        self._go(then)
        future = self._arm.call_async(SetBool.Request(data=arm))
        future.add_done_callback(lambda done: self._on_answer(arm, done.result()))

    def _on_answer(self, arm: bool, answer: SetBool.Response) -> None:
        if not arm or answer.success or self.step != Step.ARM:
            return
        if self._tries < TRIES and self._state == SafetyState.HOLD:
            self._tries += 1
            self._go(Step.STOP)  # the next report asks again
        else:
            self._end(f"not home: {answer.message}")

    def _go(self, step: Step) -> None:
        self.step, self._since_s = step, self._clock()

    def _end(self, words: str) -> None:
        self._go(Step.IDLE)
        self._node.get_logger().info(words)
