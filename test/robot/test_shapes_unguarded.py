"""No link that can be seen is silently unwatched."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from testing.tools import START, at_rest, make_chunk
from wam_ros import cli
from wam_ros.core.errors import WamError
from wam_ros.core.types import Decision, Reason
from wam_ros.robot.model import build_safety_model, load_safety_model
from wam_ros.safety.filter import SafetyFilter

from .chain import ROD, chain, link

DRAWN = ROD.replace("collision", "visual")
TABLE = "obstacles: {table: {shape: box, size: [1, 2, 0.6], position: [0.85, 0, 0.3]}}"


def drawn(folder, **keys):
    (folder / "w.yaml").write_text(TABLE)
    robot = chain(folder, {"l3": link("l3", DRAWN)}, **keys)
    return dataclasses.replace(robot, world=str(folder / "w.yaml"))


def test_a_link_without_a_collision_body_is_watched_by_what_is_drawn_and_that_is_said(tmp_path):
    model = load_safety_model(drawn(tmp_path))
    assert model.warnings == ["no collision body, watched by the hull of what is drawn: l3"]
    q = np.array([0.0, 0.5, 0.5]) + np.outer(np.arange(1, 9), [0.0, 0.12, 0.1])
    chunk = make_chunk(model.joint_names, q, age=0)
    verdict = SafetyFilter(model).filter(chunk, at_rest(model.embodiment.home), START)
    assert verdict.decision == Decision.TRUNCATED
    assert verdict.reasons & Reason.ENV_COLLISION
    assert "l3" in verdict.sentence


def test_a_link_is_unwatched_only_when_it_is_listed_and_that_is_said(tmp_path):
    model = load_safety_model(drawn(tmp_path, unguarded=("l3",)))
    assert model.warnings == ["unguarded, watched by nothing: l3"]
    assert "l3" not in model.links


@pytest.mark.parametrize(
    ("unguarded", "words"),
    [
        (("l4",), "unknown unguarded link 'l4'"),
        (("l2",), "'l2' has a collision body; an SRDF says"),
    ],
)
def test_a_list_that_would_silence_more_is_refused(tmp_path, unguarded, words):
    with pytest.raises(WamError, match=words):
        load_safety_model(drawn(tmp_path, unguarded=unguarded))


def test_a_drawing_that_cannot_be_read_is_refused_with_the_way_out(tmp_path):
    gone = DRAWN.replace('<cylinder radius="0.04" length="0.2"/>', '<mesh filename="gone.obj"/>')
    with pytest.raises(WamError, match=r"'l3': gone\.obj cannot be read.* under `unguarded`"):
        load_safety_model(chain(tmp_path, {"l3": link("l3", gone)}))


def lines(folder):
    """A mesh file of lines, as some exporters write for an axis, as the collision body of l3."""
    (folder / "axis.obj").write_text("v 0 0 0\nv 0 0 0.3\nv 0 0.1 0.3\nl 1 2\nl 2 3\n")
    return '<collision><geometry><mesh filename="axis.obj"/></geometry></collision>'


def flat(folder):
    (folder / "flat.obj").write_text(
        "v 0 0 0\nv 0 0 0.3\nv 0 0.1 0.3\nv 0 0.1 0\nf 1 2 3\nf 1 3 4\n"
    )
    return '<collision><geometry><mesh filename="flat.obj"/></geometry></collision>'


@pytest.mark.parametrize("no_body", [lines, flat])
def test_a_collision_mesh_that_is_no_body_is_refused_with_a_way_out_that_is_one(tmp_path, no_body):
    parts = {"l3": link("l3", no_body(tmp_path))}
    with pytest.raises(
        WamError, match=r"link 'l3': .*; .* under `unguarded`.*nothing then watches"
    ):
        load_safety_model(chain(tmp_path, parts))
    model = load_safety_model(chain(tmp_path, parts, unguarded=("l3",)))
    assert "unguarded, watched by nothing: l3" in model.warnings
    assert model.links == ["base", "l1", "l2"]


def test_what_of_an_unguarded_link_is_a_body_is_watched_all_the_same(tmp_path):
    parts = {"l3": link("l3", ROD + lines(tmp_path))}
    model = load_safety_model(chain(tmp_path, parts, unguarded=("l3",)))
    assert "l3" in model.links
    assert "unguarded but for what of it is a body: l3" in model.warnings


def test_a_collision_mesh_that_is_missing_is_no_reason_to_watch_nothing(tmp_path):
    for name, text in (("gone", None), ("lfs", "version https://git-lfs.github.com/spec/v1")):
        if text:
            (tmp_path / f"{name}.obj").write_text(text)
        body = f'<collision><geometry><mesh filename="{name}.obj"/></geometry></collision>'
        with pytest.raises(WamError, match="cannot be read") as caught:
            load_safety_model(chain(tmp_path, {"l3": link("l3", body)}, unguarded=("l3",)))
        assert "under `unguarded`" not in str(caught.value)


def test_a_robot_of_drawings_alone_is_watched(tmp_path):
    parts = {name: link(name, DRAWN) for name in ("l1", "l2", "l3")}
    model = load_safety_model(chain(tmp_path, {**parts, "base": link("base", DRAWN)}))
    assert model.links == ["base", "l1", "l2", "l3"]


def test_pairs_are_listed_although_home_overlaps_and_it_is_said_how_deep(tmp_path, capsys):
    keys = ("home", "joint_names", "max_acceleration", "max_jerk")
    # l3 folds back into the base
    robot = drawn(tmp_path, home=(0.0, 2.0, 2.4))
    model = build_safety_model(robot)
    (words,) = model.why_not_at_home()
    ((pair, depth),) = model.overlaps_at_home().items()
    assert f"{pair[0]} and {pair[1]} overlap by {depth * 1e3:.1f} mm at home" in words
    with pytest.raises(WamError, match="overlap by .* mm at home"):
        load_safety_model(robot)
    lines = [f"{k}: {list(getattr(robot, k))}" for k in keys]
    lines += [f"{k}: {getattr(robot, k)}" for k in ("base_frame", "tool_frame", "urdf", "world")]
    lines += ["name: mine", "gripper_joints: []", "cameras: [{name: eye, image_topic: eye}]"]
    lines += [f"{k}: 8" for k in ("image_height", "image_width", "action_horizon")]
    lines += ["frame_rate_hz: 10", "step_period_s: 0.1"]
    (tmp_path / "mine.yaml").write_text("\n".join(lines))
    out = tmp_path / "mine.srdf"
    assert (
        cli.main(
            ["safety", "pairs", "--embodiment", str(tmp_path / "mine.yaml"), "--out", str(out)]
        )
        == 0
    )
    assert 'link1="l1" link2="l2"' in out.read_text()
    said = capsys.readouterr().err
    assert "mm at home" in said
    assert "watched by the hull of what is drawn: l3" in said
