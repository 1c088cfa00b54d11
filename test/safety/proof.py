"""Looks at an emitted trajectory ten times finer than the filter did, and by other formulas."""

from __future__ import annotations

import itertools

import numpy as np
import pinocchio as pin
from scipy.interpolate import BPoly

from wam_ros.core.types import SafeTrajectory
from wam_ros.safety.bounds import Commanded
from wam_ros.safety.model import SafetyModel
from wam_ros.safety.params import SafetyParams

FINER = 10


def fine(trajectory: SafeTrajectory) -> tuple[np.ndarray, ...]:
    """t (M,), q, dq, ddq, dddq (M, A) of the quintic interpolation, FINER times per sample."""
    t = trajectory.t
    knots = np.stack((trajectory.q, trajectory.dq, trajectory.ddq), axis=1)  # (N, 3, A)
    curve = BPoly.from_derivatives(t, knots)
    inner = np.concatenate([np.linspace(a, b, FINER, endpoint=False) for a, b in itertools.pairwise(t)])
    inner = np.append(inner, t[-1])
    return (inner, *(curve(inner, k) if k else curve(inner) for k in range(4)))


def offences(
    model: SafetyModel, params: SafetyParams, trajectory: SafeTrajectory, start: Commanded, distances: bool = True
) -> list[str]:
    """What is wrong with a trajectory; empty when it may leave."""
    bad = []
    if not np.all(np.diff(trajectory.t) > 0) or trajectory.t[0] != 0.0:
        bad.append("times do not rise from zero")
    if np.any(trajectory.dq[-1] != 0) or np.any(trajectory.ddq[-1] != 0):
        bad.append("does not end at rest")
    for name, found, wanted in zip(
        ("q", "dq", "ddq"), (trajectory.q, trajectory.dq, trajectory.ddq), start_rows(start), strict=True
    ):
        if not np.array_equal(found[0], wanted):
            bad.append(f"{name} does not begin in the commanded state")
    _, q, dq, ddq, dddq = fine(trajectory)
    limits = model.limits
    low, high = limits.lower, limits.upper
    margin = np.where(model.sliding, params.position_margin_m, params.position_margin_rad)
    low, high = np.minimum(low + margin, start.q), np.maximum(high - margin, start.q)
    worst = np.max(np.maximum(low - q, q - high), axis=0)
    bad += [f"{n} leaves its range by {w:.2e}" for n, w in zip(model.joint_names, worst, strict=True) if w > 1e-8]
    kinds = (
        ("velocity", dq, limits.velocity * params.velocity_fraction),
        ("acceleration", ddq, limits.acceleration * params.acceleration_fraction),
        ("jerk", dddq, limits.jerk * params.jerk_fraction),
    )
    for name, value, allowed in kinds:
        ratio = np.abs(value).max(axis=0) / allowed
        bad += [
            f"{n} {name} {r:.4f} of what is allowed"
            for n, r in zip(model.joint_names, ratio, strict=True)
            if r > 1 + 1e-5
        ]
    tau = np.array([_torque(model, *rows) for rows in zip(q[::FINER], dq[::FINER], ddq[::FINER], strict=True)])
    ratio = np.abs(tau).max(axis=0) / (limits.effort * params.torque_fraction)
    bad += [
        f"{n} effort {r:.4f} of what is allowed" for n, r in zip(model.joint_names, ratio, strict=True) if r > 1 + 1e-5
    ]
    if distances:
        bad += too_near(model, params, q, start.q)
    return bad


def start_rows(start: Commanded) -> tuple[np.ndarray, ...]:
    return start.q, start.dq, start.ddq


def too_near(model: SafetyModel, params: SafetyParams, q: np.ndarray, q0: np.ndarray, every: int = 1) -> list[str]:
    """Pairs that come nearer than their clearance, or nearer than at a start that was inside it."""
    wanted = np.where(model.pairs.world, model.pairs.clearance, params.self_clearance_m)
    wanted = np.minimum(wanted, np.maximum(model.distances(q0) - 2e-4, 0.0))
    table = np.array([model.distances(row) for row in q[::every]])
    least = table.min(axis=0)
    return [
        f"{a} to {b} {d:.5f} m, wanted {w:.5f} m"
        for (a, b), d, w in zip(model.pairs.names, least, wanted, strict=True)
        if d < w - 1e-7
    ]


def _torque(model: SafetyModel, q: np.ndarray, dq: np.ndarray, ddq: np.ndarray) -> np.ndarray:
    """M(q) ddq + C dq + g + damping: by the mass matrix instead of the recursion the filter uses."""
    full, v, a = (f(x[None])[0] for f, x in zip((model.full_q, model.full_v, model.full_v), (q, dq, ddq), strict=True))
    data = model.pin.createData()
    mass = np.array(pin.crba(model.pin, data, full))
    mass = np.triu(mass) + np.triu(mass, 1).T
    bias = pin.nonLinearEffects(model.pin, data, full, v)
    return (mass @ a + bias + model.damping * v) @ model._spread
