"""The robot with what it carries and what stands around it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from testing.tools import STICK, tool_pose
from wam_ros.core.embodiment import Load, load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.robot.model import load_safety_model
from wam_ros.robot.obstacles import Obstacle


def test_both_fingers_follow_the_commanded_one(model, home):
    for opening in (0.0, 0.013, 0.04):
        full = model.full_q(np.r_[home[:7], opening][None])[0]
        assert full[7] == full[8] == opening
    moved = model.distances(np.r_[home[:7], 0.0])
    left = model.pairs.names.index(("panda_leftfinger", "table"))
    right = model.pairs.names.index(("panda_rightfinger", "table"))
    assert moved[left] == pytest.approx(moved[right], abs=1e-6)


def test_obstacles_stand_where_they_are_put(model, home):
    tool = tool_pose(model, home).translation
    others = load_safety_model(model.embodiment, "empty")
    others.set_obstacles({"ball": Obstacle("sphere", (0.05,), tuple(tool - [0, 0, 0.3]))})
    pair = others.pairs.names.index(("panda_leftfinger", "ball"))
    gap = others.distances(home)[pair]
    lowest = tool[2] - (0.0584 + 0.0538 - 0.1034)  # the finger ends 8.8 mm below the tool frame
    assert gap == pytest.approx(lowest - (tool[2] - 0.3) - 0.05, abs=4e-3)


def test_a_robot_that_overlaps_at_home_is_refused(tmp_path, model):
    (tmp_path / "w.yaml").write_text(
        "obstacles: {block: {shape: box, size: [1, 1, 1], position: [0.4, 0, 0.3]}}"
    )
    with pytest.raises(WamError, match=r"block.*overlap by .* at home"):
        load_safety_model(model.embodiment, str(tmp_path / "w.yaml"))


def test_a_tool_as_data_is_kept_apart_and_weighs(model, home):
    stick = Load(
        frame="panda_hand_tcp",
        mass=0.5,
        centre=(0.0, 0.0, 0.1),
        shape="capsule",
        size=(0.01, 0.3),
        position=(0.0, 0.0, 0.16),
    )
    tooled = load_safety_model(dataclasses.replace(model.embodiment, loads={"stick": stick}))
    names = [n for n in tooled.pairs.names if "stick" in n]
    assert ("stick", "table") in names
    assert ("panda_hand", "stick") not in names
    bare = model.distances(home)[model.pairs.names.index(("panda_leftfinger", "table"))]
    with_it = tooled.distances(home)[tooled.pairs.names.index(("stick", "table"))]
    assert with_it == pytest.approx(bare - 0.3, abs=0.03)
    zero = np.zeros((1, 8))
    more = tooled.torque(home[None], zero, zero) - model.torque(home[None], zero, zero)
    assert abs(more[0, 1]) == pytest.approx(0.5 * 9.81 * 0.4634, rel=0.01)


# so large that it always meets it
CUP = Load(
    frame="panda_hand",
    mass=0.1,
    centre=(0, 0, 0),
    shape="sphere",
    size=(0.2,),
    position=(0.0, 0.0, 0.0),
)


def test_what_always_meets_the_link_before_is_not_kept_from_it(model, holding):
    holding(CUP)
    assert ("panda_link6", "it") not in model.pairs.names


def test_a_load_of_the_embodiment_is_kept_from_the_link_before_as_well(model):
    embodiment = dataclasses.replace(model.embodiment, loads={"stick": STICK, "cup": CUP})
    watched = load_safety_model(embodiment).pairs.names
    assert ("panda_link6", "stick") in watched
    assert ("panda_link6", "cup") not in watched


def test_what_is_asked_untraced_changes_no_answer_to_the_last_bit():
    ur5e = load_safety_model(load_embodiment("ur5e"))
    near, far = ur5e.random_q(2, seed=1)
    ur5e.distances(near)
    with ur5e.untraced():
        alone = ur5e.distances(near)
    with ur5e.untraced():
        ur5e.distances(far)
        assert not np.array_equal(ur5e.distances(near), alone), "or this test shows nothing"
    assert np.array_equal(ur5e.distances(near), alone)


def test_pairs_that_are_left_out_as_far_are_so_after_their_bodies_have_moved_too():
    boxes = {f"b{k}": Obstacle("box", (0.1,) * 3, (0.6, 0.3 * k - 0.9, 0.6)) for k in range(7)}
    model, exact = (load_safety_model(load_embodiment("panda"), "empty") for _ in range(2))
    model.set_obstacles(boxes)
    beyond = np.full(len(model.pairs.names), 0.05)
    home = np.array(model.embodiment.home)
    places = home + np.random.default_rng(1).uniform(-0.05, 0.05, (6, len(home)))
    model.distances(places[0])
    asked = []
    model.between = lambda: asked.append(1)
    for k, q in enumerate(places):
        boxes["b1"] = dataclasses.replace(boxes["b1"], position=(0.5, 0.1 * k, 0.5))
        for each in (model, exact):
            each.set_obstacles(boxes)
        for at in (q, q + 0.01, places[0]):
            asked.clear()
            found, true = model.distances(at, beyond), exact.distances(at)
            assert (found <= true + 1e-6).all()
            near = ~(found > beyond)
            assert found[near] == pytest.approx(true[near], abs=1e-6)
            assert len(asked) < len(found) / 2, "or nothing was left out"
