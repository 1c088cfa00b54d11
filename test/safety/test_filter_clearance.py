"""Two links may be told a clearance of their own: it is kept, no less and no more, and said."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from test.robot.chain import chain
from testing.proof import offences
from testing.tools import START, at_rest, make_chunk
from wam_ros.core.errors import WamError
from wam_ros.core.types import Decision, Reason
from wam_ros.robot.model import SafetyModel, build_safety_model, load_safety_model
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.params import SafetyParams


def folded(model: SafetyModel, gap: float) -> tuple[float, tuple[str, str]]:
    """Angle of both last joints at which the nearest links are `gap` m apart, and these links."""
    low, high = 0.5, 2.5
    for _ in range(50):
        middle = (low + high) / 2
        if model.distances(np.array([0.0, middle, middle])).min() > gap:
            low = middle
        else:
            high = middle
    at = model.distances(np.array([0.0, low, low]))
    return low, model.pairs.names[int(at.argmin())]


@pytest.mark.parametrize(
    ("gap", "told", "ordinary", "own"),
    [
        (0.003, 0.001, Decision.TRUNCATED, Decision.PASS),
        (0.02, 0.03, Decision.PASS, Decision.TRUNCATED),
    ],
)
def test_the_clearance_that_is_told_counts_for_these_two_links(tmp_path, gap, told, ordinary, own):
    robot = chain(tmp_path)
    plain = load_safety_model(robot)
    angle, links = folded(plain, gap)
    key = ", ".join(links)
    model = load_safety_model(dataclasses.replace(robot, clearance={key: told}))
    assert f"kept apart by a measure of their own: {key} by {told * 1e3:g} mm" in model.warnings
    u = np.arange(1, 9) / 8
    u = 10 * u**3 - 15 * u**4 + 6 * u**5
    start = np.array([0.0, angle - 0.2, angle - 0.2])
    path = start + np.outer(u, [0.0, 0.2, 0.2])
    for judge, expected in ((plain, ordinary), (model, own)):
        chunk = make_chunk(judge.joint_names, path, age=0)
        verdict = SafetyFilter(judge).filter(chunk, at_rest(start), START)
        assert verdict.decision == expected, verdict.sentence
        assert offences(judge, SafetyParams(), verdict.trajectory, at_rest(start)) == []
        if expected == Decision.TRUNCATED:
            assert verdict.reasons & Reason.SELF_COLLISION
    ways = verdict.trajectory.q
    assert min(model.distances(q).min() for q in ways) >= told


def test_however_little_is_told_links_do_not_touch(tmp_path):
    robot = chain(tmp_path)
    _, links = folded(build_safety_model(robot), 0.003)
    model = load_safety_model(dataclasses.replace(robot, clearance={", ".join(links): 5e-4}))
    angle, _ = folded(model, -0.01)
    start = np.array([0.0, angle - 0.3, angle - 0.3])
    path = start + np.outer(np.arange(1, 9) / 8, [0.0, 0.3, 0.3])
    chunk = make_chunk(model.joint_names, path, age=0)
    verdict = SafetyFilter(model).filter(chunk, at_rest(start), START)
    assert verdict.decision == Decision.TRUNCATED
    assert min(model.distances(q).min() for q in verdict.trajectory.q) >= 5e-4


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"l1": 0.001}, "clearance of 'l1': name two links"),
        ({"l1, l4": 0.001}, "unknown link of clearance 'l4'"),
        ({"l1, l2": 0.001}, "clearance of 'l1, l2': they are not watched against each other"),
        ({"l1, l3": 0.0}, "clearance of 'l1, l3' must be 0.0005 to 0.2 m, found 0"),
        ({"l1, l3": 0.001, "l3,l1": 0.002}, "clearance of 'l3,l1' is told twice"),
    ],
)
def test_a_clearance_that_makes_no_sense_is_refused_by_name(tmp_path, told, words):
    with pytest.raises(WamError, match=words):
        build_safety_model(chain(tmp_path, clearance=told))
