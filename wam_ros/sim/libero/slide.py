"""Slides what is wide and flat along the table: lifted, its rim slips out of the fingers."""

from __future__ import annotations

import itertools

import numpy as np

from wam_ros.sim.libero.hand import TIP, Hand, towards
from wam_ros.sim.libero.put import ALIGNED, CLEAR, NEAR, RIM_INSIDE, RIM_OPEN, TURNED
from wam_ros.sim.libero.world import OPEN, LiberoWorld

FLAT = 0.03  # m, how high it is at most
WIDE = 0.08  # m, and how wide at least
LEVEL = 0.03  # m between where it lies and where it is to go
DEEPER = 0.002  # m than elsewhere: the rim is low
LOOSE = 0.008  # m, each finger around the rim: squeezed, it slips away
STEP = 0.015  # m per control step
THERE = 0.01  # m from the middle of the place
WITHIN = 0.02  # m beside the middle of the place
AROUND = 0.16  # m beside the straight way at most
LOW = 0.06  # m above the table: what is higher is not in the way
MOST_POINTS = 400
LOST = 0.03  # m that the rim is from between the fingers
HOLD_STEPS = 3  # control steps from contact to the way on, and from letting go to the way up


def can_slide(world: LiberoWorld, thing: str, place: str) -> bool:
    """Whether a thing is wide and flat, and its place at the height where it lies."""
    size = np.ptp(world.points_of(thing), axis=0)
    rise = world.place_of(place)[2] - world.pose_of(thing)[0][2]
    return bool(size[2] < FLAT and size[:2].min() > WIDE and abs(rise) < LEVEL)


class Slide:
    """A skill: one finger inside the rim and one outside, on the side that goes first."""

    lean = 0.0

    def __init__(self, world: LiberoWorld, thing: str, place: str) -> None:
        self.world = world
        self.thing = thing
        self.place = place

    def begin(self, hand: Hand) -> None:
        """See `hand.Skill.begin`."""
        self._phase = "approach"
        self._waited = 0
        others = [n for n in self.world.movable if n != self.thing]
        tops = [float(self.world.points_of(n)[:, 2].max()) for n in others]
        self._over = max(tops, default=0.0) + CLEAR + TIP
        self.ground = float(self.world.place_of(self.place)[2]) - DEEPER
        at, _ = self.world.pose_of(self.thing)
        radius = float(np.ptp(self.world.points_of(self.thing)[:, :2], axis=0).mean() / 2)
        self._target = self._next(at[:2], radius)
        way = self._target - at[:2]
        self._edge = (radius - RIM_INSIDE) * way / (np.linalg.norm(way) + 1e-9)
        # the fingers move along this way, and a hand is the same turned by half
        self.yaw = float(np.arctan2(way[1], way[0]) % np.pi - np.pi / 2)

    def _next(self, at: np.ndarray, radius: float) -> np.ndarray:
        """(2,) m where a round thing at `at` goes: straight to its place, or past what lies in
        between.
        """
        others = [n for n in self.world.things if n != self.thing]
        points = np.concatenate([self.world.points_of(n) for n in others] + [np.zeros((0, 3))])
        low = points[points[:, 2] < self.ground + LOW, :2]
        low = low[:: max(1, len(low) // MOST_POINTS)]
        goal = self.world.place_of(self.place)[:2]
        if not len(low):
            return goal

        def cost(ways: tuple[np.ndarray, ...]) -> float:
            """M of the way, and for each that something reaches into it, as much as ten more."""
            length = sum(float(np.linalg.norm(b - a)) for a, b in itertools.pairwise(ways))
            into = radius - min(_distance(low, a, b) for a, b in itertools.pairwise(ways))
            return length + 10 * max(0.0, into)

        ends = [goal + np.array(end) for end in itertools.product(*2 * [(0.0, -WITHIN, WITHIN)])]
        straight = [(at, end) for end in ends]
        around = itertools.product(*2 * [np.arange(-AROUND, AROUND + 1e-6, AROUND / 4)])
        bent = [(at, (at + goal) / 2 + np.array(aside), end) for aside in around for end in ends]
        return min([*straight, *bent], key=cost)[1]

    @property
    def closing(self) -> bool:
        """See `hand.Skill`."""
        return self._phase in ("close", "slide")

    @property
    def done(self) -> bool:
        """See `hand.Skill`."""
        return self._phase == "leave" and self._waited > HOLD_STEPS

    def _rim(self, middle: np.ndarray) -> np.ndarray:
        """(3,) m, the tool at the rim of the thing when that is at `middle` (3,)."""
        return np.array([*(middle[:2] + self._edge), self.ground + TIP])

    def decide(self, hand: Hand) -> np.ndarray:
        """See `hand.Skill.decide`."""
        at, _ = self.world.pose_of(self.thing)
        rim = self._rim(at)
        if self._phase == "approach":
            aside = rim - hand.tool
            distance = float(np.linalg.norm(aside[:2]))
            turned = abs(self.yaw - hand.yaw) + abs(hand.lean) < TURNED
            if not (hand.open_to(RIM_OPEN) and turned and distance < ALIGNED):
                aside[2] += max(0.0, self._over - rim[2]) * min(1.0, distance / NEAR + (not turned))
            elif np.linalg.norm(aside) < ALIGNED / 2:
                self._phase = "close"
            return towards(aside)
        if self._phase == "close":
            self._waited += hand.open_to(LOOSE)
            if self._waited > HOLD_STEPS:
                self._phase = "slide"
            return np.zeros(3)
        if self._phase == "slide":
            left = self._target - at[:2]
            if np.linalg.norm(left) < THERE:
                self._phase = "leave"
                self._waited = 0
            elif np.linalg.norm(rim - hand.tool) > LOST:
                self.begin(hand)
            return towards(np.array([*left, 0.0]), STEP)
        self._waited += hand.open_to(OPEN)
        if self._waited > 2 * HOLD_STEPS and not self.world.holds(["on", self.thing, self.place]):
            self.begin(hand)
        return towards(np.array([0.0, 0.0, 0.1 * bool(self._waited)]))


def _distance(points: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """M from the line between a (2,) and b (2,) to the nearest of points (N, 2)."""
    way = b - a
    share = np.clip((points - a) @ way / (way @ way + 1e-9), 0.0, 1.0)
    return float(np.linalg.norm(points - a - share[:, None] * way, axis=1).min())
