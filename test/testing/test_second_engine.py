"""The filter's engine and MuJoCo agree on every robot: distances of the links and efforts of a
motion.
"""

from __future__ import annotations

import dataclasses
import itertools
import re

import numpy as np
import pytest

pytest.importorskip("mujoco")

from testing.properties import ROBOTS
from testing.second_engine import ACCURACY, WATCHED, SecondEngine, between
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import SafeTrajectory
from wam_ros.robot.model import SafetyModel, load_safety_model
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.params import SafetyParams

APART = 1e-4  # m


def of_meshes(folder):
    """An SO-101 of which some boxes are mesh files and all joints rub, as descriptions of others
    have them.
    """
    so101 = load_embodiment("so101")
    rubbing = '<dynamics damping="0.2" friction="0.1"/><limit'
    text = so101.urdf_path.read_text().replace("<limit", rubbing)
    for k, size in enumerate(sorted(set(re.findall('<box size="([^"]*)"/>', text)))[:3]):
        half = np.array([float(s) for s in size.split()]) / 2
        corners = half * np.array(list(itertools.product((-1, 1), repeat=3)))
        sides = "124 143 568 587 126 165 348 387 137 175 248 286"
        lines = ["v {} {} {}".format(*c) for c in corners]
        lines += [f"f {' '.join(side)}" for side in sides.split()]
        (folder / f"{k}.obj").write_text("\n".join(lines))
        text = text.replace(f'<box size="{size}"/>', f'<mesh filename="{k}.obj"/>')
    (folder / "so101.urdf").write_text(text)
    return dataclasses.replace(so101, urdf=str(folder / "so101.urdf"))


@pytest.fixture(scope="module", params=(*ROBOTS, "meshes"))
def both(request, tmp_path_factory):
    if request.param == "meshes":
        robot = of_meshes(tmp_path_factory.mktemp("meshes"))
    else:
        robot = load_embodiment(request.param)
    model = load_safety_model(robot)
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


def test_no_body_moves_farther_than_the_reach_of_the_joints_says(both):
    model, engine = both
    rng = np.random.default_rng(4)
    for q in model.random_q(20, seed=4):
        other = q + rng.normal(size=q.shape) * np.where(model.sliding, 0.003, 0.3)
        before, after = engine.pose(q), engine.pose(other)
        allowed = np.abs(engine.spread @ (other - q)) @ engine.reach
        assert 0 < np.linalg.norm(after - before, axis=1).max() <= allowed


def test_what_advancement_leaves_out_is_far_enough(both):
    """The same words as from looking at every place, for motions that come too near and for those
    that do not.
    """
    model, engine = both
    params, rng, seen = SafetyParams(), np.random.default_rng(6), set()
    poses = model.random_q(24, seed=6)
    for k, (a, b) in enumerate(zip(poses[::2], poses[1::2], strict=True)):
        a = a if k % 2 else np.array(model.embodiment.home)
        b = a + (b - a) * rng.uniform(0.02, 1)
        share = np.linspace(0, 1, 12)[:, None]
        q = a + (b - a) * share**3 * (10 - 15 * share + 6 * share**2)
        t = SafeTrajectory(
            start_ns=0,
            joint_names=model.joint_names,
            t=np.arange(12) * 0.1,
            q=q,
            dq=np.gradient(q, 0.1, axis=0),
            ddq=0 * q,
        )
        places = [*between(t, np.arange(10) / 10).reshape(-1, q.shape[1]), q[-1]]
        spare = [
            d - (w or params.self_clearance_m)
            for row in places
            for d, w, _ in engine.distances(row)
        ]
        worst, found = min(spare, default=1.0), engine.too_near(t, params)
        seen.add(bool(found))
        assert bool(found) == (worst < -ACCURACY)
        assert not found or f"{-worst:.6f}" in found
    assert seen == {True, False}


def test_a_place_between_samples_is_the_same_by_both_formulas():
    rng = np.random.default_rng(1)
    q, dq, ddq = rng.normal(size=(3, 5, 2))
    t = SafeTrajectory(
        start_ns=0, joint_names=("a", "b"), t=np.arange(5) * 0.01, q=q, dq=dq, ddq=ddq
    )
    motion = Motion(q, dq, ddq, dt=0.01)
    for k, u in ((0, 0.1), (2, 0.5), (3, 0.9)):
        assert np.allclose(between(t, np.array([0.0, u]))[k, 1], motion.at(k, u), atol=1e-12)
