"""Many chunks, each allowed a little, must not add up."""

from __future__ import annotations

import numpy as np
import pytest

from testing.tools import START, at_rest, tool_pose
from wam_ros.core.types import NS
from wam_ros.robot.obstacles import Obstacle
from wam_ros.safety.machine.live import Change
from wam_ros.safety.machine.machine import SafetyMachine
from wam_ros.safety.machine.surroundings import GONE_NS
from wam_ros.safety.motion.bounds import ESCAPE, make_bounds

NOISE = 1e-3  # m


@pytest.fixture
def watched(panda, home):
    """A machine that holds the arm, and how to tell it of a ball too near to the hand: with its
    noise in metres.
    """
    model, machine = panda.model, SafetyMachine(panda)
    at = model.base.inverse().act(tool_pose(model, home).translation) + np.array((0.09, 0, 0.1))

    def tell(noise: float | None, after_s: float = 0.0) -> None:
        place = (float(at[0] + (noise or 0.0)), float(at[1]), float(at[2]))
        ball = None if noise is None else Obstacle("sphere", (0.05,), place)
        machine.on_obstacles([Change("ball", ball, "panda_link0")], START + round(after_s * NS))

    fixed = dict(model.obstacles)
    machine.brakes.stand(home)
    tell(0.0)
    yield machine, tell
    model.set_obstacles(fixed)


def gap_and_floor(machine, home, floor):
    """Of the pair with the ball that is nearest."""
    bounds = make_bounds(machine.model, machine.params, at_rest(home), floor)
    pair = min(
        (k for k, n in enumerate(machine.model.pairs.names) if n[1] == "ball"),
        key=bounds.distances.distance.__getitem__,
    )
    return bounds.distances.distance[pair], bounds.floor.clearance[pair], bounds.floor


def test_the_noise_of_a_tracker_does_not_let_the_arm_creep_into_what_it_tracks(watched, home):
    machine, tell = watched
    gap, allowed, floor = gap_and_floor(machine, home, None)
    assert 0 < gap < machine.params.obstacle_clearance_m
    assert allowed == pytest.approx(gap - ESCAPE)
    toward = home + 0.9 * ESCAPE * np.eye(8)[1]  # as far as the floor lets it come
    machine.brakes.stand(toward)
    machine.brakes.floor = floor
    for noise in (-NOISE, NOISE, -NOISE, NOISE, 0.0):
        tell(noise)
        _, _, machine.brakes.floor = gap_and_floor(machine, toward, machine.brakes.floor)
    _, again, _ = gap_and_floor(machine, toward, machine.brakes.floor)
    assert again == pytest.approx(allowed, abs=1e-6)


def test_a_floor_gives_no_leave_to_meet_what_has_come_nearer(watched, home):
    machine, tell = watched
    _, _, machine.brakes.floor = gap_and_floor(machine, home, None)
    tell(-0.05)
    gap, _, _ = gap_and_floor(machine, home, None)
    assert gap < 0
    ball = [k for k, n in enumerate(machine.model.pairs.names) if n[1] == "ball"]
    floor = machine.brakes.floor.clearance[ball]
    assert ((floor >= 0) | np.isneginf(floor)).all()
    assert np.isneginf(floor.min())


@pytest.mark.parametrize("noise", [0.0, NOISE, -NOISE])
def test_an_obstacle_that_is_removed_and_told_again_is_not_approached_further(watched, home, noise):
    machine, tell = watched
    _, allowed, floor = gap_and_floor(machine, home, None)
    toward = home + 0.9 * ESCAPE * np.eye(8)[1]
    machine.brakes.stand(toward)
    machine.brakes.floor = floor
    for k in range(5):
        tell(None, k)
        assert "ball" not in machine.model.obstacles
        tell(noise, k + 0.5)
        _, _, machine.brakes.floor = gap_and_floor(machine, toward, machine.brakes.floor)
        tell(0.0, k + 0.5)
        _, again, machine.brakes.floor = gap_and_floor(machine, toward, machine.brakes.floor)
        assert again == pytest.approx(allowed, abs=1e-6)


def test_an_arm_that_went_nearer_while_an_obstacle_was_gone_is_not_locked_in_when_it_comes_again(
    watched, home
):
    machine, tell = watched
    _, allowed, machine.brakes.floor = gap_and_floor(machine, home, None)
    tell(None)
    floor, nearer = machine.brakes.floor, home + 100 * ESCAPE * np.eye(8)[1]
    machine.brakes.stand(nearer)
    machine.brakes.floor = floor
    tell(0.0, 0.5)
    gap, now, _ = gap_and_floor(machine, nearer, machine.brakes.floor)
    assert gap < allowed
    assert now == pytest.approx(gap - ESCAPE, abs=1e-6), "as for what has just come: it may leave"


def test_what_comes_again_by_the_same_name_much_later_is_another_one(watched, home):
    machine, tell = watched
    _, _, machine.brakes.floor = gap_and_floor(machine, home, None)
    tell(None)
    tell(0.0, GONE_NS / NS + 0.1)
    ball = [k for k, n in enumerate(machine.model.pairs.names) if n[1] == "ball"]
    assert np.isneginf(machine.brakes.floor.clearance[ball]).all()


def test_of_what_comes_again_elsewhere_and_of_what_stands_around_nothing_else_changes(
    watched, home
):
    machine, tell = watched
    other = Change("other", Obstacle("sphere", (0.05,), (0.0, 0.9, 0.9)), "panda_link0")
    machine.on_obstacles([other], START)
    _, _, machine.brakes.floor = gap_and_floor(machine, home, None)
    known = lambda: dict(zip(machine.model.pairs.keys, machine.brakes.floor.clearance, strict=True))  # noqa: E731
    before = known()
    tell(None)
    machine.on_obstacles([Change("other", None), other], START)
    tell(-0.05, 0.1)
    assert set(machine.model.obstacles) == {"table", "ball", "other"}
    assert {k: v for k, v in known().items() if "ball" not in k} == {
        k: v for k, v in before.items() if "ball" not in k
    }
