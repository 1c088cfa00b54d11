"""A scripted expert that knows where the blocks are; it makes demonstrations and is never run by
the loop.
"""

from __future__ import annotations

import mujoco
import numpy as np
from transforms3d.euler import euler2mat

from wam_ros.core.errors import WamError
from wam_ros.sim.ik import solve_ik
from wam_ros.sim.tasks.pick_block import PickBlock
from wam_ros.sim.world import World

SLIPPED = 0.03  # m between tool and block, beside or above: it is held no more


class Expert:
    """Closed-loop state machine: approach in a cone, close, lift, and try again after a slip."""

    done = False  # it goes on holding what it lifted

    def __init__(self, world: World) -> None:
        if not isinstance(world.task, PickBlock):
            raise WamError("the scripted expert knows only the task 'pick_block'")
        self.world = world
        self._task = world.task
        self.how = world.task.how
        self.burst_step = self.how.stride
        # from the tool to what is between the fingers while it points down
        self._centre = euler2mat(np.pi, 0.0, self.how.yaw) @ self.how.centre
        self._kinematics = mujoco.MjData(world.model)
        self._grip = [world.joint_names.index(j) for j in world.embodiment.gripper_joints]
        self.restart()

    def restart(self) -> None:
        """Begin a new episode at the world's present pose."""
        self.q = self.world.q
        self.q[self._grip] = self.how.open
        self.tool = self.world.tool_position
        self.rate = np.zeros(3)
        self.grip = self.how.open
        self.closing = False

    def act(self, disturbance: np.ndarray | None = None, pinch: bool = False) -> np.ndarray:
        """Joint targets (A,) for the next control step.

        `disturbance` (3,) m replaces the wanted tool motion; `pinch` closes the gripper wherever it
        is.
        """
        wanted = self._decide() if disturbance is None else disturbance
        if pinch:
            self.grip = max(self.how.closed, self.grip - self.how.finger_step)
            self.closing = False
        change = wanted - self.rate
        self.rate = self.rate + change * min(
            1.0, self.how.stride_change / (np.linalg.norm(change) + 1e-9)
        )
        self.tool = self.tool + self.rate
        self.tool[2] = max(self.tool[2], self.how.height)
        self.q = solve_ik(
            model=self.world.model,
            embodiment=self.world.embodiment,
            q=self.q,
            position=self.tool,
            data=self._kinematics,
            yaw=self.how.yaw,
        )
        self.q[self._grip] = self.grip
        return self.q.copy()

    def _decide(self) -> np.ndarray:
        """Wanted tool displacement (3,) m of this step; sets the gripper target."""
        how = self.how
        block = self._task.block_position(self.world, self._task.colour)
        aside = block[:2] - self._centre[:2] - self.tool[:2]
        distance = float(np.linalg.norm(aside))
        held = self.closing and distance < SLIPPED and abs(block[2] - self.tool[2]) < SLIPPED
        if self.closing and not held:
            self.closing = False  # slipped or moved away
        if self.closing:
            self.grip = max(self.how.closed, self.grip - self.how.finger_step)
            if self.grip > self.how.closed + 1e-6:
                return np.zeros(3)
            return self._towards(np.array([0, 0, self.how.lift - self.tool[2]]))
        self.grip = min(self.how.open, self.grip + self.how.finger_step)
        height = (
            how.height
            + block[2]
            - how.half
            + float(np.clip(2.5 * (distance - how.cone), 0, how.cruise))
        )
        error = np.array([*aside, height - self.tool[2]])
        near = distance < how.aligned and abs(error[2]) < how.aligned
        if near and self.grip > how.open - 1e-6:
            self.closing = True
            return np.zeros(3)
        return self._towards(error)

    def _towards(self, error: np.ndarray) -> np.ndarray:
        """Step along `error`, slowing down early enough to stop on it."""
        distance = float(np.linalg.norm(error))
        speed = min(self.how.stride, max(0.6 * distance, min(distance, self.how.last_stride)))
        return error * (speed / (distance + 1e-9))
