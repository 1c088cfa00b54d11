"""Efforts between samples, however much acceleration a robot is said to bear."""

from __future__ import annotations

import dataclasses

import numpy as np

from testing.tools import START, at_rest, make_chunk
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.interpolation import evaluate, segment_coefficients
from wam_ros.robot.model import load_safety_model
from wam_ros.safety.filter import SafetyFilter
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
        segments = segment_coefficients(t.t, t.q, t.dq, t.ddq, 5)
        for s in np.linspace(0, params.sample_s, 11):
            tau = np.abs(model.torque(*evaluate(segments, np.full(len(segments), s))))
            assert (tau <= params.torque_fraction * model.limits.effort * 1.001).all()
    assert emitted > 5
