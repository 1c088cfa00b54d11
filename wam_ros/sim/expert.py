"""A scripted expert that knows where the blocks are; it makes demonstrations and is never run by
the loop.
"""

from __future__ import annotations

import mujoco
import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.sim.ik import solve_ik
from wam_ros.sim.tasks.pick_block import HALF, PickBlock
from wam_ros.sim.world import World

MAX_STEP = 0.022  # m per control step
MAX_STEP_CHANGE = 0.010  # m per control step, per control step
GRASP_HEIGHT = 0.025  # m, tool centre above the table: finger tips stay 1.5 cm above it
CRUISE_HEIGHT = 0.12  # m above the grasp height while far from the block
# m: near enough to close; far coarser than the cameras see, so that it can be learned when to
ALIGNED = 0.010
FINAL_STEP = 0.006  # m per control step close to the goal: arrive, do not creep
# m, m, m per control step
OPEN = 0.04
CLOSED = 0.012
FINGER_STEP = 0.009
LIFT_HEIGHT = 0.24  # m


class Expert:
    """Closed-loop state machine: approach in a cone, close, lift, and try again after a slip."""

    done = False  # it goes on holding what it lifted

    def __init__(self, world: World) -> None:
        if not isinstance(world.task, PickBlock):
            raise WamError("the scripted expert knows only the task 'pick_block'")
        self.world = world
        self._task = world.task
        self._kinematics = mujoco.MjData(world.model)
        self._grip = [world.joint_names.index(j) for j in world.embodiment.gripper_joints]
        self.restart()

    def restart(self) -> None:
        """Begin a new episode at the world's present pose."""
        self.q = self.world.q
        self.q[self._grip] = OPEN
        self.tool = self.world.tool_position
        self.rate = np.zeros(3)
        self.grip = OPEN
        self.closing = False

    def act(self, disturbance: np.ndarray | None = None, pinch: bool = False) -> np.ndarray:
        """Joint targets (A,) for the next control step.

        `disturbance` (3,) m replaces the wanted tool motion; `pinch` closes the gripper wherever it
        is.
        """
        wanted = self._decide() if disturbance is None else disturbance
        if pinch:
            self.grip = max(CLOSED, self.grip - FINGER_STEP)
            self.closing = False
        change = wanted - self.rate
        self.rate = self.rate + change * min(1.0, MAX_STEP_CHANGE / (np.linalg.norm(change) + 1e-9))
        self.tool = self.tool + self.rate
        self.tool[2] = max(self.tool[2], GRASP_HEIGHT)
        self.q = solve_ik(
            self.world.model, self.world.embodiment, self.q, self.tool, data=self._kinematics
        )
        self.q[self._grip] = self.grip
        return self.q.copy()

    def _decide(self) -> np.ndarray:
        """Wanted tool displacement (3,) m of this step; sets the gripper target."""
        block = self._task.block_position(self.world, self._task.colour)
        aside = block[:2] - self.tool[:2]
        distance = float(np.linalg.norm(aside))
        held = self.closing and distance < 0.03 and abs(block[2] - self.tool[2]) < 0.03
        if self.closing and not held:
            self.closing = False  # slipped or moved away
        if self.closing:
            self.grip = max(CLOSED, self.grip - FINGER_STEP)
            if self.grip > CLOSED + 1e-6:
                return np.zeros(3)
            return self._towards(np.array([0, 0, LIFT_HEIGHT - self.tool[2]]))
        self.grip = min(OPEN, self.grip + FINGER_STEP)
        height = (
            GRASP_HEIGHT
            + block[2]
            - HALF
            + float(np.clip(2.5 * (distance - 0.012), 0, CRUISE_HEIGHT))
        )
        error = np.array([*aside, height - self.tool[2]])
        if distance < ALIGNED and abs(error[2]) < ALIGNED and self.grip > OPEN - 1e-6:
            self.closing = True
            return np.zeros(3)
        return self._towards(error)

    @staticmethod
    def _towards(error: np.ndarray) -> np.ndarray:
        """Step along `error`, slowing down early enough to stop on it."""
        distance = float(np.linalg.norm(error))
        speed = min(MAX_STEP, max(0.6 * distance, min(distance, FINAL_STEP)))
        return error * (speed / (distance + 1e-9))
