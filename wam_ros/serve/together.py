"""Whether several robots may be answered in one pass: only where each gets, bit for bit, what it
would get alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.policy import Policy, PolicyOutput, Request, abilities_of
from wam_ros.core.types import JointState, Observation

MOST = 8  # robots in one pass; a power of two
SEED = 17


def sizes(waiting: int, most: int) -> list[int]:
    """How many are answered at once, one pass after the other: powers of two up to `most`, those
    that `why_not_together` tries.
    """
    found = []
    while waiting:
        size = 1
        while 2 * size <= min(waiting, most):
            size *= 2
        found.append(size)
        waiting -= size
    return found


def why_not_together(policy: Policy, example: str, robot: Embodiment) -> str:
    """Why robots are not answered in one pass on this machine; '' where they are.

    In which order a processor sums a product may depend on how many rows a matrix has, and so on
    who else asks. So every size of a pass is tried, with as many robots that see other things.

    Args:
        policy: the model.
        example: an instruction that it takes.
        robot: that it is for.
    """
    if not hasattr(policy, "together"):
        return "the model answers one at a time"
    noise = np.random.default_rng(SEED)
    seen = [_noise(noise, robot) for _ in range(MOST)]
    alone = [_chunks(policy, example, [one])[0] for one in seen]
    size = 2
    while size <= MOST:
        chunks = _chunks(policy, example, seen[:size])
        for k, chunk in enumerate(chunks):
            same = chunk.positions.tobytes() == alone[k].positions.tobytes()
            if not same or chunk.frames.tobytes() != alone[k].frames.tobytes():
                return f"on this machine {size} at once get other bits than each alone"
        size *= 2
    return ""


def _noise(noise: np.random.Generator, robot: Embodiment) -> Observation:
    n = len(robot.joint_names)
    views = len(robot.view_names)
    q = np.array(robot.home) + noise.normal(scale=0.01, size=n)
    shape = (views, robot.image_height, robot.image_width, 3)
    frames = noise.integers(0, 256, shape, dtype=np.uint8)
    joints = JointState(0, robot.joint_names, q, np.zeros(n), np.zeros(n))
    return Observation(0, robot.view_names, frames, (0,) * views, joints)


def _chunks(policy: Any, example: str, seen: Sequence[Observation]) -> list[PolicyOutput]:
    """One of each robot, with a memory and a plan under way."""
    asked = []
    for one in seen:
        robot = policy.another()
        robot.reset(example)
        stride = abilities_of(robot).frame_stride
        robot.predict(one, Request(step=0, predict=False))
        plan = np.tile(one.joints.positions, (4, 1))
        asked.append((robot, one, Request(step=stride, plan=plan, committed=2)))
    if len(asked) == 1:
        ((robot, one, request),) = asked
        return [robot.predict(one, request)]
    found: list[PolicyOutput] = policy.together(asked)
    return found
