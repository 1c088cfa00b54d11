"""Camera images and joint states in, one `Observation` per model frame out."""

from __future__ import annotations

import functools
import gc
import time
from typing import Any

import numpy as np
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import CompressedImage, Image
from sensor_msgs.msg import JointState as JointStateMsg

from wam_ros.core.alignment import ObservationAligner
from wam_ros.core.drivers import JOINTS, WholeStates
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.images import resize, shape
from wam_ros.core.notices import Notice
from wam_ros.core.picture_watch import PictureWatch
from wam_ros.core.types import NS
from wam_ros.msg import Observation as ObservationMsg
from wam_ros.ros import convert, qos
from wam_ros.ros.camera_node.parameters import CameraParams
from wam_ros.ros.fields import read_header
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.progress import LockstepParams, ProgressTeller
from wam_ros.ros.running import keep_memory, run_node

WAITS_S = 10.0  # silence of a world in lock-step without a word


class CameraNode(WamNode):
    """Subscribes to what the embodiment names; publishes `observation`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("camera_node", CameraParams, LockstepParams, **kwargs)

    def configure(self) -> None:
        """Load the embodiment and prepare the publisher."""
        p = self.params
        self._robot = robot = load_embodiment(p.embodiment)
        self._progress = ProgressTeller(self, self._emit)
        # in lock-step it costs nothing to wait, and who waits sees the same each time
        carry_s = 0.0 if self._progress.enabled else p.carry_s
        self._aligner = ObservationAligner(
            robot.view_names,
            robot.joint_names,
            frame_period_ns=round(NS / robot.frame_rate_hz),
            max_age_ns=round(p.max_age_s * NS),
            patience_ns=round(p.patience_s * NS),
            carry_ns=round(carry_s * NS),
            decode=self._decode,
        )
        self._cameras = {c.name: c for c in robot.cameras}
        self._compressed = {c.name: c.compressed or p.compressed for c in robot.cameras}
        self._topics = {
            c.name: self.resolve_topic_name(
                c.image_topic + "/compressed" * self._compressed[c.name]
            )
            for c in robot.cameras
        }
        self._whole = WholeStates(robot)
        self._topics[JOINTS] = ", ".join(map(self.resolve_topic_name, self._whole.topics))
        self._publisher = self.create_lifecycle_publisher(
            ObservationMsg, "observation", qos.OBSERVATION
        )
        self._inputs: list[Any] = []
        gc.collect()
        gc.freeze()  # what stays for good is not walked again while a frame waits

    def cleanup(self) -> None:
        """Let what stays be walked again."""
        gc.unfreeze()

    def activate(self) -> None:
        """Start listening; an inactive node costs nothing."""
        p = self.params
        self._aligner.flush()
        self._notice = Notice(p.warn_period_s)
        robot = self._robot
        self._positions = np.zeros(0)
        self._watches = {
            c.name: PictureWatch(
                height=robot.image_height,
                width=robot.image_width,
                rate_hz=robot.frame_rate_hz,
                shaped=bool(c.rotation or c.crop),
            )
            for c in robot.cameras
        }
        self._odd = {view: Notice(p.warn_period_s) for view in self._watches}
        self._trouble = self._joint_trouble = ""  # the newest reason why a sample could not be used
        self._flushes = self._aligner.flushes
        self._quiet_until = time.monotonic() + p.grace_s
        for view in self._robot.view_names:
            kind = CompressedImage if self._compressed[view] else Image
            on_image = functools.partial(self._on_image, view)
            self._inputs.append(
                self.create_subscription(kind, self._topics[view], on_image, qos.IMAGE, raw=True)
            )
        for topic, told in self._whole.topics.items():
            if told:
                on_joints = functools.partial(self._on_joints, topic)
                self._inputs.append(
                    self.create_subscription(JointStateMsg, topic, on_joints, qos.JOINT_STATES)
                )
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # /clock may be what is missing
        self._timer = self.create_timer(
            1.0 / self._robot.frame_rate_hz, self._on_timer, clock=steady
        )
        self._progress.start()

    def deactivate(self) -> None:
        """Stop listening."""
        self._progress.stop()
        self.destroy_timer(self._timer)
        while self._inputs:
            self.destroy_subscription(self._inputs.pop())

    def _on_image(self, view: str, data: bytes) -> None:
        try:
            stamp_ns = read_header(data)[0]
            self._watches[view].arrived(stamp_ns)
            self._aligner.add_frame(view, stamp_ns, (view, data))
        except WamError as error:
            self._trouble = str(error)
        self._emit()

    def _decode(self, frame: tuple[str, bytes]) -> np.ndarray:
        """(H, W, 3) uint8 RGB of the model's size; only frames that are used come this far."""
        view, data = frame
        image = convert.image_to_numpy(convert.image_from_wire(data, self._compressed[view]))
        shaped = shape(image, self._cameras[view])
        rgb = resize(shaped, self._robot.image_height, self._robot.image_width)
        self._watches[view].saw(image.shape[:2], rgb, self._positions)
        return rgb

    def _on_joints(self, topic: str, msg: JointStateMsg) -> None:
        try:
            part = convert.joint_state_from_msg(msg, self._whole.topics[topic])
            joints = self._whole.take(topic, part)
            if joints is None:
                self._joint_trouble = f"nothing new on {', '.join(self._whole.awaited)}"
                return
            self._aligner.add_joints(joints)
            self._positions = joints.positions
            self._joint_trouble = ""
        except WamError as error:
            self._joint_trouble = str(error)
        self._emit()

    def _emit(self) -> None:
        """Publish an observation if one is complete."""
        now_ns = self.get_clock().now().nanoseconds
        observation = None
        try:
            observation = self._aligner.poll(now_ns)
        except WamError as error:
            self._trouble = str(error)
        if observation is not None:
            self._trouble = ""
            period_s = 1.0 / self._robot.frame_rate_hz
            # a world in lock-step may think long between two frames
            patience_s = WAITS_S if self._progress.enabled else self.params.max_age_s
            self._quiet_until = time.monotonic() + patience_s + 2.0 * period_s
            self._publisher.publish(convert.observation_to_msg(observation))
            self._progress.said = observation.stamp_ns
        if self._progress.heard < (reached_ns := self._aligner.reached_ns) <= now_ns:
            self._progress.heard = reached_ns
            self._progress.tell()

    def _on_timer(self) -> None:
        self._emit()  # a view that stays away is only noticed by the clock
        if self._aligner.flushes != self._flushes:
            self._flushes = self._aligner.flushes
            self.get_logger().warning("the clock or a stamp went back: all streams start afresh")
        now = time.monotonic()
        for view, watch in self._watches.items():
            odd = watch.faults()
            if self._odd[view].due(" ".join(odd.values()), now, " ".join(odd)):
                self.get_logger().warning(f"{self._topics[view]}: {'; '.join(odd.values())}")
        subject, complaint = self._complaint() if now > self._quiet_until else ("", "")
        if self._notice.due(complaint, now, subject):
            self.get_logger().warning(f"no observations: {complaint}")

    def _complaint(self) -> tuple[str, str]:
        """What holds observations back: names only, and with numbers."""
        now_ns = self.get_clock().now().nanoseconds
        if now_ns == 0:
            return "clock", "use_sim_time is set and nothing has arrived on /clock"
        faults = self._aligner.faults(now_ns)
        words = [
            f"{self._topics[f.stream]}: {f}"
            for f in faults
            if not (f.stream == JOINTS and self._joint_trouble)
        ]
        names = [f"{f.stream} {f.kind}" for f in faults]
        if self._joint_trouble:
            words.append(f"{self._topics[JOINTS]}: {self._joint_trouble}")
        if self._trouble:
            words.append(self._trouble)
        if not words:
            words.append("the streams do not overlap in time; raise max_age_s or patience_s")
        return " ".join([*names, self._joint_trouble, self._trouble, "."]), "; ".join(words)


def main() -> None:
    """Entry point of `ros2 run wam_ros camera_node`."""
    keep_memory()
    run_node(CameraNode)


if __name__ == "__main__":
    main()
