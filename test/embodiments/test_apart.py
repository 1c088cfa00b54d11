"""Links that stand near each other by construction are left out only where it is proven that they
never meet.
"""

from __future__ import annotations

import numpy as np
import pytest

from test.robot.chain import boxes, mesh, write_obj
from wam_ros.embodiments import apart
from wam_ros.embodiments.draft import Wishes, make_draft
from wam_ros.robot.model import build_safety_model

from .body import arm, link, write_body

PAIR = ("left_arm_3_link", "left_arm_5_link")
BALL = '<collision><origin xyz="0.12 0 0"/><geometry><sphere radius="0.05"/></geometry></collision>'


def turntable(folder, far: float):
    """Two joints turn three posts, `far` m from their axis, about a ball that stands 0.07 to 0.17 m
    from it. The hull of the posts fills what the ball passes through.
    """
    angles = np.radians([80, 180, 280])
    centres = [(far * np.cos(a), far * np.sin(a), -0.4) for a in angles]
    half = np.array([0.018, 0.018, 0.02])
    spans = [(tuple(np.array(c) - half), tuple(np.array(c) + half)) for c in centres]
    name = write_obj(folder / "posts.obj", *boxes(*spans))
    text = arm("left", 0.8).replace('lower="-2" upper="2"', 'lower="-0.8" upper="0.8"')
    text = text.replace(link("left_arm_3_link"), link("left_arm_3_link", BALL))
    text = text.replace(link("left_arm_5_link"), link("left_arm_5_link", mesh(name)))
    about = '<child link="left_arm_4_link"/><axis xyz="{}"/>'
    text = text.replace(about.format("0 1 0"), about.format("0 0 1"))
    return write_body(folder, text)


@pytest.mark.parametrize(("far", "watched"), [(0.205, False), (0.185, True)])
def test_what_only_the_hull_of_a_mesh_fills_is_no_meeting(tmp_path, far, watched):
    """Of the nearer posts the edges come to 0.16 m from the axis."""
    path = turntable(tmp_path, far)
    draft = make_draft(Wishes(path), path)
    assert (PAIR in draft.model.pairs.names) == watched
    assert ('link2="left_arm_5_link" reason="Never nearer than' in draft.srdf) != watched


def test_what_is_told_is_never_more_than_any_pose_has(tmp_path):
    path = turntable(tmp_path, 0.205)
    model = build_safety_model(make_draft(Wishes(path), path).embodiment)
    told = apart.never_meet(model)[PAIR]
    assert told >= apart.PROVEN
    pieces = apart._Range(model, PAIR, _between(model), fine=True)
    every = np.arange(len(pieces._reach))
    poses = np.random.default_rng(1).uniform(-0.8, 0.8, (500, 2))
    assert told <= min(pieces._distances(q, every).min() for q in poses)


def test_a_proof_that_takes_too_long_is_none(tmp_path, monkeypatch):
    path = turntable(tmp_path, 0.205)
    monkeypatch.setattr(apart, "MOST", 2 * apart.SAMPLES)
    model = make_draft(Wishes(path), path).model
    assert PAIR in model.pairs.names


def _between(model):
    rows = [k for k, n in enumerate(model.pairs.names) if n == PAIR]
    return np.flatnonzero(model.pairs.reach[rows].any(axis=0))
