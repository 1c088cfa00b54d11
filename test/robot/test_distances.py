"""Pairs of bodies in groups answer as one would, and what is surely far is not looked at closer."""

from __future__ import annotations

import itertools

import numpy as np
import pinocchio as pin
import pytest

from wam_ros.robot.distances import GROUP
from wam_ros.robot.model import load_safety_model
from wam_ros.robot.obstacles import Obstacle


def boxes(n, height=1.5):
    return {
        f"box{k}": Obstacle("box", (0.1, 0.1, 0.1), (0.2 * (k % 7) - 0.6, 0.2 * (k // 7), height))
        for k in range(n)
    }


@pytest.fixture
def among(model):
    """The robot among thirty boxes: several groups of pairs."""
    among = load_safety_model(model.embodiment, "empty")
    among.set_obstacles(boxes(30))
    assert len(among.pairs.names) > 2 * GROUP
    return among


def test_every_distance_and_its_nearest_points_are_those_of_all_bodies_in_one(among):
    geometry = pin.GeometryModel()
    for body in among.bodies:
        geometry.addGeometryObject(body)
    for pair in zip(among.pairs.first.tolist(), among.pairs.second.tolist(), strict=True):
        geometry.addCollisionPair(pin.CollisionPair(*pair))
    data = geometry.createData()
    for q in among.random_q(5, seed=1):
        pin.updateGeometryPlacements(
            among.pin, among.data, geometry, data, among.full_q(q[None])[0]
        )
        found = among.distances(q)
        for k in range(len(found)):
            told = pin.computeDistance(geometry, data, k)
            assert found[k] == pytest.approx(told.min_distance, abs=1e-6)
            if found[k] > 0.01:
                a, b = among.measured.nearest_points(k)
                assert np.linalg.norm(a - b) == pytest.approx(found[k], abs=1e-4)


def test_what_is_surely_beyond_is_no_nearer_than_told_and_the_rest_is_exact(among):
    far = 0.2
    beyond = np.full(len(among.pairs.names), far)
    asked = []
    for start, q in itertools.pairwise(among.random_q(8, seed=2)):
        near = start + 0.2 * (q - start)
        exact = among.distances(near)
        among.distances(start)
        looked = []
        distance = among.distance
        among.distance = lambda p, d=distance, looked=looked: looked.append(p) or d(p)
        told = among.distances(near, beyond)
        del among.distance
        np.testing.assert_allclose(told[looked], exact[looked], atol=1e-6)
        assert (told <= exact + 1e-6).all(), "a smaller number than the distance"
        assert ((told > far) == (exact > far))[looked].all()
        others = np.setdiff1d(np.arange(len(told)), looked)
        assert (told[others] > far).all()
        asked.append(len(looked))
    assert np.mean(asked) < len(beyond) / 2, "most are not looked at"


def test_what_was_far_before_the_surroundings_changed_is_looked_at_again(among, home):
    among.distances(home)
    tool = among.tool_motion(home[None], 0 * home[None])[0][0]
    near = {**boxes(30), "box0": Obstacle("box", (0.1, 0.1, 0.1), tuple(tool))}
    among.set_obstacles(near)
    beyond = np.full(len(among.pairs.names), 0.2)
    told = among.distances(home, beyond)
    assert told[among.pairs.names.index(("panda_hand", "box0"))] < 0.05


def test_obstacles_that_stay_are_not_made_anew_and_those_that_move_are(among):
    body = {b.name: b for b in among.bodies}
    among.set_obstacles({**boxes(30), "box3": boxes(30, 1.6)["box3"]})
    again = {b.name: b for b in among.bodies}
    assert again["box2"] is body["box2"]
    assert again["box3"].placement.translation[2] == pytest.approx(
        body["box3"].placement.translation[2] + 0.1
    )
    among.set_obstacles({k: v for k, v in boxes(30).items() if k != "box0"})
    assert {b.name for b in among.bodies} == set(body) - {"box0"}


def test_a_copy_answers_the_same_and_whoever_asks_it_moves_nothing_here(among, home):
    q = among.random_q(1, seed=3)[0]
    among.distances(home)
    before = [among.distance(k) for k in range(len(among.pairs.names))]
    with among.untraced():
        np.testing.assert_allclose(among.distances(home), before, atol=1e-5)
        among.distances(q)
    np.testing.assert_allclose([among.distance(k) for k in range(len(before))], before, atol=1e-5)
