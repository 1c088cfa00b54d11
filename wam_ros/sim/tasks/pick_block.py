"""Pick up the block that the instruction names, among three."""

from __future__ import annotations

import mujoco
import numpy as np

from wam_ros.core.errors import require_known
from wam_ros.robot.dynamics import Dynamics
from wam_ros.sim.grasping import PANDA, grasping_of
from wam_ros.sim.ik import solve_ik

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
TAKEN = 0.03  # m above where it lay: it was lifted
NUDGE_TIME = (0.4, 1.6)  # s
RAISED = 0.01  # m above where it lay: it is in the hand
NEAR = 0.05  # m between tool and block: it is nearly there
TRIES = 10_000  # of finding a place for a block


class PickBlock:
    """Three coloured blocks; success is the named one lifted in the hand, by 10 cm for the panda,
    wrong is any other half as high, however it came there; after that there is no success.
    """

    how = PANDA  # it is done with the robot at hand
    lifted: bool | None = False

    def __init__(self) -> None:
        self.instruction = ""
        self.colour = "red"
        self.success = self.wrong = self.nudged = self.lifted = self.held = False
        self._nudge_at = np.inf

    def get_ready(self, robot: Dynamics) -> None:
        """Learn how the robot takes blocks; raises `WamError` where that is not known."""
        self.how = grasping_of(robot.embodiment.name, robot.joints.urdf.links())

    def add_objects(self, spec: mujoco.MjSpec) -> None:
        """Add the blocks as free bodies."""
        half = self.how.half
        middle = [sum(self.how.x) / 2, sum(self.how.y) / 2, half]
        for name, rgba in COLOURS.items():
            body = spec.worldbody.add_body(name=f"{name}_block", pos=middle)
            body.add_freejoint(name=f"{name}_block")
            body.add_geom(
                name=f"{name}_block",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=[half] * 3,
                rgba=rgba,
                mass=self.how.mass,
                contype=2,
                conaffinity=3,
                condim=4,
                friction=[self.how.friction, 0.02, 0.001],
                solref=[self.how.contact_s, 1.0],
                priority=self.how.priority,
            )

    def place(self, world, rng: np.random.Generator, colour: str, nudge: bool) -> np.ndarray:
        """Random blocks, instruction and start pose; `colour` replaces the seed's own colour."""
        names = list(COLOURS)
        own = names[rng.integers(3)]
        template = TEMPLATES[rng.integers(len(TEMPLATES))]
        self.colour = require_known("block colour", colour, names) if colour else own
        self.instruction = template.format(self.colour)
        self.success = self.wrong = self.nudged = self.lifted = self.held = False
        placed: list[np.ndarray] = []
        for name in names:
            xy = self._free_spot(rng, placed)
            assert xy is not None, "two blocks leave room for a third"
            placed.append(xy)
            self._put(world, name, xy, rng.uniform(-0.25, 0.25))
        self._nudge_at = rng.uniform(*NUDGE_TIME) if nudge else np.inf
        how = self.how
        start = np.array([rng.uniform(*r) for r in (how.start_x, how.start_y, how.start_z)])
        q = solve_ik(
            model=world.model,
            embodiment=world.embodiment,
            q=np.array(world.embodiment.home),
            position=start,
            iterations=60,
            yaw=how.yaw,
        )
        q[[world.joint_names.index(j) for j in world.embodiment.gripper_joints]] = how.open
        return q

    def _free_spot(self, rng: np.random.Generator, others: list[np.ndarray]) -> np.ndarray | None:
        """(2,) m apart from others (N, 2); None where there is none."""
        for _ in range(TRIES):
            xy = np.array([rng.uniform(*self.how.x), rng.uniform(*self.how.y)])
            if all(np.linalg.norm(xy - o) >= self.how.gap for o in others):
                return xy
        return None

    def _put(self, world, name: str, xy: np.ndarray, yaw: float) -> None:
        joint = world.data.joint(f"{name}_block")
        joint.qpos[:] = [*xy, self.how.half, np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
        joint.qvel[:] = 0

    def block_position(self, world, colour: str) -> np.ndarray:
        """(3,) centre of a block, m."""
        return world.data.joint(f"{colour}_block").qpos[:3].copy()

    def update(self, world, rng: np.random.Generator) -> None:
        """Nudge the named block once when its time has come, and judge the episode."""
        if world.time_s >= self._nudge_at:
            self._nudge_at = np.inf
            self._nudge(world, rng)
        heights = {n: self.block_position(world, n)[2] - self.how.half for n in COLOURS}
        own = heights.pop(self.colour)
        self.wrong |= bool(max(heights.values()) > self.how.wrong_lifted)
        self.held = bool(own > TAKEN) and self._in_hand(world, self.colour)
        self.lifted = self.lifted or self.held
        self.success |= self.held and bool(own > self.how.lifted) and not self.wrong

    def _in_hand(self, world, colour: str) -> bool:
        """Whether a block is between two links, as it is not when it was flung up."""
        model = world.model
        block = model.geom(f"{colour}_block").id
        pairs = world.data.contact.geom
        touching = model.geom_bodyid[pairs[(pairs == block).any(1)]]
        others = {model.geom_bodyid[model.geom(f"{name}_block").id] for name in COLOURS}
        return len({*touching.flat} - others - {0}) >= 2

    def _nudge(self, world, rng: np.random.Generator) -> None:
        here = self.block_position(world, self.colour)
        if here[2] > self.how.half + RAISED or np.linalg.norm(world.tool_position - here) < NEAR:
            return  # in the hand already: a teleport would not be a disturbance but a theft
        others = [self.block_position(world, n)[:2] for n in COLOURS if n != self.colour]
        if world.tool_position[2] < self.how.lowered:
            # between or into the fingers nobody could push a block
            others.append(world.tool_position[:2])
        for _ in range(TRIES):
            xy = self._free_spot(rng, others)
            if xy is None:
                return
            if self.how.nudge[0] <= np.linalg.norm(xy - here[:2]) <= self.how.nudge[1]:
                self._put(world, self.colour, xy, rng.uniform(-0.25, 0.25))
                self.nudged = True
                return
