"""What drivers say becomes rad and m, on however many topics, and what they are told is theirs."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wam_ros.core.drivers import (
    JOINTS,
    MEASURED,
    Numbers,
    WholeStates,
    numbers_of,
    shown_on,
    topics_of,
)
from wam_ros.core.embodiment import Group, Reading, load_embodiment
from wam_ros.core.types import JointState, MotionTable

E = load_embodiment("bimanual")
LEFT = tuple(n for n in E.joint_names if n.startswith("left"))
RIGHT = tuple(n for n in E.joint_names if n.startswith("right"))
APART = dataclasses.replace(
    E,
    controllers={
        "a": Group("joint_trajectory", RIGHT[::-1], "right/joint_states"),
        "b": Group("joint_trajectory", LEFT, "left/joint_states"),
    },
)
MS = 10**6
FACTORS = st.floats(-1e3, 1e3).filter(lambda f: abs(f) > 1e-3)


def state(stamp_ns, names, q, dq=None):
    q = np.broadcast_to(np.asarray(q, dtype=float), len(names))
    dq = np.zeros(len(names)) if dq is None else np.broadcast_to(dq, len(names))
    return JointState(stamp_ns, names, q, dq, np.ones(len(names)))


@settings(max_examples=50, deadline=None)
@given(factor=FACTORS, zero=st.floats(-10, 10), q=st.floats(-10, 10), rate=st.floats(-10, 10))
def test_what_is_told_to_a_driver_is_heard_again_as_it_was(factor, zero, q, rate):
    numbers = Numbers([Reading(factor, zero)])
    before = state(5, ("j",), q, rate)
    after = numbers.heard(numbers.said(before))
    assert after.positions[0] == pytest.approx(q, abs=1e-9)
    assert after.velocities[0] == pytest.approx(rate, abs=1e-9)
    assert (after.stamp_ns, after.efforts[0]) == (5, 1.0)


def test_degrees_that_count_the_other_way_from_another_zero():
    robot = dataclasses.replace(E, driver={LEFT[1]: Reading(-np.pi / 180, 0.5)})
    numbers = numbers_of(robot, LEFT[:2])
    heard = numbers.heard(state(0, LEFT[:2], [0.3, 90.0], [1.0, 180.0]))
    np.testing.assert_allclose(heard.positions, [0.3, 0.5 - np.pi / 2])
    np.testing.assert_allclose(heard.velocities, [1.0, -np.pi])
    assert heard.efforts.tolist() == [1.0, -1.0], "of an effort only the direction is known"
    q = np.array([[0.3, 0.5 - np.pi / 2]])
    table = numbers.motion(MotionTable(q, q * 0 + np.pi, q * 0 - np.pi))
    np.testing.assert_allclose(table.q, [[0.3, 90.0]])
    np.testing.assert_allclose(table.dq, [[np.pi, -180.0]])
    np.testing.assert_allclose(table.ddq, [[-np.pi, 180.0]])


def test_numbers_of_a_driver_that_speaks_rad_are_not_touched():
    told = state(0, LEFT, 0.1)
    assert numbers_of(E, LEFT).heard(told) is told
    assert numbers_of(E, LEFT).said(told) is told


def test_which_topic_tells_which_joints_and_where_all_are_shown():
    assert topics_of(E) == {JOINTS: E.joint_names}
    assert topics_of(APART) == {"left/joint_states": LEFT, "right/joint_states": RIGHT}
    lift = dataclasses.replace(APART, sensed={"lift": 0.0})
    assert topics_of(lift) == {JOINTS: (), **topics_of(APART)}
    assert (shown_on(E), shown_on(APART)) == (JOINTS, MEASURED)
    assert shown_on(dataclasses.replace(E, driver={LEFT[0]: Reading(-1.0, 0.0)})) == MEASURED


def test_one_topic_is_whole_by_itself():
    whole = WholeStates(E)
    told = state(3, E.joint_names, 0.1)
    assert whole.take(JOINTS, told) is told
    assert whole.awaited == [JOINTS], "nothing is kept of it"


def test_of_two_topics_a_state_is_whole_once_both_are_new_and_a_silent_one_is_not_repeated():
    whole = WholeStates(APART)
    assert whole.take("left/joint_states", state(10 * MS, LEFT, 0.1)) is None
    assert whole.awaited == ["right/joint_states"]
    found = whole.take("right/joint_states", state(12 * MS, RIGHT, 0.2))
    assert found.stamp_ns == 10 * MS, "it is as old as its oldest part"
    assert found.joint_names == E.joint_names
    assert found.positions.tolist() == [0.1] * 7 + [0.2] * 7
    # of what is between two parts of a driver: where the other one told something
    assert whole.take("left/joint_states", state(20 * MS, LEFT, 0.1)).stamp_ns == 12 * MS
    for k in range(3, 40):
        assert whole.take("left/joint_states", state(k * 10 * MS, LEFT, 0.1)) is None
    assert whole.awaited == ["right/joint_states"]


@settings(max_examples=30, deadline=None)
@given(
    left_ms=st.integers(2, 30),
    right_ms=st.integers(2, 130),
    phase=st.integers(0, 10),
    rate=st.floats(-3, 3),
)
def test_whatever_their_rates_all_joints_are_of_one_instant(left_ms, right_ms, phase, rate):
    """Joints that move evenly are where they were at the stamp, though their drivers told it at
    other times.
    """
    whole = WholeStates(APART)
    due = [(k * left_ms * MS, "left/joint_states", LEFT) for k in range(1, 60)]
    due += [((k * right_ms + phase) * MS, "right/joint_states", RIGHT) for k in range(1, 60)]
    found = [whole.take(topic, state(ns, n, rate * ns / 1e9, rate)) for ns, topic, n in sorted(due)]
    states = [s for s in found if s is not None]
    assert len(states) >= (59 * min(left_ms, right_ms) - phase) // max(left_ms, right_ms) - 3
    assert all(a.stamp_ns < b.stamp_ns for a, b in itertools.pairwise(states))
    for s in states[1:]:
        np.testing.assert_allclose(s.positions, rate * s.stamp_ns / 1e9, atol=1e-9)
        np.testing.assert_allclose(s.velocities, rate)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_whatever_order_parts_come_in_and_whatever_is_lost_what_all_have_told_is_whole(data):
    """A node that is busy finds only the newest of one driver, before that of the other one."""
    whole = WholeStates(APART)
    at = dict.fromkeys(whole.topics, 0)
    began = [whole.take(topic, state(0, names, 0.0)) for topic, names in whole.topics.items()]
    assert [s is not None for s in began] == [False, True]
    last = 0
    for _ in range(40):
        topic = data.draw(st.sampled_from(list(at)))
        at[topic] += data.draw(st.integers(1, 3))
        rate = at[topic] / 100
        found = whole.take(topic, state(at[topic] * 10 * MS, whole.topics[topic], rate))
        told = min(at.values())
        assert (found is not None) == (told > last), "each instant once"
        if found is not None:
            assert found.stamp_ns == told * 10 * MS
            np.testing.assert_allclose(found.positions, told / 100, atol=1e-12)
        assert whole.awaited == [t for t, k in at.items() if k == told]
        last = told


def test_an_angle_that_was_wrapped_between_two_messages_is_one_of_both():
    whole = WholeStates(APART)
    whole.take("left/joint_states", state(0, LEFT, 3.1))
    whole.take("right/joint_states", state(0, RIGHT, 0.0))
    whole.take("left/joint_states", state(10 * MS, LEFT, -3.1))
    found = whole.take("right/joint_states", state(4 * MS, RIGHT, 0.0))
    assert found.positions.tolist() == [3.1] * 7 + [0.0] * 7


def test_after_a_clock_that_was_set_back_no_part_of_before_is_used():
    whole = WholeStates(APART)
    for ns, q in ((100 * MS, 9.0), (10 * MS, 0.1)):
        whole.take("left/joint_states", state(ns, LEFT, q))
        found = whole.take("right/joint_states", state(ns + MS, RIGHT, q))
    assert (found.stamp_ns, found.positions.tolist()) == (10 * MS, [0.1] * 14)
    whole = WholeStates(APART)
    assert whole.take("right/joint_states", state(100 * MS, RIGHT, 9.0)) is None
    assert whole.take("left/joint_states", state(100 * MS, LEFT, 9.0)) is not None
    assert whole.take("right/joint_states", state(110 * MS, RIGHT, 9.0)) is None
    assert whole.take("left/joint_states", state(10 * MS, LEFT, 0.1)) is None
    found = whole.take("right/joint_states", state(11 * MS, RIGHT, 0.1))
    assert (found.stamp_ns, found.positions.tolist()) == (10 * MS, [0.1] * 14)


def test_a_driver_that_stamps_everything_alike_is_heard():
    whole = WholeStates(APART)
    whole.take("left/joint_states", state(0, LEFT, 0.1))
    for _ in range(3):
        assert whole.take("right/joint_states", state(0, RIGHT, 0.2)).stamp_ns == 0
        assert whole.take("left/joint_states", state(0, LEFT, 0.1)).stamp_ns == 0
