"""How far the nodes of a simulated world have come, and how it keeps time, as messages and back:
`convert` hands it on.
"""

from __future__ import annotations

from wam_ros import msg as wam_msg
from wam_ros.core.lockstep import Pace, Progress
from wam_ros.ros.fields import ns_to_time, time_to_ns


def progress_to_msg(p: Progress) -> wam_msg.LoopProgress:
    """Message of how far a node has come."""
    msg = wam_msg.LoopProgress(heard=p.heard, said=p.said, until=p.until_ns, leaves=p.leaves)
    msg.header.stamp = ns_to_time(p.at_ns)
    msg.header.frame_id = p.node
    return msg


def progress_from_msg(msg: wam_msg.LoopProgress) -> Progress:
    """How far a node says that it has come."""
    return Progress(
        node=msg.header.frame_id,
        at_ns=time_to_ns(msg.header.stamp),
        heard=msg.heard,
        said=msg.said,
        until_ns=msg.until,
        leaves=msg.leaves,
    )


def pace_to_msg(p: Pace) -> wam_msg.Pace:
    """Message of how a simulated world keeps time."""
    msg = wam_msg.Pace(
        settled=p.settled,
        standing=p.standing,
        speed=p.speed,
        asked=p.asked,
        awaited=list(p.awaited),
    )
    msg.header.stamp = ns_to_time(p.now_ns)
    return msg


def pace_from_msg(msg: wam_msg.Pace) -> Pace:
    """How a simulated world says that it keeps time."""
    return Pace(
        now_ns=time_to_ns(msg.header.stamp),
        settled=msg.settled,
        standing=msg.standing,
        speed=msg.speed,
        asked=msg.asked,
        awaited=tuple(msg.awaited),
    )
