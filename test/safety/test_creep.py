"""Many chunks, each allowed a little, must not add up."""

from __future__ import annotations

import numpy as np
import pytest

from wam_ros.safety.bounds import ESCAPE, make_bounds
from wam_ros.safety.live import Change
from wam_ros.safety.machine import SafetyMachine
from wam_ros.safety.world import Obstacle

from .tools import START, at_rest, tool_pose

NOISE = 1e-3  # m


@pytest.fixture
def watched(panda, home):
    """A machine that holds the arm, and how to tell it of a ball too near to the hand: with its noise in metres."""
    model, machine = panda.model, SafetyMachine(panda)
    at = model.base.inverse().act(tool_pose(model, home).translation) + np.array((0.09, 0, 0.1))

    def tell(noise: float) -> None:
        ball = Obstacle("sphere", (0.05,), (float(at[0] + noise), float(at[1]), float(at[2])))
        machine.on_obstacles([Change("ball", ball, "panda_link0")], START)

    fixed = dict(model.obstacles)
    machine.brakes.stand(home)
    tell(0.0)
    yield machine, tell
    model.set_obstacles(fixed)


def gap_and_floor(machine, home, floor):
    """Of the pair with the ball that is nearest."""
    bounds = make_bounds(machine.model, machine.params, at_rest(home), floor)
    pair = min((k for k, n in enumerate(machine.model.pairs.names) if n[1] == "ball"), key=bounds.distance.__getitem__)
    return bounds.distance[pair], bounds.floor.clearance[pair], bounds.floor


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
