"""Messages of a leader as `Command`s; nothing of them is believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from wam_ros.core.errors import WamError
from wam_ros.core.leader import Command
from wam_ros.ros.convert import time_to_ns

MOST_POINTS = 1000
Reader = Callable[[Any], Command]


def reader_of(
    kind: str, joint_names: Sequence[str], grippers: Sequence[str]
) -> tuple[type, Reader]:
    """The type of a topic and what reads its messages.

    Args:
        kind: as `TeleopParams.kind`.
        joint_names: of the robot.
        grippers: those of them that positions without names may leave out.
    """
    if kind == "joint_state":
        return JointState, _from_state
    if kind == "joint_trajectory":
        return JointTrajectory, _from_trajectory
    arm = tuple(name for name in joint_names if name not in grippers)
    return Float64MultiArray, lambda msg: _from_positions(msg, tuple(joint_names), arm)


def _from_state(msg: JointState) -> Command:
    return Command(tuple(msg.name), np.zeros(1), np.array(msg.position, float)[None])


def _from_trajectory(msg: JointTrajectory) -> Command:
    if not 1 <= len(msg.points) <= MOST_POINTS:
        raise WamError(f"a trajectory of {len(msg.points)} points, 1 to {MOST_POINTS} are read")
    if any(len(p.positions) != len(msg.joint_names) for p in msg.points):
        raise WamError(f"a point has other positions than the {len(msg.joint_names)} joints")
    offsets = [time_to_ns(p.time_from_start) / 1e9 for p in msg.points]
    rows = np.array([p.positions for p in msg.points], float)
    return Command(tuple(msg.joint_names), np.array(offsets), rows)


def _from_positions(
    msg: Float64MultiArray, joint_names: tuple[str, ...], arm: tuple[str, ...]
) -> Command:
    for names in (joint_names, arm):
        if len(msg.data) == len(names):
            return Command(names, np.zeros(1), np.array(msg.data, float)[None])
    raise WamError(
        f"{len(msg.data)} positions; this robot has {len(joint_names)} joints, {len(arm)} of them "
        "no grippers"
    )
