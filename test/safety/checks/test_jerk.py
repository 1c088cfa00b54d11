"""A robot that bears little jerk gets little."""

from __future__ import annotations

import dataclasses

from testing.proof import require_sound
from testing.tools import START, at_rest, make_chunk, one_joint, steps
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import Decision, Reason
from wam_ros.robot.model import load_safety_model
from wam_ros.safety.filter import SafetyFilter


def test_a_robot_that_bears_little_jerk_gets_little(home):
    gentle = dataclasses.replace(load_embodiment("panda"), max_jerk=(60.0,) * 7 + (4.0,))
    panda = SafetyFilter(load_safety_model(gentle))
    reasons, slowed = Reason.NONE, 0
    for rate in (one_joint(0, 0.01), one_joint(0, 0.03) + one_joint(3, 0.03), one_joint(0, 0.08)):
        verdict = panda.filter(
            make_chunk(panda.model.joint_names, steps(home, rate)), at_rest(home), START
        )
        assert verdict.trajectory is not None
        require_sound(panda, verdict, at_rest(home))
        reasons |= verdict.reasons
        slowed += verdict.decision == Decision.SCALED
    assert reasons & Reason.JERK
    assert slowed > 0
