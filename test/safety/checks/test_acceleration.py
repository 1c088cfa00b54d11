"""A chunk is slowed until no joint is accelerated more than it may be."""

from __future__ import annotations

import numpy as np
import pytest

from testing.motions import DT
from testing.proof import require_sound
from testing.tools import START, at_rest, make_chunk
from wam_ros.core.types import Decision, Reason
from wam_ros.safety.checks.acceleration import CHECK
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.params import SafetyParams


def bent(home: np.ndarray, acceleration: np.ndarray, n: int = 6) -> Motion:
    """From home at rest with a constant acceleration (8,)."""
    t = DT * np.arange(n)[:, None]
    return Motion(
        home + t**2 / 2 * acceleration, t * acceleration, np.tile(acceleration, (n, 1)), dt=DT
    )


def test_a_chunk_that_turns_too_sharply_is_slowed_and_the_joint_named(panda, home):
    """From one side to the other and back; slow enough for the speed, not for the turn."""
    rate = 0.09 * np.eye(8)[0]
    turn = np.cumsum([1, 1, 1, -1, -1, -1, 1, 1])
    chunk = make_chunk(panda.model.joint_names, home + np.outer(turn, rate))
    verdict = panda.filter(chunk, at_rest(home), START)
    assert verdict.decision == Decision.SCALED
    assert verdict.reasons & Reason.ACCELERATION
    require_sound(panda, verdict, at_rest(home))
    used = np.abs(verdict.trajectory.ddq).max(axis=0) / panda.model.limits.acceleration
    assert used.max() <= panda.params.acceleration_fraction * (1 + 1e-6)


@pytest.mark.parametrize("share", [0.999, 1.001])
@pytest.mark.parametrize("joint", [0, 6, 7])
def test_exactly_what_is_allowed_passes(model, home, joint, share):
    bounds = make_bounds(model, SafetyParams(), at_rest(home))
    allowed = bounds.joints.acceleration[joint]
    measure = CHECK.look(bent(home, share * allowed * np.eye(8)[joint]), bounds)
    assert not measure.bad[0]
    assert measure.bad[1:].all() == measure.bad[1:].any() == (share > 1)
    assert measure.measured[1:] == pytest.approx(share * allowed)
    assert set(measure.subject[1:]) == {joint}
    assert measure.unit(1) == ("m/s^2" if joint == 7 else "rad/s^2")


def test_slowing_helps_by_the_square():
    assert CHECK.power == 2


def test_what_is_accelerated_between_samples_only_is_seen(model, home):
    """At both samples it does not accelerate at all; on the way from one to the other it must."""
    q = np.stack((home, home + 0.01 * np.eye(8)[2]))
    bounds = make_bounds(model, SafetyParams(), at_rest(home))
    measure = CHECK.look(Motion(q, 0 * q, 0 * q, dt=DT), bounds)
    assert measure.bad[1]
    # a quintic from rest to rest accelerates by 10 / sqrt(3) of way over time squared
    assert measure.measured[1] >= 10 / np.sqrt(3) * 0.01 / DT**2 * (1 - 1e-9)
