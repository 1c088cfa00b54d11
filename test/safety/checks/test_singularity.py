"""A singularity is not entered but may be left."""

from __future__ import annotations

from testing.tools import START, at_rest, make_chunk, one_joint, steps
from wam_ros.core.types import Decision, Reason
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.params import SafetyParams


def test_a_singularity_is_not_entered_but_may_be_left(panda, home):
    careful = SafetyFilter(panda.model, SafetyParams(singularity=0.08))
    stretch = one_joint(3, 0.08)  # straightens the elbow
    verdicts, q = [], home + one_joint(3, 1.3) + one_joint(1, 0.3)
    for direction in (1, -1):
        chunk = make_chunk(panda.model.joint_names, steps(q, direction * stretch))
        verdicts.append(careful.filter(chunk, at_rest(q), START))
    assert verdicts[0].reasons & Reason.SINGULARITY
    assert verdicts[0].decision in (Decision.TRUNCATED, Decision.BRAKE)
    assert verdicts[1].decision == Decision.PASS
