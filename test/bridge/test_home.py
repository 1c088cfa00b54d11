"""The way home is a chunk inside the limits that the filter passes when nothing is in the way."""

import numpy as np
import pytest

from wam_ros.bridge.gate import load_gate_limits
from wam_ros.bridge.home import make_home_chunk
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import NS, Decision, KinematicState
from wam_ros.robot.model import load_safety_model
from wam_ros.safety.filter import SafetyFilter

PANDA = load_embodiment("panda")
HOME = np.array(PANDA.home)
LIMITS = load_gate_limits(PANDA, 0.02, 0.005)
NOW = 10**18


@pytest.mark.parametrize("speed", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("off", [0.0, 1e-6, 0.3, -0.6])
def test_it_ends_at_home_inside_its_share_of_the_limits(speed, off):
    q0 = HOME + off * np.array([1, 1, 1, 0.5, 1, -1, 1, -0.03])
    chunk = make_home_chunk(
        embodiment=PANDA,
        limits=LIMITS,
        q0=q0,
        speed=speed,
        now_ns=NOW,
        session_id=bytes(16),
        seq=7,
    )
    np.testing.assert_allclose(chunk.positions[-1], HOME, atol=1e-12)
    assert not chunk.velocities[-1].any()
    assert 4 <= chunk.n_steps <= 512
    dt = chunk.step_period_ns / NS
    q = np.vstack((q0, chunk.positions))
    assert (np.abs(chunk.velocities) <= speed * LIMITS.velocity * 1.001).all()
    assert (
        np.abs(np.diff(q, 2, axis=0)) <= speed * np.array(PANDA.max_acceleration) * dt**2 * 1.01
    ).all()


def test_the_filter_passes_it():
    judge = SafetyFilter(load_safety_model(PANDA))
    q0 = HOME + np.array([0.4, 0.2, -0.3, 0.2, 0.3, 0.2, -0.4, 0.0])
    chunk = make_home_chunk(
        embodiment=PANDA,
        limits=LIMITS,
        q0=q0,
        speed=0.2,
        now_ns=NOW,
        session_id=bytes(16),
        seq=7,
    )
    verdict = judge.filter(chunk, KinematicState(q0, q0 * 0, q0 * 0), NOW + 60_000_000, now_ns=NOW)
    assert verdict.decision in (Decision.PASS, Decision.SCALED), verdict.sentence
    np.testing.assert_allclose(verdict.trajectory.q[-1], HOME, atol=2e-3)
