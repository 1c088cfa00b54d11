"""Takes of the running loop, each a recording from which everything can be replayed.

A process of its own: whatever the disk does, the loop goes on.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.serialization import serialize_message
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool, Trigger

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.files import make_folder
from wam_ros.core.notices import Notice
from wam_ros.ros import convert, qos
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.recorder_node.clock import ClockWatch, RecordingClock
from wam_ros.ros.recorder_node.heard import LATER, HeardTopics, kinds_of
from wam_ros.ros.recorder_node.parameters import RecorderParams
from wam_ros.ros.recorder_node.state import figures_of, state_of
from wam_ros.ros.recorder_node.take_recorder import TakeRecorder
from wam_ros.ros.running import keep_memory, run_node
from wam_ros.ros.takes import holding, mend
from wam_ros.srv import SetInstruction

_POLL_S = 0.02  # between two looks at what waits to be heard
_LOOK_S = 0.2  # at who publishes
_SAY_S = 0.5  # between two words about the state
_REPEAT_S = 10.0  # a complaint that stays is repeated


class RecorderNode(WamNode):
    """Wires what is heard to a `TakeRecorder`, and services to its takes."""

    def __init__(self, **options: Any) -> None:
        super().__init__("recorder_node", RecorderParams, **options)
        self._opened = contextlib.ExitStack()

    def configure(self) -> None:
        """Take the folder, mend what was interrupted in it, and prepare to hear."""
        p: RecorderParams = self.params
        self._robot = load_embodiment(p.embodiment)
        folder = make_folder("folder", p.folder)
        self._opened.enter_context(holding(folder))
        self._mend(folder)
        self._takes = TakeRecorder(folder, round(p.most_waiting_mb * 1e6), p.chunk_s)
        self._opened.callback(self._takes.close)
        self._folder = folder
        self._notice = Notice(_REPEAT_S)
        self._heard_at = RecordingClock(time.time_ns(), time.monotonic_ns())
        self._notes: dict[str, str] = {}
        self._state_pub = self.create_lifecycle_publisher(
            DiagnosticStatus, "recorder_state", qos.LATCHED
        )
        self._diagnostics = self.create_lifecycle_publisher(
            DiagnosticArray, "/diagnostics", qos.STATUS
        )
        self.create_service(Trigger, "~/start", self._on_start)
        self.create_service(Trigger, "~/save", self._on_save)
        self.create_service(Trigger, "~/discard", self._on_discard)
        self.create_service(SetBool, "~/mark", self._on_mark)
        self.create_service(SetInstruction, "~/set_instruction", self._on_instruction)

    def _mend(self, folder: Path) -> None:
        try:
            for words in mend(folder):
                self.get_logger().warning(words)
        except WamError as error:  # it stays as it is, and new takes may be possible
            self.get_logger().error(str(error))

    def activate(self) -> None:
        """Hear everything, and begin a take where that is wanted."""
        p: RecorderParams = self.params
        kinds = kinds_of(self._robot, p.images)
        self._heard = HeardTopics(self, kinds, (*LATER, *p.more_topics.split()), self._heard_at)
        self._success = self._heard.topic("success", Bool)
        self._instruction = self._heard.topic("instruction", String)
        simulated = bool(self.get_parameter("use_sim_time").value)
        self._watch = ClockWatch(p.clock_jump_s, simulated)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # /clock may stand still
        self._timers_made = [
            self.create_timer(period_s, look, clock=steady)
            for period_s, look in (
                (_POLL_S, self._hear),
                (_LOOK_S, self._look),
                (_SAY_S, self._say),
            )
        ]
        if p.begin_at_once:
            self._begin()

    def deactivate(self) -> None:
        """Keep the take that grows, and hear no more."""
        while self._timers_made:
            self.destroy_timer(self._timers_made.pop())
        self._hear()
        if self._takes.name:
            self._save()
        self._heard.close()
        self._say()

    def cleanup(self) -> None:
        """Wait until what was heard is written, as long as that can be, and give the folder
        back.
        """
        self._opened.close()

    def _begin(self) -> str:
        self._notes = {"embodiment": self._robot.name}
        name = self._takes.start()
        self.get_logger().info(f"recording {self._folder / name}")
        return name

    def _save(self) -> None:
        self.get_logger().info(f"{self._takes.name} ends")
        self._takes.keep(self._notes)

    def _hear(self) -> None:
        """Take what waits; a clock that was set back begins a take: stamps rise within each."""
        steady_ns = time.monotonic_ns()
        jump_s = self._watch.jump_s(self.get_clock().now().nanoseconds, steady_ns)
        self._heard.take(self._takes.put)
        if not jump_s or not self._takes.name:
            return
        words = f"the clock jumped by {jump_s:+.3f} s"
        self.get_logger().warning(words)
        seconds = self._takes.status.seconds
        self._note("clock", f"{words} after {seconds:.1f} s")
        if jump_s < 0:
            self._save()
            self._begin()
            self._note("clock", f"begins because {words}")

    def _note(self, name: str, words: str) -> None:
        before = self._notes.get(name, "")
        self._notes[name] = f"{before}; {words}" if before else words

    def _look(self) -> None:
        for words in self._heard.look():
            self.get_logger().warning(words)

    def _say(self) -> None:
        """The state, also on /diagnostics: a disk that takes nothing is an alarm."""
        status = self._takes.status
        state = state_of(status)
        subject = f"{status.trouble} {sorted(status.dropped)}" if state.alarm else ""
        if not state.alarm and status.dropped:
            subject = f"left out: {sorted(status.dropped)}"
        if self._notice.due(state.words, time.monotonic(), subject):
            self.get_logger().error(state.words)
        msg = convert.recorder_state_to_msg(
            state, self.get_name(), bool(status.dropped), figures_of(status)
        )
        self._state_pub.publish(msg)
        array = DiagnosticArray(status=[msg])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _why_not_now(self, growing: bool) -> str:
        """Why a service cannot do its work, which needs that a take grows or that none does."""
        if not self.active:
            return "recorder_node is not active"
        name = self._takes.name
        if growing:
            return "" if name else "no take is recorded: call ~/start"
        return f"{name} is recorded already" if name else ""

    def _on_start(self, request: Any, response: Any) -> Any:
        response.message = self._why_not_now(growing=False)
        response.success = not response.message
        if response.success:
            response.message = f"recording {self._begin()}"
            self._say()
        return response

    def _on_save(self, request: Any, response: Any) -> Any:
        response.message = self._why_not_now(growing=True)
        response.success = not response.message
        if response.success:
            self._hear()
            response.message = f"saving {self._takes.name}"
            self._save()
            self._say()
        return response

    def _on_discard(self, request: Any, response: Any) -> Any:
        response.message = self._why_not_now(growing=True)
        response.success = not response.message
        if response.success:
            response.message = f"{self._takes.name} is discarded"
            self.get_logger().info(response.message)
            self._takes.discard()
            self._say()
        return response

    def _on_mark(self, request: Any, response: Any) -> Any:
        response.message = self._why_not_now(growing=True)
        response.success = not response.message
        if response.success:
            self._notes["success"] = str(request.data).lower()
            self._put(self._success, Bool(data=request.data))
            told = "a success" if request.data else "a failure"
            response.message = f"{self._takes.name} is {told}"
        return response

    def _on_instruction(self, request: Any, response: Any) -> Any:
        response.message = self._why_not_now(growing=True)
        if not response.message and not request.instruction.strip():
            response.message = "the instruction is empty"
        response.ok = not response.message
        if response.ok:
            self._note("instruction", request.instruction)
            self._put(self._instruction, String(data=request.instruction))
            response.message = f"{self._takes.name}: {request.instruction}"
        return response

    def _put(self, topic: Any, message: Any) -> None:
        """A message of the recorder's own."""
        at_ns = self._heard_at.now_ns(time.monotonic_ns())
        self._takes.put(topic, at_ns, at_ns, serialize_message(message))


def main() -> None:
    """Entry point of `ros2 run wam_ros recorder_node`."""
    keep_memory()
    run_node(RecorderNode)


if __name__ == "__main__":
    main()
