"""Efforts between samples, however much acceleration a robot is said to bear."""

from __future__ import annotations

import dataclasses

import numpy as np

from testing.proof import fine
from testing.tools import LIMIT, START, at_rest, make_chunk, pendulum
from wam_ros.core.embodiment import Load, load_embodiment
from wam_ros.core.interpolation import evaluate, segment_coefficients
from wam_ros.core.types import Decision, Reason, SafeTrajectory
from wam_ros.robot.model import build_safety_model, load_safety_model
from wam_ros.safety.checks import torque
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.params import SafetyParams

MORE = 300  # times the accelerations and jerks of the real arm: then efforts are what binds


def test_efforts_keep_their_share_between_samples_where_nothing_else_binds():
    panda = load_embodiment("panda")
    more = {k: tuple(MORE * x for x in getattr(panda, k)) for k in ("max_acceleration", "max_jerk")}
    params = SafetyParams(tcp_speed=10.0, stop_jerk_s=0.01)
    safety = SafetyFilter(load_safety_model(dataclasses.replace(panda, **more), "empty"), params)
    model, rng, arm = safety.model, np.random.default_rng(5), np.r_[np.ones(7), 0]
    q0, emitted = np.array(panda.home) - 0.02 * np.eye(8)[7], 0
    for _ in range(25):
        q = q0 + np.cumsum(rng.normal(0, 0.01, (24, 8)) * arm, axis=0)
        t = safety.filter(
            make_chunk(model.joint_names, q, period=0.02, age=0), at_rest(q0), START
        ).trajectory
        if t is None:
            continue
        emitted += 1
        segments = segment_coefficients(t.t, t, 5)
        for s in np.linspace(0, params.sample_s, 11):
            tau = np.abs(model.torque(*evaluate(segments, np.full(len(segments), s))))
            assert (tau <= params.torque_fraction * model.limits.effort * 1.001).all()
    assert emitted > 5


def test_payload_counts(home):
    stone = {"stone": Load("panda_hand_tcp", 15.0)}
    heavy = SafetyFilter(
        build_safety_model(dataclasses.replace(load_embodiment("panda"), loads=stone))
    )
    chunk = make_chunk(heavy.model.joint_names, np.tile(home, (8, 1)))
    verdict = heavy.filter(chunk, at_rest(home), START)
    assert verdict.decision == Decision.BRAKE
    assert verdict.reasons & Reason.TORQUE
    assert verdict.reasons & Reason.NO_BRAKE
    assert verdict.trajectory is None, "not even standing still is proven, so nothing is emitted"


def test_an_effort_between_samples_counts(tmp_path):
    """At both samples the arm hardly accelerates; on the way from one to the other it must."""
    model = load_safety_model(pendulum(tmp_path))
    bounds = make_bounds(model, SafetyParams(), at_rest(np.zeros(1)))
    q, zero = np.array([[0.0], [0.002]]), np.zeros((2, 1))
    assert (np.abs(model.torque(q, zero, zero)) < 10).all()
    measure = torque.CHECK.look(Motion(q, zero, zero, dt=0.01), bounds)
    assert measure.bad[1]
    inside = model.torque(*_between(q, zero, zero))
    assert measure.measured[1] >= np.abs(inside).max() > bounds.efforts.limits[0]
    assert measure.measured[1] < 1.5 * np.abs(inside).max(), "and not much more than it is"


def test_friction_counts_until_the_joint_stands(tmp_path):
    """The nearer a joint that lifts its weight comes to rest, the less its slowing helps; at rest
    there is no friction any more.
    """
    rubbing = LIMIT + '<dynamics damping="1" friction="10"/>'
    model = load_safety_model(pendulum(tmp_path, joint=rubbing))
    bounds = make_bounds(model, SafetyParams(), at_rest(np.zeros(1)))
    left = np.array([[0.01], [0.0]])  # s until it stands
    q, dq, ddq = (100 * left**3, -300 * left**2, 600 * left)
    measure = torque.CHECK.look(Motion(q, dq, ddq, dt=0.01), bounds)
    tau = np.abs(model.torque(*_between(q, dq, ddq)))
    assert tau[1:-1].max() > 1.1 * tau[[0, -1]].max()
    assert tau.max() <= measure.measured[1] < 1.05 * tau.max()


def _between(q: np.ndarray, dq: np.ndarray, ddq: np.ndarray) -> tuple[np.ndarray, ...]:
    t = SafeTrajectory(
        start_ns=0, joint_names=("hinge",), t=np.array([0.0, 0.01]), q=q, dq=dq, ddq=ddq
    )
    return fine(t)[:3]
