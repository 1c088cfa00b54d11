"""A recording as the moments that the page shows, one after another."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wam_ros.core.drivers import JOINTS, MEASURED, shown_on
from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.types import NS
from wam_ros.ros import convert
from wam_ros.ros.recording import Recorded, Recording, expecting
from wam_ros.ros.view_node.listener import COSTLY, SHOWN
from wam_ros.ros.view_node.solids import lines_from_markers, solids_from_markers
from wam_ros.view.history import Moment
from wam_ros.view.model import ViewModel
from wam_ros.view.wire import Encoder, pack

HZ = 10.0  # moments a second
_MARKERS = (*COSTLY, "sim/objects")
_TOPICS = {*SHOWN, *_MARKERS, JOINTS, MEASURED}
_NEEDED = ("observation", "safety_report")
_SET_BACK_NS = 2 * NS  # so much earlier is a clock that was set back


def robot_of(recording: Recording) -> str:
    """Name of the robot that the first chunk is for.

    Raises:
        WamError: no chunk names one.
    """
    for recorded in recording.messages(["action_chunk"], _NEEDED):
        with expecting(recorded):
            if name := str(recorded.message.embodiment):
                return name
    raise WamError(
        f"recording '{recording.path}' does not say of which robot it is: add --embodiment"
    )


@dataclass(frozen=True)
class _Kept:
    number: int
    t_s: float
    figures: dict[str, Any]
    offset: int  # in the file, bytes
    size: int


class RecordedMoments:
    """The moments of a recording, as `view.history.History` keeps those of the last minute; what is
    shown of them lies in a file without a name. `add` belongs to one thread, which ends before
    others read.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="wam_view_")  # noqa: SIM115
        self._kept: list[_Kept] = []
        self._end = 0

    def add(self, t_s: float, figures: dict[str, Any], message: bytes) -> None:
        """Keep the next one."""
        try:
            self._file.write(message)
        except OSError as error:
            raise WamError(
                f"no room in '{tempfile.gettempdir()}' for what is shown: {error.strerror}; take "
                "fewer --seconds, or set TMPDIR"
            ) from error
        self._kept.append(_Kept(len(self._kept), t_s, figures, self._end, len(message)))
        self._end += len(message)

    def moments(self, _now_s: float) -> list[Moment]:
        """All of them, without what is shown."""
        return [Moment(k.number, k.t_s, k.figures, b"") for k in self._kept]

    def frames(self, number: int) -> bytes | None:
        """What is shown of one; None when there is none of that number."""
        if not 0 <= number < len(self._kept):
            return None
        self._file.flush()
        kept = self._kept[number]
        return os.pread(self._file.fileno(), kept.size, kept.offset)

    def close(self) -> None:
        """Give the room back."""
        self._file.close()


class Replay:
    """Feeds a `ViewModel` from a recording, and tells each moment as the view node tells it.

    Args:
        recording: that is read.
        robot: whose arm is drawn.
    """

    def __init__(self, recording: Recording, robot: Embodiment) -> None:
        self._recording = recording
        self._model = ViewModel(robot.joint_names, round(NS / robot.frame_rate_hz))
        self._encoder = Encoder()
        self._newest: dict[str, Recorded] = {}  # of what is read only when it is shown
        self._objects: list[dict[str, Any]] = []
        self._now_ns = 0
        self._t_s = 0.0
        self._joints: Recorded | None = None
        self._joints_topic = shown_on(robot)

    @property
    def read_s(self) -> float:
        """How far it was read, s of the loop's clock since its first moment."""
        return self._t_s

    def moments(self, start_s: float = 0.0) -> Iterator[tuple[float, dict[str, Any], bytes]]:
        """(s of the loop's clock since the first, figures, packed message) of every moment from
        `start_s` on; the first of these is number 0.

        Raises:
            WamError: the recording cannot be read, or has nothing to show.
        """
        first_ns = last_ns = None
        number = 0
        for recorded in self._recording.messages(_TOPICS, _NEEDED):
            with expecting(recorded):
                self._take(recorded)
            now_ns = self._now_ns
            first_ns = first_ns or now_ns
            due = last_ns is None or not 0 <= now_ns - last_ns < NS / HZ
            if not now_ns or not due:
                continue
            if last_ns is not None and now_ns < last_ns:  # the clock was set back
                first_ns -= last_ns - now_ns
            last_ns = now_ns
            t_s = (now_ns - first_ns) / NS
            self._t_s = t_s
            if t_s >= start_s:
                yield t_s, *self._moment(number, t_s)
                number += 1

    def _take(self, recorded: Recorded) -> None:
        model = self._model
        if recorded.topic in _MARKERS:
            self._newest[recorded.topic] = recorded
        elif recorded.topic == self._joints_topic:
            self._joints = recorded
        elif recorded.topic in (JOINTS, MEASURED):
            return
        elif recorded.topic == "safe_trajectory":
            model.trajectory = convert.trajectory_from_wire(recorded.data)
        else:
            _, read, show = SHOWN[recorded.topic]
            value = read(recorded.message)
            if recorded.topic in ("observation", "safety_report"):
                self._hear(value.stamp_ns)
            show(model, value)

    def _hear(self, stamp_ns: int) -> None:
        """The loop's clock; an observation is older than a report that comes before it."""
        back = stamp_ns < self._now_ns - _SET_BACK_NS
        self._now_ns = stamp_ns if back else max(self._now_ns, stamp_ns)

    def _moment(self, number: int, t_s: float) -> tuple[dict[str, Any], bytes]:
        model = self._model
        self._read_newest()
        head = model.head(self._now_ns)
        columns = model.columns()
        images = [image for images in self._encoder.encode(columns) for image in images]
        head |= {
            "objects": self._objects,
            "columns": [{"kind": c.kind, "ahead_s": c.ahead_s} for c in columns],
            "n": number,
            "t": t_s,
        }
        return head["figures"], pack(head, images)

    def _read_newest(self) -> None:
        """Markers and joints, of which a moment needs the newest only."""
        model = self._model
        if self._joints is not None:
            with expecting(self._joints):
                message = self._joints.message
                if set(model.joint_names) <= set(message.name):
                    model.joints = convert.joint_state_from_msg(
                        message, model.joint_names
                    ).positions
        for topic, recorded in self._newest.items():
            with expecting(recorded):
                if topic == "safety/markers":
                    model.paths = lines_from_markers(recorded.message)
                    continue
                solids = [s.described() for s in solids_from_markers(recorded.message)]
                if topic == "sim/objects":
                    self._objects = solids
                else:
                    model.surroundings = solids
        self._newest.clear()
        self._joints = None
