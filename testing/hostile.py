"""Chunks that nobody should send, and states to receive them in."""

from __future__ import annotations

import dataclasses

import numpy as np

from wam_ros.core.types import ActionChunk, ControlMode, KinematicState, SafeTrajectory
from wam_ros.robot.model import SafetyModel
from wam_ros.safety.machine.playback import sample_trajectory


def random_pose(model: SafetyModel, rng: np.random.Generator, clear: float = 0.01) -> np.ndarray:
    """A pose inside the margins with every pair farther apart than `clear` m beyond its
    clearance.
    """
    low, high = np.maximum(model.limits.lower, -3), np.minimum(model.limits.upper, 3)
    while True:
        q = low + (high - low) * rng.uniform(0.03, 0.97, len(low))
        if rng.uniform() < 0.5:
            home = np.array(model.embodiment.home)
            q = np.clip(
                home + rng.normal(size=len(low)) * np.where(model.sliding, 0.01, 0.4),
                low + 0.03,
                high - 0.03,
            )
            q = np.where(model.sliding, np.clip(q, model.limits.lower, model.limits.upper), q)
        wanted = np.maximum(model.pairs.clearance, 0.005) + clear
        if not _nearer(model, q, wanted):
            return q


def _nearer(model: SafetyModel, q: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether any pair of bodies is nearer at q (A,) than wanted (P,) [m]; the first one tells."""
    model.place(model.full_q(q[None])[0])
    return any(model.distance(pair) < w for pair, w in enumerate(wanted.tolist()))


def random_path(
    model: SafetyModel, rng: np.random.Generator, q0: np.ndarray, steps: int
) -> np.ndarray:
    """(steps, A) of one of several kinds: smooth, noisy, jumping, leaving, heading somewhere or
    into a body.
    """
    n = len(q0)
    size = np.where(model.sliding, 0.01, 0.1) * 10 ** rng.uniform(-1.5, 0.8)
    kind = rng.integers(10)
    if kind >= 7:
        return _into_a_body(model, rng, q0, steps)
    if kind == 0:
        return q0 + np.outer(np.arange(1, steps + 1), rng.normal(size=n) * size)
    if kind == 1:
        return q0 + np.cumsum(rng.normal(size=(steps, n)) * size, axis=0)
    if kind == 2:
        return q0 + rng.normal(size=(steps, n)) * size
    if kind == 3:
        goal = rng.uniform(
            np.maximum(model.limits.lower, -3) - 0.2, np.minimum(model.limits.upper, 3) + 0.2
        )
        return q0 + np.outer(np.linspace(0, 1, steps) ** 2, goal - q0) * rng.uniform(0.01, 1)
    if kind == 4:
        path = q0 + np.outer(np.arange(1, steps + 1), rng.normal(size=n) * size * 0.3)
        path[rng.integers(steps) :] += rng.normal(size=n) * size * 5
        return path
    if kind == 5:
        t = np.arange(1, steps + 1)[:, None] * 0.1
        return q0 + size * np.sin(t * rng.uniform(0.5, 20, n) + 0) * rng.normal(size=n)
    path = q0 + rng.normal(size=(steps, n)) * size * 0.2
    path[rng.integers(steps), rng.integers(n)] = rng.choice([1e3, -1e3, 1e5, 4.0, -4.0, 0.0])
    return path


def _into_a_body(
    model: SafetyModel, rng: np.random.Generator, q0: np.ndarray, steps: int
) -> np.ndarray:
    """Straight and not too fast towards a pose in which bodies overlap, mostly a near one."""
    low, high = np.maximum(model.limits.lower, -3), np.minimum(model.limits.upper, 3)
    spread = rng.choice([0.3, 0.6, 1.0])
    touching = np.zeros(len(model.pairs.names))
    for _ in range(30):
        goal = q0 + spread * (rng.uniform(low, high) - q0)
        if _nearer(model, goal, touching):
            break
    rate = np.where(model.sliding, 0.02, rng.uniform(0.01, 0.12))
    share = np.abs(goal - q0) / rate
    return q0 + np.outer(np.arange(1, steps + 1), (goal - q0) / max(share.max(), 1e-9))


def moving_states(
    trajectory: SafeTrajectory, rng: np.random.Generator, count: int
) -> list[tuple[int, KinematicState]]:
    """Instants on a trajectory (ns) and the states there."""
    at = trajectory.start_ns + (rng.uniform(0, trajectory.t[-1], count) * 1e9).astype(np.int64)
    return [(int(a), sample_trajectory(trajectory, int(a))) for a in at]


def spoiled(chunk: ActionChunk, rng: np.random.Generator) -> ActionChunk:
    """The chunk as a message that must be refused, in one of many ways."""
    names, q = chunk.joint_names, chunk.positions
    holed = q.copy()
    holed[rng.integers(len(q)), rng.integers(len(names))] = rng.choice(
        [np.nan, np.inf, -np.inf, 1e300]
    )
    silent = q.copy()
    silent[rng.integers(len(q))] = 0.0
    changes: list[dict[str, object]] = [
        {"positions": holed},
        {"positions": silent},
        {"positions": q[:, :-1]},
        {"positions": q[:0]},
        {"positions": q.ravel()},
        {"positions": q.astype(str)},
        {"positions": q.astype(complex)},
        {"positions": np.tile(q, (600, 1))},
        {"positions": np.full((len(q), len(names)), None)},
        {"velocities": np.full_like(q, np.nan)},
        {"velocities": q[:, :1]},
        {"joint_names": names[:-1]},
        {"joint_names": (*names[:-1], names[0])},
        {"joint_names": (*names[:-1], "elbow")},
        {"joint_names": names * 1000},
        {"step_period_ns": 0},
        {"step_period_ns": -chunk.step_period_ns},
        {"step_period_ns": 10**12},
        {"step_period_ns": float("nan")},
        {"anchor_ns": chunk.anchor_ns + 10**12},
        {"anchor_ns": chunk.anchor_ns - 10**12},
        {"anchor_ns": None},
        {"observation_ns": 1},
        {"schema_version": 2},
        {"control_mode": ControlMode.UNKNOWN},
        {"embodiment": "another"},
    ]
    return dataclasses.replace(chunk, **changes[int(rng.integers(len(changes)))])
