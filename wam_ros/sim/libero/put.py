"""Takes a thing and puts it in or on another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wam_ros.sim.libero.hand import FINGER_STEP, TIP, Hand, towards
from wam_ros.sim.libero.world import OPEN, LiberoWorld

SQUEEZE = 0.012  # m, how far behind what is held the fingers' targets close
HOLD_STEPS = 3  # control steps from contact to the lift, and from letting go to the way up
CLEAR = 0.03  # m between what lies around and what passes over it
NEAR = 0.06  # m beside the goal, from which on the way goes down in a cone
ALIGNED = 0.008  # m beside the grasp, at which the hand goes down
ARRIVED = 0.006  # m
TURNED = 0.06  # rad
LOST = 0.07  # m between the hand and what it holds
MOVED = 0.008  # m: a thing that lies elsewhere is looked at anew
MOST_POINTS = 3000  # of one object that are looked at
DEPTH = 0.032  # m of an object between the fingers at most: the palm is behind them
WIDEST = 0.074  # m between open fingers, less a little on both sides
ASIDE = 0.01  # m beside a thing that count as above it
# m above its top: what begins lower is a wall beside it, as of the drawer in which it lies
OVERHEAD = 0.04
BELOW = 0.02  # m that a thing is lifted by until nothing is above it any more
YAWS = np.deg2rad(np.arange(-75, 91, 15.0))
RIM_ANGLES = np.deg2rad(np.arange(0, 360, 20.0))
RIM_ASKEW = np.deg2rad((0.0, -30.0, 30.0))  # of the fingers, across the wall
FEW = 100  # points that the hand would only just meet where it lets go
THERE = 0.02  # what each point more costs
BLOCKED = 1.0  # what a grasp costs that has no room
# Of two sides of a bowl the same one is taken in scenes that hardly differ: that with more room,
# and of two with as much the one towards -y.
AIR = 0.02  # m around fingers and hand
LESS_AIR = 0.002  # what each point within costs
NEARBY = (12, 22)  # points from which on it does, and up to which
OTHER_SIDE = 0.003  # what the side towards +y costs
RIM_DEPTH = 0.015  # m from a bowl's rim down to the tool
RIM_INSIDE = 0.006  # m from the outermost of the rim to the middle of its wall
RIM_OPEN = 0.025  # m, each finger
# a finger, how thick along its way and half across it, and half the hand; m; and how high above
# the tool the hand begins
FINGER = (0.026, 0.014)
HAND_HALF = (0.105, 0.035)
HAND_UP = 0.045
# m, from the top of what a thing is put in or on to its lowest point when it is let go
RELEASED = {"in": -0.02, "on": 0.004}


@dataclass(frozen=True)
class Grasp:
    """Where the tool takes an object, seen from where the object is now."""

    place: np.ndarray  # (3,) m, where the object's origin was
    offset: np.ndarray  # (3,) m from there to the tool, in the base frame
    yaw: float  # rad of the hand
    below: float  # m from the tool down to the lowest point of the object
    width: float  # m between the fingers
    opened: float = OPEN  # m, each finger on the way down


class Put:
    """A skill: looks for a grasp, goes over everything, down, closes, carries, lets go."""

    lean = 0.0

    def __init__(self, world: LiberoWorld, how: str, thing: str, place: str) -> None:
        self.world = world
        self.how = how
        self.thing = thing
        self.place = place

    def begin(self, hand: Hand) -> None:
        """See `hand.Skill.begin`."""
        self._phase = "approach"
        self._waited = 0  # control steps in which there was nothing to do but wait
        self._grasp = self._find_grasp()

    @property
    def yaw(self) -> float:
        """See `hand.Skill`."""
        return self._grasp.yaw

    @property
    def closing(self) -> bool:
        """See `hand.Skill`."""
        return self._phase in ("close", "carry")

    @property
    def done(self) -> bool:
        """See `hand.Skill`."""
        gone = self._phase == "release" and self._waited > 2 * HOLD_STEPS
        return gone and self.world.holds([self.how, self.thing, self.place])

    def decide(self, hand: Hand) -> np.ndarray:
        """See `hand.Skill.decide`."""
        at, _ = self.world.pose_of(self.thing)
        grasp = at + self._grasp.offset
        if self._phase == "carry" and np.linalg.norm(hand.tool - grasp) > LOST:
            self._begin_again()
        if self._phase == "approach":
            if np.linalg.norm(at - self._grasp.place) > MOVED:
                self._grasp = self._find_grasp()
            return self._approach(hand, grasp)
        phases = {"close": self._close, "carry": self._carry, "release": self._release}
        return phases[self._phase](hand)

    def _go_on(self, phase: str) -> None:
        self._phase = phase
        self._waited = 0

    def _begin_again(self) -> None:
        """It is not held, or lies where it should not: take it from where it is now."""
        self._go_on("approach")
        self._grasp = self._find_grasp()

    def _approach(self, hand: Hand, grasp: np.ndarray) -> np.ndarray:
        opened = hand.open_to(self._grasp.opened)
        aside = grasp - hand.tool
        distance = float(np.linalg.norm(aside[:2]))
        turned = abs(self._grasp.yaw - hand.yaw) + abs(hand.lean) < TURNED
        if not (distance < ALIGNED and turned and opened):
            # over everything first, then down in a cone
            up = max(0.0, max(self._top, self._own_top) + CLEAR + TIP - grasp[2])
            aside[2] += up * min(1.0, distance / NEAR + (not turned))
            return towards(aside)
        if np.linalg.norm(aside) < ARRIVED:
            self._go_on("close")
            return np.zeros(3)
        return towards(aside)

    def _close(self, hand: Hand) -> np.ndarray:
        self._waited += hand.open_to(max(0.0, self._grasp.width / 2 - SQUEEZE))
        if self._waited > HOLD_STEPS:
            self._go_on("carry")
        return np.zeros(3)

    def _carry(self, hand: Hand) -> np.ndarray:
        """Up, over the place, down a little, and let go."""
        goal = self._over(self._grasp.offset, self._grasp.below)
        aside = goal - hand.tool
        distance = float(np.linalg.norm(aside[:2]))
        if (away := self._from_under(hand)) is not None:
            return towards(away)
        if distance > 0.02:
            up = max(0.0, self._top + CLEAR + self._grasp.below - goal[2])
            aside[2] += up * min(1.0, distance / NEAR)
            if aside[2] > 0.05:  # not aside before it is up
                aside[:2] *= 0.15
        elif np.linalg.norm(aside) < 2 * ARRIVED:
            self._go_on("release")
        return towards(aside)

    def _over(self, offset: np.ndarray, below: float) -> np.ndarray:
        """Where the tool (3,) m lets go of what it holds at an offset (3,) m: over the middle of
        the place, near its top.
        """
        place = self.world.place_of(self.place)
        container = self._around.get(self.place.removesuffix("_contain_region"))
        top = place[2] if container is None else float(container[:, 2].max())
        return np.array([*(place[:2] + offset[:2]), top + below + RELEASED[self.how]])

    def _from_under(self, hand: Hand) -> np.ndarray | None:
        """(3,) m, out from under what is above the thing, such as an open drawer, and a little
        up; None where nothing is.
        """
        at, _ = self.world.pose_of(self.thing)
        low, high = self._size
        fixed = [p for name, p in self._around.items() if name not in self.world.movable]
        around = np.concatenate([*fixed, np.zeros((0, 3))]) - at
        above = around[:, 2] > high[2] + OVERHEAD
        above &= ((around > low - ASIDE) & (around < high + ASIDE))[:, :2].all(axis=1)
        if not above.any():
            return None
        way = -around[above, :2].mean(axis=0)
        up = BELOW - (at[2] - self._grasp.place[2])
        return np.array([*(0.05 * way / (np.linalg.norm(way) + 1e-9)), up])

    def _release(self, hand: Hand) -> np.ndarray:
        hand.grip = min(OPEN, hand.grip + FINGER_STEP)
        self._waited += 1
        if self._waited < HOLD_STEPS:
            return np.zeros(3)
        if self._waited > 4 * HOLD_STEPS and not (self.done or self.world.episode().success):
            self._begin_again()
        return towards(np.array([0.0, 0.0, 0.1]))

    def _find_grasp(self) -> Grasp:
        """The yaw at which the object fits between the fingers, and the hand between the others."""
        # what lies around, as it is now
        self._around = {name: look_at(self.world, name) for name in self.world.things}
        points = self._around.pop(self.thing)
        around = np.concatenate([*self._around.values(), np.zeros((0, 3))])
        self._top = float(around[:, 2].max(initial=0.0))
        self._own_top = float(points[:, 2].max())
        self.ground = float(min(points[:, 2].min(), around[:, 2].min(initial=np.inf)))
        position, _ = self.world.pose_of(self.thing)
        self._size = points.min(axis=0) - position, points.max(axis=0) - position
        found = [self._around_middle(points, around, yaw) for yaw in YAWS]
        # one that leans is narrow as it lies, and slips out
        if "bowl" in self.thing or min(grasp.width for _, grasp in found) > WIDEST:
            found = self._at_rims(points, around, position)
        _, grasp = min(found, key=lambda f: f[0])
        return replace(grasp, place=position, offset=grasp.offset - position)

    def _at_rims(
        self, points: np.ndarray, around: np.ndarray, position: np.ndarray
    ) -> list[tuple[float, Grasp]]:
        """Where a bowl can be taken, and what it costs: the hand needs room where it lets go, too.
        Fingers askew hold less well, so that it is taken so only where there is no room else.
        """
        found: list[tuple[float, Grasp]] = []
        for askew in RIM_ASKEW:
            for angle in RIM_ANGLES:
                cost, grasp = self._at_rim(points, around, angle, askew)
                there = self._over(grasp.offset - position, grasp.below)
                met = points_met(around, there[:2], there[2], grasp.yaw, OPEN)
                found.append((cost + THERE * max(0, met - FEW), grasp))
            if not askew and min(cost for cost, _ in found) < BLOCKED:
                break
        return found

    def _around_middle(
        self, points: np.ndarray, around: np.ndarray, yaw: float
    ) -> tuple[float, Grasp]:
        """What it costs to take the whole of a thing between the fingers, and the grasp."""
        low = float(points[:, 2].min())
        height = max(float(points[:, 2].max()) - DEPTH, low + TIP)
        slab = points[np.abs(points[:, 2] - height) < 0.015]
        slab = slab if len(slab) >= 20 else points
        along, across = _ways(yaw)
        ends = slab[:, :2] @ along
        sides = slab[:, :2] @ across
        middle = (ends.min() + ends.max()) / 2 * along + (sides.min() + sides.max()) / 2 * across
        # the fingers come down past all that is above, too: a bowl is narrow at its foot only
        width = float(np.ptp(points[points[:, 2] > height - 0.015, :2] @ along))
        met = min(20, points_met(around, middle, height, yaw, OPEN))
        cost = 10.0 * max(0.0, width - WIDEST) + 0.02 * met + 0.2 * width + 0.01 * abs(yaw)
        tool = np.array([*middle, height])
        return cost, Grasp(tool, tool, float(yaw), height - low, width)

    def _at_rim(
        self, points: np.ndarray, around: np.ndarray, angle: float, askew: float
    ) -> tuple[float, Grasp]:
        """What it costs to take a bowl by its rim at an angle, one finger inside, and the grasp;
        the fingers may be `askew` rad.
        """
        low = float(points[:, 2].min())
        middle = (points[:, :2].min(axis=0) + points[:, :2].max(axis=0)) / 2
        way = np.array([np.cos(angle), np.sin(angle)])
        ahead = (points[:, :2] - middle) @ way
        rim = float(ahead.max())
        # it may stand askew: as high as it is there
        height = max(float(points[ahead > rim - RIM_DEPTH, 2].max()) - RIM_DEPTH, low + TIP)
        at = middle + (rim - RIM_INSIDE) * way
        # the fingers move along this way
        yaw = (angle + askew) % np.pi - np.pi / 2
        met = points_met(around, at, height, yaw, RIM_OPEN)
        near = np.clip(points_met(around, at, height, yaw, RIM_OPEN, AIR), *NEARBY) - NEARBY[0]
        cost = 0.02 * met + 0.01 * abs(yaw) + 0.1 * abs(askew)
        cost += LESS_AIR * float(near) + OTHER_SIDE * (way[1] > 0)
        tool = np.array([*at, height])
        return cost, Grasp(tool, tool, float(yaw), height - low, 0.01, RIM_OPEN)


def look_at(world: LiberoWorld, name: str) -> np.ndarray:
    """(N, 3) m of a thing or a fixture as it is now, in the base frame."""
    points = world.points_of(name)
    points = points[:: max(1, len(points) // MOST_POINTS)]
    if name in world.movable:
        return points
    return np.concatenate([points, world.solids_of(name)])


def _ways(yaw: float) -> tuple[np.ndarray, np.ndarray]:
    """(2,) each: along the way of the fingers of a hand turned by `yaw`, and across it."""
    return np.array([-np.sin(yaw), np.cos(yaw)]), np.array([np.cos(yaw), np.sin(yaw)])


def points_met(
    points: np.ndarray,
    middle: np.ndarray,
    height: float,
    yaw: float,
    opened: float,
    air: float = 0.0,
) -> int:
    """How many points (N, 3) m the fingers, `opened` m each, and the hand would meet, or come
    nearer to than `air` m, with the tool at `middle` (2,) and `height` m.
    """
    along, across = _ways(yaw)
    aside = points[:, :2] - middle
    a = np.abs(aside @ along)
    c = np.abs(aside @ across)
    thick, half = FINGER
    fingers = (a > opened - 0.006 - air) & (a < opened + thick + air) & (c < half + air)
    fingers &= points[:, 2] > height - TIP
    hand = (a < HAND_HALF[0] + air) & (c < HAND_HALF[1] + air)
    hand &= points[:, 2] > height + HAND_UP
    return int((fingers | hand).sum())
