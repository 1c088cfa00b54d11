"""What is heard of the loop, read when a picture is due."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Container, Iterator
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import MarkerArray

from wam_ros.core.errors import WamError
from wam_ros.core.takes import RecorderState
from wam_ros.msg import (
    ActionChunk,
    Appraisal,
    ImaginedFuture,
    Observation,
    Pace,
    SafetyReport,
    TaskState,
    WamStatus,
)
from wam_ros.ros import convert
from wam_ros.ros.latest import Latest
from wam_ros.ros.view_node.solids import lines_from_markers, solids_from_markers
from wam_ros.view.model import ViewModel

RECORDER = "recorder_state"
# kept by their publishers, who say them when something changes
LATCHED = ("bridge_state", "task_state", RECORDER)
_RECORDER_S = 3.0  # a recorder that is silent for longer is gone
# topic: message, its reader, where it goes; the chunk comes before the frames that were imagined
# with it, and the observation last of those that it is held against
SHOWN: dict[str, tuple[type, Callable[[Any], Any], Callable[[ViewModel, Any], None]]] = {
    "action_chunk": (ActionChunk, convert.chunk_from_msg, ViewModel.on_chunk),
    "candidates": (
        JointTrajectory,
        convert.candidates_from_msg,
        lambda m, v: setattr(m, "candidates", v),
    ),
    "imagined_future": (ImaginedFuture, convert.imagined_from_msg, ViewModel.on_imagined),
    "appraisal": (
        Appraisal,
        convert.appraisal_from_msg,
        lambda m, v: setattr(m, "appraisal", v),
    ),
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
    "task_state": (TaskState, convert.task_state_from_msg, lambda m, v: setattr(m, "task", v)),
    "wam_status": (WamStatus, convert.status_from_msg, ViewModel.on_status),
    RECORDER: (
        DiagnosticStatus,
        convert.recorder_state_from_msg,
        lambda m, v: setattr(m, "recorder", v),
    ),
    # of a simulated world in lock-step
    "pace": (Pace, convert.pace_from_msg, lambda m, v: setattr(m, "pace", v)),
}
# what costs its publisher something, and only the page draws
COSTLY = ("safety/markers", "safety/surroundings")
OBJECTS = "sim/objects"
JOINTS = "measured joints"  # a topic by what it tells: each robot has its own
EVERYTHING = (JOINTS, OBJECTS, *COSTLY, *SHOWN)  # in the order in which it is taken
# read as the bytes that came: a trajectory of 170 points takes 2 ms to become a message
_FROM_WIRE = {"safe_trajectory": convert.trajectory_from_wire}


class LoopListener:
    """Brings the newest messages into a model, while somebody looks; everything happens in the
    thread that calls it.

    To be told a hundred joint states and ten pictures a second costs a process 2 % of a core, also
    when it takes none of them.

    Args:
        node: that listens.
        model: that is told.
        joints_topic: where all joints are told in rad and m.
    """

    def __init__(self, node: Node, model: ViewModel, joints_topic: str) -> None:
        self.objects: list[dict[str, Any]] = []  # of the simulated task, as the page reads them
        self._node = node
        self._model = model
        self._joints_topic = joints_topic
        self._recorder_s = 0.0  # when the recorder was heard
        self._heard: dict[str, Latest] = {}

    def attend(self, topics: Collection[str]) -> None:
        """Hear these of `EVERYTHING` from now on, and no others; what is not heard any more is
        forgotten.
        """
        for topic in self._heard.keys() - set(topics):
            self._heard.pop(topic).close()
        for topic in topics:
            if topic not in self._heard:
                self._heard[topic] = self._hear(topic)
        if not topics:
            self._model.forget()
        if OBJECTS not in topics:
            self._model.paths = self._model.surroundings = self.objects = []

    def _hear(self, topic: str) -> Latest:
        if topic == JOINTS:
            return Latest(self._node, JointState, self._joints_topic)
        if topic == OBJECTS or topic in COSTLY:
            return Latest(self._node, MarkerArray, topic, reliable=topic in COSTLY)
        return Latest(
            self._node,
            SHOWN[topic][0],
            topic,
            reliable=True,
            latched=topic in LATCHED,
            raw=topic in _FROM_WIRE,
        )

    def hear(self, topics: Container[str] = EVERYTHING) -> None:
        """Take what has come of these topics since the last time, as far as they are attended."""
        for topic in EVERYTHING:
            if topic not in topics or topic not in self._heard:
                continue
            if (message := self._heard[topic].take()) is not None:
                with self._complaining(topic):
                    self._take(topic, message)
        silent = time.monotonic() - self._recorder_s > _RECORDER_S
        if self._model.recorder is not None and silent:
            self._model.recorder = RecorderState("", "the recorder is silent", alarm=True)

    def _take(self, topic: str, message: Any) -> None:
        """Put a message where it is shown from."""
        if topic in SHOWN:
            _, from_msg, show = SHOWN[topic]
            show(self._model, _FROM_WIRE.get(topic, from_msg)(message))
            if topic == RECORDER:
                self._recorder_s = time.monotonic()
        elif topic == JOINTS:
            state = convert.joint_state_from_msg(message, self._model.joint_names)
            self._model.joints = state.positions
        elif topic == OBJECTS:
            self.objects = [s.described() for s in solids_from_markers(message)]
        elif topic == "safety/markers":
            self._model.paths = lines_from_markers(message)
        else:
            self._model.surroundings = [s.described() for s in solids_from_markers(message)]

    @contextlib.contextmanager
    def _complaining(self, topic: str) -> Iterator[None]:
        """A message that cannot be read is shown to the person; the page goes on."""
        try:
            yield
        except WamError as error:
            self._model.answer = f"{topic}: {error}"
