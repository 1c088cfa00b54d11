"""Whoever may stop the arm is heard in the middle of long work, and the work is void then."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from testing.obstacles import SIDEWAYS, box, swinging, tell
from testing.rig import Rig
from testing.tools import START, at_rest, make_chunk
from wam_ros.core.types import Decision, Reason, SafetyState
from wam_ros.robot.obstacles import Obstacle
from wam_ros.safety.attention import Attention, InterruptedWorkError

S = SafetyState
TICK_S = 1e-4  # by which a clock goes on at every look at it


@pytest.fixture
def rig(panda, home):
    before = dict(panda.model.obstacles)
    rig = Rig(panda, home)
    yield rig
    rig.filter.model.set_obstacles(before, {})


def looking_up(rig, tick_s=TICK_S):
    """Its thread looks up by a clock that only goes on when it is read."""
    clock = itertools.count()
    rig.filter.attention.clock = lambda: tick_s * next(clock)
    return rig


def long_chunk(rig, n=200):
    """One that goes on for long; `n` steps."""
    q = rig.machine.commanded(rig.now).q if rig.machine.commanded(rig.now) else rig.measured
    return q + np.outer(np.arange(1, n + 1), 1e-3 * SIDEWAYS)


def press_at(rig, look: int):
    """Press the emergency stop at the given look; returns how often it was looked."""
    looks = []

    def hear() -> bool:
        looks.append(rig.state)
        if len(looks) == look:
            rig.keep(rig.machine.estop(rig.now, "pressed"))
            return True
        return False

    rig.filter.attention.hear = hear
    return looks


@pytest.mark.parametrize("look", [1, 2, 5])
def test_a_stop_is_heard_before_a_chunk_is_judged_and_the_chunk_is_void(rig, look):
    looking_up(rig.moving())
    looks = press_at(rig, look)
    sent = len(rig.emitted)
    output = rig.chunk(long_chunk(rig), step_period_ns=20_000_000)
    assert len(looks) == look, "nothing is looked at any more once the chunk is void"
    assert rig.state == S.ESTOP
    assert output.trajectory is None
    assert output.report.decision == Decision.REJECT
    assert "stopped meanwhile" in output.report.sentence
    assert len(rig.emitted) == sent + 1, "the stop left, and nothing after it"
    assert not rig.emitted[-1].dq[-1].any()


def test_a_chunk_that_takes_too_long_is_given_up_with_the_number(rig):
    looking_up(rig.moving(), 10 * TICK_S)
    output = rig.chunk(long_chunk(rig), step_period_ns=20_000_000)
    allowed = rig.filter.params.lead_s
    assert output.report.decision == Decision.REJECT
    assert output.report.reasons == Reason.OVERRUN
    assert output.report.allowed == allowed
    assert allowed < output.report.measured < allowed + 20 * TICK_S, "it is not finished first"
    assert f"{allowed:g} s" in output.report.sentence
    assert output.trajectory is None


def test_a_chunk_offline_may_take_as_long_as_it_takes(rig, home):
    q = home + np.outer(np.arange(1, 201), 1e-3 * SIDEWAYS)
    looking_up(rig)
    chunk = make_chunk(rig.filter.model.joint_names, q, period=0.02)
    assert rig.filter.filter(chunk, at_rest(home), START).decision == Decision.PASS


@pytest.mark.parametrize("in_the_way", [True, False])
def test_a_stop_pressed_while_the_way_is_looked_at_for_an_obstacle_stays_pressed(
    rig, monkeypatch, in_the_way
):
    looking_up(swinging(rig))
    conflict = rig.filter.conflict
    looking = []

    def noted(*args):
        looking.append(True)
        try:
            return conflict(*args)
        finally:
            looking.clear()

    def hear() -> bool:
        if looking and rig.state != S.ESTOP:
            rig.keep(rig.machine.estop(rig.now, "pressed"))
            return True
        return False

    monkeypatch.setattr(rig.filter, "conflict", noted)
    rig.filter.attention.hear = hear
    sent = len(rig.emitted)
    tell(rig, box((0.3, 0.5, 0.6) if in_the_way else (0.0, 0.0, 3.0)))
    assert rig.state == S.ESTOP
    stops = rig.emitted[sent:]
    assert in_the_way or len(stops) == 1, "of what was under way before, nothing is said any more"
    assert "pressed" in rig.machine.brakes.cause
    rig.run(1.0)
    assert rig.state == S.ESTOP
    assert rig.at_rest


def test_who_is_heard_while_the_world_changes_finds_one_world_or_the_other(rig, home):
    model = rig.filter.model
    before = dict(model.obstacles)
    spread = np.random.default_rng(0).uniform(-1, 1, (20, 3)) + np.array((0, 0, 2))
    after = {f"b{k}": Obstacle("box", (0.1, 0.1, 0.1), tuple(p)) for k, p in enumerate(spread)}
    seen = []

    def hear() -> bool:
        assert len(model.distances(home)) == len(model.pairs.names) == len(model.pairs.reach)
        assert rig.filter.stop(at_rest(home), START) is not None
        seen.append(set(model.obstacles))
        return True

    looking_up(rig).filter.attention.hear = hear
    with rig.filter.attention.during(void=False):
        model.set_obstacles({**before, **after})
    assert set(model.obstacles) == {*before, *after}, "what is heard does not end it"
    assert seen
    assert all(names == set(before) for names in seen)


def test_what_is_done_for_who_is_heard_is_not_interrupted(rig):
    model = rig.filter.model
    depth = []

    def hear() -> bool:
        depth.append(None)
        model.distances(rig.home)
        return False

    attention = Attention(model, looking_up(rig).filter.attention.clock)
    attention.hear = hear
    with attention.during():
        for _ in range(3):
            model.distances(rig.home)
    asked = len(depth)
    model.distances(rig.home)
    assert len(depth) == asked, "nobody is heard outside of long work"


def test_an_interruption_says_what_for(rig):
    attention = Attention(rig.filter.model, looking_up(rig).filter.attention.clock)
    attention.hear = lambda: True

    def work():
        with attention.during():
            for _ in range(10):
                rig.filter.model.distances(rig.home)

    with pytest.raises(InterruptedWorkError, match="stopped meanwhile"):
        work()


def test_work_goes_on_at_the_pose_where_it_was_whatever_is_asked_meanwhile(rig, home):
    model = rig.filter.model
    elsewhere = model.random_q(1, seed=4)[0]
    exact = model.distances(home)

    def hear() -> bool:
        model.distances(elsewhere)
        return False

    looking_up(rig, tick_s=1.0).filter.attention.hear = hear
    with rig.filter.attention.during():
        found = model.distances(home)
    np.testing.assert_allclose(found, exact, atol=1e-6)


def test_a_stop_among_many_bodies_that_are_far_is_proven_with_a_look_at_few(rig):
    model = rig.filter.model
    far = {f"b{k}": Obstacle("box", (0.1,) * 3, (k - 10.0, 0.0, 3.0)) for k in range(20)}
    model.set_obstacles({**model.obstacles, **far})
    rig.moving()
    commanded = rig.machine.commanded(rig.now)
    looked = []
    distance = model.distance
    model.distance = lambda pair: looked.append(pair) or distance(pair)
    try:
        stop = rig.filter.stop(commanded, rig.now, rig.machine.brakes.floor)
    finally:
        del model.distance
    assert stop is not None
    assert len(set(looked)) < len(model.pairs.names) / 2
