"""A MuJoCo arm with cameras that speaks the topics of a real one under ros2_control."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable

import numpy as np
from builtin_interfaces.msg import Time
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from visualization_msgs.msg import Marker, MarkerArray

from wam_ros.core.drivers import JOINTS, numbers_of, topics_of
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.types import NS
from wam_ros.msg import EpisodeState
from wam_ros.ros import convert, qos
from wam_ros.ros.lifecycle import WamNode
from wam_ros.ros.markers import lifetime_msg
from wam_ros.ros.running import run_node
from wam_ros.ros.sim_node.controller_server import ControllerServer, make_sim_controller
from wam_ros.ros.sim_node.parameters import SimParams
from wam_ros.ros.sim_node.waiting import WaitingWorld, make_ticks
from wam_ros.sim.robots import task_for
from wam_ros.sim.stepper import Stepper
from wam_ros.sim.world import SimObject
from wam_ros.sim.worlds import make_world
from wam_ros.srv import ResetEpisode

OBJECTS_S = 1.0  # a drawn object is good for so long
WAKE_S = 0.01  # real time between two looks whether a world in lock-step may go on
# simulated time between two messages on /clock at most: a trajectory is followed whatever the clock
# shows, a stream comes tick by tick
CLOCK_S = {"joint_trajectory": 0.02, "forward_position": 0.01, "forward_velocity": 0.01}


class SimNode(WamNode):
    """Wires a `Stepper` to a timer, topics and the reset service."""

    def __init__(self, **options) -> None:
        super().__init__("sim_node", SimParams, **options)

    def configure(self) -> None:
        """Build the world; the physics stands until activation."""
        p: SimParams = self.params
        if p.rate != 1.0 and not p.lockstep:
            raise WamError(f"rate is {p.rate:g}: a world that keeps real time has rate 1")
        self.embodiment = load_embodiment(p.embodiment)
        task = task_for(self.embodiment, p.task)
        size = (p.camera_height, p.camera_width)
        self._world = make_world(self.embodiment, task, size, p.step_s)
        self._world.reset(p.seed)
        names = self._world.joint_names
        q0 = self._world.q
        self._controller = make_sim_controller(p.controller, names, q0)
        self._joints_pubs = {
            topic: (self.create_publisher(JointState, topic, qos.JOINTS), told)
            for topic, told in topics_of(self.embodiment).items()
        }
        self._episode_pub = self.create_publisher(EpisodeState, "episode", qos.STATUS)
        self._objects_pub = self.create_publisher(MarkerArray, "sim/objects", qos.STATUS)
        self._cameras = [
            (
                camera.name,
                self.create_publisher(Image, camera.image_topic, qos.IMAGE),
                self.create_publisher(CameraInfo, camera.info_topic, qos.IMAGE)
                if camera.info_topic
                else None,
                self._calibration(camera.name),
            )
            for camera in self.embodiment.cameras
        ]
        self._server = ControllerServer(
            node=self,
            kind=p.controller,
            controller=self._controller,
            now_ns=self._reached_ns,
            defer=self._when_reached,
            numbers=functools.partial(numbers_of, self.embodiment),
        )
        self.create_service(ResetEpisode, "~/reset_episode", self._on_reset)
        self._image_s = 1 / p.camera_hz
        self._waiting = self._make_waiting() if p.lockstep else None

    def _make_waiting(self) -> WaitingWorld:
        p: SimParams = self.params
        self._clock_pub = self.create_publisher(Clock, "/clock", qos.STATUS)
        longest_ns = round(CLOCK_S[p.controller] * NS)
        step_ns = round(p.step_s * NS)
        self._tick_ns, ticks = make_ticks(round(NS / p.camera_hz), step_ns, longest_ns)
        self._image_s = ticks * self._tick_ns / NS
        return WaitingWorld(
            node=self,
            tick_ns=self._tick_ns,
            frame_ns=ticks * self._tick_ns,
            rate=p.rate,
            step=self._go_to,
            commanded=lambda: self._server.heard_ns,
            again=self._tell_again,
        )

    def activate(self) -> None:
        """Let physics run from now on."""
        p: SimParams = self.params
        origin_ns = self.get_clock().now().nanoseconds
        self._stepper = Stepper(self._world, self._controller, origin_ns)
        if self._waiting:
            # everything is due one step after the origin and in whole ticks from there
            self._waiting.begin(origin_ns + round(p.step_s * NS) - self._tick_ns)
            self._stepper.every(self._tick_ns / NS, self._publish_clock)
        self._stepper.every(1 / p.joint_states_hz, self._publish_joints)
        self._stepper.every(self._image_s, self._publish_images)
        self._stepper.every(0.1, self._publish_episode)
        # in lock-step it is what the nodes say that lets the world go on
        self._timer = self.create_timer(WAKE_S if self._waiting else p.wake_s, self._on_timer)

    def deactivate(self) -> None:
        """Freeze physics."""
        self.destroy_timer(self._timer)

    def cleanup(self) -> None:
        """Free the GL context."""
        if world := self.__dict__.pop("_world", None):
            world.close()

    def _reached_ns(self) -> int | None:
        """The instant the physics has reached; None while it is frozen."""
        return self._stepper.now_ns if self.active else None

    def _when_reached(self, action: Callable[[], None], sent_ns: int) -> None:
        """Let `action` wait until the physics has come to where it should have been when the
        message was sent.

        In lock-step senders live by /clock, which tells what the physics has reached: nothing has
        to wait.
        """
        if self._waiting:
            return self._stepper.at(self._stepper.now_ns, action)
        late_ns = max(0, time.time_ns() - sent_ns)
        return self._stepper.at(self.get_clock().now().nanoseconds - late_ns, action)

    def _on_timer(self) -> None:
        target_ns = self.get_clock().now().nanoseconds
        self._server.hear()  # only then is everything known that was sent before the target
        if self._waiting:
            self._waiting.go()
        else:
            self._stepper.advance(target_ns)

    def _go_to(self, instant_ns: int) -> None:
        self._stepper.advance(instant_ns)

    def _tell_again(self) -> None:
        """The present once more: best effort may have lost it.

        The clock tells what the world waits for others to reach; before the first tick that is not
        yet where the physics stands.
        """
        assert self._waiting
        self._publish_clock(self._waiting.now_ns)
        now_ns = self._stepper.now_ns
        self._publish_joints(now_ns)
        if now_ns == self._waiting.shown_ns:
            self._publish_images(now_ns)

    def _on_reset(
        self, request: ResetEpisode.Request, response: ResetEpisode.Response
    ) -> ResetEpisode.Response:
        if not self.active:
            response.message = "sim_node is not active"
            return response
        try:
            response.instruction = self._world.reset(request.seed, request.colour, request.nudge)
        except (WamError, ValueError) as error:
            response.message = str(error)
            return response
        self._server.hear()  # what is still waiting was meant for the old episode
        self._stepper.restart()
        if self._waiting:
            self._waiting.placed()
        response.ok = True
        return response

    def _publish_joints(self, now_ns: int) -> None:
        """As the drivers of the robot would: on their topics, in their numbers."""
        state = self._world.joint_state(now_ns)
        for topic, (publisher, told) in self._joints_pubs.items():
            part = numbers_of(self.embodiment, told).said(state.only(told))
            sensed = self.embodiment.sensed if topic == JOINTS else {}
            publisher.publish(convert.joint_state_to_msg(part.beside(sensed)))

    def _publish_clock(self, now_ns: int) -> None:
        self._clock_pub.publish(Clock(clock=convert.ns_to_time(now_ns)))

    def _publish_images(self, now_ns: int) -> None:
        stamp = convert.ns_to_time(now_ns)
        if self._waiting:
            self._waiting.shown(now_ns)
        for name, image_pub, info_pub, info in self._cameras:
            image_pub.publish(
                convert.numpy_to_image(self._world.render(name), now_ns, info.header.frame_id)
            )
            if info_pub:
                info.header.stamp = stamp
                info_pub.publish(info)

    def _calibration(self, camera: str) -> CameraInfo:
        known = self._world.camera_info(camera)
        info = CameraInfo(
            width=known["width"], height=known["height"], distortion_model="plumb_bob", d=[0.0] * 5
        )
        info.header.frame_id = self.params.tf_prefix + known["frame_id"]
        info.k = known["K"].reshape(-1)
        info.r = np.eye(3).reshape(-1)
        info.p = np.hstack((known["K"], np.zeros((3, 1)))).reshape(-1)
        return info

    def _publish_episode(self, now_ns: int) -> None:
        e = self._world.episode()
        msg = EpisodeState(seed=e.seed, instruction=e.instruction, t=e.t_s)
        msg.header.stamp = convert.ns_to_time(now_ns)
        msg.success = bool(e.success)
        msg.wrong = bool(e.wrong)
        msg.outcome = e.outcome
        msg.nudged = bool(e.nudged)
        msg.violation_names = list(e.violations)
        msg.violation_counts = list(e.violations.values())
        msg.limit_violations = sum(e.violations.values())
        self._episode_pub.publish(msg)
        if self._objects_pub.get_subscription_count():
            markers = [
                self._marker(k, o, msg.header.stamp) for k, o in enumerate(self._world.objects())
            ]
            self._objects_pub.publish(MarkerArray(markers=markers))

    def _marker(self, index: int, o: SimObject, stamp: Time) -> Marker:
        marker = Marker(ns=o.name, id=index, type=Marker.CUBE, lifetime=lifetime_msg(OBJECTS_S))
        marker.header.frame_id = self.params.tf_prefix + self.embodiment.base_frame
        marker.header.stamp = stamp
        p = marker.pose.position
        q = marker.pose.orientation
        s = marker.scale
        c = marker.color
        p.x, p.y, p.z = o.position.tolist()
        q.w, q.x, q.y, q.z = o.wxyz.tolist()
        s.x, s.y, s.z = o.size.tolist()
        c.r, c.g, c.b, c.a = o.rgba.tolist()
        return marker


def main() -> None:
    """Run the node until it is told to stop."""
    run_node(SimNode)


if __name__ == "__main__":
    main()
