"""What the pictures for RViz cost the node that draws them.

    python -m benchmark.rviz [--seconds 15] [--json rviz.json]

`view_node` runs in a process of its own, without a page. This process says what a loop says (two
views, ten observations, chunks and futures a second, a hundred joint states) and listens as RViz
does. Rows: processor time of the node, all of its threads, in percent of one core, with nobody
listening and with each listener, how often that one heard something, and what it adds to nobody.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from wam_ros.core.files import write_json

DOMAIN = "93"
LOOP_HZ = 10
JOINTS_HZ = 100
WARM_S = 5.0  # until who listens has been found, and everything was drawn once


class Loop:
    """The topics of a loop, and ears."""

    def __init__(self) -> None:
        import rclpy
        from rclpy.node import Node
        from sensor_msgs.msg import CameraInfo, JointState
        from trajectory_msgs.msg import JointTrajectory

        from wam_ros import msg
        from wam_ros.core.embodiment import load_embodiment
        from wam_ros.ros import qos

        self._rclpy = rclpy
        rclpy.init()
        self._node = Node("loop")
        self._robot = load_embodiment("panda")
        make = self._node.create_publisher
        self._observation = make(msg.Observation, "observation", qos.OBSERVATION)
        self._future = make(msg.ImaginedFuture, "imagined_future", qos.OBSERVATION)
        self._status = make(msg.WamStatus, "wam_status", qos.STATUS)
        self._report = make(msg.SafetyReport, "safety_report", qos.STATUS)
        self._trajectory = make(JointTrajectory, "safe_trajectory", qos.TRAJECTORY)
        self._joints = make(JointState, "joint_states", qos.JOINTS)
        self._infos = [make(CameraInfo, c.info_topic, qos.IMAGE) for c in self._robot.cameras]
        self._seq = 0
        self._due_s = time.monotonic()

    def listen(self, topic: str, kind: type, profile: Any) -> Callable[[], int]:
        """Hear a topic; gives how many messages came since the last call."""
        heard: list[object] = []
        self._heard = self._node.create_subscription(kind, topic, heard.append, profile)

        def count() -> int:
            found = len(heard)
            heard.clear()
            return found

        return count

    def leave(self) -> None:
        """Hear no more."""
        self._node.destroy_subscription(self._heard)

    def run(self, seconds: float) -> float:
        """Say what a loop says for so long; gives how long that was, s."""
        began_s = time.monotonic()
        while (now_s := time.monotonic()) - began_s < seconds:
            if now_s >= self._due_s:
                self._due_s += 1 / JOINTS_HZ
                self._say()
            self._rclpy.spin_once(self._node, timeout_sec=0.002)
        return now_s - began_s

    def _say(self) -> None:
        import numpy as np
        from sensor_msgs.msg import CameraInfo, JointState

        from wam_ros.core import types
        from wam_ros.core.types import NS
        from wam_ros.ros import convert

        robot = self._robot
        self._joints.publish(JointState(name=list(robot.joint_names), position=list(robot.home)))
        self._seq += 1
        if self._seq % (JOINTS_HZ // LOOP_HZ):
            return
        now_ns = self._node.get_clock().now().nanoseconds
        rng = np.random.default_rng(self._seq)
        frames = rng.integers(0, 256, (3, 2, robot.image_height, robot.image_width, 3), np.uint8)
        home = np.array(robot.home)
        joints = types.JointState(now_ns, robot.joint_names, home, 0 * home, 0 * home)
        views = robot.view_names
        observation = types.Observation(now_ns, views, frames[0], (now_ns,) * 2, joints)
        self._observation.publish(convert.observation_to_msg(observation))
        future = types.ImaginedFuture(
            chunk_seq=self._seq,
            view_names=views,
            frames=frames[1:],
            instants_ns=(now_ns + 4 * NS // LOOP_HZ, now_ns + 8 * NS // LOOP_HZ),
            joint_names=robot.joint_names,
            joint_path=np.tile(home, (8, 1)),
            surprise=float(rng.uniform(0, 0.01)),
        )
        self._future.publish(convert.imagined_to_msg(future))
        t = np.linspace(0, 1.5, 24)
        q = home + np.outer(t, rng.uniform(-0.4, 0.4, len(home)))
        plan = types.SafeTrajectory(
            q, 0 * q, 0 * q, start_ns=now_ns, joint_names=robot.joint_names, t=t
        )
        self._trajectory.publish(convert.trajectory_to_msg(plan))
        report = types.SafetyReport(
            now_ns,
            self._seq,
            types.SafetyState.ARMED,
            types.Decision.PASS,
            nearest_pair=("panda_link1", "panda_link3"),
            nearest_distance=float(rng.uniform(0.01, 0.2)),
        )
        self._report.publish(convert.report_to_msg(report))
        if self._seq % JOINTS_HZ == 0:
            for publisher in self._infos:
                k = [100.0, 0, 64, 0, 100.0, 64, 0, 0, 1]
                publisher.publish(CameraInfo(width=128, height=128, k=k))
        if self._seq % (JOINTS_HZ // 2) == 0:
            status = types.WamStatus(
                now_ns, bytes(16), "tiny", "pick up the red block", types.ChunkingMode.GUIDED
            )
            self._status.publish(convert.status_to_msg(status))


def measure(seconds: float) -> dict[str, dict[str, float]]:
    """Rows by who listens."""
    import psutil
    from sensor_msgs.msg import Image
    from visualization_msgs.msg import MarkerArray

    from wam_ros.ros import qos

    command = [sys.executable, "-m", "wam_ros.nodes.view_node", "--ros-args", "-p", "port:=0"]
    node = subprocess.Popen(command)
    found: dict[str, dict[str, float]] = {}
    try:
        process = psutil.Process(node.pid)
        loop = Loop()
        loop.run(2 * WARM_S)
        for name, topic, kind in (
            ("nobody", "nothing", Image),
            ("board", "imagination/board/image", Image),
            ("ghosts and state", "imagination/markers", MarkerArray),
            ("imagined in space", "imagination/frames", MarkerArray),
        ):
            count = loop.listen(topic, kind, qos.reliable(2))
            loop.run(WARM_S)
            count()
            began_s = sum(process.cpu_times()[:2])
            took_s = loop.run(seconds)
            percent = 100 * (sum(process.cpu_times()[:2]) - began_s) / took_s
            found[name] = {"percent": percent, "hz": count() / took_s}
            loop.leave()
    finally:
        node.terminate()
        node.wait()
    for row in found.values():
        row["adds"] = row["percent"] - found["nobody"]["percent"]
    return found


def main() -> None:
    """Print the rows; write them as JSON when asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--json", default="")
    args = parser.parse_args()
    os.environ |= {"ROS_DOMAIN_ID": DOMAIN, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    found = measure(args.seconds)
    for name, row in found.items():
        print(
            f"{name:<20} {row['hz']:5.1f} a second, {row['percent']:5.1f} % of one core, "
            f"{row['adds']:+5.1f} %"
        )
    if args.json:
        write_json(args.json, found)


if __name__ == "__main__":
    main()
