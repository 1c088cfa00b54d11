"""A scripted expert for LIBERO that knows where everything is: it makes demonstrations and is never
run by the loop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import mujoco
import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.sim.arm import arm_spec
from wam_ros.sim.ik import solve_ik
from wam_ros.sim.libero.world import OPEN, LiberoWorld
from wam_ros.sim.world import compile_spec

MAX_STEP = 0.030  # m per control step
BURST_STEP = 0.022  # m per control step, of random motions
MAX_STEP_CHANGE = 0.010  # m per control step, per control step
FINAL_STEP = 0.010  # m per control step close to the goal: arrive, do not creep
MAX_TURN = 0.12  # rad per control step
MAX_TURN_CHANGE = 0.025  # rad per control step, per control step
FINGER_STEP = 0.012  # m per control step
SQUEEZE = 0.012  # m, how far behind what is held the fingers' targets close
RIGHTED = 12  # control steps until the hand points down
HOLD_STEPS = 3  # control steps from contact to the lift, and from letting go to the way up
CLEAR = 0.03  # m between what lies around and what passes over it
NEAR = 0.06  # m beside the goal, from which on the way goes down in a cone
ALIGNED = 0.008  # m beside the grasp, at which the hand goes down
ARRIVED = 0.006  # m
TURNED = 0.06  # rad
LOST = 0.07  # m between the hand and what it holds
TIP = 0.016  # m that the finger tips reach below the tool, and what the filter keeps from the floor
MOVED = 0.008  # m: a thing that lies elsewhere is looked at anew
MOST_POINTS = 3000  # of one object that are looked at
DEPTH = 0.032  # m of an object between the fingers at most: the palm is behind them
WIDEST = 0.074  # m between open fingers, less a little on both sides
YAWS = np.deg2rad(np.arange(-75, 91, 15.0))
RIM_ANGLES = np.deg2rad(np.arange(0, 360, 20.0))
RIM_DEPTH = 0.015  # m from a bowl's rim down to the tool
RIM_INSIDE = 0.006  # m from the outermost of the rim to the middle of its wall
RIM_OPEN = 0.025  # m, each finger
# a finger, how thick along its way and half across it, and half the hand; m; and how high above
# the tool the hand begins
FINGER = (0.026, 0.014)
HAND_HALF = (0.105, 0.035)
HAND_UP = 0.045
AFTER = 5  # control steps that an episode goes on after success
# m, from the top of what a thing is put in or on to its lowest point when it is let go
RIM = {"in": -0.02, "on": 0.004}


@dataclass(frozen=True)
class Grasp:
    """Where the tool takes an object, seen from where the object is now."""

    place: np.ndarray  # (3,) m, where the object's origin was
    offset: np.ndarray  # (3,) m from there to the tool, in the base frame
    yaw: float  # rad of the hand
    below: float  # m from the tool down to the lowest point of the object
    width: float  # m between the fingers
    opened: float = OPEN  # m, each finger on the way down


class LiberoExpert:
    """Takes a thing and puts it into another; looks again in every step, and tries again after a
    slip.

    Raises:
        WamError: the task is none of taking one thing and putting it in another.
    """

    burst_step = BURST_STEP

    def __init__(self, world: LiberoWorld) -> None:
        self.world = world
        goal = world.goal
        if len(goal) != 1 or goal[0][0] not in RIM or goal[0][1] not in world.movable:
            raise WamError(
                f"the scripted expert cannot do '{world.task}': it takes one thing and puts it in "
                "or on another, as libero_object and libero_spatial ask"
            )
        self._how, self.thing, self.place = goal[0]
        self._arm = compile_spec(arm_spec(world.robot), world.embodiment)
        self._kinematics = mujoco.MjData(self._arm)
        self.restart()

    def restart(self) -> None:
        """Begin a new episode at the world's present pose."""
        self.q = self.world.q
        self.tool = self.world.tool_position
        self.rate = np.zeros(3)
        self.yaw = self.world.tool_yaw
        self._turn = 0.0
        # LIBERO's arm begins with its hand a little tilted
        self._upright = self._solve(self.q, iterations=40)
        self._tilt = self.q - self._upright
        self._acted = 0
        self.grip = OPEN
        self._phase = "approach"
        self._waited = 0  # control steps in which there was nothing to do but wait
        self._ended = 0  # control steps since success
        self._grasp = self._find_grasp()

    @property
    def closing(self) -> bool:
        """Whether the gripper is told to close or to stay closed."""
        return self._phase in ("close", "carry")

    @property
    def done(self) -> bool:
        """Whether the episode may end: success was a while ago."""
        return self._ended > AFTER

    def act(self, disturbance: np.ndarray | None = None, pinch: bool = False) -> np.ndarray:
        """Joint targets (A,) for the next control step.

        `disturbance` (3,) m replaces the wanted tool motion; `pinch` closes the gripper wherever it
        is.
        """
        wanted = self._decide() if disturbance is None else disturbance
        if pinch:
            self.grip = max(0.0, self.grip - FINGER_STEP)
        change = wanted - self.rate
        self.rate = self.rate + change * min(1.0, MAX_STEP_CHANGE / (np.linalg.norm(change) + 1e-9))
        self.tool = self.tool + self.rate
        self.tool[2] = max(self.tool[2], self._ground + TIP)
        turn = np.clip(0.35 * (self._grasp.yaw - self.yaw), -MAX_TURN, MAX_TURN)
        self._turn += np.clip(turn - self._turn, -MAX_TURN_CHANGE, MAX_TURN_CHANGE)
        self.yaw += self._turn
        self._upright = self._solve(self._upright)
        self._acted += 1
        fade = 0.5 + 0.5 * np.cos(np.pi * min(1.0, self._acted / RIGHTED))
        self.q = self._upright + fade * self._tilt
        self.q[-1] = self.grip
        self._ended += self.world.episode().success
        return self.q.copy()

    def _solve(self, q: np.ndarray, iterations: int = 8) -> np.ndarray:
        """Joints near q (A,) that bring the tool where it is wanted, pointing down."""
        return solve_ik(
            model=self._arm,
            embodiment=self.world.embodiment,
            q=q,
            position=self.tool,
            iterations=iterations,
            data=self._kinematics,
            yaw=self.yaw,
        )

    def _decide(self) -> np.ndarray:
        """Wanted tool displacement (3,) m of this step; sets the gripper target."""
        at, _ = self.world.pose_of(self.thing)
        grasp = at + self._grasp.offset
        if self._phase == "carry" and np.linalg.norm(self.tool - grasp) > LOST:
            self._begin_again()
        if self._phase == "approach":
            if np.linalg.norm(at - self._grasp.place) > MOVED:
                self._grasp = self._find_grasp()
            return self._approach(grasp)
        return {"close": self._close, "carry": self._carry, "release": self._release}[self._phase]()

    def _go_on(self, phase: str) -> None:
        self._phase = phase
        self._waited = 0

    def _begin_again(self) -> None:
        """It is not held, or lies where it should not: take it from where it is now."""
        self._go_on("approach")
        self._grasp = self._find_grasp()

    def _approach(self, grasp: np.ndarray) -> np.ndarray:
        opened = self._grasp.opened
        self.grip = max(min(opened, self.grip + FINGER_STEP), self.grip - FINGER_STEP)
        aside = grasp - self.tool
        distance = float(np.linalg.norm(aside[:2]))
        turned = abs(self._grasp.yaw - self.yaw) < TURNED
        if not (distance < ALIGNED and turned and abs(self.grip - opened) < 1e-6):
            # over everything first, then down in a cone
            up = max(0.0, max(self._top, self._own_top) + CLEAR + TIP - grasp[2])
            aside[2] += up * min(1.0, distance / NEAR + (not turned))
            return self._towards(aside)
        if np.linalg.norm(aside) < ARRIVED:
            self._go_on("close")
            return np.zeros(3)
        return self._towards(aside)

    def _close(self) -> np.ndarray:
        target = max(0.0, self._grasp.width / 2 - SQUEEZE)
        self.grip = max(target, self.grip - FINGER_STEP)
        stopped = self.grip <= target + 1e-6
        self._waited += stopped
        if self._waited > HOLD_STEPS:
            self._go_on("carry")
        return np.zeros(3)

    def _carry(self) -> np.ndarray:
        """Up, over the place, down a little, and let go."""
        goal = self._over()
        aside = goal - self.tool
        distance = float(np.linalg.norm(aside[:2]))
        if distance > 0.02:
            up = max(0.0, self._top + CLEAR + self._grasp.below - goal[2])
            aside[2] += up * min(1.0, distance / NEAR)
            if aside[2] > 0.05:  # not aside before it is up
                aside[:2] *= 0.15
        elif np.linalg.norm(aside) < 2 * ARRIVED:
            self._go_on("release")
        return self._towards(aside)

    def _over(self) -> np.ndarray:
        """Where the tool lets go of what it holds: over the middle of the place, near its top."""
        place = self.world.place_of(self.place)
        container = self._around.get(self.place.removesuffix("_contain_region"))
        top = place[2] if container is None else float(container[:, 2].max())
        aside = self._grasp.offset[:2]
        return np.array([*(place[:2] + aside), top + self._grasp.below + RIM[self._how]])

    def _release(self) -> np.ndarray:
        self.grip = min(OPEN, self.grip + FINGER_STEP)
        self._waited += 1
        if self._waited < HOLD_STEPS:
            return np.zeros(3)
        if self._waited > 4 * HOLD_STEPS and not self.world.episode().success:
            self._begin_again()
        return self._towards(np.array([0.0, 0.0, 0.1]))

    @staticmethod
    def _towards(error: np.ndarray) -> np.ndarray:
        distance = float(np.linalg.norm(error))
        speed = min(MAX_STEP, max(0.35 * distance, min(FINAL_STEP, distance)))
        return error * (speed / (distance + 1e-9))

    def _find_grasp(self) -> Grasp:
        """The yaw at which the object fits between the fingers, and the hand between the others."""
        # what lies around, as it is now
        self._around = {name: self._look_at(name) for name in self.world.things}
        points = self._around.pop(self.thing)
        around = np.concatenate([*self._around.values(), np.zeros((0, 3))])
        self._top = float(around[:, 2].max(initial=0.0))
        self._own_top = float(points[:, 2].max())
        self._ground = float(min(points[:, 2].min(), around[:, 2].min(initial=np.inf)))
        position, _ = self.world.pose_of(self.thing)
        found = [self._around_middle(points, around, yaw) for yaw in YAWS]
        # one that leans is narrow as it lies, and slips out
        if "bowl" in self.thing or min(grasp.width for _, grasp in found) > WIDEST:
            found = [self._at_rim(points, around, angle) for angle in RIM_ANGLES]
        _, grasp = min(found, key=lambda f: f[0])
        return replace(grasp, place=position, offset=grasp.offset - position)

    def _around_middle(
        self, points: np.ndarray, around: np.ndarray, yaw: float
    ) -> tuple[float, Grasp]:
        """What it costs to take the whole of a thing between the fingers, and the grasp."""
        low = float(points[:, 2].min())
        height = max(float(points[:, 2].max()) - DEPTH, low + TIP)
        slab = points[np.abs(points[:, 2] - height) < 0.015]
        slab = slab if len(slab) >= 20 else points
        along, across = _ways(yaw)
        ends = slab[:, :2] @ along
        sides = slab[:, :2] @ across
        middle = (ends.min() + ends.max()) / 2 * along + (sides.min() + sides.max()) / 2 * across
        # the fingers come down past all that is above, too: a bowl is narrow at its foot only
        width = float(np.ptp(points[points[:, 2] > height - 0.015, :2] @ along))
        met = min(20, _met(around, middle, height, along, across, OPEN))
        cost = 10.0 * max(0.0, width - WIDEST) + 0.02 * met + 0.2 * width + 0.01 * abs(yaw)
        tool = np.array([*middle, height])
        return cost, Grasp(tool, tool, float(yaw), height - low, width)

    def _at_rim(self, points: np.ndarray, around: np.ndarray, angle: float) -> tuple[float, Grasp]:
        """What it costs to take a bowl by its rim at an angle, one finger inside, and the grasp."""
        low = float(points[:, 2].min())
        middle = (points[:, :2].min(axis=0) + points[:, :2].max(axis=0)) / 2
        way = np.array([np.cos(angle), np.sin(angle)])
        ahead = (points[:, :2] - middle) @ way
        rim = float(ahead.max())
        # it may stand askew: as high as it is there
        height = max(float(points[ahead > rim - RIM_DEPTH, 2].max()) - RIM_DEPTH, low + TIP)
        at = middle + (rim - RIM_INSIDE) * way
        # the fingers move along this way
        yaw = angle % np.pi - np.pi / 2
        met = _met(around, at, height, *_ways(yaw), RIM_OPEN)
        tool = np.array([*at, height])
        grasp = Grasp(tool, tool, float(yaw), height - low, 0.01, RIM_OPEN)
        return 0.02 * met + 0.01 * abs(yaw), grasp

    def _look_at(self, name: str) -> np.ndarray:
        points = self.world.points_of(name)
        points = points[:: max(1, len(points) // MOST_POINTS)]
        if name in self.world.movable:
            return points
        return np.concatenate([points, self.world.solids_of(name)])


def _ways(yaw: float) -> tuple[np.ndarray, np.ndarray]:
    """(2,) each: along the way of the fingers of a hand turned by `yaw`, and across it."""
    return np.array([-np.sin(yaw), np.cos(yaw)]), np.array([np.cos(yaw), np.sin(yaw)])


def _met(
    points: np.ndarray,
    middle: np.ndarray,
    height: float,
    along: np.ndarray,
    across: np.ndarray,
    opened: float,
) -> int:
    """How many points (N, 3) m the open fingers and the hand would meet at a grasp."""
    aside = points[:, :2] - middle
    a = np.abs(aside @ along)
    c = np.abs(aside @ across)
    thick, half = FINGER
    fingers = (points[:, 2] > height - TIP) & (a > opened - 0.006) & (a < opened + thick)
    hand = (points[:, 2] > height + HAND_UP) & (a < HAND_HALF[0]) & (c < HAND_HALF[1])
    return int(((fingers & (c < half)) | hand).sum())
