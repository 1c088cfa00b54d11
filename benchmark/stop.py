"""From a pressed stop to the trajectory that stops the arm, while the safety node is as busy as a
chunk can make it.

The real safety_node, bridge_node and sim_node in processes of their own. While the arm moves, the
safety node is given a chunk of as many steps as it takes, among boxes of which some move, a cloud
that comes anew and an octomap that changes; at a random moment of its check a stop is pressed. What
counts: when the safety node sends the stop's trajectory, by the stamp that DDS gives it there, and
when that trajectory begins. How long the one who presses waits for a processor himself does not:
he goes before everything while he does it, where he may.

    python -m benchmark.stop --tries 200 --json docs/results/stop.json
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.files import require_writable, write_json
from wam_ros.core.types import NS, ActionChunk, SafetyState
from wam_ros.demo.domain import hold_domain
from wam_ros.demo.plan import environment, node_command
from wam_ros.demo.supervisor import Command, Supervisor

READY_S = 60.0
PRIORITY = 60  # of the hand on the button, and of the threads by which DDS sends for it
STEPS, STEP_S = 512, 0.02  # of a chunk: as many as are taken


class Scene(NamedTuple):
    """What stands around."""

    boxes: int = 0
    points: int = 0  # of a cloud
    octomap: bool = False  # that changes every second


SCENES = {
    "nothing": Scene(),
    "100 boxes": Scene(boxes=100),
    "and a cloud of 20,000 points": Scene(boxes=100, points=20_000),
    "and an octomap of 25,000 voxels": Scene(boxes=100, points=20_000, octomap=True),
}


def _schedule(thread: int, priority: int) -> None:
    """Let a thread of this process, 0 for this one, hold a real-time priority; ordinary with 0."""
    policy = os.SCHED_FIFO if priority else os.SCHED_OTHER
    with suppress(OSError):  # no right to it
        os.sched_setscheduler(thread, policy | os.SCHED_RESET_ON_FORK, os.sched_param(priority))


@contextmanager
def before_everything() -> Iterator[None]:
    """At a real-time priority higher than those of the nodes, where that is allowed."""
    _schedule(0, PRIORITY)
    yield
    _schedule(0, 0)


class Hand:
    """A model's place and a hand on the button. One thread.

    Args:
        domain_id: ROS domain.
        scene: what stands around; a cloud comes ten times a second.
    """

    def __init__(self, domain_id: int, scene: Scene) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.node import Node
        from sensor_msgs.msg import JointState as JointStateMsg
        from sensor_msgs.msg import PointCloud2
        from std_msgs.msg import Bool
        from std_srvs.srv import SetBool, Trigger
        from trajectory_msgs.msg import JointTrajectory
        from visualization_msgs.msg import MarkerArray

        from wam_ros.msg import ActionChunk as ChunkMsg
        from wam_ros.msg import SafetyReport
        from wam_ros.ros import qos
        from wam_ros.ros.latest import Latest

        self.robot = load_embodiment("panda")
        self.context = rclpy.Context()
        rclpy.init(args=[], context=self.context, domain_id=domain_id)
        self.node = Node("stop_benchmark", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        make = self.node.create_publisher
        self.chunks = make(ChunkMsg, "action_chunk", qos.CHUNK)
        self.button = make(Bool, "estop", qos.STATUS)
        self.markers = make(MarkerArray, "obstacles", qos.STATUS)
        self.clouds = make(PointCloud2, "obstacle_points", qos.JOINT_STATES)
        # every one of them counts, the first above all
        self.node.create_subscription(
            JointTrajectory, "safe_trajectory", self._on_safe, qos.STATUS, raw=True
        )
        self.node.create_subscription(SafetyReport, "safety_report", self._on_report, qos.STATUS)
        self.joints = Latest(self.node, JointStateMsg, "joint_states")
        self.services = {
            name: self.node.create_client(kind, f"safety_node/{name}")
            for name, kind in (("arm", SetBool), ("reset", Trigger))
        }
        self.q = np.array(self.robot.home)
        self.pressed_ns = 0
        self.answered: tuple[float, float] | None = None
        self.state = SafetyState.UNKNOWN
        self.sentence = ""
        self.still = True
        self._due = dict.fromkeys((self._tell, self._see), 0.0)
        self._scene = scene
        self._rng = np.random.default_rng(0)
        self._seq = 0
        self._session = os.urandom(16)
        for folder in Path("/proc/self/task").glob("*"):
            if (folder / "comm").read_text().startswith("dds."):
                _schedule(int(folder.name), PRIORITY)

    def now_ns(self) -> int:
        """ROS time."""
        return int(self.node.get_clock().now().nanoseconds)

    def spin(self, seconds: float) -> None:
        """Live for a while."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            for task, period in ((self._tell, 0.5), (self._see, 0.1)):
                if now >= self._due[task]:
                    self._due[task] = now + period
                    task()
            self.executor.spin_once(timeout_sec=0.001)

    def until(self, condition: Any, what: str, seconds: float = READY_S) -> None:
        """Live until something holds.

        Raises:
            WamError: it never did.
        """
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise WamError(f"{what} did not happen in {seconds:g} s; safety: {self.sentence}")
            self.spin(0.02)

    def call(self, name: str, **fields: Any) -> bool:
        """Ask the safety node."""
        client = self.services[name]
        self.until(client.service_is_ready, f"the service {name}")
        asked = client.call_async(client.srv_type.Request(**fields))
        self.until(asked.done, f"an answer of {name}")
        return bool(asked.result().success)

    def offer(self, steps: int) -> None:
        """A chunk from where the arm is: to and fro, slowly, and home by its end. Stops on the way
        would else lead it to the end of a joint after some hundred tries, where nothing moves.
        """
        from wam_ros.ros import convert

        if (joints := self.joints.take()) is not None:
            self.q = convert.joint_state_from_msg(joints, self.robot.joint_names).positions
        self._seq += 1
        way = 0.1 * np.sin(np.linspace(0, 2 * np.pi, steps + 1)[1:])[:, None]
        back = np.linspace(0, 1, steps + 1)[1:, None] * (np.array(self.robot.home) - self.q)
        arm = np.array([n not in self.robot.gripper_joints for n in self.robot.joint_names])
        chunk = ActionChunk(
            anchor_ns=self.now_ns(),
            step_period_ns=round(STEP_S * NS),
            joint_names=self.robot.joint_names,
            positions=self.q + (way + back) * arm,
            session_id=self._session,
            seq=self._seq,
            embodiment="panda",
        )
        self.chunks.publish(convert.chunk_to_msg(chunk))

    def moves(self) -> bool:
        """Whether the arm moves; else it is given something to do."""
        if not self.still:
            return True
        self.offer(64)
        self.spin(0.1)
        return not self.still

    def press(self, on: bool) -> None:
        """The button."""
        from std_msgs.msg import Bool

        self.answered = None
        with before_everything():
            self.pressed_ns = self.now_ns() if on else 0
            self.button.publish(Bool(data=on))

    def close(self) -> None:
        """Leave ROS."""
        import rclpy

        self.executor.shutdown(timeout_sec=0.5)
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def _tell(self) -> None:
        """Boxes out of reach of the motion, a tenth of which has moved."""
        from visualization_msgs.msg import Marker, MarkerArray

        told = MarkerArray()
        place = np.random.default_rng(1)
        for k in range(self._scene.boxes):
            x, y, z = place.uniform(-1, 1, 3) + np.array((0, 0, 2.2))
            moved = 0.01 * self._rng.uniform() if k % 10 == 0 else 0.0
            marker = Marker(ns="bench", id=k, type=Marker.CUBE, action=Marker.ADD)
            marker.header.frame_id = self.robot.base_frame
            marker.pose.position.x, marker.pose.position.y = x + moved, y
            marker.pose.position.z, marker.pose.orientation.w = z, 1.0
            marker.scale.x = marker.scale.y = marker.scale.z = 0.05
            told.markers.append(marker)
        if told.markers:
            self.markers.publish(told)

    def _see(self) -> None:
        from sensor_msgs.msg import PointCloud2, PointField

        if not self._scene.points:
            return
        points = self._rng.uniform(-1.5, 1.5, (self._scene.points, 3)).astype(np.float32)
        points[:, 2] = 2.0 + 0.02 * points[:, 2]
        msg = PointCloud2(height=1, width=len(points), point_step=12, row_step=12 * len(points))
        msg.header.frame_id = self.robot.base_frame
        msg.header.stamp = self.node.get_clock().now().to_msg()
        kind = PointField.FLOAT32
        msg.fields = [
            PointField(name=n, offset=4 * k, datatype=kind, count=1) for k, n in enumerate("xyz")
        ]
        msg.data = points.tobytes()
        self.clouds.publish(msg)

    def _on_safe(self, data: bytes, info: Any) -> None:
        from wam_ros.ros import convert

        trajectory = convert.trajectory_from_wire(data)
        if self.pressed_ns and self.answered is None and trajectory.chunk_seq == 0:
            sent_ns = info["source_timestamp"] - self.pressed_ns
            begins_ns = trajectory.start_ns - self.pressed_ns
            self.answered = (sent_ns / NS, begins_ns / NS)

    def _on_report(self, msg: Any) -> None:
        self.state = SafetyState(msg.state)
        self.sentence = msg.sentence
        self.still = msg.stop_time_s == 0.0


