"""What moves a robot for which there is no model: chunks along the straight ways in joints between
poses near home, and a gripper that closes at each.

It looks at no picture and imagines none. The poses are called by colours; an instruction that names
one of them leads there, any other round all three.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from wam_ros.core.appraisal import Outlook
from wam_ros.core.embodiment import Embodiment, require_observed_by
from wam_ros.core.errors import WamError
from wam_ros.core.policy import PolicyOutput
from wam_ros.core.resources import share_dir
from wam_ros.core.types import NS, Conditioning, Observation
from wam_ros.robot.model import SafetyModel, load_safety_model
from wam_ros.robot.reach import Pose, find_poses

NAME = "reach: a script, no model"
SPEED = 0.25  # of the velocity limits
TOOL_SPEED = 0.25  # m/s of the fastest tool, about
# of the effort limits, that standing and the resistance of a joint may take on the way
WORKING = 0.75
LEAST = 0.05  # of an effort limit, that is left for that resistance whatever standing takes
RISE_S = 0.6  # until that speed, and to rest again
# rad and m from a pose: it is reached
NEAR_RAD = 0.01
NEAR_M = 0.002
DWELL_S = 0.4  # at every pose


def load(
    name: str, weights: Path, embodiment: Embodiment, threads: int, steps: int, memory: str
) -> ReachPolicy:
    """Find the poses of a robot; raises `WamError` when it has none or something was asked for that
    only a model has.
    """
    if weights != share_dir():
        raise WamError(f"'{name}' is a script: it takes no checkpoint, found '{weights}'")
    if steps:
        raise WamError(f"'{name}' is a script: it has no denoising steps, found {steps}")
    if memory != "real":
        raise WamError(f"'{name}' is a script: it imagines nothing to remember")
    model = load_safety_model(embodiment)
    return ReachPolicy(model, find_poses(model))


class ReachPolicy:
    """Implements `core.policy.Policy`. One thread owns it.

    Args:
        model: of the robot.
        poses: between which it moves.
    """

    example_instruction = "reach the red marker"
    checkpoint_hash = ""
    name = NAME

    def __init__(self, model: SafetyModel, poses: tuple[Pose, ...]) -> None:
        self._model = model
        self._poses = poses
        self._robot = model.embodiment
        self._near = np.where(model.sliding, NEAR_M, NEAR_RAD)
        self.reset("")

    def reset(self, instruction: str) -> None:
        """Begin again with the poses that an instruction names."""
        words = {w.strip(".,;:!?'\"") for w in instruction.lower().split()}
        named = [p for p in self._poses if p.name in words]
        chosen = named if len(named) == 1 else list(self._poses)
        # with a hand: closed at the pose, and open on the way to the next one
        self._goals = [q for p in chosen for q in (p.q, p.gripped, p.q)]
        if len(chosen) == 1:
            self._goals = self._goals[:2]
        self._goal = 0
        self._round = len(chosen) > 1
        self._reached_ns: int | None = None

    def predict(self, observation: Observation) -> PolicyOutput:
        """The next chunk; no frames."""
        began = time.perf_counter()
        require_observed_by(self._robot, observation)
        q = observation.joints.positions
        self._choose(q, observation.stamp_ns)
        positions = self._way(q, observation.joints.velocities, self._goals[self._goal])
        return PolicyOutput(
            positions=positions,
            frames=np.zeros((0, *observation.frames.shape), np.uint8),
            frame_offsets_ns=(),
            conditioning=Conditioning.REAL,
            evaluations=0,
            timing_s={"script": time.perf_counter() - began},
            outlook=self._look(),
        )

    def _look(self) -> Outlook:
        """Done once the robot is at the last pose that was named, and stays."""
        last = not self._round and self._goal == len(self._goals) - 1
        done = float(last and self._reached_ns is not None)
        return Outlook(done=done, failed=0.0, done_ahead=done, failed_ahead=0.0)

    def _choose(self, q: np.ndarray, now_ns: int) -> None:
        """Go on to the next goal once the robot has been at this one for a moment."""
        if (np.abs(self._left(q, self._goals[self._goal])) > self._near).any():
            self._reached_ns = None
            return
        if self._reached_ns is None:
            self._reached_ns = now_ns
        last = self._goal == len(self._goals) - 1
        if now_ns - self._reached_ns >= DWELL_S * NS and (self._round or not last):
            self._goal = 0 if last else self._goal + 1
            self._reached_ns = None

    def _left(self, q: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """(A,) rad or m to go; a joint without end goes the shorter way round."""
        left = goal - q
        turned = np.remainder(left + np.pi, 2 * np.pi) - np.pi
        return np.where(self._model.endless, turned, left)

    def _way(self, q: np.ndarray, dq: np.ndarray, goal: np.ndarray) -> np.ndarray:
        """(T, A) targets from q and dq (A,) to a goal: straight, calm, to rest."""
        period = self._robot.step_period_s
        left = self._left(q, goal)
        # s that the way takes at full speed
        whole = max(
            float(np.abs(left / (SPEED * self._model.limits.velocity)).max()),
            self._tool_way(q, left) / TOOL_SPEED,
            self._dragging(q, left),
        )
        if whole < 1e-6:
            return np.repeat(q[None] + left, self._robot.action_horizon, axis=0)
        # of full speed, that it has along the way now
        speed = float(np.clip((dq @ left) / (left @ left) * whole, 0.0, 1.0))
        done = 0.0
        rows = []
        for _ in range(self._robot.action_horizon):
            # so fast that the rest of the way is long enough to stop on
            brake = np.sqrt(2 * (1 - done) * whole / RISE_S)
            speed = min(1.0, speed + period / RISE_S, float(brake))
            done = min(1.0, done + speed * period / whole)
            rows.append(q + done * left)
        return np.array(rows)

    def _tool_way(self, q: np.ndarray, left: np.ndarray) -> float:
        """M that the tool with the longest way goes, about."""
        count = len(self._model.tools)
        ways = [self._model.tool_jacobian(q, k)[:3] @ left for k in range(count)]
        return float(np.linalg.norm(ways, axis=1).max())

    def _dragging(self, q: np.ndarray, left: np.ndarray) -> float:
        """S that the way takes at a speed at which no joint needs all its effort for the damping
        and the friction that its description tells.
        """
        model = self._model
        ends = np.array([q, q + left])
        standing = np.abs(model.torque(ends, 0 * ends, 0 * ends)).max(axis=0)
        limit = model.limits.effort
        spare = np.maximum(WORKING * limit - standing - model.friction, LEAST * limit)
        return float((model.damping * np.abs(left) / spare).max())
