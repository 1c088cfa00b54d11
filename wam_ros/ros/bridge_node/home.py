"""`~/home`: leads the arm home through the safety node, as a session of chunks of its own.

The safety node is asked to stop the arm, still armed, and to take one session's chunks only: one
chunk, judged by the filter like any other; disarmed when home. The model's chunks are of another
session and are refused meanwhile. Nothing in here arms: whoever disarms meanwhile has ended the way
home.
"""

from __future__ import annotations

import enum
import time
import uuid
from collections.abc import Callable

import numpy as np
from rclpy.node import Node
from std_srvs.srv import SetBool

from wam_ros.bridge.gate import GateLimits
from wam_ros.bridge.home import make_home_chunk
from wam_ros.core.embodiment import Embodiment
from wam_ros.core.types import Decision, Reason, SafetyReport, SafetyState
from wam_ros.core.words import STATES
from wam_ros.msg import ActionChunk
from wam_ros.msg import SafetyReport as SafetyReportMsg
from wam_ros.ros import convert, qos
from wam_ros.srv import HandOver

TRIES = 3  # chunks: the arm may still have crept when the first one was made
FIRST = 1 << 40  # far from the numbers of a model's chunks, whose reports come in between
LIVE = (SafetyState.ARMED, SafetyState.BRAKING)
STEP_S = 10.0  # longest step but the way itself
NEAR = 0.02  # rad or m from home that counts as home


class Step(enum.Enum):
    """What is waited for."""

    IDLE = "idle"
    ASK = "waiting for the safety node's answer"
    STOP = "waiting for the arm to rest"
    JUDGE = "waiting for the safety node's judgement"
    MOVE = "on the way"


class HomeSequence:
    """One way home at a time; steps on with every safety report.

    Args:
        node: that publishes and asks.
        embodiment: whose home it is.
        limits: of its joints.
        speed: share of the limits that is used.
        measured: gives the measured joints (A,), None before the first.
        clock: steady time in s.
    """

    def __init__(
        self,
        node: Node,
        embodiment: Embodiment,
        limits: GateLimits,
        speed: float,
        measured: Callable[[], np.ndarray | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node = node
        self._embodiment = embodiment
        self._limits = limits
        self._speed = speed
        self._measured = measured
        self._clock = clock
        self._since_s = clock()
        # the safety node that speaks, and the one that spoke when home was asked for
        self._sender = self._asked = ""
        self._publisher = node.create_publisher(ActionChunk, "action_chunk", qos.CHUNK)
        self._arm = node.create_client(SetBool, "safety_node/arm")
        self._hand_over = node.create_client(HandOver, "safety_node/hand_over")
        self.step = Step.IDLE
        self._state = SafetyState.UNKNOWN
        self._seq = FIRST

    def start(self) -> tuple[bool, str]:
        """Begin, or say why not."""
        if self.step != Step.IDLE:
            return False, f"already going home: {self.step.value}"
        if self._state not in LIVE:
            return False, f"not going home: {STATES[self._state].label}; arm it first"
        if self._measured() is None:
            return False, "not going home: no joint state yet"
        self._tries = 0
        self._asked = self._sender
        self._session = uuid.uuid4().bytes
        self._go(Step.ASK)
        request = HandOver.Request(session_id=np.frombuffer(self._session, np.uint8))
        asked = self._hand_over.call_async(request)
        asked.add_done_callback(
            lambda done, session=self._session: self._on_answer(session, done.result())
        )
        return (
            True,
            "going home: stopping, then one chunk through the safety node; it ends disarmed",
        )

    def on_report(self, msg: SafetyReportMsg, rest_in_s: float) -> None:
        """Step on; `rest_in_s` is how long the forwarded motion still lasts.

        Raises:
            WamError: the report is of another version.
        """
        report = convert.report_from_msg(msg)
        self._sender = msg.header.frame_id
        self._state = report.state
        still = rest_in_s == 0.0 and report.stop_time_s == 0.0
        if self.step == Step.IDLE:
            return
        if report.state not in LIVE:
            self._end(f"not home: {report.sentence}")
        elif self.step != Step.MOVE and (why := self._why_not_begun()):
            self._disarm(why)
        elif self.step == Step.STOP and report.state == SafetyState.ARMED and still:
            self._send()
        elif (
            self.step == Step.JUDGE
            and report.chunk_seq == self._seq
            and report.decision != Decision.UNKNOWN
        ):
            self._judged(report)
        elif self.step == Step.MOVE and still:
            self._disarm("home" if self._is_home() else f"stopped on the way home: {self._words}")

    def _why_not_begun(self) -> str:
        """Why what was asked for is not begun any more; empty while it may be."""
        if self._sender != self._asked:  # nobody has armed that one
            return "not home: the safety node is another one"
        return (
            f"not home: {self.step.value} took too long"
            if self._clock() - self._since_s > STEP_S
            else ""
        )

    def _judged(self, report: SafetyReport) -> None:
        if report.decision != Decision.REJECT:
            self._words = report.sentence
            self._go(Step.MOVE)
        elif report.reasons & Reason.DISCONTINUITY and self._tries < TRIES:
            self._go(Step.STOP)
        else:
            self._disarm(f"not home: {report.sentence}")

    def _is_home(self) -> bool:
        q = self._measured()
        return q is not None and bool((np.abs(q - np.array(self._embodiment.home)) < NEAR).all())

    def _send(self) -> None:
        q0 = self._measured()
        assert q0 is not None
        self._seq = self._seq + 1
        self._tries = self._tries + 1
        now_ns = self._node.get_clock().now().nanoseconds
        chunk = make_home_chunk(
            embodiment=self._embodiment,
            limits=self._limits,
            q0=q0,
            speed=self._speed,
            now_ns=now_ns,
            session_id=self._session,
            seq=self._seq,
        )
        self._go(Step.JUDGE)
        self._publisher.publish(convert.chunk_to_msg(chunk))

    def _on_answer(self, session: bytes, answer: HandOver.Response) -> None:
        if self.step != Step.ASK or session != self._session:
            return
        if answer.success:
            self._go(Step.STOP)
        else:
            self._end(f"not home: {answer.message}")

    def _disarm(self, words: str) -> None:
        self._arm.call_async(SetBool.Request(data=False))
        self._end(words)

    def _go(self, step: Step) -> None:
        self.step = step
        self._since_s = self._clock()

    def _end(self, words: str) -> None:
        self._go(Step.IDLE)
        self._node.get_logger().info(words)
