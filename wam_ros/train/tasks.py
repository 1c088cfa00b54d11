"""Tasks and disturbances in the simulator without ROS, held against what is true there: how a task
ends, and when a surprise is seen.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from wam_ros.core.task import JudgeParams, OutcomeJudge, TaskEnd
from wam_ros.core.types import NS
from wam_ros.models.dreamzero.small.policy import DreamZeroPolicy
from wam_ros.sim.world import World
from wam_ros.train.closed_loop import ClosedLoop
from wam_ros.train.rollouts import episode_of

LIMIT_S = 9.0  # of an episode
AFTER_S = 1.0  # of standing after the end
WITHIN_S = 1.0  # of what is true, a word is right
STANDS_M = 0.03  # a tool that stays within it has not moved
ALARM = 1.0  # of surprise


@dataclass(frozen=True)
class Truth:
    """When what became true, s; infinity: never."""

    succeeded_s: float
    failed_s: float  # the named block is gone, or another one is lifted
    stuck_s: float  # the tool has stayed where it is for as long as counts as stuck

    def why_not_right(self, end: TaskEnd, at_s: float) -> str:
        """Why a task that ended so, at that time, was judged wrong; '' when it was right."""
        when = {
            TaskEnd.SUCCEEDED: self.succeeded_s,
            TaskEnd.FAILED: self.failed_s,
            TaskEnd.STUCK: self.stuck_s,
        }
        if end == TaskEnd.TIMEOUT:
            missed = [e.name.lower() for e, s in when.items() if s < at_s - WITHIN_S]
            return f"not seen: {', '.join(missed)}" if missed else ""
        late_s = at_s - when[end]
        if late_s > WITHIN_S:
            return f"{end.name.lower()} told {late_s:.1f} s late"
        # the arm stands a moment before both agree on since when
        early_s = 0.5 if end == TaskEnd.STUCK else 0.0
        return f"{end.name.lower()} told before it was true" if late_s < -early_s else ""


class TruthWatch:
    """What the simulator knows, step by step."""

    def __init__(self, world: World, stuck_s: float) -> None:
        self._world = world
        self._n = round(stuck_s / world.embodiment.step_period_s)
        self._tools: deque[np.ndarray] = deque(maxlen=self._n + 1)
        self._found = {"succeeded_s": math.inf, "failed_s": math.inf, "stuck_s": math.inf}

    def look(self, at_s: float, gone: bool) -> None:
        """Note what is true; `gone`: the named block was taken away."""
        task = self._world.task
        self._tools.append(self._world.tool_position)
        stands = len(self._tools) == self._n + 1 and bool(
            (np.ptp(np.stack(self._tools), axis=0) < STANDS_M).all()
        )
        now = {"succeeded_s": task.success, "failed_s": gone or task.wrong, "stuck_s": stands}
        for name, true in now.items():
            if true:
                self._found[name] = min(self._found[name], at_s)

    @property
    def truth(self) -> Truth:
        """What was found."""
        return Truth(**self._found)


def run_task(policy: DreamZeroPolicy, world: World, seed: int, kind: str, every: int) -> dict:
    """One task until it is told to have ended, then a moment more; what was told and what is
    true.
    """
    with episode_of(policy, world, seed, kind, every) as loop:
        return _follow(loop, world, kind)


def _follow(loop: ClosedLoop, world: World, kind: str) -> dict:
    params = JudgeParams()
    judge = OutcomeJudge(params, _sliding(world))
    watch = TruthWatch(world, params.stuck_s)
    end = TaskEnd.UNKNOWN
    words = ""
    looked_ns = -1
    while end == TaskEnd.UNKNOWN:
        if loop.now_ns >= LIMIT_S * NS:
            end = TaskEnd.TIMEOUT
            break
        loop.step()
        gone = loop.disturbed and kind.startswith("block")
        watch.look(loop.now_ns / NS, gone)
        told = loop.session.appraisal
        if told is not None and told.stamp_ns > looked_ns:
            looked_ns = told.stamp_ns
            end, words = judge.look(told.stamp_ns, told.outlook, world.q)
    at_s = loop.now_ns / NS
    loop.stop()
    q = world.q
    loop.hold(AFTER_S)
    moved = float(np.abs(world.q - q).max())
    truth = watch.truth
    return {
        "seed": world.seed,
        "kind": kind,
        "instruction": world.instruction,
        "begun_s": _begun_s(loop),
        "end": end.name.lower(),
        "at_s": round(at_s, 2),
        "words": words,
        "truth": {k: None if math.isinf(v) else round(v, 2) for k, v in vars(truth).items()},
        "wrong": truth.why_not_right(end, at_s),
        "moved_after": round(moved, 4),
    }


def _begun_s(loop: ClosedLoop) -> float | None:
    """When the mishap began; None: it did not."""
    return round(loop.mishap.begun_s, 2) if loop.mishap and loop.disturbed else None


def run_disturbance(policy: DreamZeroPolicy, world: World, seed: int, kind: str) -> dict:
    """One episode, disturbed or calm: the surprise of every observation."""
    with episode_of(policy, world, seed, kind) as loop:
        return _surprises(loop, world, kind)


def _surprises(loop: ClosedLoop, world: World, kind: str) -> dict:
    seen: dict[int, tuple[float, ...]] = {}
    left = 5
    while loop.now_ns < LIMIT_S * NS and left:
        loop.step()
        told = loop.session.appraisal
        if told is not None and (told.pixel or told.latent):
            parts = (told.surprise, max(told.pixel, default=0.0), max(told.latent, default=0.0))
            seen[told.stamp_ns] = parts
        left -= world.task.success
        begun_s = _begun_s(loop)
        if begun_s is not None and loop.now_ns / NS > begun_s + 1.0:
            break
    begun_s = _begun_s(loop)
    first_s = math.inf if begun_s is None else begun_s
    # it begins with a step, and the world counts its steps in floats
    before = [v for ns, v in seen.items() if ns / NS < first_s - 1e-3]
    after = [(ns / NS - first_s, v) for ns, v in sorted(seen.items()) if ns / NS >= first_s - 1e-3]
    alarms = [s for s, v in after if v[0] > ALARM]
    return {
        "seed": world.seed,
        "kind": kind,
        "begun_s": begun_s,
        "success": bool(world.task.success),
        "observations_before": len(before),
        "false_alarms": sum(v[0] > ALARM for v in before),
        "most_before": round(max((v[0] for v in before), default=0.0), 3),
        "seen_after_s": round(alarms[0], 2) if alarms else None,
        "most_after": round(max((v[0] for _, v in after), default=0.0), 3),
        "most_after_pixel": round(max((v[1] for _, v in after), default=0.0), 3),
        "most_after_latent": round(max((v[2] for _, v in after), default=0.0), 3),
    }


def _sliding(world: World) -> np.ndarray:
    joints = world.robot.joints.urdf.joints
    return np.array([joints[name].sliding for name in world.joint_names])