def _once(hand: Hand, rng: np.random.Generator) -> bool:
    """Press the stop once; False where the arm had come to rest by itself and none was needed."""
    hand.until(lambda: hand.state == SafetyState.HOLD, "waiting for the joint state")
    hand.until(lambda: hand.call("arm", data=True), "arming")
    hand.until(lambda: hand.state == SafetyState.ARMED, "to be armed")
    hand.until(hand.moves, "motion")
    hand.offer(STEPS)
    hand.spin(float(rng.uniform(0, 0.06)))
    hand.press(True)
    hand.until(lambda: hand.answered or (hand.state == SafetyState.ESTOP and hand.still), "a stop")
    answered = hand.answered
    hand.press(False)
    hand.until(lambda: hand.still, "rest")
    hand.until(lambda: hand.call("reset"), "a reset")
    hand.answered = answered
    return answered is not None


def run(tries: int, name: str, folder: Path) -> dict[str, list[float]]:
    """Press the stop so many times in one of the scenes; seconds until its trajectory was sent,
    and until it begins.
    """
    scene = SCENES[name]
    domain_id = hold_domain()
    nodes: dict[str, dict[str, Any]] = {
        "sim_node": {"camera_hz": 0.5},
        "bridge_node": {},
        "safety_node": {
            "joint_timeout_s": 2.0,
            "cloud_lifetime_s": 5.0,
            "tracking_rad": 3.0,  # a busy machine is no fault here
            "reset_cooldown_s": 0.0,
        },
    }
    commands = [node_command(n, {"embodiment": "panda", **own}) for n, own in nodes.items()]
    if scene.octomap:
        argv = [a.replace("wam_ros.nodes.safety", "benchmark.octomap") for a in commands[2].argv]
        commands[2] = Command(commands[2].name, tuple(argv))
    supervisor = Supervisor(commands, folder, environment(domain_id, folder))
    supervisor.start()
    found: dict[str, list[float]] = {"sent_s": [], "begins_s": []}
    rng = np.random.default_rng(2)
    hand = Hand(domain_id, scene)
    try:
        for _ in track(range(tries), name):
            while not _once(hand, rng):
                pass
            assert hand.answered is not None
            for what, value in zip(found, hand.answered, strict=True):
                found[what].append(value)
    finally:
        hand.close()
        supervisor.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tries", type=int, default=200, help="in each scene")
    parser.add_argument("--only", choices=SCENES, help="one scene")
    parser.add_argument("--json", default="", help="file for the numbers")
    args = parser.parse_args()
    try:
        require_writable("--json", args.json)
    except WamError as problem:
        parser.error(str(problem))
    folder = Path(tempfile.mkdtemp(prefix="wam_stop_"))
    scenes = [args.only] if args.only else list(SCENES)
    table = Table(
        "around the arm",
        "tries",
        "stop sent p50 / p99 / most, ms",
        "it begins p50 / p99 / most, ms",
    )
    setting = {"tries": args.tries, "cpus": os.cpu_count(), "load": os.getloadavg()}
    rows: dict[str, dict[str, list[float]]] = {}
    for name in scenes:
        found = run(args.tries, name, folder)
        rows[name] = {
            what.replace("_s", "_ms"): np.percentile(np.array(seconds) * 1e3, [50, 99, 100])
            .round(2)
            .tolist()
            for what, seconds in found.items()
        }
        words = (" / ".join(f"{x:.1f}" for x in row) for row in rows[name].values())
        table.add_row(name, str(len(found["sent_s"])), *words)
        if args.json:  # what was measured stays, whatever becomes of the next one
            write_json(args.json, {"setting": setting, "runs": rows})
    Console().print(table)


if __name__ == "__main__":
    main()
