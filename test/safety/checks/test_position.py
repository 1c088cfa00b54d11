"""No joint leaves its limits: a step outside is moved to them or cut, where it can still stop."""

from __future__ import annotations

import numpy as np
import pytest

from testing.tools import START, at_rest, make_chunk, moving, one_joint, steps
from wam_ros.core.types import Decision, Reason
from wam_ros.robot.model import load_safety_model
from wam_ros.safety.filter import SafetyFilter


def test_a_step_a_little_outside_is_moved_to_the_limit_for_the_record(panda, home):
    q = np.tile(home, (8, 1))
    q[3, 7] = 0.0415
    verdict = panda.filter(make_chunk(panda.model.joint_names, q), at_rest(home), START)
    assert verdict.decision == Decision.PASS
    assert verdict.reasons == Reason.POSITION
    assert "panda_finger_joint1 moved by 0.0015 m" in verdict.sentence
    assert verdict.trajectory.q[:, 7].max() <= 0.04


def test_a_step_far_outside_is_cut_and_named(panda, home):
    q = np.tile(home, (8, 1))
    q[5, 7] = 0.06
    verdict = panda.filter(make_chunk(panda.model.joint_names, q), at_rest(home), START)
    assert verdict.decision == Decision.TRUNCATED
    assert verdict.steps_accepted <= 5
    assert verdict.reasons & Reason.POSITION
    assert verdict.first.joint == "panda_finger_joint1"
    assert verdict.first.allowed == pytest.approx(0.04)
    assert len(verdict.refused) == 8 - verdict.steps_accepted


def test_a_joint_that_runs_into_its_limit_is_cut_where_it_can_still_stop(panda, home):
    q0 = home + one_joint(1, 1.0)  # joint 2: 0.7 rad, limit 1.7628 rad
    model = panda.model
    free = load_safety_model(model.embodiment, "empty")
    rate = one_joint(0, 0.15)
    q0 = home + one_joint(0, 2.0)  # limit 2.8973 rad, margin 0.02 rad
    verdict = SafetyFilter(free).filter(
        make_chunk(free.joint_names, steps(q0, rate)), moving(q0, rate), START
    )
    assert verdict.decision == Decision.TRUNCATED
    end = verdict.trajectory.q[-1, 0]
    assert 2.6 < end < 2.8773
    assert verdict.reasons & Reason.POSITION


def test_a_start_inside_a_margin_may_leave_it_but_not_go_deeper(panda, home):
    q0 = home + one_joint(0, 2.89)  # hard limit 2.8973, margin 0.02
    outward, inward = one_joint(0, 0.002), one_joint(0, -0.01)
    names = panda.model.joint_names
    assert (
        panda.filter(make_chunk(names, steps(q0, inward)), at_rest(q0), START).decision
        == Decision.PASS
    )
    verdict = panda.filter(make_chunk(names, steps(q0, 8 * outward)), at_rest(q0), START)
    assert verdict.trajectory is None or verdict.trajectory.q[:, 0].max() <= q0[0] + 1e-9
