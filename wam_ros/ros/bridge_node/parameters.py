"""The parameters of the bridge and what is made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wam_ros.bridge.bridge import Bridge
from wam_ros.bridge.gate import Gate, load_gate_limits
from wam_ros.bridge.lag import Lag
from wam_ros.bridge.player import Player
from wam_ros.core.admission import Admission
from wam_ros.core.embodiment import Embodiment
from wam_ros.ros.params import param


@dataclass(frozen=True)
class BridgeParams:
    """Parameters of bridge_node beside what it admits (`Admission`)."""

    embodiment: str = param(
        "panda", doc="robot: a name in config/embodiments or the path of a YAML file"
    )
    controller: str = param(
        "", doc="kind of controller, of all joints; empty: the embodiment's, one or several"
    )
    controller_name: str = param("", doc="node name of the controller; empty: its usual one")
    gripper: str = param(
        "", doc="kind of controller of the gripper; empty: the arm's drives it too"
    )
    gripper_name: str = param(
        "", doc="node name of the gripper's controller; empty: gripper_controller"
    )
    rate_hz: float = param(
        100.0, unit="Hz", low=10.0, high=500.0, doc="ticks per second; a stream needs 100 or more"
    )
    start_rad: float = param(
        0.02, unit="rad", low=0.0, high=0.2, doc="first start this close to the measured joints"
    )
    start_m: float = param(0.005, unit="m", low=0.0, high=0.05, doc="the same for sliding joints")
    follow_rad: float = param(
        0.25, unit="rad", low=0.01, high=3.0, doc="farthest the arm may be off its command"
    )
    follow_m: float = param(0.05, unit="m", low=0.001, high=1.0, doc="the same for sliding joints")
    follow_s: float = param(
        0.3, unit="s", low=0.02, high=5.0, doc="for how long; then nothing more is forwarded"
    )
    realtime_priority: int = param(
        50, low=0, high=98, doc="SCHED_FIFO, where the process may; 0: ordinary"
    )
    home_speed: float = param(
        0.2, unit="1", low=0.01, high=1.0, doc="share of the limits that ~/home uses"
    )


def make_bridge(robot: Embodiment, p: BridgeParams, admission: Admission, streams: bool) -> Bridge:
    """The bridge of an arm whose controller plays trajectories or is streamed to.

    Raises:
        WamError: a joint is not in the URDF or lacks a limit.
    """
    limits = load_gate_limits(robot, p.start_rad, p.start_m)
    tolerance = np.where(limits.sliding, p.follow_m, p.follow_rad)
    tolerance[np.isin(robot.joint_names, robot.gripper_joints)] = np.inf  # fingers close on things
    player = Player(limits, admission) if streams else None
    lag = Lag(robot.joint_names, tolerance, p.follow_s, limits.sliding)
    return Bridge(Gate(limits, admission), lag, player)
