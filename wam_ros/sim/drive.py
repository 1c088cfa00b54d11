"""Run the world from one control step to the next, the way a trajectory controller would."""

from __future__ import annotations

import numpy as np

from wam_ros.robot.dynamics import Dynamics
from wam_ros.sim.arm import WEAK_NM
from wam_ros.sim.worlds import SimulatedRobot

SERVO_STEPS = 5  # physics steps between two servo targets: 10 ms at the default time step


def servo_steps(robot: Dynamics) -> int:
    """Physics steps between two servo targets for a robot.

    Where joints are weak, each leap of a target would take all that they have.
    """
    limits = robot.limits.effort
    turning = [
        effort
        for name, effort in zip(robot.joint_names, limits, strict=True)
        if not robot.joints.urdf.joints[name].sliding
    ]
    return 1 if min(turning, default=WEAK_NM) < WEAK_NM else SERVO_STEPS


class StepDriver:
    """Moves through joint targets one control step apart with continuous velocity (cubic
    Hermite).
    """

    def __init__(self, world: SimulatedRobot) -> None:
        self.world = world
        self._steps = servo_steps(world.robot)
        self.n = round(world.embodiment.step_period_s / (self._steps * world.timestep_s))
        self.restart()

    def restart(self) -> None:
        """Begin at rest at the world's present pose."""
        self.q = self.world.q
        self.dq = np.zeros(len(self.world.joint_names))

    def to(self, target: np.ndarray) -> None:
        """Reach `target` (A,) one control step from now."""
        h = self.world.embodiment.step_period_s
        velocity = (target - self.q) / h
        for i in range(1, self.n + 1):
            u = i / self.n
            basis = np.array(
                [2 * u**3 - 3 * u**2 + 1, u**3 - 2 * u**2 + u, 3 * u**2 - 2 * u**3, u**3 - u**2]
            )
            slope = (
                np.array(
                    [6 * u**2 - 6 * u, 3 * u**2 - 4 * u + 1, 6 * u - 6 * u**2, 3 * u**2 - 2 * u]
                )
                / h
            )
            knots = np.stack([self.q, h * self.dq, target, h * velocity])
            self.world.servo(basis @ knots, slope @ knots)
            self.world.step(self._steps)
        self.q = target.copy()
        self.dq = velocity
