"""A chunk is slowed until no joint is faster than it may be."""

from __future__ import annotations

import pytest

from testing.proof import require_sound
from testing.tools import START, make_chunk, moving, one_joint, steps
from wam_ros.core.types import Decision, Reason


def test_a_chunk_that_is_too_fast_is_slowed_for_all_joints(panda, home):
    rate = one_joint(0, 0.25) + one_joint(6, 0.05)  # 2.5 rad/s where 1.96 rad/s are allowed
    chunk = make_chunk(panda.model.joint_names, steps(home, rate, first=-1.1))
    start = moving(home, 0.6 * rate)
    verdict = panda.filter(chunk, start, START)
    assert verdict.decision == Decision.SCALED
    assert 1.27 < verdict.scale < 1.6
    assert verdict.reasons & Reason.VELOCITY
    assert verdict.first.joint == "panda_joint1"
    assert verdict.first.unit == "rad/s"
    accepted = round(verdict.accepted_s / 0.01)
    cruise = verdict.trajectory.dq[accepted - 10]
    assert cruise[6] / cruise[0] == pytest.approx(0.2, abs=0.01), "the path is kept"
    require_sound(panda, verdict, start)
