"""A scripted expert for LIBERO that knows where everything is: it makes demonstrations and is never
run by the loop.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.sim.libero.fixtures import OpenDrawer, TurnKnob
from wam_ros.sim.libero.hand import FINGER_STEP, Hand, Skill
from wam_ros.sim.libero.put import RELEASED, Put
from wam_ros.sim.libero.slide import Slide, can_slide
from wam_ros.sim.libero.world import LiberoWorld

BURST_STEP = 0.022  # m per control step, of random motions
AFTER = 5  # control steps that an episode goes on after success


class LiberoExpert:
    """Does what the goal of a task asks, one thing after another; looks again in every step, and
    tries again after a slip.

    Raises:
        WamError: the goal asks for something that nobody wrote.
    """

    burst_step = BURST_STEP

    def __init__(self, world: LiberoWorld) -> None:
        self.world = world
        self._hand = Hand(world)
        self.restart()

    def restart(self) -> None:
        """Begin a new episode at the world's present pose."""
        self._hand.restart()
        self._skills = list(skills_for(self.world))
        self._skills[0].begin(self._hand)
        self._ended = 0  # control steps since success

    @property
    def closing(self) -> bool:
        """Whether the gripper is told to close or to stay closed."""
        return self._skills[0].closing

    @property
    def done(self) -> bool:
        """Whether the episode may end: success was a while ago."""
        return self._ended > AFTER

    def act(self, disturbance: np.ndarray | None = None, pinch: bool = False) -> np.ndarray:
        """Joint targets (A,) for the next control step.

        `disturbance` (3,) m replaces the wanted tool motion; `pinch` closes the gripper wherever it
        is.
        """
        if self._skills[0].done and len(self._skills) > 1:
            del self._skills[0]
            self._skills[0].begin(self._hand)
        skill = self._skills[0]
        wanted = skill.decide(self._hand) if disturbance is None else disturbance
        if pinch:
            self._hand.grip = max(0.0, self._hand.grip - FINGER_STEP)
        q = self._hand.move(wanted, skill)
        self._ended += self.world.episode().success
        return q


def skills_for(world: LiberoWorld) -> Iterator[Skill]:
    """What the goal of a task asks for, in its order; a drawer is opened before something goes into
    it.

    Raises:
        WamError: some of it nobody wrote.
    """
    for how, thing, *places in world.goal:
        fixture = world.fixture_of(places[0] if places else thing)
        if how in RELEASED and thing in world.movable:
            if how == "in" and fixture is not None and not fixture.is_open:
                yield OpenDrawer(world, places[0])
            if how == "on" and can_slide(world, thing, places[0]):
                yield Slide(world, thing, places[0])
            else:
                yield Put(world, how, thing, places[0])
        elif how == "open" and fixture is not None and fixture.slides:
            yield OpenDrawer(world, thing)
        elif how == "turnon" and fixture is not None and not fixture.slides:
            yield TurnKnob(world, thing)
        else:
            raise WamError(
                f"the scripted expert cannot do '{world.task}' ({' '.join((how, thing, *places))}):"
                " it puts things in or on others, opens drawers and turns knobs on"
            )
