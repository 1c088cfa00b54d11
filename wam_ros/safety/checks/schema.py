"""A chunk is one that this robot can read: version, robot, mode, joints, sizes, step period."""

from __future__ import annotations

import numpy as np

from wam_ros.core.embodiment import joint_order
from wam_ros.core.errors import WamError
from wam_ros.core.types import ControlMode, Reason
from wam_ros.safety.checks.base import MessageCheck
from wam_ros.safety.finding import Finding
from wam_ros.safety.message import Message
from wam_ros.safety.params import SafetyParams

VERSION = 1


def refuse(message: Message) -> Finding | None:
    """Refuse what cannot be read, whatever its size or type."""
    chunk = message.chunk
    params = message.params
    robot = message.embodiment
    if chunk.schema_version != VERSION:
        return Finding(
            Reason.SCHEMA, f"schema version {chunk.schema_version}, this filter reads {VERSION}"
        )
    if chunk.control_mode != ControlMode.JOINT_POSITION:
        return Finding(
            Reason.SCHEMA,
            f"control mode {int(chunk.control_mode)}, only joint positions can be checked",
        )
    if chunk.embodiment and chunk.embodiment != robot.name:
        return Finding(
            Reason.SCHEMA,
            f"made for '{chunk.embodiment[:40]}', this robot is '{robot.name}'",
        )
    for key in ("seq", "epoch", "anchor_ns", "step_period_ns", "observation_ns"):
        if not isinstance(getattr(chunk, key), int | np.integer):
            return Finding(Reason.SCHEMA, f"{key} is not a whole number")
    if len(chunk.joint_names) > 4 * len(robot.joint_names):
        return Finding(
            Reason.SHAPE, f"{len(chunk.joint_names)} joints for a robot of {len(robot.joint_names)}"
        )
    try:
        joint_order([str(n)[:80] for n in chunk.joint_names], robot.joint_names)
    except WamError as error:
        return Finding(Reason.SCHEMA, str(error)[:200])
    return _shape(message) or _times(chunk.step_period_ns * 1e-9, len(chunk.positions), params)


def _shape(message: Message) -> Finding | None:
    chunk = message.chunk
    joints = len(message.embodiment.joint_names)
    for key, array in (("positions", chunk.positions), ("velocities", chunk.velocities)):
        if array is None and key == "velocities":
            continue
        if not isinstance(array, np.ndarray) or array.ndim != 2 or array.dtype.kind not in "fiu":
            return Finding(Reason.SHAPE, f"{key} is not a table of numbers")
        if array.shape[1] != joints or not 1 <= array.shape[0] <= message.params.max_steps:
            found = f"{array.shape[0]} x {array.shape[1]}"
            wanted = f"1 to {message.params.max_steps} x {joints}"
            return Finding(Reason.SHAPE, f"{key} is {found}, expected {wanted} (steps x joints)")
    if chunk.velocities is not None and chunk.velocities.shape != chunk.positions.shape:
        return Finding(Reason.SHAPE, "velocities and positions differ in size")
    return None


def _times(period: float, steps: int, params: SafetyParams) -> Finding | None:
    low = params.min_step_s
    high = params.max_step_s
    most = params.max_chunk_s
    if not low <= period <= high:
        words = f"step period {period:.6g} s, allowed {low} to {high} s"
        return Finding(
            Reason.SCHEMA,
            words,
            measured=period,
            allowed=high,
            unit="s",
        )
    if period * steps > most:
        words = f"{steps} steps span {period * steps:.1f} s, allowed {most} s"
        return Finding(
            Reason.SCHEMA,
            words,
            measured=period * steps,
            allowed=most,
            unit="s",
        )
    return None


CHECK = MessageCheck(refuse)
