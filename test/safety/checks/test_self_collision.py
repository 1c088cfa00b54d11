"""Links, and what they hold, are kept apart from each other."""

from __future__ import annotations

import numpy as np

from testing.tools import START, STICK, at_rest, make_chunk
from wam_ros.core.types import Decision, Reason


def test_a_stick_that_is_held_does_not_turn_into_the_link_before(panda, home, holding):
    holding(STICK)
    begin = home.copy()
    begin[6] = -0.8  # the stick beside link 6; half a turn on it would be inside
    q = np.tile(begin, (60, 1))
    q[:, 6] = np.linspace(-0.8, 2.6, 61)[1:]
    verdict = panda.filter(make_chunk(panda.model.joint_names, q, age=0), at_rest(begin), START)
    assert verdict.decision == Decision.TRUNCATED
    assert verdict.first.reason == Reason.SELF_COLLISION
    assert "panda_link6" in verdict.sentence
