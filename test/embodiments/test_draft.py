"""What is guessed makes a robot that loads, stands free at home and moves from there."""

from __future__ import annotations

import re

import numpy as np
import pytest

from testing.tools import START, at_rest, load_urdf, make_chunk
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.types import Decision
from wam_ros.embodiments.draft import Wishes, make_draft, read_states
from wam_ros.embodiments.yaml_text import as_yaml
from wam_ros.robot.model import load_safety_model
from wam_ros.safety.filter import SafetyFilter

from .body import STATES, arm, link, write_body


def written(folder, draft):
    """The embodiment as it is read back."""
    (folder / "mine.srdf").write_text(draft.srdf)
    (folder / "mine.yaml").write_text(as_yaml(draft, "body.urdf", "mine.srdf", {}))
    return load_embodiment(str(folder / "mine.yaml"))


def test_what_is_written_loads_and_moves_in_both_arms(tmp_path):
    draft = make_draft(Wishes(write_body(tmp_path)), tmp_path / "body.urdf")
    model = load_safety_model(written(tmp_path, draft))
    assert len(model.joint_names) == 12
    assert set(model.joints.parked) >= {"lift", "head_pan", "left_hip", "right_ankle"}
    assert model.embodiment.tool_frames == ("left_tool0", "right_tool0")
    home = np.array(model.embodiment.home)
    for seed in range(5):
        goal = np.random.default_rng(seed).uniform(-0.15, 0.15, 12) * np.where(
            model.sliding, 0.1, 1
        )
        u = np.arange(1, 9)[:, None] / 8
        path = home + (10 * u**3 - 15 * u**4 + 6 * u**5) * goal
        verdict = SafetyFilter(model).filter(
            make_chunk(model.joint_names, path, age=0), at_rest(home), START
        )
        assert verdict.decision == Decision.PASS, verdict.sentence


def test_home_and_parked_joints_are_those_of_the_srdf_where_they_are_free(tmp_path):
    write_body(tmp_path)
    (tmp_path / "body.srdf").write_text(STATES)
    draft = make_draft(Wishes(tmp_path / "body.urdf", arms=("left",)), tmp_path / "body.urdf")
    assert draft.origin == "'ready' of the SRDF"
    assert draft.embodiment.home[:5] == (0.1, 0.5, 0.0, 0.3, 0.0)
    assert draft.embodiment.parked["lift"] == 0.2
    assert (
        read_states(tmp_path / "body.srdf", load_urdf(tmp_path / "body.urdf"))["ready"]["lift"]
        == 0.2
    )


def test_a_middle_at_which_links_meet_is_left_for_a_free_pose(tmp_path):
    """At the middle of the ranges both arms reach straight up into a beam."""
    beam = (
        '<collision><origin xyz="0 0 1.3"/><geometry><box size="0.4 2 0.2"/></geometry></collision>'
    )
    path = write_body(tmp_path)
    path.write_text(path.read_text().replace(link("torso"), link("torso", beam)))
    draft = make_draft(Wishes(path), path)
    assert "free pose" in draft.origin
    assert not draft.model.why_not_at_home()


def ball(place: str, radius: float = 0.05) -> str:
    shape = f'<geometry><sphere radius="{radius}"/></geometry>'
    return f'<collision><origin xyz="{place}"/>{shape}</collision>'


def test_links_that_are_built_into_each_other_are_told_and_not_watched(tmp_path):
    """A ball of the third link swings over one of the first in seven of ten poses."""
    text = arm("left", 0.8)
    text = text.replace(link("left_arm_1_link"), link("left_arm_1_link", ball("0.1 0 0.35")))
    text = text.replace(link("left_arm_3_link"), link("left_arm_3_link", ball("0 0 0", 0.2)))
    path = write_body(tmp_path, text)
    draft = make_draft(Wishes(path), path)
    pair = ("left_arm_1_link", "left_arm_3_link")
    assert 0.1 < draft.built_together[pair] < 0.3
    assert "Overlap in most poses" in draft.srdf
    assert pair not in draft.model.pairs.names


@pytest.mark.parametrize(
    ("axis", "place", "watched"), [("0 0 1", "0.01 0 0", False), ("0 1 0", "0.11 0 0.1", True)]
)
def test_near_links_that_are_proven_never_to_meet_are_not_watched(tmp_path, axis, place, watched):
    """Two balls 5.5 to 6 mm apart, however the two joints between them turn about their line; and
    two that swing into each other.
    """
    text = arm("left", 0.5)
    text = text.replace(link("left_arm_3_link"), link("left_arm_3_link", ball(place)))
    text = text.replace(link("left_arm_5_link"), link("left_arm_5_link", ball("0.004 0 -0.295")))
    turning = '<child link="left_arm_4_link"/><axis xyz="{}"/>'
    assert text.count(turning.format("0 1 0")) == 1
    text = text.replace(turning.format("0 1 0"), turning.format(axis))
    path = write_body(tmp_path, text)
    draft = make_draft(Wishes(path), path)
    pair = ("left_arm_3_link", "left_arm_5_link")
    assert (pair in draft.model.pairs.names) == watched
    assert ('link2="left_arm_5_link" reason="Never nearer than' in draft.srdf) != watched


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"joints": ("left_arm_9",)}, "no joint 'left_arm_9' moves; found are"),
        ({"further": ("lfit",)}, "no joint 'lfit' moves"),
        ({"tools": ("nowhere",)}, "unknown frame 'nowhere'"),
        ({"parked": {"lift": 9.0}}, "parked joint 'lift' stands at 9 m"),
        ({"home": (9.0,) * 12}, "home of joint 'left_arm_1' is 9 rad"),
    ],
)
def test_a_wish_that_does_not_fit_is_refused_by_name(tmp_path, wish, words):
    with pytest.raises(WamError, match=words):
        make_draft(Wishes(write_body(tmp_path), **wish), tmp_path / "body.urdf")


def test_where_every_range_is_zero_it_is_said_instead_of_that_there_is_no_arm(tmp_path):
    path = write_body(tmp_path, re.sub('(lower|upper)="[^"]*"', r'\1="0"', arm("left", 0.5)))
    with pytest.raises(WamError, match="the limits of left_arm_1, left_arm_2, .* no way to go"):
        make_draft(Wishes(path), path)


def test_joints_may_be_named_instead_of_arms(tmp_path):
    names = ("lift", "right_arm_1", "right_arm_2")
    draft = make_draft(Wishes(write_body(tmp_path), joints=names), tmp_path / "body.urdf")
    assert draft.embodiment.joint_names == names
    assert draft.embodiment.tool_frame == "right_arm_2_link"
    assert "right_arm_3" in draft.embodiment.parked
