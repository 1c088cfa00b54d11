"""What was imagined beside a chunk and not chosen, as `trajectory_msgs/JointTrajectory` and back:
`convert` hands it on.

One candidate stands behind the other, and with each the times begin anew: every controller refuses
such a trajectory, so a wrong remapping moves nothing.
"""

from __future__ import annotations

import numpy as np
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from wam_ros.core.errors import WamError
from wam_ros.core.types import Candidates
from wam_ros.ros.fields import doubles, ns_to_duration, ns_to_time, require_size, time_to_ns

MOST = 32  # candidates of one message


def candidates_to_msg(candidates: Candidates) -> JointTrajectory:
    """Message, stamped with the anchor of the chunk that was chosen."""
    msg = JointTrajectory(joint_names=list(candidates.joint_names))
    msg.header.stamp = ns_to_time(candidates.anchor_ns)
    msg.points = [
        JointTrajectoryPoint(
            positions=doubles(row),
            time_from_start=ns_to_duration((k + 1) * candidates.step_period_ns),
        )
        for positions in candidates.positions
        for k, row in enumerate(positions)
    ]
    return msg


def candidates_from_msg(msg: JointTrajectory) -> Candidates:
    """Candidates; raises `WamError` when there are none or too many of them, a size is wrong, or
    the steps of one are not evenly spaced.
    """
    if not msg.points:
        raise WamError("candidates: JointTrajectory.points is empty")
    period_ns = time_to_ns(msg.points[0].time_from_start)
    found: list[list[np.ndarray]] = []
    for k, point in enumerate(msg.points):
        at = f"candidates: JointTrajectory.points[{k}]"
        require_size(f"{at}.positions", len(point.positions), len(msg.joint_names))
        time_ns = time_to_ns(point.time_from_start)
        if time_ns == period_ns:
            found.append([])
        if period_ns <= 0 or time_ns != (len(found[-1]) + 1) * period_ns:
            raise WamError(f"{at}.time_from_start is not one step after the point before")
        found[-1].append(np.array(point.positions))
    if len(found) > MOST:
        raise WamError(f"candidates: {len(found)} of them, {MOST} are the most")
    return Candidates(
        anchor_ns=time_to_ns(msg.header.stamp),
        step_period_ns=period_ns,
        joint_names=tuple(msg.joint_names),
        positions=tuple(np.array(rows) for rows in found),
    )
