"""The sentence of an answer names what decided it, and the bodies that are nearest to what is
executed.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.hostile import random_path, random_pose
from testing.tools import START, at_rest, make_chunk
from wam_ros.core.types import Decision, Reason, SafetyState


def test_a_chunk_that_was_slowed_and_then_cut_says_both_and_what_cut_it_first(panda, home):
    q = np.tile(home, (8, 1))
    q[:, 0] += 0.02 * np.arange(8) ** 2
    q[5, 7] = 0.06
    verdict = panda.filter(make_chunk(panda.model.joint_names, q), at_rest(home), START)
    assert verdict.decision == Decision.TRUNCATED
    assert verdict.scale > 1.0
    assert verdict.reasons & Reason.VELOCITY
    assert verdict.reasons & Reason.POSITION
    assert (verdict.first.joint, verdict.first.step) == (
        "panda_finger_joint1",
        verdict.steps_accepted,
    )
    assert verdict.slowed.joint == "panda_joint1"
    slowed, _, cut = verdict.sentence.partition(": ")
    assert f"slowed {verdict.scale:.2f} times (panda_joint1 velocity" in slowed
    assert cut.startswith("panda_finger_joint1 position ")
    assert f"at step {verdict.steps_accepted}, allowed 0.04 m; then stops in " in cut
    report = verdict.report(START, 7, SafetyState.ARMED, 0.5)
    assert (report.first_joint, report.first_step, report.unit) == (
        "panda_finger_joint1",
        verdict.first.step,
        "m",
    )


def test_steps_that_were_dropped_do_not_say_why_the_others_are_slow(panda, home):
    q = np.tile(home, (8, 1))
    q[4:, 0] += 40.0
    verdict = panda.filter(make_chunk(panda.model.joint_names, q), at_rest(home), START)
    assert verdict.decision == Decision.TRUNCATED
    assert verdict.steps_accepted == 4
    assert verdict.slowed is None
    assert "slowed" not in verdict.sentence
    assert verdict.first.joint == "panda_joint1"


def test_an_answer_without_a_step_names_the_nearest_pair_of_its_stop(panda, home):
    q = home[None] + 0.01
    verdict = panda.filter(
        make_chunk(panda.model.joint_names, q, age=99_000_000), at_rest(home), START
    )
    assert verdict.decision == Decision.BRAKE
    distances = panda.model.distances(home)
    assert verdict.nearest_pair == panda.model.pairs.names[int(distances.argmin())]
    assert (
        f"nearest {' to '.join(verdict.nearest_pair)} {distances.min():.3f} m" in verdict.sentence
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_nearest_is_of_what_is_executed(panda, seed):
    """It is no farther than at the start, and the named bodies come that near somewhere along the
    trajectory.
    """
    rng = np.random.default_rng(seed)
    start = at_rest(random_pose(panda.model, rng))
    path = random_path(panda.model, rng, start.q, int(rng.choice([2, 8, 24])))
    verdict = panda.filter(make_chunk(panda.model.joint_names, path), start, START)
    if verdict.trajectory is None:
        return
    # one link may hold several bodies
    named = [names == verdict.nearest_pair for names in panda.model.pairs.names]
    along = np.array([panda.model.distances(q) for q in verdict.trajectory.q])
    assert verdict.nearest_distance <= along[0].min() + 1e-9
    assert verdict.nearest_distance >= along.min() - 1e-4
    assert along[:, named].min() <= verdict.nearest_distance + 1e-4
