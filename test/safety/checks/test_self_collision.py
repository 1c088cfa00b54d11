"""Links, and what they hold, are kept apart from each other."""

from __future__ import annotations

import numpy as np

from testing.proof import require_sound
from testing.tools import START, STICK, at_rest, make_chunk, one_joint, steps
from wam_ros.core.types import Decision, Reason
from wam_ros.safety.machine.playback import sample_trajectory


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


def test_links_are_kept_apart(panda, home):
    """Folding the elbow brings the hand to the base."""
    rate = one_joint(3, -0.09) + one_joint(1, -0.03)
    start = home + one_joint(3, -0.2) + one_joint(5, -1.0)
    q, state, now, reasons = start, at_rest(start), START, Reason.NONE
    for seq in range(8):
        verdict = panda.filter(
            make_chunk(panda.model.joint_names, steps(q, rate), age=0, now=now, seq=seq), state, now
        )
        require_sound(panda, verdict, state)
        reasons |= verdict.reasons
        if verdict.trajectory is None:
            break
        now += 400_000_000
        state = sample_trajectory(verdict.trajectory, now)
        q = state.q
    assert reasons & (Reason.SELF_COLLISION | Reason.POSITION)
