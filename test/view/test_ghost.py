import numpy as np
import pytest

from wam_ros.core.embodiment import load_embodiment
from wam_ros.view.ghost import APART_M, COUNT, GhostArm

PANDA = load_embodiment("panda")
HOME = np.array(PANDA.home)
N = len(HOME)


@pytest.fixture(scope="module")
def arm():
    return GhostArm(PANDA)


def turned(rad):
    """The whole arm turned about its first axis."""
    return HOME + rad * np.eye(N)[0]


def test_the_last_ghost_stands_where_the_plan_ends_and_the_others_on_the_way(arm):
    t = np.array([-0.2, 0.0, 1.2])
    q = np.array([turned(-0.1), turned(0.0), turned(1.2)])
    ghosts = arm.along(t, q, HOME)
    assert len(ghosts) == COUNT
    still = np.array([HOME, HOME])
    (home, *_) = arm.along(np.array([0.0, 1.0]), still, None)
    begins = {part.number: part.pose[:2, 3] for part in home}
    for k, parts in enumerate(ghosts):
        angle = 1.2 * (k + 1) / COUNT
        spin = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        assert parts
        for part in parts:
            np.testing.assert_allclose(part.pose[:2, 3], spin @ begins[part.number], atol=1e-9)


def test_the_way_of_the_tool_is_where_it_will_be(arm):
    (way,) = arm.tool_paths(np.array([turned(0.0), turned(0.5)]))
    spin = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])
    np.testing.assert_allclose(way[1, :2], spin @ way[0, :2], atol=1e-9)
    assert way[0, 2] == pytest.approx(way[1, 2]) and np.hypot(*way[0, :2]) > 0.3
    both = load_embodiment("bimanual")
    assert GhostArm(both).tool_paths(np.array([both.home] * 3)).shape == (2, 3, 3)


def test_what_does_not_leave_the_arm_is_no_ghost(arm):
    t = np.array([0.0, 1.0])
    assert arm.along(t, np.array([HOME, HOME]), HOME) == [[]] * COUNT
    # the hand turns in place
    spun = HOME + 1.5 * np.eye(N)[6]
    bodies = {p.solid.name for ghost in arm.along(t, np.array([HOME, spun]), HOME) for p in ghost}
    assert not bodies & {"panda_link0", "panda_link1", "panda_link5"}


def test_no_two_bodies_of_one_kind_coincide(arm):
    t = np.linspace(0, 1, 10)
    rng = np.random.default_rng(3)
    for _ in range(20):
        q = HOME + np.outer(t, rng.uniform(-0.5, 0.5, N))
        drawn = {}
        for parts in [*arm.along(t, np.array([HOME] * 10), None)[:1], *arm.along(t, q, HOME)]:
            for part in parts:
                for other in drawn.setdefault(part.number, []):
                    assert np.linalg.norm(part.pose[:3, 3] - other) >= APART_M - 1e-9
                drawn[part.number].append(part.pose[:3, 3])


def test_a_plan_that_is_over_has_no_ghosts(arm):
    t = np.array([-1.0, -0.1])
    assert arm.along(t, np.array([turned(0.0), turned(1.0)]), HOME) == [[]] * COUNT


@pytest.mark.parametrize("name", ["so101", "ur5e", "bimanual"])
def test_every_shipped_robot_has_ghosts_of_finite_size(name):
    robot = load_embodiment(name)
    home = np.array(robot.home)
    ghosts = GhostArm(robot).along(np.array([0.0, 1.0]), np.array([home, home + 0.6]), home)
    poses = np.array([p.pose for parts in ghosts for p in parts])
    assert len(poses) and np.isfinite(poses).all()
