"""What is made of the parameters of safety_node."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable

import numpy as np

from wam_ros.core.admission import Admission
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.robot.model import load_safety_model
from wam_ros.ros.safety_node.parameters import SafetyNodeParams
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.machine.bridge_watch import CommandEcho
from wam_ros.safety.machine.machine import SafetyMachine
from wam_ros.safety.params import SafetyParams


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
