"""Every number is finite, and no step is the row of exact zeros that a model makes of a key it
never got.
"""

from __future__ import annotations

import numpy as np

from wam_ros.core.types import Reason
from wam_ros.safety.checks.base import MessageCheck
from wam_ros.safety.finding import Finding
from wam_ros.safety.message import Message

HUGE = 1e6  # rad or m; beyond it squares lose their meaning long before they overflow


def refuse(message: Message) -> Finding | None:
    """Refuse the first step that is not a position."""
    chunk = message.chunk
    for key, array in (("position", chunk.positions), ("velocity", chunk.velocities)):
        if array is None:
            continue
        bad = ~(np.abs(np.asarray(array, dtype=float)) < HUGE)
        if bad.any():
            step, column = np.argwhere(bad)[0]
            value = float(array[step, column])
            joint = chunk.joint_names[column]
            return Finding(
                Reason.NONFINITE,
                f"{key} of {joint} at step {step} is {value}",
                joint=joint,
                step=int(step),
                measured=value,
            )
    arm = [k for k, n in enumerate(chunk.joint_names) if n not in message.embodiment.gripper_joints]
    zero = ~np.any(chunk.positions[:, arm], axis=1)
    if len(arm) > 1 and zero.any():
        step = int(zero.argmax())
        words = f"step {step} is exactly zero in every arm joint: nothing was predicted"
        return Finding(Reason.SCHEMA, words, step=step)
    return None


CHECK = MessageCheck(refuse)
