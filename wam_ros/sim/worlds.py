"""What a simulated robot is to whoever steps it, and which world a task is simulated in."""

from __future__ import annotations

import importlib
from typing import Any, Protocol

import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.types import JointState
from wam_ros.robot.dynamics import Dynamics
from wam_ros.sim.expert import Expert
from wam_ros.sim.libero.suites import is_libero
from wam_ros.sim.names import require_task
from wam_ros.sim.world import EpisodeState, SimObject, World

STEP_S = 0.002


class Demonstrator(Protocol):
    """A scripted expert that knows where everything is."""

    closing: bool  # the gripper is told to close or to stay closed
    done: bool  # the episode may end
    burst_step: float  # m per control step, of the random motions that a recording mixes in

    def act(self, disturbance: np.ndarray | None = None, pinch: bool = False) -> np.ndarray:
        """Joint targets (A,) for the next control step.

        `disturbance` (3,) m replaces the wanted tool motion; `pinch` closes the gripper wherever it
        is.
        """


class SimulatedRobot(Protocol):
    """One simulated robot, its surroundings and its task. Not thread-safe."""

    embodiment: Embodiment
    robot: Dynamics
    joint_names: tuple[str, ...]
    instruction: str
    timestep_s: float  # between two steps of the physics
    limit_s: float  # of an episode, for who judges policies

    @property
    def time_s(self) -> float:
        """Simulated time since the last reset."""

    @property
    def q(self) -> np.ndarray:
        """(A,) measured joint positions, rad or m."""

    @property
    def tool_position(self) -> np.ndarray:
        """(3,) tool centre point of the first arm in the base frame, m."""

    def reset(self, seed: int, colour: str = "", nudge: bool = False) -> str:
        """Place the scene of `seed`, the arm at rest; returns the instruction.

        Raises:
            WamError: the task has no such colour, or nothing in it can be nudged.
        """

    def servo(self, q: np.ndarray, dq: np.ndarray) -> None:
        """Set joint targets, (A,) rad or m and their rates; they hold until the next call."""

    def step(self, n: int = 1) -> None:
        """Advance the physics by `n` time steps, checking every one against the robot's limits."""

    def joint_state(self, stamp_ns: int | None = None) -> JointState:
        """Measured joints; the stamp defaults to simulated time."""

    def render(self, camera: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB image of one camera."""

    def camera_info(self, camera: str) -> dict[str, Any]:
        """Pinhole calibration: width, height [px], K (3, 3), frame_id."""

    def objects(self) -> list[SimObject]:
        """What lies around, for drawing."""

    def episode(self) -> EpisodeState:
        """State of the episode as the simulator measures it."""

    def close(self) -> None:
        """Free the GL context."""


def make_world(
    embodiment: Embodiment,
    task: str,
    camera_size: tuple[int, int] = (128, 128),
    timestep_s: float = STEP_S,
    render: bool = True,
    coarse: bool = False,
) -> SimulatedRobot:
    """The world of a task: LIBERO's own for one of its tasks, such as `libero_object/0`, else ours.

    Args:
        embodiment: the robot.
        task: a name of `TASKS`, or `SUITE/NUMBER` of LIBERO.
        camera_size: height and width of rendered images, px, of cameras that have no size of their
            own.
        timestep_s: physics step; LIBERO has its own.
        render: False saves the GL context when no image is asked for.
        coarse: draw LIBERO's meshes coarser: small pictures look the same, at a fraction of the
            cost.

    Raises:
        WamError: no such task, LIBERO is not installed, or the robot cannot be simulated in it.
    """
    require_task(task, embodiment)
    if not is_libero(task):
        return World(embodiment, task, camera_size, timestep_s, render)
    if timestep_s != STEP_S:
        raise WamError(f"LIBERO's physics has steps of {STEP_S:g} s, found step_s {timestep_s:g}")
    module = importlib.import_module("wam_ros.sim.libero.world")
    world: SimulatedRobot = module.LiberoWorld(embodiment, task, camera_size, render, coarse)
    return world


def make_expert(world: SimulatedRobot) -> Demonstrator:
    """The scripted expert for the task of a world, at the world's present pose.

    Raises:
        WamError: nobody wrote one.
    """
    if isinstance(world, World):
        return Expert(world)
    module = importlib.import_module("wam_ros.sim.libero.expert")
    expert: Demonstrator = module.LiberoExpert(world)
    return expert
