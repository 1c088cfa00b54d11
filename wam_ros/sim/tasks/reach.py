"""Bring the tools to the marker that the instruction names, among three: a task for any robot."""

from __future__ import annotations

import mujoco
import numpy as np

from wam_ros.core.errors import WamError, require_known
from wam_ros.robot.dynamics import Dynamics
from wam_ros.robot.model import load_safety_model
from wam_ros.robot.reach import COLOURS, find_poses
from wam_ros.sim.tasks.pick_block import COLOURS as RGBA

TEMPLATES = ("reach the {} marker", "go to the {} marker", "touch the {} one")
HALF = 0.012  # m, half the edge of a marker
NEAR = 0.02  # m from every marker of a colour: reached
SEEN_THROUGH = 0.6  # a marker stands where the tool will be


class Reach:
    """Three coloured markers for each tool, which nothing touches; success is every tool at its own
    of the colour that is named.
    """

    lifted: bool | None = None
    held = False

    def __init__(self) -> None:
        self.instruction = ""
        self.colour = COLOURS[0]
        self.success = self.wrong = self.nudged = False
        self._home = np.zeros(0)
        self._places: dict[str, np.ndarray] = {}  # colour -> (K, 3) m

    def get_ready(self, robot: Dynamics) -> None:
        """Find the places of the markers; raises `WamError` when there are none."""
        self._home = np.array(robot.embodiment.home)
        poses = find_poses(load_safety_model(robot.embodiment))
        self._places = {pose.name: pose.tools for pose in poses}

    def add_objects(self, spec: mujoco.MjSpec) -> None:
        """Add the markers where they stand."""
        for colour, places in self._places.items():
            for k, place in enumerate(places):
                name = f"{colour}_marker_{k}"
                body = spec.worldbody.add_body(name=name, pos=place, mocap=True)
                body.add_geom(
                    name=name,
                    type=mujoco.mjtGeom.mjGEOM_BOX,
                    size=[HALF] * 3,
                    rgba=[*RGBA[colour][:3], SEEN_THROUGH],
                    contype=0,
                    conaffinity=0,
                )

    def place(self, world, rng: np.random.Generator, colour: str, nudge: bool) -> np.ndarray:
        """An instruction; the robot stands at home. `colour` replaces the seed's own colour."""
        if nudge:
            raise WamError("a marker cannot be nudged; task 'pick_block' has blocks")
        own = COLOURS[rng.integers(len(COLOURS))]
        template = TEMPLATES[rng.integers(len(TEMPLATES))]
        self.colour = require_known("marker colour", colour, COLOURS) if colour else own
        self.instruction = template.format(self.colour)
        self.success = False
        return self._home.copy()

    def update(self, world, rng: np.random.Generator) -> None:
        """Judge the episode."""
        away = np.linalg.norm(world.tool_positions - self._places[self.colour], axis=1)
        self.success |= bool(away.max() < NEAR)
