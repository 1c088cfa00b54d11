"""The hand of a scripted expert: it follows the motion that a skill wants, no faster than an arm
should be shown to move.
"""

from __future__ import annotations

from typing import Protocol

import mujoco
import numpy as np

from wam_ros.sim.arm import arm_spec
from wam_ros.sim.ik import solve_ik
from wam_ros.sim.libero.world import OPEN, LiberoWorld
from wam_ros.sim.world import compile_spec

MAX_STEP = 0.030  # m per control step
MAX_STEP_CHANGE = 0.010  # m per control step, per control step
FINAL_STEP = 0.010  # m per control step close to the goal: arrive, do not creep
MAX_TURN = 0.12  # rad per control step
MAX_TURN_CHANGE = 0.025  # rad per control step, per control step
FINGER_STEP = 0.012  # m per control step
FAST = 0.7  # of what a joint can, at most: a stretched arm has to turn fast for little
RIGHTED = 12  # control steps until the hand points as it is told to
TIP = 0.016  # m that the finger tips reach below the tool, and what the filter keeps from the floor


class Skill(Protocol):
    """One thing that an expert does, such as opening a drawer."""

    ground: float  # m, what the finger tips stay above

    @property
    def yaw(self) -> float:
        """Rad that the hand is to be turned about the vertical."""

    @property
    def lean(self) -> float:
        """Rad that it is to lean, before that turn, about the x axis of the base, from pointing
        down.
        """

    @property
    def closing(self) -> bool:
        """Whether the gripper is told to close or to stay closed."""

    @property
    def done(self) -> bool:
        """Whether the next skill may begin."""

    def begin(self, hand: Hand) -> None:
        """Look at what there is, with the hand where it is."""

    def decide(self, hand: Hand) -> np.ndarray:
        """Wanted tool displacement (3,) m of this control step; sets `hand.grip`."""


class Hand:
    """Where it is told to be, and the joints that bring it there."""

    def __init__(self, world: LiberoWorld) -> None:
        self.world = world
        self._arm = compile_spec(arm_spec(world.robot), world.embodiment)
        self._kinematics = mujoco.MjData(self._arm)
        self._most = FAST * world.robot.limits.velocity * world.embodiment.step_period_s
        self.restart()

    def restart(self) -> None:
        """Begin at the world's present pose."""
        self.q = self.world.q
        self.tool = self.world.tool_position
        self.yaw = self.world.tool_yaw
        self.lean = 0.0
        self.grip = OPEN
        self._rate = np.zeros(3)
        self._turns = np.zeros(2)  # rad per control step, of yaw and lean
        # LIBERO's arm begins with its hand a little tilted
        self._upright = self._solve(self.q, iterations=40)
        self._tilt = self.q - self._upright
        self._moved = 0

    def move(self, wanted: np.ndarray, skill: Skill) -> np.ndarray:
        """Joint targets (A,) of one control step towards a displacement (3,) m and a skill's
        angles.
        """
        change = wanted - self._rate
        self._rate = self._rate + change * min(
            1.0, MAX_STEP_CHANGE / (np.linalg.norm(change) + 1e-9)
        )
        left = np.array([skill.yaw - self.yaw, skill.lean - self.lean])
        turns = np.clip(0.35 * left, -MAX_TURN, MAX_TURN)
        self._turns += np.clip(turns - self._turns, -MAX_TURN_CHANGE, MAX_TURN_CHANGE)
        before = self.tool, self.yaw, self.lean
        self._go(before, skill)
        fast = float(np.max(np.abs(self._solved - self._upright)[:-1] / self._most[:-1]))
        if fast > 1.0:
            self._rate = self._rate / fast
            self._turns = self._turns / fast
            self._go(before, skill)
        self._upright = self._solved
        self._moved += 1
        fade = 0.5 + 0.5 * np.cos(np.pi * min(1.0, self._moved / RIGHTED))
        self.q = self._upright + fade * self._tilt
        self.q[-1] = self.grip
        return self.q.copy()

    def _go(self, before: tuple[np.ndarray, float, float], skill: Skill) -> None:
        tool, yaw, lean = before
        self.tool = tool + self._rate
        self.tool[2] = max(self.tool[2], skill.ground + TIP)
        self.yaw = yaw + float(self._turns[0])
        self.lean = lean + float(self._turns[1])
        self._solved = self._solve(self._upright)

    def open_to(self, width: float) -> bool:
        """Let each finger go towards `width` m, and tell whether it is told to be there."""
        self.grip = max(min(width, self.grip + FINGER_STEP), self.grip - FINGER_STEP)
        return abs(self.grip - width) < 1e-6

    def _solve(self, q: np.ndarray, iterations: int = 8) -> np.ndarray:
        """Joints near q (A,) that bring the tool where it is wanted."""
        return solve_ik(
            model=self._arm,
            embodiment=self.world.embodiment,
            q=q,
            position=self.tool,
            iterations=iterations,
            data=self._kinematics,
            yaw=self.yaw,
            lean=self.lean,
        )


def towards(error: np.ndarray, most: float = MAX_STEP) -> np.ndarray:
    """Displacement (3,) m of one control step by which an error (3,) m becomes smaller."""
    distance = float(np.linalg.norm(error))
    speed = min(most, max(0.35 * distance, min(FINAL_STEP, distance)))
    return error * (speed / (distance + 1e-9))
