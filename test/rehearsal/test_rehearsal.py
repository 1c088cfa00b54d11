"""`wam embodiment rehearse`: mistakes are named, and what is right is never called wrong."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest

pytest.importorskip("mujoco")

from wam_ros.core.embodiment import load_embodiment
from wam_ros.rehearsal.cli import Rehearsal
from wam_ros.rehearsal.findings import (
    GRIPPER,
    MIRRORED,
    ORDER,
    RIGHT,
    ROTATED,
    SIGN,
    SWAPPED,
    UNIT,
    WRONG,
    ZERO,
)
from wam_ros.rehearsal.take import Series, Take

from .moving import changed, record, with_pictures

ARMS = ("panda", "so101", "ur5e")
DEGREES = 180 / np.pi


@functools.cache
def simulated(name, seed=0):
    return record(name, seed)


@pytest.fixture(scope="module", params=ARMS)
def seen_arm(request):
    return simulated(request.param)


@pytest.fixture
def arm(seen_arm):
    """Without pictures, which cost."""
    return seen_arm[0], dataclasses.replace(seen_arm[1], films={})


def wrong(embodiment, recording):
    findings = Rehearsal(embodiment, recording).judge()
    return {(f.subject, f.mistake) for f in findings if f.level == WRONG}


def arm_joint(embodiment, number=1):
    return [n for n in embodiment.joint_names if n not in embodiment.gripper_joints][number]


def test_a_clean_recording_has_no_mistake(seen_arm):
    findings = Rehearsal(*seen_arm).judge()
    assert [f for f in findings if f.level == WRONG] == []
    told = {f.subject for f in findings if f.level == RIGHT}
    assert {*seen_arm[0].joint_names, "front"} <= told, findings


@pytest.mark.parametrize("side", ["measured", "commanded"])
def test_a_joint_that_turns_the_other_way_is_named(arm, side):
    name = arm_joint(arm[0])
    assert (name, SIGN) in wrong(arm[0], changed(arm[1], side, **{name: lambda q: -q}))


def test_joints_in_another_order_are_named(arm):
    e, recording = arm
    a, b = arm_joint(e, 1), arm_joint(e, 3)
    swapped = dict(recording.measured)
    swapped[a], swapped[b] = swapped[b], swapped[a]
    found = wrong(e, dataclasses.replace(recording, measured=swapped))
    assert found == {(a, ORDER), (b, ORDER)}


@pytest.mark.parametrize("side", ["measured", "commanded"])
def test_degrees_are_named(arm, side):
    e, recording = arm
    turning = [n for n in e.joint_names if n not in e.gripper_joints]
    found = wrong(e, changed(recording, side, **{n: lambda q: q * DEGREES for n in turning}))
    assert found == {(n, UNIT) for n in turning}


def test_degrees_that_both_sides_speak_are_named(arm):
    e, recording = arm
    turning = [n for n in e.joint_names if n not in e.gripper_joints]
    for side in ("measured", "commanded"):
        recording = changed(recording, side, **{n: lambda q: q * DEGREES for n in turning})
    found = wrong(e, recording)
    assert {mistake for _, mistake in found} == {UNIT}
    assert len(found) >= len(turning) - 1, "only one that stays about zero may pass"


def test_another_zero_is_named(arm):
    name = arm_joint(arm[0])
    found = wrong(arm[0], changed(arm[1], "measured", **{name: lambda q: q + 0.3}))
    assert found == {(name, ZERO)}


def test_a_gripper_that_opens_to_close_is_named(arm):
    e, recording = arm
    if not e.gripper_joints:
        pytest.skip("no gripper")
    name = e.gripper_joints[0]
    ends = recording.measured[name].values
    total = ends.min() + ends.max()
    assert wrong(e, changed(recording, "measured", **{name: lambda q: total - q})) == {
        (name, GRIPPER)
    }


def test_a_gripper_in_per_cent_is_named(arm):
    e, recording = arm
    if not e.gripper_joints:
        pytest.skip("no gripper")
    name = e.gripper_joints[0]
    told = Rehearsal(e, recording).told
    k = e.joint_names.index(name)
    span = told.upper[k] - told.lower[k]
    share = lambda q: 100 * (q - told.lower[k]) / span  # noqa: E731
    assert wrong(e, changed(recording, "measured", **{name: share})) == {(name, UNIT)}


TURNED = {
    "turned by 90": (lambda f: np.rot90(f, 1, axes=(1, 2)).copy(), ROTATED),
    "turned by 180": (lambda f: f[:, ::-1, ::-1].copy(), ROTATED),
    "mirrored": (lambda f: f[:, :, ::-1].copy(), MIRRORED),
}


@pytest.mark.parametrize(
    ("name", "view", "way"),
    [
        ("so101", "front", "turned by 90"),
        ("ur5e", "front", "turned by 180"),
        ("ur5e", "front", "mirrored"),
        ("panda", "wrist", "turned by 180"),
    ],
)
def test_a_camera_that_is_turned_or_mirrored_is_named(name, view, way):
    e, recording = simulated(name)
    change, mistake = TURNED[way]
    frames = change(recording.films[view].frames)
    assert wrong(e, with_pictures(recording, **{view: frames})) == {(view, mistake)}


def test_cameras_that_are_swapped_are_named():
    e, recording = simulated("panda")
    front, wrist = (recording.films[v].frames for v in ("front", "wrist"))
    found = wrong(e, with_pictures(recording, front=wrist, wrist=front))
    assert found == {("front", SWAPPED), ("wrist", SWAPPED)}


def test_a_joint_that_both_sides_turn_the_other_way_is_named_by_the_pictures():
    e, recording = simulated("panda")
    for side in ("measured", "commanded"):
        recording = changed(recording, side, panda_joint2=lambda q: -q)
    assert wrong(e, recording) == {("panda_joint2", SIGN)}


def test_the_pictures_tell_which_side_is_wrong():
    e, recording = simulated("ur5e")
    name = arm_joint(e)
    for side, other in (("measured", "commanded"), ("commanded", "measured")):
        spoilt = changed(recording, side, **{name: lambda q: -q})
        findings = Rehearsal(e, spoilt).judge()
        assert {(f.subject, f.mistake) for f in findings if f.level == WRONG} == {(name, SIGN)}
        words = next(f.words for f in findings if f.subject == "pictures")
        assert f"fit the {other} joints: it is the {side} ones that are wrong" in words


@pytest.mark.parametrize("seed", range(4))
def test_slow_arms_that_sag_lag_and_stop_on_the_way_have_no_mistake(seed):
    """Without pictures: many motions, and what a cheap servo does to them."""
    rng = np.random.default_rng(seed)
    e = load_embodiment("so101")
    t = np.arange(0, 10, 0.02)
    measured, commanded = {}, {}
    for k, name in enumerate(e.joint_names):
        way = np.interp(t, np.linspace(0, 10, 6), e.home[k] + rng.uniform(-0.4, 0.4, 6))
        lagged = np.interp(t - 0.25, t, way) + 0.03 * rng.normal() + 0.003 * rng.normal(size=len(t))
        held = (t > 4) & (t < 5)
        lagged[held] = lagged[np.argmax(held)]
        measured[name], commanded[name] = Series(t, lagged), Series(t, way)
    assert wrong(e, Take(10.0, measured, commanded)) == set()


def test_a_joint_without_end_that_wraps_has_no_mistake(tmp_path):
    e = load_embodiment("so101")
    text = e.urdf_path.read_text()
    old = '<joint name="wrist_roll" type="revolute">'
    assert text.count(old) == 1
    (tmp_path / "wraps.urdf").write_text(text.replace(old, old.replace("revolute", "continuous")))
    e = dataclasses.replace(e, urdf=str(tmp_path / "wraps.urdf"))
    t = np.arange(0, 8, 0.02)
    way = {n: q + 0.3 * np.sin(t) for n, q in zip(e.joint_names, e.home, strict=True)}
    way["wrist_roll"] = 2.0 + 0.4 * t  # counts on
    seen = way | {"wrist_roll": (way["wrist_roll"] + np.pi) % (2 * np.pi) - np.pi}
    measured, commanded = ({n: Series(t, v) for n, v in q.items()} for q in (seen, way))
    assert wrong(e, Take(8.0, measured, commanded)) == set()
    assert wrong(e, Take(8.0, commanded, measured)) == set()
    seen["wrist_roll"] = (-way["wrist_roll"] + np.pi) % (2 * np.pi) - np.pi
    measured["wrist_roll"] = Series(t, seen["wrist_roll"])
    assert wrong(e, Take(8.0, measured, commanded)) == {("wrist_roll", SIGN)}
