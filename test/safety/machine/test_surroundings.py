"""Obstacles that come, move, go or fall silent, and objects that are held: motion under way is kept
clear of them.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.rig import MS, Rig
from testing.tools import tool_pose
from wam_ros.core.embodiment import Load
from wam_ros.core.types import Commanded, Decision, Reason, SafetyState
from wam_ros.robot.obstacles import Cloud, Obstacle
from wam_ros.safety.machine.live import ALL, Change
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.stopper import Stopper

S = SafetyState


SIDEWAYS = np.r_[0.1, 0, 0, 0, 0, 0, 0, 0]  # rad per step of 0.1 s


# a plate without thickness
QUAD = 0.3 * np.array([[0, 0, 0], [1, 0, 0.7], [0, 1, 0.2], [1, 1, 0.9]])


AHEAD = 0.55  # rad; the hand needs about half of it to stop, and is wide


@pytest.fixture
def rig(panda, home):
    obstacles = dict(panda.model.obstacles)
    yield Rig(panda, home)
    panda.model.set_obstacles(obstacles, {})


def box(position, edge: float = 0.05, **more) -> Obstacle:
    return Obstacle("box", (edge,) * 3, tuple(float(x) for x in position), **more)


def hull(points) -> Cloud:
    return Cloud("hull", (), (-0.5, -0.5, 0.5), points=points)


def told(rig, obstacle, name: str = "people/1", frame: str = "panda_link0", **more) -> Change:
    return Change(name, obstacle, frame, rig.now, **more)


def tell(rig, obstacle, **more):
    return rig.keep(rig.machine.on_obstacles([told(rig, obstacle, **more)], rig.now))


def on_the_way(rig, angle: float) -> np.ndarray:
    """Where the tool will be when the first joint has turned by an angle from now."""
    q = rig.machine.commanded(rig.now).q + SIDEWAYS / SIDEWAYS[0] * angle
    return tool_pose(rig.filter.model, q).translation


def swinging(rig) -> Rig:
    assert rig.armed().chunk(rate=SIDEWAYS).report.decision in (Decision.PASS, Decision.SCALED)
    rig.run(0.3)
    assert rig.machine.commanded(rig.now).dq[0] > 0.5
    return rig


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


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"frame": "nowhere"}, "unknown frame 'nowhere'"),
        ({"frame": "panda_hand"}, "moves with the robot"),
        ({"obstacle": box((np.nan, 0, 0))}, "finite"),
        ({"obstacle": box((1e300, 0, 0))}, "finite"),
        ({"obstacle": box((0, 0, 0), edge=-1.0)}, "positive"),
        ({"obstacle": box((0, 0, 0), edge=np.inf)}, "positive"),
        ({"obstacle": box((1, 0, 0), orientation=(0.0, 0.0, 0.0, np.nan))}, "quaternion"),
        ({"obstacle": Obstacle("sphere", (), (0.0, 0.0, 0.0))}, "1 positive sizes"),
        (
            {"obstacle": Cloud("points", (0.02,), (0.0, 0.0, 0.0), points=np.full((4, 3), np.nan))},
            "finite points",
        ),
        ({"obstacle": hull(QUAD)}, "no volume"),
        ({"obstacle": hull(QUAD + 1e-10 * np.eye(4, 3))}, "no volume"),
        ({"obstacle": hull(QUAD[[0, 1, 0, 1, 0]])}, "no volume"),
        ({"obstacle": hull(np.ones((8, 3)))}, "no volume"),
        ({"obstacle": hull(QUAD[:3])}, "no volume"),
        ({"obstacle": None, "refusal": "a marker of type 9"}, "type 9"),
        ({"lifetime_s": np.nan}, "lifetime"),
        ({"stamp_ns": 2 * 10**18}, "future"),
        ({"name": "table"}, "world file"),
    ],
)
def test_what_cannot_be_read_may_stand_anywhere_so_nothing_moves_until_it_is_gone(
    rig, change, word
):
    swinging(rig)
    odd = dataclasses.replace(told(rig, box((-0.5, -0.5, 0.5))), **change)
    rig.keep(rig.machine.on_obstacles([odd], rig.now))
    assert word in rig.run(0.02)[-1].sentence
    rig.run(0.5)
    assert rig.at_rest
    assert word in rig.chunk().report.sentence
    assert set(rig.machine.model.obstacles) == {"table"}
    rig.machine.on_obstacles([Change(odd.name, None)], rig.now)
    assert rig.chunk().report.decision == Decision.PASS
    assert set(rig.machine.model.obstacles) == {"table"}, (
        "the world file is not for others to change"
    )


def test_more_than_can_be_watched_are_refused(panda, home, rig):
    rig = Rig(panda, home, max_obstacles=3).armed()
    rig.machine.on_obstacles(
        [told(rig, box((-1, 0, k)), name=str(k)) for k in range(1, 6)], rig.now
    )
    assert len(rig.machine.model.obstacles) == 1 + 3
    assert "at most 3" in rig.chunk().report.sentence
    rig.machine.on_obstacles([Change(ALL, None)], rig.now)
    assert set(rig.machine.model.obstacles) == {"table"}
    assert rig.chunk().report.decision == Decision.PASS


def test_the_clearance_of_what_moves_grows_by_how_far_it_gets_before_the_arm_stands(
    panda, home, rig
):
    rig = Rig(panda, home, obstacle_speed=1.6).held()
    slow, quick, still = (
        told(rig, box((-3, k, 0)), name=str(k), lifetime_s=t) for k, t in enumerate((0.5, 0.1, 0.0))
    )
    rig.machine.on_obstacles([slow, quick, still], rig.now)
    wide, narrow, least = (rig.machine.model.obstacles[str(k)].clearance for k in range(3))
    assert wide - narrow == pytest.approx(1.6 * 0.4)
    assert least == rig.filter.params.obstacle_clearance_m
    stop_s = (narrow - least) / 1.6 - 0.1
    limits, share = rig.filter.model.limits, rig.filter.params.velocity_fraction
    full = Commanded(np.array(home), limits.velocity * share, np.zeros(8))
    rows = Stopper(8).stop(
        full,
        make_bounds(rig.filter.model, rig.filter.params, Commanded(full.q, full.ddq, full.ddq)),
    )
    assert rows.shape[1] * rig.filter.params.sample_s < stop_s, "no stop takes longer"


def test_nobody_moves_or_removes_what_somebody_else_has_told(rig):
    rig.held()
    tell(rig, box((-1, 0, 1)), name="moveit/shelf", source="moveit")
    tell(rig, box((-1, 0, 2)), name="mine")
    rig.machine.on_obstacles([Change("moveit/shelf", None), Change(ALL, None)], rig.now)
    assert set(rig.machine.model.obstacles) == {"table", "moveit/shelf"}
    tell(rig, box((-3, 0, 1)), name="moveit/shelf")
    assert rig.machine.model.obstacles["moveit/shelf"].position[0] == -1
    assert "told by moveit" in rig.machine.surroundings.live.doubt(rig.now)
    rig.machine.on_obstacles([Change(ALL, None)], rig.now)
    assert rig.machine.surroundings.live.doubt(rig.now) == ""


def test_removing_all_of_one_namespace_leaves_the_others(rig):
    rig.held()
    for name in ("people/1", "people/2", "people/left/1", "shelf/1"):
        tell(rig, box((-1, 0, len(name))), name=name)
    tell(rig, box((np.nan, 0, 1)), name="people/3")
    tell(rig, box((np.nan, 0, 1)), name="shelf/3")
    rig.machine.on_obstacles([Change("people/*", None)], rig.now)
    assert set(rig.machine.model.obstacles) == {"table", "people/left/1", "shelf/1"}
    assert "shelf/3" in rig.machine.surroundings.live.doubt(rig.now)
    rig.machine.on_obstacles([Change("shelf/*", None)], rig.now)
    assert set(rig.machine.model.obstacles) == {"table", "people/left/1"}
    assert rig.machine.surroundings.live.doubt(rig.now) == ""


def test_what_was_refused_is_not_forgotten_however_much_is_refused(panda, home, rig):
    rig = Rig(panda, home, max_obstacles=3).armed()
    bad = [told(rig, box((np.nan, 0, 1)), name=f"a/{k}") for k in range(6)]
    rig.machine.on_obstacles(bad, rig.now)
    for k in range(6):
        assert "refused" in rig.machine.surroundings.live.doubt(rig.now)
        rig.machine.on_obstacles([Change(f"a/{k}", None)], rig.now)
    assert "refused" in rig.machine.surroundings.live.doubt(rig.now), (
        "three of them are known by number only"
    )
    rig.machine.on_obstacles([Change(ALL, None)], rig.now)
    assert rig.machine.surroundings.live.doubt(rig.now) == ""


def test_older_news_does_not_replace_newer(rig):
    rig.held()
    new, old = told(rig, box((-1, 0, 1))), told(rig, box((-2, 0, 1)))
    rig.machine.on_obstacles([new, dataclasses.replace(old, stamp_ns=rig.now - MS)], rig.now)
    assert rig.machine.model.obstacles["people/1"].position[0] == -1


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


@settings(max_examples=40, deadline=None)
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
