"""How far a tool may leave the line between two samples, where an arm extends and where joints
follow others.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from testing.tools import at_rest, one_robot
from wam_ros.robot.model import SafetyModel
from wam_ros.safety.checks import workspace
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.motion import Motion
from wam_ros.safety.params import SafetyParams

LINK = (
    '<inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" '
    'iyz="0"/></inertial>'
    '<collision><geometry><sphere radius="0.01"/></geometry></collision>'
)
LIMIT = '<limit lower="-2" upper="2" velocity="50" effort="1000"/>'


def joint(
    name: str, kind: str, parent: str, child: str, x: float, axis: str, more: str = ""
) -> str:
    return (
        f'<link name="{child}">{LINK}</link><joint name="{name}" type="{kind}"><parent '
        f'link="{parent}"/>'
        f'<child link="{child}"/><origin xyz="{x} 0 0"/><axis xyz="{axis}"/>{LIMIT}{more}</joint>'
    )


EXTENDING = joint("turn", "revolute", "base", "arm", 0, "0 0 1") + joint(
    "slide", "prismatic", "arm", "tip", 0.1, "1 0 0"
)
FOLLOWED = joint("turn", "revolute", "base", "arm", 0, "0 0 1") + joint(
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
        motion = Motion(dt, t * dq, np.tile(dq, (2, 1)), np.zeros((2, n)))
        fine = np.linspace(0, dt, 21)[:, None] * dq
        path, _ = model.tool_motion(fine, fine)
        line = path[0] + np.linspace(0, 1, 21)[:, None] * (path[-1] - path[0])
        bow = workspace._bow(motion, model.tool_reach[0], model.turns)[0]
        assert np.linalg.norm(path - line, axis=1).max() <= bow


def test_a_tool_that_is_nowhere_is_outside(panda, home):
    walled = dataclasses.replace(SafetyParams(), planes=(0.0, 0.0, 1.0, -1.0))
    bounds = make_bounds(panda.model, walled, at_rest(home))
    q = np.full((2, 8), np.nan)
    assert workspace.CHECK.look(Motion(0.01, q, q, q), bounds).bad.any()
