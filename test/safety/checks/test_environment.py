"""What stands around the robot is never touched, and may be left again."""

from __future__ import annotations

import numpy as np

from testing.proof import require_sound
from testing.tools import START, at_rest, downwards, make_chunk
from wam_ros.core.types import Decision, Reason
from wam_ros.safety.machine.playback import sample_trajectory


def test_the_table_is_never_touched(panda, home):
    q0, rows = downwards(panda.model, home, tip=0.10, speed=0.025)
    verdict = panda.filter(make_chunk(panda.model.joint_names, rows), at_rest(q0), START)
    assert verdict.decision == Decision.TRUNCATED
    assert verdict.reasons & Reason.ENV_COLLISION
    assert "of table" in verdict.first.words
    least = min(
        panda.model.distances(q)[panda.model.pairs.world].min() for q in verdict.trajectory.q[::2]
    )
    assert 0.004 <= least < 0.06, "and comes down as far as it can still stop"
    assert "table" in verdict.sentence
    require_sound(panda, verdict, at_rest(q0))


def test_a_stream_that_presses_down_stays_above_the_table_and_can_leave_again(panda, home):
    q0, rows = downwards(panda.model, home, tip=0.03, speed=0.012)
    state, now = at_rest(q0), START
    names = panda.model.joint_names
    for seq in range(12):
        verdict = panda.filter(make_chunk(names, rows, age=0, now=now, seq=seq), state, now)
        require_sound(panda, verdict, state)
        now += 100_000_000
        if verdict.trajectory is not None:
            state = sample_trajectory(verdict.trajectory, now)
    assert verdict.decision in (Decision.TRUNCATED, Decision.BRAKE, Decision.REJECT)
    state = at_rest(verdict.trajectory.q[-1])
    table = panda.model.distances(state.q)[panda.model.pairs.world].min()
    assert 0.005 <= table < 0.02, (
        "a millimetre more than the clearance, to have room for the way back"
    )
    up = state.q + np.outer(np.linspace(0.1, 1, 8), q0 - state.q)
    verdict = panda.filter(make_chunk(names, up, now=now), state, now)
    assert verdict.decision == Decision.PASS
