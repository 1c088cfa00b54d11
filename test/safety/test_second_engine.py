"""The filter's engine and MuJoCo agree on every robot: distances of the links and efforts of a motion."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("mujoco")

from benchmark.safety_properties import ROBOTS
from benchmark.second_engine import WATCHED, SecondEngine, between
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import SafeTrajectory
from wam_ros.safety.model import SafetyModel, load_safety_model
from wam_ros.safety.motion import Motion

APART = 1e-4  # m


@pytest.fixture(scope="module", params=ROBOTS)
def both(request):
    model = load_safety_model(load_embodiment(request.param))
    return model, SecondEngine(model)


def least(model: SafetyModel, q: np.ndarray) -> dict[frozenset[str], float]:
    """Smallest distance between two links, as the filter sees it."""
    found: dict[frozenset[str], float] = {}
    for names, d in zip(model.pairs.names, model.distances(q), strict=True):
        found[frozenset(names)] = min(found.get(frozenset(names), np.inf), d)
    return found


def test_distances_agree(both):
    model, engine = both
    compared = 0
    for q in model.random_q(60, seed=2):
        ours, theirs = least(model, q), {}
        for d, _, words in engine.distances(q):
            key = frozenset(words.split(" to "))
            theirs[key] = min(theirs.get(key, np.inf), d)
        for key, d in theirs.items():
            compared += 1
            assert key in ours, "what the second engine watches, the filter watches"
            if 0 < d < WATCHED - APART and ours[key] > 0:
                assert ours[key] <= d + APART, "the filter sees nothing farther away"
            elif d <= 0:
                assert ours[key] < APART
    assert compared > 40


def test_efforts_agree(both):
    model, engine = both
    rng = np.random.default_rng(3)
    q = np.array(model.embodiment.home) + rng.normal(size=(40, len(model.joint_names))) * np.where(
        model.sliding, 0.0, 0.05
    )
    dq, ddq = rng.normal(size=q.shape), rng.normal(size=q.shape) * 5
    assert np.abs(engine.torque(q, dq, ddq) - model.torque(q, dq, ddq)).max() < 1e-9


def test_a_place_between_samples_is_the_same_by_both_formulas():
    rng = np.random.default_rng(1)
    q, dq, ddq = rng.normal(size=(3, 5, 2))
    t = SafeTrajectory(0, ("a", "b"), np.arange(5) * 0.01, q, dq, ddq)
    motion = Motion(0.01, q, dq, ddq)
    for k, u in ((0, 0.1), (2, 0.5), (3, 0.9)):
        assert np.allclose(between(t, k, u), motion.at(k, u), atol=1e-12)
