"""Pick up the block that the instruction names, among three."""

from __future__ import annotations

import mujoco
import numpy as np

from wam_ros.core.errors import WamError, require_known
from wam_ros.robot.dynamics import Dynamics
from wam_ros.sim.ik import solve_ik
from wam_ros.sim.robots import HAND

COLOURS = {
    "red": (0.85, 0.10, 0.10, 1),
    "green": (0.10, 0.65, 0.15, 1),
    "blue": (0.10, 0.20, 0.85, 1),
}
TEMPLATES = (
    "pick up the {} block",
    "grab the {} block",
    "lift the {} cube",
    "take the {} one",
    "please pick the {} cube",
)
HALF = 0.02  # m, half the edge of a block
# m
X_RANGE = (0.40, 0.60)
Y_RANGE = (-0.20, 0.20)
MIN_GAP = 0.10  # m between block centres
# m above the table rest height
LIFTED = 0.10
WRONG_LIFTED = 0.05
NUDGE_TIME = (0.4, 1.6)  # s
NUDGE_DISTANCE = (0.06, 0.20)  # m
LOWERED = 0.12  # m: below it the hand stands where blocks do
TRIES = 10_000  # of finding a place for a nudged block


class PickBlock:
    """Three coloured blocks; success is the named one lifted by 10 cm, wrong is any other lifted by
    5 cm.
    """

    def __init__(self) -> None:
        self.instruction = ""
        self.colour = "red"
        self.success = self.wrong = self.nudged = False
        self._nudge_at = np.inf

    def get_ready(self, robot: Dynamics) -> None:
        """Raise `WamError` for a hand of which the grasp is not known."""
        if HAND not in robot.joints.urdf.links():
            raise WamError(
                f"task 'pick_block' knows the panda's hand only: '{robot.embodiment.name}' has no "
                f"'{HAND}'; choose task 'reach'"
            )

    def add_objects(self, spec: mujoco.MjSpec) -> None:
        """Add the blocks as free bodies."""
        for name, rgba in COLOURS.items():
            body = spec.worldbody.add_body(name=f"{name}_block", pos=[0.5, 0, HALF])
            body.add_freejoint(name=f"{name}_block")
            body.add_geom(
                name=f"{name}_block",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=[HALF] * 3,
                rgba=rgba,
                mass=0.06,
                contype=2,
                conaffinity=3,
                condim=4,
                friction=[1.2, 0.02, 0.001],
            )

    def place(self, world, rng: np.random.Generator, colour: str, nudge: bool) -> np.ndarray:
        """Random blocks, instruction and start pose; `colour` replaces the seed's own colour."""
        names = list(COLOURS)
        own = names[rng.integers(3)]
        template = TEMPLATES[rng.integers(len(TEMPLATES))]
        self.colour = require_known("block colour", colour, names) if colour else own
        self.instruction = template.format(self.colour)
        self.success = self.wrong = self.nudged = False
        placed: list[np.ndarray] = []
        for name in names:
            xy = self._free_spot(rng, placed)
            placed.append(xy)
            self._put(world, name, xy, rng.uniform(-0.25, 0.25))
        self._nudge_at = rng.uniform(*NUDGE_TIME) if nudge else np.inf
        start = np.array(
            [rng.uniform(0.36, 0.52), rng.uniform(-0.16, 0.16), rng.uniform(0.24, 0.36)]
        )
        home = np.array(world.embodiment.home)
        q = solve_ik(world.model, world.embodiment, home, start, iterations=60)
        q[[world.joint_names.index(j) for j in world.embodiment.gripper_joints]] = 0.04
        return q

    @staticmethod
    def _free_spot(rng: np.random.Generator, others: list[np.ndarray]) -> np.ndarray:
        while True:
            xy = np.array([rng.uniform(*X_RANGE), rng.uniform(*Y_RANGE)])
            if all(np.linalg.norm(xy - o) >= MIN_GAP for o in others):
                return xy

    @staticmethod
    def _put(world, name: str, xy: np.ndarray, yaw: float) -> None:
        joint = world.data.joint(f"{name}_block")
        joint.qpos[:] = [*xy, HALF, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
        joint.qvel[:] = 0

    def block_position(self, world, colour: str) -> np.ndarray:
        """(3,) centre of a block, m."""
        return world.data.joint(f"{colour}_block").qpos[:3].copy()

    def update(self, world, rng: np.random.Generator) -> None:
        """Nudge the named block once when its time has come, and judge the episode."""
        if world.time_s >= self._nudge_at:
            self._nudge_at = np.inf
            self._nudge(world, rng)
        for name in COLOURS:
            height = self.block_position(world, name)[2] - HALF
            self.success |= bool(name == self.colour and height > LIFTED)
            self.wrong |= bool(name != self.colour and height > WRONG_LIFTED)

    def _nudge(self, world, rng: np.random.Generator) -> None:
        here = self.block_position(world, self.colour)
        if here[2] > HALF + 0.01 or np.linalg.norm(world.tool_position - here) < 0.05:
            return  # in the hand already: a teleport would not be a disturbance but a theft
        others = [self.block_position(world, n)[:2] for n in COLOURS if n != self.colour]
        if world.tool_position[2] < LOWERED:
            # between or into the fingers nobody could push a block
            others.append(world.tool_position[:2])
        for _ in range(TRIES):
            xy = self._free_spot(rng, others)
            if NUDGE_DISTANCE[0] <= np.linalg.norm(xy - here[:2]) <= NUDGE_DISTANCE[1]:
                self._put(world, self.colour, xy, rng.uniform(-0.25, 0.25))
                self.nudged = True
                return
