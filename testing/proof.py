"""Looks at an emitted trajectory ten times finer than the filter did, and by other formulas."""

from __future__ import annotations

import numpy as np
import pinocchio as pin

from wam_ros.core.types import KinematicState, SafeTrajectory
from wam_ros.robot.model import SafetyModel
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.params import SafetyParams
from wam_ros.safety.verdict import Verdict

FINER = 10
SHARES = np.linspace(0.0, 1.0, FINER + 1)
TOLERANCE = 1e-5  # share of a limit
_MONOMIALS = np.vander(SHARES, 6, increasing=True)
# coefficients of a polynomial -> of its derivative, lowest power first
_SLOPE = np.diag(np.arange(1.0, 6.0), 1)


def _rows_at(u: float) -> list[np.ndarray]:
    row = u ** np.arange(6.0)
    return [row @ np.linalg.matrix_power(_SLOPE, k) for k in range(3)]


_FROM_ENDS = np.linalg.inv(np.array(_rows_at(0.0) + _rows_at(1.0)))


def fine(trajectory: SafeTrajectory) -> tuple[np.ndarray, ...]:
    """q, dq, ddq, dddq (M, A) of the quintic interpolation, both ends of each interval and FINER -
    1 between them.
    """
    h = np.diff(trajectory.t)[:, None]
    derivatives = (trajectory.q, trajectory.dq * _one(h), trajectory.ddq * _one(h) ** 2)
    ends = np.stack([d[:-1] for d in derivatives] + [d[1:] for d in derivatives])
    # (6, N - 1, A), in shares of the interval
    coefficients = np.tensordot(_FROM_ENDS, ends, axes=1)
    out = []
    for order in range(4):
        values = np.tensordot(_MONOMIALS, coefficients, axes=1) / h[None] ** order
        out.append(values.transpose(1, 0, 2).reshape(-1, values.shape[2]))
        coefficients = np.tensordot(_SLOPE, coefficients, axes=1)
    return tuple(out)


def _one(h: np.ndarray) -> float:
    """The interval, which is the same throughout."""
    if np.ptp(h) > 1e-9:
        raise ValueError("samples are not evenly spaced")
    return float(h[0, 0])


def offences(
    model: SafetyModel,
    params: SafetyParams,
    trajectory: SafeTrajectory,
    start: KinematicState,
    distances: bool = True,
) -> list[str]:
    """What is wrong with a trajectory; empty when it may leave."""
    bad = []
    if not np.all(np.diff(trajectory.t) > 0) or trajectory.t[0] != 0.0:
        bad.append("times do not rise from zero")
    if np.any(trajectory.dq[-1] != 0) or np.any(trajectory.ddq[-1] != 0):
        bad.append("does not end at rest")
    for name, found, wanted in zip(
        ("q", "dq", "ddq"),
        (trajectory.q, trajectory.dq, trajectory.ddq),
        start.arrays,
        strict=True,
    ):
        if not np.array_equal(found[0], wanted):
            bad.append(f"{name} does not begin in the commanded state")
    q, dq, ddq, dddq = fine(trajectory)
    limits = model.limits
    margin = np.where(model.sliding, params.position_margin_m, params.position_margin_rad)
    low, high = (
        np.minimum(limits.lower + margin, start.q),
        np.maximum(limits.upper - margin, start.q),
    )
    worst = np.max(np.maximum(low - q, q - high), axis=0)
    bad += [
        f"{n} leaves its range by {w:.2e}"
        for n, w in zip(model.joint_names, worst, strict=True)
        if w > 1e-8
    ]
    for name, value, allowed in (
        ("velocity", dq, limits.velocity * params.velocity_fraction),
        ("acceleration", ddq, limits.acceleration * params.acceleration_fraction),
        ("jerk", dddq, limits.jerk * params.jerk_fraction),
    ):
        bad += beyond(model, name, value, allowed)
    tau = _torque(model, trajectory.q, trajectory.dq, trajectory.ddq)
    bad += beyond(model, "effort", tau, limits.effort * params.torque_fraction)
    if distances:
        bad += too_near(model, params, q, start.q)
    return bad


def beyond(model: SafetyModel, name: str, value: np.ndarray, allowed: np.ndarray) -> list[str]:
    """Joints whose value (N, A) is beyond what is allowed (A,)."""
    ratio = np.abs(value).max(axis=0) / allowed
    return [
        f"{n} {name} {r:.6f} of what is allowed"
        for n, r in zip(model.joint_names, ratio, strict=True)
        if not r <= 1 + TOLERANCE
    ]


def too_near(
    model: SafetyModel, params: SafetyParams, q: np.ndarray, q0: np.ndarray, every: int = 1
) -> list[str]:
    """Pairs that come nearer than their clearance, or nearer than at a start that was inside it."""
    wanted = np.where(model.pairs.own_clearance, model.pairs.clearance, params.self_clearance_m)
    wanted = np.minimum(wanted, np.maximum(model.distances(q0) - 2e-4, 0.0))
    table = np.array([model.distances(row) for row in q[::every]])
    least = table.min(axis=0)
    return [
        f"{a} to {b} {d:.5f} m, wanted {w:.5f} m"
        for (a, b), d, w in zip(model.pairs.names, least, wanted, strict=True)
        if d < w - 1e-7
    ]


def _torque(model: SafetyModel, q: np.ndarray, dq: np.ndarray, ddq: np.ndarray) -> np.ndarray:
    """(N, A) by M(q) ddq + C dq + g: by the mass matrix instead of the recursion the filter uses;
    with damping and friction, or with none of both, whichever asks for more.
    """
    full, v, a = model.full_q(q), model.full_v(dq), model.full_v(ddq)
    data, tau = model.pin.createData(), np.empty_like(v)
    mass = np.empty((*v.shape, v.shape[1]))
    for k, (pose, speed) in enumerate(zip(full, v, strict=True)):
        mass[k] = pin.crba(model.pin, data, pose)
        tau[k] = pin.nonLinearEffects(model.pin, data, pose, speed)
    # the lower triangle is not always filled in
    upper = np.triu(mass)
    whole = upper + np.triu(mass, 1).swapaxes(1, 2)
    tau += (whole @ a[:, :, None])[:, :, 0]
    against = model.pin.damping * v + model.pin.upperDryFrictionLimit * np.sign(v)
    return _worse(tau @ model._spread, against @ model._spread)


def _worse(free: np.ndarray, against: np.ndarray) -> np.ndarray:
    """Efforts without or with what holds a joint back, whichever are larger."""
    return np.where(np.abs(free + against) > np.abs(free), free + against, free)


def require_sound(safety: SafetyFilter, verdict: Verdict, start: KinematicState) -> None:
    """Whatever was decided, what leaves is proven."""
    if verdict.trajectory is not None:
        assert offences(safety.model, safety.params, verdict.trajectory, start) == []
