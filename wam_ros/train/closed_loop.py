"""The loop in simulated time: the session of the real loop decides, a late answer is late by
counted steps.

No ROS and no safety filter: the motion of the timeline drives the arm, and the world is all that a
robot adds.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from wam_ros.core.chunks import Timeline
from wam_ros.core.embodiment import Embodiment
from wam_ros.core.latency import LatencyWindow, require_offered
from wam_ros.core.policy import Policy, Request, abilities_of, calm_of
from wam_ros.core.types import (
    NS,
    ActionChunk,
    ImaginedFuture,
    JointState,
    KinematicState,
    Observation,
)
from wam_ros.runtime.prediction import best, predict
from wam_ros.runtime.results import EngineResult
from wam_ros.runtime.scheduler import STANDING, InferenceScheduler
from wam_ros.runtime.session import InferenceSession
from wam_ros.runtime.values import Value
from wam_ros.sim.drive import servo_steps
from wam_ros.sim.mishaps import Mishap
from wam_ros.sim.worlds import SimulatedRobot
from wam_ros.train.record import observe

# every chunk replaces the one before, but steps are averaged over all chunks that know them
ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Delay:
    """How late answers are, in control steps."""

    steps: int = 1
    jitter: int = 0  # up to so many more, evenly distributed

    def draw(self, rng: np.random.Generator) -> int:
        """The delay of one answer."""
        return self.steps + int(rng.integers(self.jitter + 1))


class Witness(Protocol):
    """Is told what happens; changes nothing."""

    def saw(self, observation: Observation) -> None:
        """The loop looked."""

    def took(self, chunk: ActionChunk, future: ImaginedFuture) -> None:
        """A chunk arrived, and what was imagined with it."""


class ClosedLoop:
    """One policy and one world, in steps.

    Args:
        chunking: "auto", a name in `core.latency.CHUNKING`, or "ensemble".
        every: control steps between two predictions.
        delay: of the answers; known to the session beforehand, as after a long run.
        mishap: what goes wrong; None for nothing.
        candidates: chunks that are predicted each time.
        value: chooses among them; None takes the first.
        sparse: look only where the model is asked, if that is known beforehand; with pictures that
            are dear that is what an episode costs. What the robot does is the same, of surprise
            less is known.
        witness: is told what happens.
    """

    def __init__(
        self,
        policy: Policy,
        world: SimulatedRobot,
        chunking: str,
        every: int,
        delay: Delay,
        seed: int = 0,
        mishap: Mishap | None = None,
        candidates: int = 1,
        value: Value | None = None,
        sparse: bool = False,
        witness: Witness | None = None,
    ) -> None:
        self.policy = policy
        self.value = value
        self.world = world
        self.delay = delay
        self.now_ns = 0
        mode = "replace" if chunking == ENSEMBLE else chunking
        abilities = abilities_of(policy)
        require_offered(mode, abilities)
        robot = world.embodiment
        window = LatencyWindow(100, 0)
        window.add((delay.steps + delay.jitter) * robot.step_period_s)
        self.timeline = Timeline(ENSEMBLE if chunking == ENSEMBLE else "latest")
        self.scheduler = InferenceScheduler(
            robot,
            window,
            rest_speed=0.05,
            execute_steps=every,
            abilities=abilities,
            chunking=mode,
            candidates=candidates,
            timeline=self.timeline,
        )
        self.session = InferenceSession(
            embodiment=robot,
            model=policy.name,
            checkpoint_hash=policy.checkpoint_hash,
            session_id=bytes(16),
            scheduler=self.scheduler,
            calm=calm_of(policy),
        )
        self.step_ns = round(robot.step_period_s * NS)
        self._servo_steps = servo_steps(world.robot)
        self._rng = np.random.default_rng(seed)
        self._hold = world.q
        self.frames = np.zeros(0, np.uint8)  # (V, H, W, 3) of the newest look
        self._look_every = self._asks_every() if sparse else 1
        self._steps = 0
        self.mishap = mishap
        self._witness = witness
        self._waiting: list[tuple[int, EngineResult]] = []  # due in ns

    @property
    def disturbed(self) -> bool:
        """Whether its mishap has begun."""
        return self.mishap is not None and self.mishap.begun

    @property
    def moving(self) -> bool:
        """Whether a plan is being executed."""
        return self.timeline.slack_s(self.now_ns) > 0

    def step(self) -> list[ActionChunk]:
        """One control step: look, take what arrives, move; returns the chunks taken."""
        if self.mishap is not None:
            self.mishap.look()
        if self._steps % self._look_every == 0:
            self._look()
        self._steps += 1
        taken = []
        while self._waiting and self._waiting[0][0] <= self.now_ns:
            chunk, future = self.session.chunk(self._waiting.pop(0)[1], self.now_ns)
            taken.append(chunk)
            if self._witness is not None:
                self._witness.took(chunk, future)
            if (look := self.scheduler.next_look()) is not None:
                self._ask(*look)
        self._move()
        return taken

    def _asks_every(self) -> int:
        """Control steps between two observations that the model is asked about; 1 where it depends
        on what comes.
        """
        timing = self.scheduler.timing
        every = timing.execute_steps
        known = (
            timing.mode not in STANDING
            and every % max(1, self.scheduler.abilities.frame_stride) == 0
        )
        return every if known and not self.delay.jitter and self.delay.steps < every else 1

    def _look(self) -> None:
        seen = self._see()
        self.frames = seen.frames
        if self._witness is not None:
            self._witness.saw(seen)
        request = self.session.observe(seen)
        if request is not None:
            self._ask(seen, request)

    def _see(self) -> Observation:
        frames = observe(self.world, self.world.embodiment)
        if self.mishap is not None:
            frames = self.mishap.seen(frames)
        return make_observation(
            self.world.embodiment, self.now_ns, frames, self.world.joint_state()
        )

    def stop(self) -> None:
        """Stand where the arm is: what is on its way is not executed any more."""
        self._waiting.clear()
        self.timeline.clear()
        self.session.forget()
        self._hold = self.world.q

    def hold(self, seconds: float) -> None:
        """Let time go by without looking."""
        end_ns = self.now_ns + round(seconds * NS)
        while self.now_ns < end_ns:
            self._move()

    def _ask(self, seen: Observation, request: Request) -> None:
        output, worth = best(predict(self.policy, seen, request), self.value)
        if output is None:
            return
        ready_ns = self.now_ns + self.delay.draw(self._rng) * self.step_ns
        result = EngineResult(seen, "", 1, output, request=request, value=worth)
        self._waiting.append((ready_ns, result))

    def _move(self) -> None:
        physics_ns = round(self.world.timestep_s * NS) * self._servo_steps
        end_ns = self.now_ns + self.step_ns
        while self.now_ns < end_ns:
            self.now_ns = min(self.now_ns + physics_ns, end_ns)
            state = self.timeline.sample(self.now_ns) or KinematicState.at_rest(self._hold)
            told = state.q, state.dq
            self.world.servo(*(self.mishap.target(*told) if self.mishap is not None else told))
            self.world.step(self._servo_steps)


def make_observation(
    embodiment: Embodiment, stamp_ns: int, frames: np.ndarray, joints: JointState | np.ndarray
) -> Observation:
    """Observation with all streams on one instant; joints given as (A,) positions have unknown
    speed.
    """
    if isinstance(joints, np.ndarray):
        unknown = np.full(len(joints), np.nan)
        joints = JointState(stamp_ns, embodiment.joint_names, joints, unknown, unknown)
    joints = dataclasses.replace(joints, stamp_ns=stamp_ns)
    return Observation(stamp_ns, embodiment.view_names, frames, (stamp_ns,) * len(frames), joints)
