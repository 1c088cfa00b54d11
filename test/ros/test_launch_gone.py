"""A launch that is killed while the arm moves: nothing runs on, and the arm was led to rest."""

import os
import subprocess
import sys

import numpy as np
import psutil
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mujoco")

from rclpy.qos import QoSProfile
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool

from wam_ros.msg import ActionChunk
from wam_ros.ros import convert, qos

from .conftest import DOMAIN

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
NODES = {
    "safety_node": [
        "joint_timeout_s:=2.0",
        "tracking_rad:=0.4",
        "bridge_tolerance_s:=1.0",
        "heartbeat_s:=1.0",
    ],
    "bridge_node": ["controller:=forward_position", "heartbeat_s:=1.0"],
}
# As `ros2 launch` starts its nodes; then it waits to be killed.
LAUNCHER = f"""
import os, signal, subprocess, sys
from wam_ros.core.with_parent import prefix
for name, values in {NODES!r}.items():
    words = [w for value in values for w in ("-p", value)]
    node = [sys.executable, "-m", "wam_ros.nodes." + name, "--ros-args", *words]
    print(subprocess.Popen([*prefix(os.getpid()), *node]).pid, flush=True)
signal.pause()
"""


def running(pid):
    """Whether a process runs; an orphan may have nobody to collect it in a container."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_launch_that_is_killed_leaves_no_node_running_and_the_arm_led_to_rest(arena, arm):
    """Streamed to: a bridge that simply died would leave the last command standing, in motion."""
    arena.spawn("sim_node", controller="forward_position", camera_hz=1.0)
    environment = {
        **os.environ,
        "ROS_DOMAIN_ID": str(DOMAIN),
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE, env=environment
    ) as launcher:
        pids = [int(launcher.stdout.readline()) for _ in NODES]
        try:
            commands = arena.overhear(
                Float64MultiArray, "forward_position_controller/commands", QoSProfile(depth=1000)
            )
            chunks = arena.observer.create_publisher(ActionChunk, "action_chunk", qos.CHUNK)
            arena.until(lambda: arm.state is not None)
            arena.until(lambda: arena.call(SetBool, "safety_node/arm", data=True).success)
            offer = lambda: chunks.publish(convert.chunk_to_msg(arm.chunk(0.03)))  # noqa: E731
            arena.until(lambda: arm.moving() and len(commands) > 3, each=offer)
            assert all(running(pid) for pid in pids)
        finally:
            launcher.kill()
    arena.until(lambda: not any(running(pid) for pid in pids))
    arena.until(arm.at_rest)
    steps = np.abs(np.diff([m.data for m in commands], axis=0)).max(axis=1)
    assert steps[-1] < 0.2 * steps.max(), "the last command was in the middle of a motion"
