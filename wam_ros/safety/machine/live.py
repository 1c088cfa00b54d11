"""What stands around the robot as it is told at run time: added, moved, removed, and never dropped
in silence.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.core.types import NS
from wam_ros.robot.meshes import hull_of
from wam_ros.robot.model import SafetyModel
from wam_ros.robot.obstacles import Cloud, Obstacle, require_obstacle, require_points
from wam_ros.robot.pose import make_pose, placed
from wam_ros.safety.motion.stopper import SAMPLED
from wam_ros.safety.params import SafetyParams

# name of everything that one source has told; `a/*` is all of it that is called `a/` and a last
# part
ALL = "*"
MOVEIT = "moveit"  # source of all that is read from its scene


@dataclass(frozen=True)
class Change:
    """One word from outside about one obstacle."""

    name: str
    obstacle: Obstacle | None  # pose in `frame`; None: it is gone
    frame: str = ""
    stamp_ns: int = 0
    lifetime_s: float = 0.0  # it will be told again within this; 0: it stands until it is removed
    refusal: str = ""  # why the message could not be read
    source: str = "markers"  # who says it; nobody can move or remove what somebody else has told


@dataclass(frozen=True)
class _Told:
    obstacle: Obstacle  # in the base frame
    seen_ns: int
    lifetime_s: float
    source: str


class LiveWorld:
    """The obstacles of the world file and those told at run time. Not thread-safe.

    What cannot be read may stand anywhere, and what was to be told again and was not may have moved
    anywhere: until it is told properly or removed, `why_not_known` names it and nothing may move.

    One that has a lifetime may move: its clearance is widened by how far it gets, at
    `obstacle_speed`, until it is told again or the arm has stopped because it was not - the speed
    and separation monitoring of ISO 10218-2.
    """

    def __init__(self, model: SafetyModel, params: SafetyParams) -> None:
        self.model = model
        self.params = params
        self._fixed = dict(model.obstacles)
        self._stop_s = _longest_stop_s(model, params)
        self._told: dict[str, _Told] = {}
        self._refused: dict[tuple[str, str], str] = {}  # by source and name

    def obstacles(self) -> dict[str, Obstacle]:
        """All of them, by name, in the base frame; those of the world file first."""
        return {**self._fixed, **{name: t.obstacle for name, t in self._told.items()}}

    @property
    def told(self) -> frozenset[str]:
        """Names of those that were told at run time."""
        return frozenset(self._told)

    def take(self, change: Change, now_ns: int) -> None:
        """Note a change. A refusal is kept for `why_not_known` until what was refused is told
        properly or removed.
        """
        if change.obstacle is None and not change.refusal:
            return self._remove(change)
        key = (change.source, change.name)
        try:
            told = self._read(change, now_ns)
        except WamError as error:
            many = key not in self._refused and len(self._refused) >= self.params.max_obstacles
            # none is forgotten: then all of the source must be told anew
            key = (change.source, ALL) if many else key
            self._refused[key] = f"obstacle '{change.name[:40]}' refused: {str(error)[:160]}"
            return None
        self._refused.pop(key, None)
        before = self._told.get(change.name)
        # older news than what is known does not count
        if before is None or told.seen_ns >= before.seen_ns:
            self._told[change.name] = told
        return None

    def _remove(self, change: Change) -> None:
        self._refused = {
            k: w
            for k, w in self._refused.items()
            if k[0] != change.source or not _means(change, k[1])
        }
        self._told = {
            n: t
            for n, t in self._told.items()
            if t.source != change.source or not _means(change, n)
        }

    def forget(self, now_ns: int) -> list[str]:
        """Forget every obstacle that `why_not_known` is about: what was refused, and what was to be
        told again and was not. Not those of MoveIt, whose scene is to be put right there.

        Returns:
            Their names, each with its source.
        """
        refused = {key for key in self._refused if key[0] != MOVEIT}
        overdue = {
            (t.source, n)
            for n, t in self._told.items()
            if t.source != MOVEIT and _overdue(t, now_ns)
        }
        self._refused = {k: w for k, w in self._refused.items() if k not in refused}
        self._told = {n: t for n, t in self._told.items() if (t.source, n) not in overdue}
        return sorted(f"'{name[:40]}' of {source}" for source, name in refused | overdue)

    def clock_went_back(self, now_ns: int) -> None:
        """Ages count from now."""
        self._told = {
            n: dataclasses.replace(t, seen_ns=min(t.seen_ns, now_ns)) for n, t in self._told.items()
        }

    def why_not_known(self, now_ns: int) -> str:
        """Why the surroundings are not known; empty when they are."""
        for words in self._refused.values():
            return words
        for name, told in self._told.items():
            if _overdue(told, now_ns):
                age = (now_ns - told.seen_ns) / NS
                return (
                    f"obstacle '{name}' was last seen {age:.2f} s ago, to be told every "
                    f"{told.lifetime_s:.2f} s"
                )
        return ""

    def _read(self, change: Change, now_ns: int) -> _Told:
        if change.refusal or change.obstacle is None:
            raise WamError(change.refusal)
        if change.name in self._fixed:
            raise WamError("the world file has one of this name")
        before = self._told.get(change.name)
        if before is not None and before.source != change.source:
            raise WamError(f"one of this name was told by {before.source}")
        if before is None and len(self._told) >= self.params.max_obstacles:
            raise WamError(
                f"there are {len(self._told)} already, at most {self.params.max_obstacles} are "
                "watched"
            )
        if not 0 <= change.lifetime_s < 1e6:
            raise WamError(f"lifetime {change.lifetime_s} s")
        if change.stamp_ns > now_ns + self.params.future_s * NS:
            raise WamError("its stamp is in the future")
        moves_s = change.lifetime_s + self._stop_s if change.lifetime_s > 0 else 0.0
        clearance = self.params.obstacle_clearance_m + self.params.obstacle_speed * moves_s
        obstacle = dataclasses.replace(change.obstacle, clearance=clearance)
        require_obstacle(obstacle, "it")
        self.model.require_links("it", obstacle.ignore)
        if isinstance(obstacle, Cloud):
            require_points(obstacle.points, obstacle.size[0] if obstacle.size else 1.0, "it")
            if obstacle.shape == "hull":
                hull_of(obstacle.points, "it")
        elif obstacle.shape in ("mesh", "points", "hull"):
            raise WamError(f"a {obstacle.shape} needs its points")
        seen_ns = min(change.stamp_ns or now_ns, now_ns)
        return _Told(
            self._in_base(obstacle, change.frame), seen_ns, change.lifetime_s, change.source
        )

    def _in_base(self, obstacle: Obstacle, frame: str) -> Obstacle:
        """The same obstacle with its pose in the base frame."""
        if frame == self.model.embodiment.base_frame:
            return obstacle
        index = self.model.frame(frame)
        if self.model.pin.frames[index].parentJoint != 0:
            raise WamError(f"frame '{frame}' moves with the robot")
        to_base = self.model.base.inverse() * self.model.pin.frames[index].placement
        position, orientation = placed(to_base * make_pose(obstacle.position, obstacle.orientation))
        return dataclasses.replace(obstacle, position=position, orientation=orientation)


def _overdue(told: _Told, now_ns: int) -> bool:
    """Whether it was to be told again by now."""
    return 0 < told.lifetime_s < (now_ns - told.seen_ns) / NS


def _means(change: Change, name: str) -> bool:
    """Whether a removal is about an obstacle."""
    folder, _, last = change.name.rpartition("/")
    return change.name in (ALL, name) or (last == ALL and name.rpartition("/")[0] == folder)


def _longest_stop_s(model: SafetyModel, params: SafetyParams) -> float:
    """Time from the first missing word to rest, at most: a tick, the lead, and the stop from full
    speed.
    """
    tick_s = 0.1  # the slowest that the node allows
    deceleration = model.limits.acceleration * params.acceleration_fraction * params.stop_fraction
    jerk = np.minimum(
        model.limits.jerk * params.jerk_fraction * SAMPLED, deceleration / params.stop_jerk_s
    )
    # it may still gain speed at first
    gaining = model.limits.acceleration * params.acceleration_fraction
    longest = (
        model.limits.velocity * params.velocity_fraction / deceleration
        + (deceleration + gaining) / jerk
    )
    return float(longest.max()) + params.stop_lead_s + tick_s
