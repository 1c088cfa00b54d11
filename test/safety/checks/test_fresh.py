"""A chunk of another time, or from images of another time, is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from testing.rig import LEAD_NS, TURN
from testing.tools import START, at_rest, make_chunk
from wam_ros.core.types import NS, Decision, Reason
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.params import SafetyParams

from .conftest import judge


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"anchor_ns": START - 10 * 10**9}, Reason.STALE),
        ({"anchor_ns": START + 10**9}, Reason.FUTURE),
        ({"anchor_ns": START - 800_000_001}, Reason.STALE),
        ({"observation_ns": START - 10 * 10**9}, Reason.CAMERA_STALE),
        ({"observation_ns": START + 10 * 10**9}, Reason.CAMERA_STALE),
    ],
)
def test_a_chunk_of_another_time_is_refused(panda, home, good, change, reason):
    assert judge(panda, home, dataclasses.replace(good, **change)).reasons == reason


def old(home, panda, age_s, still_s, **params):
    """The answer to a chunk that was thought about for `age_s` by an arm that stood for
    `still_s`; None: it moves.
    """
    asked = SafetyFilter(panda.model, SafetyParams(**params)) if params else panda
    now = START - LEAD_NS
    steps = home + np.outer(np.arange(1, 9), TURN)
    chunk = make_chunk(panda.model.joint_names, steps, age=0, now=now)
    chunk = dataclasses.replace(chunk, observation_ns=now - round(age_s * NS))
    since = None if still_s is None else now - round(still_s * NS)
    return asked.filter(chunk, at_rest(home), START, still_since_ns=since)


def test_what_was_seen_of_an_arm_that_stood_still_since_may_be_older(panda, home):
    assert old(home, panda, 3.0, 3.0).decision == Decision.PASS
    assert old(home, panda, 9.9, 60.0).decision == Decision.PASS


@pytest.mark.parametrize(
    ("age_s", "still_s", "words"),
    [
        (3.0, 2.999, "allowed 2.0 s, or think_s (10.0 s) of an arm that stands still, but it has"),
        (3.0, None, "of an arm that stands still, but it moves: a policy that thinks so long"),
        (10.1, 60.0, "10.100 s old, allowed 10.0 s (think_s) of an arm that stands still"),
        (-0.2, 60.0, "made from an observation -0.200 s old"),
    ],
)
def test_what_was_seen_of_an_arm_that_moved_since_is_refused(panda, home, age_s, still_s, words):
    verdict = old(home, panda, age_s, still_s)
    assert verdict.reasons == Reason.CAMERA_STALE
    assert words in verdict.sentence


def test_without_think_s_an_old_observation_is_refused_however_still_the_arm(panda, home):
    assert old(home, panda, 3.0, 9.0, think_s=0.0).reasons == Reason.CAMERA_STALE
    assert old(home, panda, 1.9, None, think_s=0.0).decision == Decision.PASS


def test_a_slow_policy_is_told_how_it_is_run(panda, home, good):
    verdict = judge(panda, home, dataclasses.replace(good, anchor_ns=START - 4 * NS))
    assert "looks while the arm stands and anchors its chunk at the moment it sends it" in (
        verdict.sentence
    )
