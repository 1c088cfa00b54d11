"""Joints that joint states tell: the robot is one that stands where they are."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from wam_ros.core.errors import WamError
from wam_ros.robot.model import build_safety_model, load_safety_model
from wam_ros.robot.obstacles import Obstacle

from .chain import LIMIT, chain, joint, link

# an arm on a waist on a lift, and a head on a neck that a tail follows
BODY = '<link name="floor"/>' + joint(
    "lift",
    "floor",
    "column",
    "0 0 1",
    "prismatic",
    '<limit lower="0" upper="0.4" velocity="0.1" effort="500"/>',
)
BODY += link("column") + joint("waist", "column", "base", "1 0 0")
BESIDE = joint("neck", "column", "head", "1 0 0", more=LIMIT)
BODY += link("head") + BESIDE.replace("0 0 0.3", "0 0.5 0.2")
BODY += link("tail") + joint(
    "wag", "head", "tail", "0 1 0", more=LIMIT + '<mimic joint="neck" multiplier="-0.5"/>'
)
PLACES = {"lift": 0.1, "waist": 0.0, "neck": 0.3}
LID = {"lid": Obstacle("box", (4.0, 4.0, 0.1), (0.0, 0.0, 3.0), clearance=0.05)}


def robot(folder, **keys):
    base = '<link name="base"><inertial><mass value="1"/><inertia ixx="0.1" iyy="0.1" izz="0.1" '
    base += 'ixy="0" ixz="0" iyz="0"/></inertial></link>'
    made = chain(folder, {"base": base}, more=BODY, **keys)
    return dataclasses.replace(made, base_frame="floor")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("waist")
    sensed = load_safety_model(robot(folder, sensed=PLACES))
    sensed.set_obstacles(LID)

    def parked(positions):
        places = dict(zip(PLACES, positions.tolist(), strict=True))
        model = build_safety_model(robot(folder, parked=places))
        model.set_obstacles(LID)
        return model

    return sensed, parked


@pytest.mark.parametrize("seed", range(3))
def test_a_robot_with_sensed_joints_is_the_one_that_is_parked_where_they_are(models, seed):
    sensed, parked = models
    rng = np.random.default_rng(seed)
    positions = np.array([0.05, -0.6, -0.4]) + rng.uniform(0, 1, 3) * [0.3, 1.0, 0.8]
    other = parked(positions)
    sensed.sense(positions)
    q, dq, ddq = rng.uniform(-0.9, 0.9, (3, 5, 3))
    assert np.allclose(sensed.torque(q, dq, ddq), other.torque(q, dq, ddq), atol=1e-9)
    assert np.allclose(sensed.inertia(q), other.inertia(q), atol=1e-9)
    for mine, its in zip(sensed.tool_motion(q, dq), other.tool_motion(q, dq), strict=True):
        assert np.allclose(mine, its, atol=1e-9)
    mine = dict(zip(sensed.pairs.keys, sensed.distances(q[0]), strict=True))
    its = dict(zip(other.pairs.keys, other.distances(q[0]), strict=True))
    assert its.keys() <= mine.keys(), "what is watched of one that stands is watched of this one"
    assert {k: mine[k] for k in its} == pytest.approx(its, abs=1e-5)


def test_distances_far_apart_are_not_those_of_before_a_sensed_joint_moved(models):
    sensed, _ = models
    q = np.zeros(3)
    beyond = np.full(len(sensed.pairs.names), 0.01)
    sensed.sense(np.array([0.0, 0.0, 0.0]))
    before = sensed.distances(q)
    sensed.sense(np.array([0.3, 0.0, 0.0]))
    pair = sensed.pairs.names.index(("l3", "lid"))
    assert before[pair] - sensed.distances(q, beyond)[pair] == pytest.approx(0.3, abs=1e-5)


def test_only_what_a_commanded_joint_moves_is_watched(models):
    """Nobody could keep the head from the column, or either from the lid."""
    links = {frozenset(names) for names in models[0].pairs.names}
    assert {frozenset(("l3", other)) for other in ("lid", "column", "head", "tail")} <= links
    # l1 turns about itself: only the neck changes how far the head is from it
    assert frozenset(("l1", "head")) in links
    others = {frozenset(p) for p in (("column", "tail"), ("column", "lid"), ("head", "lid"))}
    assert not links & others


def test_no_sensed_joint_moves_two_bodies_more_than_is_said(models):
    sensed, _ = models
    rng = np.random.default_rng(5)
    for _ in range(20):
        here, there = sensed.sensed_range.T[0] + rng.uniform(0, 1, (2, 3)) * np.ptp(
            sensed.sensed_range, axis=1
        )
        q = rng.uniform(-1, 1, 3)
        sensed.sense(here)
        before = sensed.distances(q)
        sensed.sense(there)
        moved = np.abs(sensed.distances(q) - before)
        assert (moved <= sensed.pairs.sway @ np.abs(there - here) + 1e-5).all()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"sensed": {**PLACES, "lift": 0.9}}, "sensed joint 'lift' stands at 0.9 m, beyond its"),
        ({"sensed": {**PLACES, "lfit": 0.1}}, "unknown sensed joint 'lfit'. Did you mean 'lift'"),
        ({"sensed": {"lift": 0.1, "neck": 0}}, "'waist' moves but is not in joint_names"),
    ],
)
def test_a_sensed_joint_that_makes_no_sense_is_refused_by_name(tmp_path, keys, words):
    with pytest.raises(WamError, match=words):
        load_safety_model(robot(tmp_path, **keys))


def test_it_must_be_told_how_far_a_sensed_joint_may_come(tmp_path):
    made = robot(tmp_path, sensed=PLACES)
    text = made.urdf_path.read_text()
    made.urdf_path.write_text(text.replace('lower="0" upper="0.4"', 'lower="0.4" upper="0"'))
    with pytest.raises(WamError, match="sensed joint 'lift' needs a lower limit below"):
        load_safety_model(made)
