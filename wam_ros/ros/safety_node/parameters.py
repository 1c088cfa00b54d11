"""The parameters of safety_node beside those of the filter and of what the bridge admits."""

from __future__ import annotations

from dataclasses import dataclass

from wam_ros.ros.params import param

BACKENDS = ("builtin", "moveit")


@dataclass(frozen=True)
class SafetyNodeParams:
    """Parameters of safety_node beside the margins and times of `SafetyParams` and what it takes
    the bridge to admit (`Admission`).
    """

    embodiment: str = param(
        "panda", doc="robot: a name in config/embodiments or the path of a YAML file"
    )
    world: str = param(
        "", doc="what stands around it: a name in config/worlds; empty: the embodiment's"
    )
    dry_run: bool = param(False, doc="compute and show everything, let nothing move")
    arm_on_start: bool = param(False, doc="arm once as soon as it is possible; for simulation only")
    tick_hz: float = param(20.0, unit="Hz", low=10.0, high=200.0, doc="watchdog ticks per second")
    report_hz: float = param(
        10.0, unit="Hz", low=5.0, high=50.0, doc="reports per second at least: the heartbeat"
    )
    realtime_priority: int = param(
        40, low=0, high=98, doc="SCHED_FIFO, where the process may; 0: ordinary"
    )
    bridge_tolerance_rad: float = param(
        0.02, unit="rad", low=0.001, high=0.5, doc="farthest the bridge may command elsewhere"
    )
    bridge_tolerance_m: float = param(
        0.005, unit="m", low=0.0005, high=0.1, doc="the same for sliding joints"
    )
    bridge_tolerance_s: float = param(
        0.1,
        unit="s",
        low=0.05,
        high=2.0,
        doc="for how long beyond deadline_s; then it starts anew from rest",
    )
    collision_backend: str = param(
        "builtin", choices=BACKENDS, doc="moveit: its scene counts and may veto"
    )
    moveit_group: str = param("", doc="joint model group that MoveIt judges; empty: all links")
    moveit_hz: float = param(
        10.0, unit="Hz", low=1.0, high=50.0, doc="readings of the planning scene per second"
    )
    cloud_voxel_m: float = param(
        0.02, unit="m", low=0.005, high=0.2, doc="edge of a voxel of obstacle_points"
    )
    cloud_lifetime_s: float = param(
        0.5, unit="s", low=0.0, high=60.0, doc="the next obstacle_points come within this"
    )
    markers_hz: float = param(
        5.0, unit="Hz", low=0.0, high=20.0, doc="pictures of verdicts per second; 0 is none"
    )
    tf_prefix: str = param(
        "", doc="in front of the base frame of the pictures, as of all frames of the robot"
    )
