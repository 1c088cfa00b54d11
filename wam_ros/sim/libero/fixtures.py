"""Opens drawers and turns knobs."""

from __future__ import annotations

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.sim.libero.hand import MAX_STEP, TIP, Hand, towards
from wam_ros.sim.libero.world import OPEN, Fixture, LiberoWorld

# lean of a hand that reaches towards -y of the base: no more level, for its lower side would meet
# what lies on the table
LEVEL = np.deg2rad(-70.0)
BEFORE = 0.09  # m from a handle, where the hand begins to go straight at it
ABOVE = 0.10  # m above a knob
NEAR = 0.06  # m beside that place, from which on the way goes down in a cone
PASSES = 0.22  # m above the ground: over everything that stands on a table, a bottle aside
ALIGNED = 0.008  # m
TURNED = 0.06  # rad
GRASPED = 0.018  # m, each finger before it closes around a handle
HOLD_STEPS = 3  # control steps from contact to the pull
PULL_STEP = 0.012  # m per control step: a drawer is slow
LOST = 0.03  # m between the hand and the handle
FULLY = 0.95  # of the way of a joint
KNOB_DEPTH = 0.016  # m from the top of a knob down to the tool
KNOB_END = 0.014  # m from the end of a knob to the middle of the fingers
LEAD = 0.25  # rad that the hand is ahead of the knob
TURN_ENDS = 0.8  # rad


class _OnFixture:
    """What both have in common: to a place before it, on, close, and move it."""

    lean = 0.0
    yaw = 0.0

    def __init__(self, world: LiberoWorld, name: str) -> None:
        self.world = world
        self.name = name

    def begin(self, hand: Hand) -> None:
        """See `hand.Skill.begin`."""
        self.ground = min(float(self.world.points_of(n)[:, 2].min()) for n in self.world.movable)
        self._phase = "approach"
        self._waited = 0

    @property
    def fixture(self) -> Fixture:
        """As it is now."""
        found = self.world.fixture_of(self.name)
        if found is None:
            raise WamError(f"nothing of '{self.name}' moves")
        return found

    @property
    def closing(self) -> bool:
        """See `hand.Skill`."""
        return self._phase in ("close", "work")

    @property
    def done(self) -> bool:
        """See `hand.Skill`."""
        return self._phase == "leave" and self._waited > 2 * HOLD_STEPS

    def _go_to(self, hand: Hand, place: np.ndarray, opened: float) -> np.ndarray | None:
        """Towards a place (3,) m over everything; None when the hand is there, and as it should be
        turned.
        """
        ready = hand.open_to(opened)
        aside = place - hand.tool
        distance = float(np.linalg.norm(aside[:2]))
        turned = abs(self.yaw - hand.yaw) + abs(self.lean - hand.lean) < TURNED
        if ready and turned and np.linalg.norm(aside) < ALIGNED:
            return None
        up = max(0.0, self.ground + PASSES - place[2])
        aside[2] += up * min(1.0, distance / NEAR + (not turned))
        return towards(aside)

    def _take(
        self, hand: Hand, place: np.ndarray, before: np.ndarray, opened: float
    ) -> np.ndarray | None:
        """The way on until the fingers have closed at a place (3,) m, which they come to, `opened`
        so far, from `before` it (3,) m; None after that.
        """
        if self._phase == "approach":
            wanted = self._go_to(hand, place + before, opened)
            if wanted is not None:
                return wanted
            self._phase = "reach"
        if self._phase == "reach":
            aside = place - hand.tool
            if np.linalg.norm(aside) > ALIGNED / 2:
                return towards(aside)
            self._phase = "close"
            self._waited = 0
        return self._close(hand) if self._phase == "close" else None

    def _close(self, hand: Hand) -> np.ndarray:
        hand.open_to(0.0)
        self._waited += 1
        if self._waited > 2 * HOLD_STEPS:
            self._phase = "work"
        return np.zeros(3)

    def _leave(self, hand: Hand, way: np.ndarray) -> np.ndarray:
        """Away (3,) m, when the fingers are open."""
        self._waited += hand.open_to(OPEN)
        return towards(way) if self._waited > 1 else np.zeros(3)

    def _stop(self) -> np.ndarray:
        self._phase = "leave"
        self._waited = 0
        return np.zeros(3)


class OpenDrawer(_OnFixture):
    """A skill: takes the handle from before it, the fingers above and below, and pulls."""

    lean = float(LEVEL)

    def decide(self, hand: Hand) -> np.ndarray:
        """See `hand.Skill.decide`."""
        drawer = self.fixture
        handle = drawer.outermost.centre
        taking = self._take(hand, handle, BEFORE * drawer.way, GRASPED)
        if taking is not None:
            return taking
        if self._phase == "work":
            if drawer.share > FULLY:
                return self._stop()
            if np.linalg.norm(hand.tool - handle) > LOST:
                self._phase = "approach"
            return PULL_STEP * drawer.way
        return self._leave(hand, 0.1 * drawer.way)


class TurnKnob(_OnFixture):
    """A skill: takes a knob by the end that is farther from its axis, and leads it around."""

    def begin(self, hand: Hand) -> None:
        """See `hand.Skill.begin`."""
        super().begin(hand)
        bar = self.fixture.highest
        along = bar.turn[:2] * bar.half
        way = along[:, np.argmax(np.linalg.norm(along, axis=0))]  # (2,) m, half of it
        way = way * (1 - KNOB_END / np.linalg.norm(way))
        middle = bar.centre[:2] - self.fixture.anchor[:2]
        # (2,) m from the axis: where there is most of a lever
        self._arm = max(middle + way, middle - way, key=lambda end: float(np.linalg.norm(end)))
        self._height = bar.centre[2] + bar.half[2] - KNOB_DEPTH
        # a hand is the same turned by half
        self._yaw = float((np.arctan2(way[1], way[0]) + np.pi / 2) % np.pi - np.pi / 2)
        self._begun = self.fixture.position
        self.ground = min(self.ground, self._height - TIP)

    @property
    def _told(self) -> float:
        """Rad that the hand is turned from where it takes the knob."""
        if self._phase != "work":
            return self.fixture.position - self._begun
        return min(self.fixture.position - self._begun + LEAD, TURN_ENDS)

    @property
    def yaw(self) -> float:  # type: ignore[override]
        """See `hand.Skill`."""
        return self._yaw + self._told

    def decide(self, hand: Hand) -> np.ndarray:
        """See `hand.Skill.decide`."""
        knob = self.fixture
        c, s = np.cos(self._told), np.sin(self._told)
        arm = np.array([[c, -s], [s, c]]) @ self._arm
        goal = np.array([*(knob.anchor[:2] + arm), self._height])
        taking = self._take(hand, goal, np.array([0.0, 0.0, ABOVE]), OPEN)
        if taking is not None:
            return taking
        if self._phase == "work":
            if knob.position - self._begun > TURN_ENDS - LEAD / 2:
                return self._stop()
            return towards(goal - hand.tool, MAX_STEP / 2)
        return self._leave(hand, np.array([0.0, 0.0, 0.1]))
