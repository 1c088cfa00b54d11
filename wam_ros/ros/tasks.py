"""How a task goes, and what was seen of it, as messages and back: `convert` hands it on."""

from __future__ import annotations

import array

import numpy as np

from wam_ros import msg as wam_msg
from wam_ros.core.appraisal import Appraisal, Outlook
from wam_ros.core.task import TaskEnd, TaskState
from wam_ros.ros.fields import enum_member, matrix, ns_to_time, require_size, time_to_ns

_OUTLOOK = ("done", "failed", "done_ahead", "failed_ahead")
_TASK = "running instruction succeeded elapsed_s progress surprise sentence".split()


def appraisal_to_msg(a: Appraisal) -> wam_msg.Appraisal:
    """Appraisal message; a view of which nothing is known is NaN."""
    unknown = [float("nan")] * len(a.view_names)
    msg = wam_msg.Appraisal(epoch=a.epoch, instruction=a.instruction, surprise=a.surprise)
    msg.header.stamp = ns_to_time(a.stamp_ns)
    msg.view_names = list(a.view_names)
    msg.pixel_surprise = list(a.pixel) or unknown
    msg.latent_surprise = list(a.latent) or unknown
    msg.rows, msg.columns = a.heat.shape[1:]
    msg.heat = array.array("f", a.heat.astype(np.float32).tobytes())
    for name in _OUTLOOK:
        setattr(msg, name, float(getattr(a.outlook, name)))
    return msg


def appraisal_from_msg(msg: wam_msg.Appraisal) -> Appraisal:
    """Appraisal; raises `WamError` when sizes contradict each other."""
    views = tuple(msg.view_names)
    found = []
    for name in ("pixel_surprise", "latent_surprise"):
        values = tuple(getattr(msg, name))
        require_size(f"Appraisal.{name}", len(values), len(views))
        found.append(values if np.isfinite(values).all() else ())
    rows, columns = msg.rows, msg.columns
    shape = (len(views) if rows * columns else 0, rows, columns)
    return Appraisal(
        stamp_ns=time_to_ns(msg.header.stamp),
        view_names=views,
        epoch=msg.epoch,
        instruction=msg.instruction,
        pixel=found[0],
        latent=found[1],
        heat=matrix("Appraisal.heat", msg.heat, shape),
        outlook=Outlook(**{name: getattr(msg, name) for name in _OUTLOOK}),
    )


def task_state_to_msg(t: TaskState, stamp_ns: int) -> wam_msg.TaskState:
    """Message of how a task goes, as of `stamp_ns`."""
    msg = wam_msg.TaskState(**{name: getattr(t, name) for name in _TASK})
    msg.header.stamp = ns_to_time(stamp_ns)
    msg.then = list(t.then)
    msg.reason = int(t.reason)
    return msg


def task_state_from_msg(msg: wam_msg.TaskState) -> TaskState:
    """How a task goes; raises `WamError` when the reason is unknown."""
    return TaskState(
        then=tuple(msg.then),
        reason=enum_member("TaskState.reason", TaskEnd, msg.reason),
        **{name: getattr(msg, name) for name in _TASK},
    )
