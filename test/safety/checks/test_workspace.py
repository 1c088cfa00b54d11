"""Tools stay inside their boxes and walls, between samples too, and may return to them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from testing.tools import START, at_rest, make_chunk, moving, one_joint, one_robot, steps, tool_pose
from wam_ros.core.types import Decision, Reason
from wam_ros.robot.model import SafetyModel
from wam_ros.safety.checks import workspace
from wam_ros.safety.filter import SafetyFilter
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.params import SafetyParams


def test_the_tool_stays_in_its_workspace_and_may_return_to_it(panda, home):
    tool = tool_pose(panda.model, home).translation
    box = (-1.0, -1.0, 0.0, 1.0, tool[1] + 0.05, 1.0)
    fenced = SafetyFilter(panda.model, SafetyParams(workspace=box))
    rate = one_joint(0, 0.04)
    verdict = fenced.filter(
        make_chunk(panda.model.joint_names, steps(home, rate)), moving(home, rate), START
    )
    assert verdict.decision == Decision.TRUNCATED
    assert verdict.reasons & Reason.WORKSPACE
    position, _ = panda.model.tool_motion(verdict.trajectory.q, verdict.trajectory.dq)
    assert position[:, 1].max() <= tool[1] + 0.05
    outside = home + one_joint(0, 0.3)
    back = fenced.filter(
        make_chunk(panda.model.joint_names, steps(outside, -rate)), at_rest(outside), START
    )
    assert back.decision == Decision.PASS
    further = fenced.filter(
        make_chunk(panda.model.joint_names, steps(outside, rate)), at_rest(outside), START
    )
    assert further.decision == Decision.BRAKE


@pytest.mark.parametrize("arm", [0, 1])
def test_a_wall_holds_for_every_tool(robots, arm):
    """The wall y >= -1 and y <= 1 as planes; each arm turns towards the one on its own side."""
    model = robots("bimanual")
    home = np.array(model.embodiment.home)
    places = [model.tool_motion(home[None], 0 * home[None], k)[0][0] for k in (0, 1)]
    side = 1 if arm == 0 else -1
    edge = side * places[arm][1] + 0.05
    walled = SafetyFilter(model, SafetyParams(planes=(0.0, -2.0 * side, 0.0, -2.0 * edge)))
    rate = 0.03 * side
    verdict = walled.filter(
        make_chunk(model.joint_names, steps(home, rate * np.eye(len(home))[7 * arm]), age=0),
        at_rest(home),
        START,
    )
    assert verdict.decision == Decision.TRUNCATED
    assert verdict.reasons & Reason.WORKSPACE
    t = verdict.trajectory
    assert (side * model.tool_motion(t.q, t.dq, arm)[0][:, 1]).max() <= edge + 1e-9
    away = make_chunk(model.joint_names, steps(home, -rate * np.eye(len(home))[7 * arm]), age=0)
    assert walled.filter(away, at_rest(home), START).decision == Decision.PASS


def test_a_tool_outside_opens_no_way_out_for_the_other(robots):
    model = robots("bimanual")
    home = np.array(model.embodiment.home)
    height = float(model.tool_motion(home[None], 0 * home[None])[0][0, 2])
    walled = SafetyFilter(model, SafetyParams(planes=(0.0, 0.0, 1.0, height + 0.1)))
    turned = home + np.eye(14)[8] * -0.5
    assert model.tool_motion(turned[None], 0 * home[None], 1)[0][0, 2] > height + 0.12
    chunk = make_chunk(model.joint_names, steps(turned, 0.05 * np.eye(len(home))[8]), age=0)
    verdict = walled.filter(chunk, at_rest(turned), START)
    assert verdict.reasons & Reason.WORKSPACE
    t = verdict.trajectory
    assert model.tool_motion(t.q, t.dq, 1)[0][:, 2].min() > height + 0.1 - 1e-6


def test_the_workspace_is_kept_between_samples_too(model, home):
    """The tool leaves a box on the outside of its arc although both samples are inside."""
    a, b = (tool_pose(model, home + np.r_[s, np.zeros(7)]).translation for s in (-0.5, 0.5))
    box = (-1.0, -1.0, -1.0, max(a[0], b[0]) + 0.01, 1.0, 1.0)
    start = home + np.r_[-0.5, np.zeros(7)]
    motion = Motion(
        np.stack((start, home + np.r_[0.5, np.zeros(7)])),
        np.zeros((2, 8)),
        np.zeros((2, 8)),
        dt=0.1,
    )
    bounds = make_bounds(model, SafetyParams(workspace=box), at_rest(start))
    assert workspace.CHECK.look(motion, bounds).bad[1]
    wide = make_bounds(
        model, SafetyParams(workspace=(-1.0, -1.0, -1.0, 1.0, 1.0, 1.0)), at_rest(start)
    )
    slow = Motion(motion.q[:1].repeat(2, axis=0), motion.dq, motion.ddq, dt=0.1)
    assert not workspace.CHECK.look(slow, wide).bad.any()


LINK = (
    '<inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" '
    'iyz="0"/></inertial>'
    '<collision><geometry><sphere radius="0.01"/></geometry></collision>'
)


FAST = '<limit lower="-2" upper="2" velocity="50" effort="1000"/>'


def described(
    name: str, kind: str, parent: str, child: str, x: float, axis: str, more: str = ""
) -> str:
    return (
        f'<link name="{child}">{LINK}</link><joint name="{name}" type="{kind}"><parent '
        f'link="{parent}"/>'
        f'<child link="{child}"/><origin xyz="{x} 0 0"/><axis xyz="{axis}"/>{FAST}{more}</joint>'
    )


EXTENDING = described("turn", "revolute", "base", "arm", 0, "0 0 1") + described(
    "slide", "prismatic", "arm", "tip", 0.1, "1 0 0"
)


FOLLOWED = described("turn", "revolute", "base", "arm", 0, "0 0 1") + described(
    "follow", "revolute", "arm", "tip", 0.5, "0 0 1", '<mimic joint="turn" multiplier="3"/>'
)


@pytest.mark.parametrize(
    ("body", "joints"),
    [(EXTENDING, ("turn", "slide")), (FOLLOWED, ("turn",))],
    ids=["extending", "followed"],
)
def test_no_tool_leaves_the_line_between_samples_farther_than_is_counted_on(tmp_path, body, joints):
    tool = (
        '<link name="tool"/><joint name="fixed" type="fixed"><parent link="tip"/><child '
        'link="tool"/>'
        '<origin xyz="0.3 0 0"/></joint>'
    )
    robot = one_robot(
        tmp_path, f'<robot name="r"><link name="base"/>{body}{tool}</robot>', joints, "base", "tool"
    )
    model, dt, n = SafetyModel(robot, {}, tmp_path), 0.05, len(joints)
    for direction in np.random.default_rng(0).uniform(-1, 1, (50, n)):
        dq = 2.0 * direction
        t = np.arange(2)[:, None] * dt
        motion = Motion(t * dq, np.tile(dq, (2, 1)), np.zeros((2, n)), dt=dt)
        fine = np.linspace(0, dt, 21)[:, None] * dq
        path, _ = model.tool_motion(fine, fine)
        line = path[0] + np.linspace(0, 1, 21)[:, None] * (path[-1] - path[0])
        bow = workspace._bow(motion, model.tool_reach[0], model.turns)[0]
        assert np.linalg.norm(path - line, axis=1).max() <= bow


def test_a_tool_that_is_nowhere_is_outside(panda, home):
    walled = dataclasses.replace(SafetyParams(), planes=(0.0, 0.0, 1.0, -1.0))
    bounds = make_bounds(panda.model, walled, at_rest(home))
    q = np.full((2, 8), np.nan)
    assert workspace.CHECK.look(Motion(q, q, q, dt=0.01), bounds).bad.any()
