"""Poses that a script moves between: reached, free on the way, always the same, or none."""

import numpy as np
import pytest

from wam_ros.core.errors import WamError
from wam_ros.robot.model import load_safety_model
from wam_ros.robot.obstacles import Obstacle
from wam_ros.robot.reach import COLOURS, find_poses, room, solve, tools_at

from .chain import HOME, JOINTS, LIMIT, TOOL, chain

LONG = {"tool": TOOL.replace("<child", '<origin xyz="0 0 0.3"/><child')}


@pytest.mark.parametrize("name", ["panda", "so101", "bimanual", "bimanual_yam", "agibot_g1"])
def test_tools_are_at_their_places_and_the_ways_between_them_free(name, robots):
    model = robots(name)
    home = np.array(model.embodiment.home)
    poses = find_poses(model)
    assert [p.name for p in poses] == list(COLOURS)
    low, high = model.limits.lower, model.limits.upper
    nearest = model.distances(home)
    for a in (home, *(p.q for p in poses)):
        for pose in poses:
            for q in (*np.linspace(a, pose.q, 9), pose.gripped):
                assert ((q >= low) & (q <= high)).all()
                assert (
                    model.distances(q) > np.minimum(model.pairs.clearance, nearest) - 1e-3
                ).all()
    for pose in poses:
        np.testing.assert_allclose(tools_at(model, pose.q), pose.tools, atol=5e-4)
        np.testing.assert_array_equal(pose.q[model.gripper], home[model.gripper])
        np.testing.assert_array_equal(pose.q[~model.gripper], pose.gripped[~model.gripper])
        assert (pose.gripped[model.gripper] != home[model.gripper]).all()
    gaps = [
        np.linalg.norm(a.tools - b.tools, axis=1).min() for a in poses for b in poses if a is not b
    ]
    assert min(gaps) > 0.02
    again = find_poses(model)
    np.testing.assert_array_equal([p.q for p in poses], [p.q for p in again])


def test_the_tool_goes_where_it_is_sent_and_no_joint_beyond_its_limits(tmp_path):
    """Links of 0.3 m, tool and all: it reaches 0.6 m from j2, which is 0.6 m high."""
    model = load_safety_model(chain(tmp_path, LONG))
    home = np.array(HOME)
    np.testing.assert_allclose(tools_at(model, np.zeros(3)), [[0, 0, 1.2]], atol=1e-9)
    wanted = np.array([[0.35, 0.1, 0.9]])
    np.testing.assert_allclose(tools_at(model, solve(model, home, wanted)), wanted, atol=5e-4)
    low, high = room(model)
    for goal in np.random.default_rng(0).uniform(-2, 2, (10, 1, 3)):
        q = solve(model, home, goal)
        assert ((q >= low) & (q <= high)).all() and np.isfinite(q).all()


def test_poses_keep_away_from_what_stands_nearby(tmp_path):
    model = load_safety_model(chain(tmp_path, LONG))
    free = find_poses(model)
    x, _, z = tools_at(model, np.array(HOME))[0]
    model.set_obstacles({"wall": Obstacle("box", (0.02, 2.0, 2.0), (x + 0.03, 0.0, z))})

    def clear(pose):
        return bool((model.distances(pose.q) > model.pairs.clearance + 5e-3).all())

    assert not all(map(clear, free))
    assert all(map(clear, find_poses(model)))


def test_an_arm_that_cannot_move_is_told_so(tmp_path):
    stiff = LIMIT.replace("-2.5", "0.4999").replace("2.5", "0.5001")
    stiff = {name: text.replace(LIMIT, stiff) for name, text in JOINTS.items()}
    model = load_safety_model(chain(tmp_path, stiff, home=(0.5, 0.5, 0.5)))
    with pytest.raises(WamError, match="'toy' has no 3 poses near its home"):
        find_poses(model)
