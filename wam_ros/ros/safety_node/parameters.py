"""The parameters of safety_node and what is made of them."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wam_ros.core.admission import Admission
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.robot.model import load_safety_model
from wam_ros.ros.params import param
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.machine.bridge_watch import CommandEcho
from wam_ros.safety.machine.machine import SafetyMachine
from wam_ros.safety.params import SafetyParams

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


def make_machine(
    p: SafetyNodeParams,
    admission: Admission,
    margins: SafetyParams,
    world_s: Callable[[], float] | None = None,
) -> tuple[SafetyMachine, CommandEcho]:
    """What judges the chunks of a robot in its world, and what watches that the bridge commands
    what was judged.

    Args:
        p: of the node.
        admission: what the bridge is taken to admit.
        margins: of the filter.
        world_s: clock [s] of a simulated world that waits for the verdicts: thinking takes none of
            its time, so a busy machine changes no verdict and delays no stop. How long a check may
            take at most is then counted in processor time.

    Raises:
        WamError: a limit is missing, a name is unknown, or the bridge would close between two
            reports; says which.
    """
    # a report is due a little before its time, and made at the tick after that
    silent_s = 0.9 / p.report_hz + 1 / p.tick_hz
    if silent_s >= admission.heartbeat_s:
        raise WamError(
            f"heartbeat_s is {admission.heartbeat_s:g} s, but with report_hz {p.report_hz:g} and "
            f"tick_hz {p.tick_hz:g} up to {silent_s:.2f} s pass between two reports: the bridge "
            "would close; raise one of the three"
        )
    model = load_safety_model(load_embodiment(p.embodiment), p.world or None)
    tolerance = np.where(model.sliding, p.bridge_tolerance_m, p.bridge_tolerance_rad)
    echo = CommandEcho(tolerance, admission.deadline_s + p.bridge_tolerance_s, admission)
    if world_s is None:
        judge = SafetyFilter(model, margins)
    else:
        judge = SafetyFilter(model, margins, stopwatch=world_s)
        judge.attention.clock = time.thread_time
    return SafetyMachine(judge, p.dry_run, admission), echo


def make_sender(node_name: str) -> str:
    """What a safety node calls itself in all that it publishes: no two are the same, and a person
    finds the process.
    """
    return f"{node_name} (process {os.getpid()}, {uuid.uuid4().hex[:8]})"
