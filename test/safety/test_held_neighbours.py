"""What is held is kept from the link next to the one that holds it, where that can be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from testing.tools import START, at_rest, make_chunk
from wam_ros.core.embodiment import Load
from wam_ros.core.types import Decision, Reason
from wam_ros.robot.model import load_safety_model

# back along the wrist
STICK = Load(
    frame="panda_hand",
    mass=0.1,
    centre=(0, 0, 0),
    shape="box",
    size=(0.02, 0.02, 0.4),
    position=(0.0, 0.1, -0.1),
)
# so large that it always meets it
CUP = Load(
    frame="panda_hand",
    mass=0.1,
    centre=(0, 0, 0),
    shape="sphere",
    size=(0.2,),
    position=(0.0, 0.0, 0.0),
)


@pytest.fixture
def holding(panda):
    model = panda.model
    fixed = dict(model.obstacles)
    yield lambda load: model.set_obstacles({}, {"it": load})
    model.set_obstacles(fixed, {})


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


def test_what_always_meets_the_link_before_is_not_kept_from_it(panda, holding):
    holding(CUP)
    assert ("panda_link6", "it") not in panda.model.pairs.names


def test_a_load_of_the_embodiment_is_kept_from_the_link_before_as_well(panda):
    embodiment = dataclasses.replace(panda.model.embodiment, loads={"stick": STICK, "cup": CUP})
    watched = load_safety_model(embodiment).pairs.names
    assert ("panda_link6", "stick") in watched
    assert ("panda_link6", "cup") not in watched
