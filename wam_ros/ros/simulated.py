"""How the loop around a simulated arm keeps time: what each node is told."""

from __future__ import annotations

from typing import Any

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.lockstep import RING

# A real arm that is silent for the default 0.3 s is gone; a simulated one on a busy machine is only
# late, and so is its clock: nothing moves meanwhile.
JOINT_TIMEOUT_S = 2.0
# By the steady clock, in bridge and safety node alike: where the world waits for both, silence is a
# busy machine's and loses nothing.
HEARTBEAT_S = 2.0
# the world does not wait for them
LISTENERS = ("task_node", "teleop_node", "recorder_node", "view_node")


def simulated_time(robot: Embodiment, real_time: bool) -> dict[str, dict[str, Any]]:
    """Parameters of each node: in lock-step by the `/clock` of `sim_node`, or in real time.

    In lock-step there is an image for each observation and no more: each costs time that all wait.
    """
    nodes: dict[str, dict[str, Any]] = {name: {} for name in ("sim_node", *RING, *LISTENERS)}
    if real_time:
        nodes["safety_node"] = {"joint_timeout_s": JOINT_TIMEOUT_S}
        nodes["sim_node"] = {"camera_hz": robot.frame_rate_hz}
        return nodes
    nodes["sim_node"] = {
        "lockstep": True,
        "camera_hz": robot.frame_rate_hz,
        "use_sim_time": False,  # it gives the time
    }
    for name in LISTENERS:
        nodes[name] = {"use_sim_time": True}
    for name in RING:
        nodes[name] = {"lockstep": True, "use_sim_time": True}
    for name in ("safety_node", "bridge_node"):
        nodes[name]["heartbeat_s"] = HEARTBEAT_S
    return nodes
