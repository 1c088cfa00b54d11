"""Obstacles that come, move, go or fall silent, and objects that are held: motion under way is kept
clear of them.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.obstacles import SIDEWAYS, box, swinging, tell, told
from testing.rig import MS, TURN, Rig
from testing.tools import START, tool_pose
from wam_ros.core.embodiment import Load
from wam_ros.core.types import Decision, Reason, SafetyState
from wam_ros.robot.obstacles import Cloud, Obstacle
from wam_ros.safety.machine.live import ALL, Change
from wam_ros.safety.machine.machine import SafetyMachine

S = SafetyState
AHEAD = 0.55  # rad; the hand needs about half of it to stop, and is wide


def on_the_way(rig, angle: float) -> np.ndarray:
    """Where the tool will be when the first joint has turned by an angle from now."""
    q = rig.machine.commanded(rig.now).q + SIDEWAYS / SIDEWAYS[0] * angle
    return tool_pose(rig.filter.model, q).translation


def nearest(rig, name: str) -> float:
    model = rig.filter.model
    distances = model.distances(rig.machine.commanded(rig.now).q)
    return min(d for d, names in zip(distances, model.pairs.names, strict=True) if names[1] == name)


def test_an_obstacle_in_the_way_of_what_is_executed_stops_the_arm_clear_of_it(rig):
    output = tell(swinging(rig), box(on_the_way(rig, AHEAD)))
    assert output.trajectory is not None
    assert rig.state == S.BRAKING
    assert output.report.reasons & Reason.ENV_COLLISION
    assert "people/1" in output.report.sentence
    least = min(nearest(rig, "people/1") for _ in rig_steps(rig, 0.5))
    assert least >= rig.filter.params.obstacle_clearance_m
    assert rig.at_rest
    assert rig.state == S.ARMED, "the next chunk that avoids it may move the arm"
    assert rig.chunk(rate=SIDEWAYS).report.decision in (Decision.TRUNCATED, Decision.BRAKE)
    assert rig.chunk(rate=-SIDEWAYS).report.decision in (Decision.PASS, Decision.SCALED)


def rig_steps(rig, seconds: float):
    for _ in range(round(seconds * 100)):
        rig.run(0.01)
        yield


def test_an_obstacle_too_near_to_stop_for_is_a_fault_and_the_stop_as_short_as_can_be(
    rig,
):
    swinging(rig)
    left = rig.machine.tick(rig.now).report.stop_time_s
    begin = rig.now + 10 * MS  # stop_lead_s
    shortest = rig.filter.stop(rig.machine.commanded(begin), begin)
    output = tell(rig, box(on_the_way(rig, 0.03)))
    assert output.trajectory is not None
    assert "too near to stop clear of it" in output.report.sentence
    assert output.report.stop_time_s == pytest.approx(0.01 + shortest.t[-1])
    assert output.report.stop_time_s < left / 2
    rig.run(0.3)
    assert rig.at_rest
    assert rig.state == S.FAULT


def test_an_obstacle_beside_the_way_changes_nothing(rig):
    swinging(rig)
    emitted = len(rig.emitted)
    assert tell(rig, box((-0.5, -0.5, 0.5))) is None
    rig.run(0.1)
    assert rig.state == S.ARMED
    assert len(rig.emitted) == emitted


def test_an_obstacle_that_moves_into_the_way_stops_the_arm_and_one_that_leaves_lets_it_pass(rig):
    swinging(rig)
    there = on_the_way(rig, AHEAD)
    assert tell(rig, box(there + np.array([0, 0, 0.5]))) is None
    assert tell(rig, box(there)).trajectory is not None
    rig.run(0.5)
    assert rig.chunk(rate=SIDEWAYS).report.decision != Decision.PASS
    rig.machine.on_obstacles([Change("people/1", None)], rig.now)
    rig.run(0.3)
    assert rig.chunk(rate=SIDEWAYS).report.decision in (Decision.PASS, Decision.SCALED)


def test_one_that_was_to_be_told_again_and_was_not_stops_the_arm_and_is_not_forgotten(rig):
    swinging(rig)
    tell(rig, box((-0.5, -0.5, 0.5)), lifetime_s=0.1)
    reports = rig.run(0.2)
    assert reports[-1].state == S.BRAKING
    assert "last seen" in reports[-1].sentence
    rig.run(0.5)
    assert rig.at_rest
    refused = rig.chunk().report
    assert (refused.decision, refused.reasons) == (Decision.REJECT, Reason.ENV_COLLISION)
    assert "people/1" in rig.machine.model.obstacles
    tell(rig, box((-0.5, -0.5, 0.5)), lifetime_s=0.1)
    assert rig.chunk().report.decision == Decision.PASS


def test_points_are_kept_clear_of_and_their_distance_is_that_of_the_nearest_voxel(rig):
    model = rig.filter.model
    wall = on_the_way(swinging(rig), 1.1 * AHEAD) + np.random.default_rng(0).uniform(
        -0.03, 0.03, (500, 3)
    )
    output = tell(rig, Cloud("points", (0.02,), (0.0, 0.0, 0.0), points=wall), name="camera")
    assert output.trajectory is not None
    assert "camera" in output.report.sentence
    rig.run(0.5)
    assert rig.state == S.ARMED
    q = rig.machine.commanded(rig.now).q
    ours = min(
        d for d, n in zip(model.distances(q), model.pairs.names, strict=True) if n[1] == "camera"
    )
    model.set_obstacles({str(k): Obstacle("sphere", (1e-6,), tuple(p)) for k, p in enumerate(wall)})
    true = model.distances(q)[model.pairs.world].min()
    assert true - 0.02 * np.sqrt(3) <= ours <= true + 1e-6
    assert ours >= rig.filter.params.obstacle_clearance_m


def test_the_next_cloud_replaces_the_former_one(rig):
    model, near = rig.held().filter.model, np.array([[0.6, 0.0, 0.5]])
    clouds = [Cloud("points", (0.02,), (0.0, 0.0, 0.0), points=p) for p in (near, near + 2.0, near)]
    least = []
    for cloud in clouds:
        rig.now += MS
        tell(rig, cloud, name="camera")
        least.append(
            min(
                d
                for d, n in zip(model.distances(rig.home), model.pairs.names, strict=True)
                if n[1] == "camera"
            )
        )
    assert least[1] > least[0] + 1.0
    assert least[2] == least[0]


def test_what_is_held_is_kept_clear_and_weighs(rig):
    model, q = rig.filter.model, np.array(rig.home)
    can = Load(
        frame="panda_hand",
        mass=1.0,
        centre=(0.0, 0.0, 0.1),
        shape="cylinder",
        size=(0.03, 0.2),
        position=(0.0, 0.0, 0.15),
    )
    bare, zero = model.torque(q[None], q[None] * 0, q[None] * 0), q[None] * 0
    reach = model.distances(q)[model.pairs.world].min()
    assert rig.held().machine.hold("can", can, rig.now).ok
    assert (
        min(
            d
            for d, n in zip(model.distances(q), model.pairs.names, strict=True)
            if n == ("can", "table")
        )
        < 0.3
    )
    assert {n for n in model.pairs.names if "can" in n} >= {
        ("can", "table"),
        ("panda_link0", "can"),
    }
    pose = tool_pose(model, q)
    assert np.abs(model.torque(q[None], zero, zero) - bare).max() > 1.0
    assert rig.machine.hold("can", None, rig.now).ok
    assert np.array_equal(model.torque(q[None], zero, zero), bare)
    assert model.distances(q)[model.pairs.world].min() == reach
    assert np.array_equal(tool_pose(model, q), pose)


def test_what_cannot_be_held_changes_nothing(rig):
    names = rig.filter.model.pairs.names
    sized = {
        "box": (1.0,),
        "mesh": (1.0, 1.0, 1.0),
        "plane": (),
        "hull": (),
        "points": (0.02,),
        "cup": (),
    }
    odd = [Load("panda_hand", 1.0, shape=shape, size=size) for shape, size in sized.items()]
    odd += [
        Load("nowhere", 1.0),
        Load("panda_hand", -1.0),
        Load("panda_hand", np.nan),
        Load("panda_hand", np.inf),
    ]
    odd += [Load("panda_hand", 1.0, (0.0, np.nan, 0.0))]
    for load in odd:
        answer = rig.machine.hold("can", load, rig.now)
        assert not answer.ok
        assert "not held" in answer.message
        assert rig.filter.model.pairs.names == names


@pytest.mark.parametrize("name", ["", "n" * 1000, "panda_link0", "panda_link0#7", "panda_link5"])
def test_what_is_held_may_not_be_called_like_a_link_that_obstacles_ignore(rig, name):
    answer = rig.machine.hold(name, Load("panda_hand", 0.1, shape="sphere", size=(0.05,)), rig.now)
    assert not answer.ok
    assert "cannot be its name" in answer.message
    assert rig.machine.hold(name, None, rig.now).ok, "letting go of nothing harms nobody"


def test_an_object_of_any_finite_mass_leaves_no_torque_unchecked(rig):
    for mass in (1e3, 1e12, 1e300):
        assert rig.machine.hold("anvil", Load("panda_hand", mass), rig.now).ok
        report = rig.held().chunk().report
        assert report.decision == Decision.BRAKE
        assert report.reasons & Reason.TORQUE
    rig.machine.hold("anvil", None, rig.now)
    assert rig.chunk().report.decision == Decision.PASS


def test_a_held_object_that_the_motion_would_drive_into_the_table_stops_it(rig):
    down = np.r_[0, 0.04, 0, 0, 0, 0, 0, 0]
    assert rig.armed().chunk(rate=down).report.decision in (Decision.PASS, Decision.SCALED)
    rig.run(0.2)
    low = min(
        rig.filter.model.distances(q)[rig.filter.model.pairs.world].min() for q in rig.emitted[-1].q
    )
    assert low > 0.05
    stick = Load(
        "panda_hand", 0.1, shape="capsule", size=(0.01, 2 * low), position=(0.0, 0.0, 0.11 + low)
    )
    answer = rig.machine.hold("stick", stick, rig.now)
    assert rig.state == S.BRAKING
    assert answer.trajectory is not None
    assert "stick" in rig.machine.tick(rig.now).report.sentence


def test_what_one_answer_gave_way_to_is_remembered_when_something_else_changes(rig):
    """Many changes of the world must not let a stream creep into the table."""
    swinging(rig)
    floor, before = rig.machine.brakes.floor, rig.filter.model.pairs
    tell(rig, box((-0.5, -0.5, 0.5)))
    after, carried = rig.filter.model.pairs, rig.machine.brakes.floor
    for key, value in zip(before.keys, floor.clearance, strict=True):
        assert carried.clearance[after.keys.index(key)] == value


def test_saying_the_same_again_after_removing_all_forgets_nothing(rig):
    """A publisher that clears before every message must not let a stream creep into the table."""
    swinging(rig)
    tell(rig, box((-0.5, -0.5, 0.5)))
    pairs, floor = rig.filter.model.pairs, rig.machine.brakes.floor
    again = [Change(ALL, None), told(rig, box((-0.5, -0.5, 0.5)))]
    assert rig.machine.on_obstacles(again, rig.now) is None
    assert rig.filter.model.pairs is pairs, "nothing was built anew"
    moved = [Change(ALL, None), told(rig, box((-0.5, -0.5, 0.6)))]
    rig.machine.on_obstacles(moved, rig.now)
    carried, after = rig.machine.brakes.floor, rig.filter.model.pairs
    for key, value in zip(pairs.keys, floor.clearance, strict=True):
        if "people/1" not in key:
            assert carried.clearance[after.keys.index(key)] == value


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_whatever_comes_goes_or_moves_the_arm_keeps_clear_or_says_that_it_could_not(
    panda, home, seed
):
    """Clear: as far as the clearance, or no nearer than when it appeared. Always at rest by the
    time that was told.
    """
    rng, table = np.random.default_rng(seed), dict(panda.model.obstacles)
    rig = Rig(panda, home).armed()
    try:
        allowed: dict[str, float] = {}
        for _ in range(60):
            if rng.uniform() < 0.3:
                rig.chunk(
                    rate=SIDEWAYS * rng.uniform(-1, 1)
                    + rng.normal(size=8) * np.r_[np.full(7, 0.02), 0]
                )
            if rng.uniform() < 0.15:
                name = str(rng.integers(3))
                gone = rng.uniform() < 0.2
                place = on_the_way(rig, rng.uniform(-0.6, 0.6)) + rng.normal(size=3) * 0.1
                tell(rig, None if gone else box(place, rng.uniform(0.02, 0.1)), name=name)
                allowed.pop(name, None)
                if not gone:
                    allowed[name] = min(
                        rig.filter.params.obstacle_clearance_m, nearest(rig, name) - 2e-4
                    )
            rig.run(0.02)
            if rig.state == S.FAULT or "too near" in rig.machine.tick(rig.now).report.sentence:
                break
            for name, least in allowed.items():
                assert nearest(rig, name) >= least - 1e-6
        rig.run(rig.machine.tick(rig.now).report.stop_time_s + 0.011)
        assert rig.at_rest
    finally:
        panda.model.set_obstacles(table, {})


def test_an_obstacle_with_the_name_of_a_body_spares_no_pair_of_the_robot(panda, home, monkeypatch):
    machine, model = SafetyMachine(panda), panda.model
    body = next(b for _, b in np.array(model.pairs.keys)[~model.pairs.world])
    fixed, seen = dict(model.obstacles), []
    machine.brakes.stand(home)
    monkeypatch.setattr(
        machine.brakes, "avoid", lambda now_ns, spared, began_s: seen.append(spared)
    )
    try:
        ball = Obstacle("sphere", (0.05,), (2.0, 0.0, 0.0))
        machine.on_obstacles([Change(str(body), ball, "panda_link0")], START)
        assert seen[-1].any()
        assert not seen[-1][~model.pairs.world].any()
    finally:
        model.set_obstacles(fixed)


@pytest.mark.parametrize("mass", [10.0, 20.0, 200.0])
def test_what_is_too_heavy_ends_the_motion_at_once(panda, home, mass):
    rig, fixed = Rig(panda, home).armed(), dict(panda.model.obstacles)
    rig.chunk(home + np.outer(np.arange(1, 41), TURN))
    rig.run(0.5)
    try:
        answer = rig.machine.hold("weight", Load("panda_hand", mass), rig.now)
        assert answer.trajectory is not None
        assert rig.machine.brakes.playback.rest_in_s(rig.now) < 1.0
        assert rig.state == SafetyState.BRAKING
        assert Reason.TORQUE in rig.machine.brakes.reason
    finally:
        panda.model.set_obstacles(fixed, {})
