"""Where blocks lie for a robot and how its hand takes them, by the link of its hand: what the task
`pick_block` and its expert need to know of a robot beside its description.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from wam_ros.core.errors import WamError

Range = tuple[float, float]


@dataclass(frozen=True)
class Grasping:
    """Blocks that a hand can take, and how. Places are in the base frame, the table at z = 0."""

    # the blocks, m
    half: float  # half their edge
    mass: float  # kg
    friction: float  # of their faces on everything else
    contact_s: float  # time in which a contact gives way
    priority: int  # 1: these two hold whatever they meet; 0: mixed with what that has
    x: Range  # where they lie
    y: Range
    gap: float  # between their centres, at least
    nudge: Range  # how far the named one jumps
    lifted: float  # above where it lay: the named one counts as picked up
    wrong_lifted: float  # another one counts as picked up
    lowered: float  # a tool lower than this stands where blocks do
    # where the tool is when an episode begins, m
    start_x: Range
    start_y: Range
    start_z: Range
    # the hand
    centre: tuple[float, float, float]  # of what is between open fingers, in the tool frame, m
    yaw: float  # rad of the tool about the vertical, pointing down
    open: float  # gripper joint, m or rad
    closed: float  # what it is told when it grasps
    finger_step: float  # m or rad per control step
    # its motion, m or m per control step
    height: float  # of the tool above the table when it grasps: the tips stay clear of it
    cruise: float  # above that, while far from the block
    cone: float  # beside the grasp, from which on the way goes down
    aligned: float  # near enough to close; coarser than cameras see, so that it can be learned
    stride: float  # at most
    stride_change: float  # from one control step to the next, at most
    last_stride: float  # close to the goal, at least: arrive, do not creep
    lift: float  # height of the tool that holds a block up


PANDA = Grasping(
    half=0.02,
    mass=0.06,
    friction=1.2,
    contact_s=0.02,
    priority=0,
    x=(0.40, 0.60),
    y=(-0.20, 0.20),
    gap=0.10,
    nudge=(0.06, 0.20),
    lifted=0.10,
    wrong_lifted=0.05,
    lowered=0.12,
    start_x=(0.36, 0.52),
    start_y=(-0.16, 0.16),
    start_z=(0.24, 0.36),
    centre=(0.0, 0.0, 0.0),
    yaw=0.0,
    open=0.04,
    closed=0.012,
    finger_step=0.009,
    height=0.025,
    cruise=0.12,
    cone=0.012,
    aligned=0.010,
    stride=0.022,
    stride_change=0.010,
    last_stride=0.006,
    lift=0.24,
)
# Its tool stands at the inner face of the jaw that does not move. Where it holds a block up, and
# where it begins, the wrist cannot point straight down any more.
SO101 = Grasping(
    half=0.0125,
    mass=0.015,
    friction=0.6,
    contact_s=0.004,
    priority=1,
    x=(0.16, 0.26),
    y=(-0.14, 0.14),
    gap=0.07,
    nudge=(0.05, 0.14),
    lifted=0.06,
    wrong_lifted=0.03,
    lowered=0.08,
    start_x=(0.16, 0.24),
    start_y=(-0.10, 0.10),
    start_z=(0.09, 0.15),
    centre=(-0.021, 0.0, 0.0),
    yaw=1.5707963,
    open=0.40,
    closed=0.0,
    finger_step=0.10,
    height=0.017,
    cruise=0.06,
    cone=0.006,
    aligned=0.005,
    stride=0.013,
    stride_change=0.005,
    last_stride=0.004,
    lift=0.12,
)
GRASPING = {"panda_hand": PANDA, "moving_jaw_so101_v1_link": SO101}


def grasping_of(robot: str, links: Collection[str]) -> Grasping:
    """How the hand of a robot with these links takes blocks; raises `WamError` where nobody said
    so.
    """
    found = [GRASPING[link] for link in GRASPING if link in links]
    if not found:
        raise WamError(
            f"task 'pick_block' knows how the hands {', '.join(GRASPING)} take blocks: '{robot}' "
            "has none of these links; choose task 'reach'"
        )
    return found[0]
