"""Which bodies are kept apart, and how fast their distance can change."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.shipped import shipped
from testing.tools import BODY, JOINT, LIMIT, one_robot
from wam_ros.core.errors import WamError
from wam_ros.robot.model import load_safety_model
from wam_ros.robot.pairs import as_srdf


def test_two_arms_watch_each_other(tmp_path):
    """Two pendulums that fold towards each other: their bodies meet, and both joints count."""
    joint = JOINT.format(
        name="{0}",
        kind="revolute",
        parent="base",
        child="{1}",
        more="{2}" + '<axis xyz="0 1 0"/>' + LIMIT,
    )
    urdf = (
        '<robot name="pair"><link name="base"/>'
        + BODY.format(name="left", x=0.5)
        + BODY.format(name="right", x=0.5)
        + joint.format("a", "left", '<origin xyz="-0.4 0 0"/>')
        + joint.format("b", "right", '<origin xyz="0.4 0 0" rpy="0 0 3.14159265"/>')
        + "</robot>"
    )
    pair = load_safety_model(
        one_robot(tmp_path, urdf, ("a", "b"), "base", "left", home=(-0.5, 1.0))
    )
    assert pair.pairs.names == (("left", "right"),)
    assert pair.pairs.reach[0] == pytest.approx([0.55, 0.55])
    assert pair.distances(np.zeros(2))[0] == pytest.approx(0.2 - 0.1, abs=1e-6)


def test_neighbours_and_the_fingers_of_a_hand_are_not_watched(model):
    watched = {frozenset(p) for p in model.pairs.names}
    for pair in (
        ("panda_link1", "panda_link2"),
        ("panda_hand", "panda_leftfinger"),
        ("panda_link7", "panda_hand"),
    ):
        assert frozenset(pair) not in watched
    assert frozenset(("panda_leftfinger", "panda_rightfinger")) not in watched
    assert frozenset(("panda_link0", "panda_hand")) in watched
    assert sum(model.pairs.world) == 11, "every moving body against the table"


def test_an_srdf_decides_the_pairs(tmp_path, model):
    (tmp_path / "panda.srdf").write_text(
        '<robot name="panda"><disable_collisions link1="panda_link3" link2="panda_link1" '
        'reason="Never"/></robot>'
    )
    told = load_safety_model(
        dataclasses.replace(model.embodiment, srdf=str(tmp_path / "panda.srdf"))
    )
    watched = {frozenset(p) for p in told.pairs.names}
    assert frozenset(("panda_link1", "panda_link3")) not in watched
    assert frozenset(("panda_link1", "panda_link4")) in watched, (
        "what it does not name stays watched"
    )


def test_pairs_are_the_same_every_time(model):
    assert load_safety_model(model.embodiment).pairs.names == model.pairs.names


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.floats(-3, 0.3))
def test_no_distance_changes_faster_than_the_reach_says(model, seed, size):
    rng = np.random.default_rng(seed)
    q = model.random_q(1, seed)[0]
    step = rng.normal(size=len(q)) * np.where(model.sliding, 0.02, 1.0) * 10**size
    step = np.where(model.sliding, np.clip(q + step, 0, 0.04) - q, step)
    change = np.abs(model.distances(q + step) - model.distances(q))
    assert (change <= model.pairs.reach @ np.abs(step) + 1e-5).all()


ROBOTS = shipped()


@pytest.mark.parametrize("name", ROBOTS)
def test_the_pairs_written_out_are_those_that_are_read_back(robots, name, tmp_path):
    model = robots(name)
    (tmp_path / "robot.srdf").write_text(as_srdf(name, model.judged))
    again = load_safety_model(
        dataclasses.replace(model.embodiment, srdf=str(tmp_path / "robot.srdf"))
    )
    assert again.pairs.names == model.pairs.names


def test_a_pair_that_was_never_seen_near_stays_watched(model):
    """No sampling shows that links cannot meet; only what no joint can change is left out."""
    assert set(model.judged.reasons) == {"", "Adjacent"}
    watched = {frozenset(n) for n in model.pairs.names}
    far = [n for n, r in zip(model.judged.names, model.judged.reasons, strict=True) if not r]
    assert {frozenset(n) for n in far} <= watched


def test_links_that_always_overlap_and_those_at_one_distance_are_left_out(tmp_path):
    """Three links on one axis: the first and the third overlap whatever the joints do, or stay 0.3
    m apart.
    """
    joint = JOINT.format(
        name="{0}", kind="revolute", parent="{1}", child="{2}", more='<axis xyz="1 0 0"/>' + LIMIT
    )

    def reasons(x: float) -> set[str]:
        urdf = (
            '<robot name="three">'
            + "".join(
                BODY.format(name=n, x=0.0 if n == "one" else x) for n in ("one", "two", "three")
            )
            + joint.format("a", "one", "two")
            + joint.format("b", "two", "three")
            + "</robot>"
        )
        model = load_safety_model(one_robot(tmp_path, urdf, ("a", "b"), "one", "three"))
        assert model.pairs.names == ()
        return set(model.judged.reasons)

    assert reasons(0.01) == {"Adjacent", "Always"}
    assert reasons(0.4) == {"Adjacent", "Never"}


def test_an_srdf_forgives_no_overlap_that_it_does_not_name(tmp_path):
    joint = JOINT.format(
        name="{0}", kind="revolute", parent="{1}", child="{2}", more='<axis xyz="1 0 0"/>' + LIMIT
    )
    urdf = (
        '<robot name="three">'
        + "".join(BODY.format(name=n, x=0.0) for n in ("one", "two", "three"))
        + joint.format("a", "one", "two")
        + joint.format("b", "two", "three")
        + "</robot>"
    )
    (tmp_path / "three.srdf").write_text('<robot name="three"/>')
    with pytest.raises(WamError, match="one and three overlap by 100.0 mm at home"):
        load_safety_model(
            one_robot(tmp_path, urdf, ("a", "b"), "one", "three", srdf=str(tmp_path / "three.srdf"))
        )
