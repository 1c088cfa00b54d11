"""Words about obstacles: who says what, what is refused, and how far what moves may get."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from testing.obstacles import box, swinging, tell, told
from testing.rig import MS, Rig
from wam_ros.core.types import Decision, KinematicState
from wam_ros.robot.obstacles import Cloud, Obstacle
from wam_ros.robot.pose import make_pose
from wam_ros.safety.machine.live import ALL, Change, LiveWorld, _longest_stop_s
from wam_ros.safety.motion.bounds import make_bounds
from wam_ros.safety.motion.stopper import SAMPLED, Stopper
from wam_ros.safety.params import SafetyParams


def test_no_stop_takes_longer_than_an_obstacle_is_given_for_it(model, home):
    params = SafetyParams(stop_lead_s=0.0)
    gaining = KinematicState(
        home, np.zeros(8), model.limits.acceleration * params.acceleration_fraction
    )
    bounds, stopper = make_bounds(model, params, gaining), Stopper(8)
    jerk = np.minimum(
        bounds.joints.jerk * SAMPLED,
        bounds.joints.acceleration * params.stop_fraction / params.stop_jerk_s,
    )  # what a stop is planned with
    # it gains the rest while it stops gaining
    fastest = bounds.joints.velocity - gaining.ddq**2 / (2 * jerk)
    stop = stopper.stop(KinematicState(home, fastest, gaining.ddq), bounds)
    assert stop is not None
    assert (len(stop) - 1) * params.sample_s <= _longest_stop_s(
        model, params
    ) - 0.1 + params.sample_s


# a plate without thickness
QUAD = 0.3 * np.array([[0, 0, 0], [1, 0, 0.7], [0, 1, 0.2], [1, 1, 0.9]])


def hull(points) -> Cloud:
    return Cloud("hull", (), (-0.5, -0.5, 0.5), points=points)


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
    full = KinematicState(np.array(home), limits.velocity * share, np.zeros(8))
    stop = Stopper(8).stop(
        full,
        make_bounds(
            rig.filter.model, rig.filter.params, KinematicState(full.q, full.ddq, full.ddq)
        ),
    )
    assert len(stop) * rig.filter.params.sample_s < stop_s, "no stop takes longer"


def test_nobody_moves_or_removes_what_somebody_else_has_told(rig):
    rig.held()
    tell(rig, box((-1, 0, 1)), name="moveit/shelf", source="moveit")
    tell(rig, box((-1, 0, 2)), name="mine")
    rig.machine.on_obstacles([Change("moveit/shelf", None), Change(ALL, None)], rig.now)
    assert set(rig.machine.model.obstacles) == {"table", "moveit/shelf"}
    tell(rig, box((-3, 0, 1)), name="moveit/shelf")
    assert rig.machine.model.obstacles["moveit/shelf"].position[0] == -1
    assert "told by moveit" in rig.machine.surroundings.live.why_not_known(rig.now)
    rig.machine.on_obstacles([Change(ALL, None)], rig.now)
    assert rig.machine.surroundings.live.why_not_known(rig.now) == ""


def test_what_is_gone_for_good_is_forgotten_at_rest_and_what_is_in_order_stays(rig):
    rig.armed()
    tell(rig, box((-1, 0, 1)), name="mine")
    tell(rig, box((np.nan, 0, 1)), name="stray")
    tell(rig, box((-3, 0, 1)), name="points", lifetime_s=0.1)
    tell(rig, box((np.nan, 0, 1)), name="moveit/shelf", source="moveit")
    rig.run(0.3)
    assert "call ~/forget_sources" in rig.chunk().report.sentence
    answer = rig.machine.forget_sources(rig.now)
    assert answer.ok
    assert answer.message == "forgotten: 'points' of markers, 'stray' of markers"
    assert set(rig.machine.model.obstacles) == {"table", "mine"}
    assert "moveit/shelf" in rig.machine.surroundings.live.why_not_known(rig.now), (
        "to be put right there"
    )
    rig.machine.on_obstacles([Change("moveit/shelf", None, source="moveit")], rig.now)
    assert rig.chunk().report.decision == Decision.PASS
    rig.run(0.1)
    answer = rig.machine.forget_sources(rig.now)
    assert not answer.ok and "still moves" in answer.message
    rig.run(2.0)
    assert "no obstacle is in doubt" in rig.machine.forget_sources(rig.now).message


def test_removing_all_of_one_namespace_leaves_the_others(rig):
    rig.held()
    for name in ("people/1", "people/2", "people/left/1", "shelf/1"):
        tell(rig, box((-1, 0, len(name))), name=name)
    tell(rig, box((np.nan, 0, 1)), name="people/3")
    tell(rig, box((np.nan, 0, 1)), name="shelf/3")
    rig.machine.on_obstacles([Change("people/*", None)], rig.now)
    assert set(rig.machine.model.obstacles) == {"table", "people/left/1", "shelf/1"}
    assert "shelf/3" in rig.machine.surroundings.live.why_not_known(rig.now)
    rig.machine.on_obstacles([Change("shelf/*", None)], rig.now)
    assert set(rig.machine.model.obstacles) == {"table", "people/left/1"}
    assert rig.machine.surroundings.live.why_not_known(rig.now) == ""


def test_what_was_refused_is_not_forgotten_however_much_is_refused(panda, home, rig):
    rig = Rig(panda, home, max_obstacles=3).armed()
    bad = [told(rig, box((np.nan, 0, 1)), name=f"a/{k}") for k in range(6)]
    rig.machine.on_obstacles(bad, rig.now)
    for k in range(6):
        assert "refused" in rig.machine.surroundings.live.why_not_known(rig.now)
        rig.machine.on_obstacles([Change(f"a/{k}", None)], rig.now)
    assert "refused" in rig.machine.surroundings.live.why_not_known(rig.now), (
        "three of them are known by number only"
    )
    rig.machine.on_obstacles([Change(ALL, None)], rig.now)
    assert rig.machine.surroundings.live.why_not_known(rig.now) == ""


def test_older_news_does_not_replace_newer(rig):
    rig.held()
    new, old = told(rig, box((-1, 0, 1))), told(rig, box((-2, 0, 1)))
    rig.machine.on_obstacles([new, dataclasses.replace(old, stamp_ns=rig.now - MS)], rig.now)
    assert rig.machine.model.obstacles["people/1"].position[0] == -1


@pytest.mark.parametrize("frame", ["bench", "right_base_link", "left_base_link_inertia"])
def test_an_obstacle_in_a_fixed_frame_stands_where_that_frame_says(robots, frame):
    model = robots("bimanual")
    live = LiveWorld(model, SafetyParams())
    place, turn = (0.3, 0.1, 0.5), (np.cos(0.2), 0.0, 0.0, np.sin(0.2))
    live.take(Change("shelf", Obstacle("box", (0.1,) * 3, place, turn), frame, 1), 1)
    assert live.why_not_known(1) == ""
    found = live.obstacles()["shelf"]
    there = model.pin.frames[model.frame(frame)].placement
    assert found.position == pytest.approx(model.base.actInv(there.act(np.array(place))))
    turned = make_pose(found.position, found.orientation).rotation
    wanted = model.base.rotation.T @ there.rotation @ make_pose(place, turn).rotation
    assert turned == pytest.approx(wanted)


@pytest.mark.parametrize("shape", ["mesh", "points", "hull"])
def test_what_is_made_of_points_must_bring_them(model, shape):
    live = LiveWorld(model, SafetyParams())
    size = {"mesh": (1.0,) * 3, "points": (0.02,), "hull": ()}[shape]
    thing = Obstacle(shape, size, (1.0, 0.0, 0.5), mesh="/etc/hostname")
    live.take(Change("thing", thing, "panda_link0", 1), 1)
    assert f"a {shape} needs its points" in live.why_not_known(1)
    assert "thing" not in live.obstacles()
