"""Observations of a robot that is known, of what its cameras and joints said: by the class that the
camera node uses, so that what is learned from is what will be seen.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from wam_ros.core.alignment import ObservationAligner
from wam_ros.core.drivers import WholeStates
from wam_ros.core.embodiment import Camera, Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.images import resize, shape
from wam_ros.core.types import NS, JointState, Observation

MAX_AGE_S = 0.25  # as in config/camera.yaml
PATIENCE_S = 0.03
_UNSEEN = np.zeros((1, 1, 3), np.uint8)  # pictures are read when they are asked for


class AlignedRows:
    """Takes stamps and joints in the order in which they were recorded.

    The clock of an observation is the newest stamp that was heard. Without pictures: `shaped` makes
    one of those.

    Args:
        robot: whose cameras and joints they are.
        topics: that were recorded, without namespace.
        path: of the recording, for errors.

    Raises:
        WamError: a camera of the robot was not recorded.
    """

    def __init__(self, robot: Embodiment, topics: Collection[str], path: Path) -> None:
        self.robot = robot
        self.topics: dict[str, str] = {}  # by view
        for camera in robot.cameras:
            names = camera.image_topic, f"{camera.image_topic}/compressed"
            found = next((name for name in names if name in topics), None)
            if found is None:
                raise WamError(
                    f"recording '{path}' lacks '{names[0]}' of robot '{robot.name}'; it has "
                    f"{', '.join(sorted(topics)[:12])}"
                )
            self.topics[camera.name] = found
        self._views = {topic: view for view, topic in self.topics.items()}
        self._aligner = ObservationAligner(
            robot.view_names,
            robot.joint_names,
            frame_period_ns=round(NS / robot.frame_rate_hz),
            max_age_ns=round(MAX_AGE_S * NS),
            patience_ns=round(PATIENCE_S * NS),
            decode=lambda _frame: _UNSEEN,
        )
        self._whole = WholeStates(robot)
        self.joint_topics = self._whole.topics
        self._now_ns = 0
        self.observations: list[Observation] = []

    def add_frame(self, topic: str, stamp_ns: int) -> None:
        """A camera has said something."""
        self._aligner.add_frame(self._views[topic], stamp_ns, None)
        self._poll(stamp_ns)

    def add_joints(self, topic: str, stamp_ns: int, msg: Any) -> None:
        """A driver told joints (sensor_msgs/JointState); those of others are left out."""
        wanted = self.joint_topics[topic]
        names = list(msg.name)
        if not wanted or not set(wanted) <= set(names):
            return
        columns = [names.index(name) for name in wanted]
        unknown = np.full(len(names), np.nan)
        values = [
            (np.array(told, float) if len(told) == len(names) else unknown)[columns]
            for told in (msg.position, msg.velocity, msg.effort)
        ]
        whole = self._whole.take(topic, JointState(stamp_ns, wanted, *values))
        if whole is not None and np.isfinite(whole.positions).all():
            self._aligner.add_joints(whole)
        self._poll(stamp_ns)

    def _poll(self, stamp_ns: int) -> None:
        self._now_ns = max(self._now_ns, stamp_ns)
        observation = self._aligner.poll(self._now_ns)
        if observation is not None:
            self.observations.append(observation)

    def shaped(self, image: np.ndarray, camera: Camera) -> np.ndarray:
        """(H, W, 3) as the model sees it, of a picture of a camera."""
        robot = self.robot
        return resize(shape(image, camera), robot.image_height, robot.image_width)
