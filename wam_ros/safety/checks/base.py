"""What a check is.

A check is one file that says in `CHECK` of which kind it is. The kind is the stage at which it
looks, and all that it is given to look at:

- `MessageCheck`: at a chunk as it came, before anything about it is believed;
- `SeamCheck`: at where its first due step lies from the commanded state;
- `JointCheck`, `ToolCheck`, `EffortCheck`, `DistanceCheck`: at motion, all along and between its
  samples, with what is known of the joints, of the tools, of efforts and weights, or of the bodies
  around.

What stands around and what is held can change while a motion is under way. Whether a check must
then look at that motion again follows from its kind, and none can forget to say so: who is not
given distances or weights cannot use them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from wam_ros.core.errors import WamError
from wam_ros.safety.finding import Finding, Measure
from wam_ros.safety.message import Message
from wam_ros.safety.motion.bounds import (
    Bounds,
    DistanceBounds,
    EffortBounds,
    JointBounds,
    ToolBounds,
)
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.motion.waypoints import Seam

Seen = TypeVar("Seen")
Facts = TypeVar("Facts")


@dataclass(frozen=True)
class RefusingCheck(Generic[Seen]):
    """Refuses what it is shown. Its kinds differ in what that is.

    Args:
        refuse: why it is refused, or None.
    """

    refuse: Callable[[Seen], Finding | None]

    def __post_init__(self) -> None:
        _require_function("refuse", self.refuse)


class MessageCheck(RefusingCheck[Message]):
    """Refuses a message. Each may rely on those before it in `CHECKS`."""


class SeamCheck(RefusingCheck[Seam]):
    """Refuses a chunk for where it begins."""


@dataclass(frozen=True)
class MotionCheck(ABC, Generic[Facts]):
    """Measures motion. Its kinds differ in what they are given.

    Args:
        measure: what it finds at every sample of a motion, beside what is allowed.
        power: what it measures falls with the time scale to this power; 0: slowing does not help,
            and what is refused is cut.
    """

    measure: Callable[[Motion, Facts], Measure]
    power: int

    # whether it must look again when what stands around or what is held has changed
    again: ClassVar[bool]

    def __post_init__(self) -> None:
        _require_function("measure", self.measure)
        if type(self.power) is not int or self.power < 0:
            raise WamError(f"power must be a whole number, 0 or more, found {self.power!r}")

    @staticmethod
    @abstractmethod
    def facts(bounds: Bounds) -> Facts:
        """The part of what is allowed that this kind is given."""

    def look(self, motion: Motion, bounds: Bounds) -> Measure:
        """Measure a motion with no more than what this kind is given."""
        bounds.distances.model.between()
        return self.measure(motion, self.facts(bounds))


class JointCheck(MotionCheck[JointBounds]):
    """Is given the limits of the joints."""

    again = False

    @staticmethod
    def facts(bounds: Bounds) -> JointBounds:
        """Limits of the joints."""
        return bounds.joints


class ToolCheck(MotionCheck[ToolBounds]):
    """Is given the tool frames: where they may be and how fast, and their kinematics."""

    again = False

    @staticmethod
    def facts(bounds: Bounds) -> ToolBounds:
        """What the tools may do."""
        return bounds.tools


class EffortCheck(MotionCheck[EffortBounds]):
    """Is given efforts and weights, those of what is held too."""

    again = True

    @staticmethod
    def facts(bounds: Bounds) -> EffortBounds:
        """Limits of the efforts, and inverse dynamics."""
        return bounds.efforts


class DistanceCheck(MotionCheck[DistanceBounds]):
    """Is given the bodies of the robot, of what it holds and of what stands around."""

    again = True

    @staticmethod
    def facts(bounds: Bounds) -> DistanceBounds:
        """Clearances, and the model that measures distances."""
        return bounds.distances


KINDS = (MessageCheck, SeamCheck, JointCheck, ToolCheck, EffortCheck, DistanceCheck)


def _require_function(name: str, value: object) -> None:
    if not callable(value):
        raise WamError(f"{name} must be a function, found {value!r:.80}")
