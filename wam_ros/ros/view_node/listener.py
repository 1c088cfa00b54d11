"""What is heard of the loop, read when a picture is due."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
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
# what costs its publisher something, and only the page draws: heard only while somebody watches it
COSTLY = ("safety/markers", "safety/surroundings")


class LoopListener:
    """Brings the newest messages into a model; everything happens in the thread that calls it.

    Args:
        node: that listens.
        model: that is told.
        joints_topic: where all joints are told in rad and m.
    """

    def __init__(self, node: Node, model: ViewModel, joints_topic: str) -> None:
        self.objects: list[dict[str, Any]] = []  # of the simulated task, as the page reads them
        self._node = node
        self._model = model
        self._recorder_s = 0.0  # when the recorder was heard
        self._costly: dict[str, Latest] = {}
        self._joints = Latest(node, JointState, joints_topic)
        self._markers = Latest(node, MarkerArray, "sim/objects")
        self._newest = {
            topic: Latest(node, kind, topic, reliable=True) for topic, (kind, _, _) in SHOWN.items()
        }

    def attend(self, watched: bool) -> None:
        """Begin or cease to hear what its publisher draws only because somebody looks."""
        if watched and not self._costly:
            self._costly = {t: Latest(self._node, MarkerArray, t, reliable=True) for t in COSTLY}
        elif not watched and self._costly:
            for heard in self._costly.values():
                heard.close()
            self._costly.clear()
            self._model.paths = self._model.surroundings = []

    def hear(self) -> None:
        """Take what has come since the last time."""
        if (message := self._joints.take()) is not None:
            with self._complaining("joint_states"):
                state = convert.joint_state_from_msg(message, self._model.joint_names)
                self._model.joints = state.positions
        if (message := self._markers.take()) is not None:
            self.objects = [s.described() for s in solids_from_markers(message)]
        for topic, heard in self._costly.items():
            if (message := heard.take()) is None:
                continue
            if topic == "safety/markers":
                self._model.paths = lines_from_markers(message)
            else:
                self._model.surroundings = [s.described() for s in solids_from_markers(message)]
        for topic, (_, from_msg, show) in SHOWN.items():
            if (message := self._newest[topic].take()) is not None:
                with self._complaining(topic):
                    show(self._model, from_msg(message))
                if topic == RECORDER:
                    self._recorder_s = time.monotonic()
        silent = time.monotonic() - self._recorder_s > _RECORDER_S
        if self._model.recorder is not None and silent:
            self._model.recorder = RecorderState("", "the recorder is silent", alarm=True)

    @contextlib.contextmanager
    def _complaining(self, topic: str) -> Iterator[None]:
        """A message that cannot be read is shown to the person; the page goes on."""
        try:
            yield
        except WamError as error:
            self._model.answer = f"{topic}: {error}"
