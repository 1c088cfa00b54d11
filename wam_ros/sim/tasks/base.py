"""What a simulated task offers to the world that runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import mujoco

    from wam_ros.robot.dynamics import Dynamics
    from wam_ros.sim.world import World


class Task(Protocol):
    """Objects, instruction and success of one task; owned by one `World`."""

    instruction: str
    success: bool
    wrong: bool
    nudged: bool
    lifted: bool | None  # what is asked for was ever off its place; None: nothing is to be lifted
    held: bool  # it is now

    def get_ready(self, robot: Dynamics) -> None:
        """Work out what depends on the robot; called once, before all others."""

    def add_objects(self, spec: mujoco.MjSpec) -> None:
        """Add the task's bodies to the scene."""

    def place(self, world: World, rng: np.random.Generator, colour: str, nudge: bool) -> np.ndarray:
        """Place objects for a new episode; returns the start joints (A,)."""

    def update(self, world: World, rng: np.random.Generator) -> None:
        """Disturb and judge; called after every `World.step`."""
