"""Chunks towards where a person's joints are, driven by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_ros.core.errors import WamError
from wam_ros.core.leader import Command, Leader
from wam_ros.core.types import NS

JOINTS = ("a", "b", "gripper")
SPEED = np.array([1.0, 0.5, 0.1])


def leader(**changed):
    values = {"step_period_ns": NS // 10, "n_steps": 8, "lookahead_s": 0.0, "silence_s": 0.3}
    return Leader(JOINTS, SPEED, **(values | changed))


def row(*values, names=JOINTS):
    return Command(names, np.zeros(1), np.array([values], float))


@given(
    st.lists(st.floats(-4, 4), min_size=3, max_size=3),
    st.lists(st.floats(-4, 4), min_size=3, max_size=3),
)
def test_a_chunk_goes_straight_to_the_leader_and_never_faster_than_allowed(start, goal):
    who = leader()
    who.take(row(*goal), NS)
    start, goal = np.array(start), np.array(goal)
    path = np.vstack([start, who.chunk(start, NS)])
    moved = np.diff(path, axis=0)
    assert (np.abs(moved) <= SPEED * 0.1 + 1e-9).all()
    assert (moved * np.sign(goal - start) >= -1e-12).all(), "it never goes away from the leader"
    reached = np.abs(goal - start) <= SPEED * 0.8
    np.testing.assert_allclose(path[-1][reached], goal[reached], atol=1e-9)


def test_joints_that_are_not_commanded_stay():
    who = leader()
    who.take(row(0.3, names=("b",)), NS)
    found = who.chunk(np.array([0.1, 0.2, 0.3]), NS)
    assert (found[:, [0, 2]] == [0.1, 0.3]).all()
    assert found[-1, 1] == pytest.approx(0.3)


def test_a_trajectory_is_followed_by_its_times_and_held_at_its_end():
    who = leader()
    t = np.array([0.2, 0.4, 0.6])
    who.take(Command(("a",), t, np.array([[0.0], [0.1], [0.05]])), NS)
    found = who.chunk(np.zeros(3), NS + NS // 10)[:, 0]
    np.testing.assert_allclose(found, [0.0, 0.05, 0.1, 0.075, 0.05, 0.05, 0.05, 0.05], atol=1e-9)
    assert who.why_not_follow(NS + 8 * NS // 10) == ""
    assert "over since 0.35 s" in who.why_not_follow(NS + 95 * NS // 100)


def test_a_leader_that_moves_is_led_by_its_motion_for_a_moment():
    who = leader(lookahead_s=0.2)
    who.take(row(0.00, 0.0, 0.0), NS)
    who.take(row(0.01, 0.0, 0.0), NS + NS // 20)
    found = who.chunk(np.array([0.01, 0.0, 0.0]), NS + NS // 20)[:, 0]
    np.testing.assert_allclose(found, [0.03, 0.05] + [0.05] * 6, atol=1e-9)


def test_silence_is_nothing_to_follow():
    who = leader()
    assert who.why_not_follow(NS) == "no command has come yet"
    who.take(row(0, 0, 0), NS)
    assert who.why_not_follow(NS + 3 * NS // 10) == ""
    assert "over since 0.31 s" in who.why_not_follow(NS + 31 * NS // 100)
    assert who.why_not_follow(0) != "", "of a clock that was set back"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (row(1, names=("elbow",)), "is for elbow; this robot has a, b, gripper"),
        (row(1, 2, names=("a", "a")), "one of them twice"),
        (Command((), np.zeros(1), np.zeros((1, 0))), "names no joint"),
        (row(1, names=("a", "b")), r"positions \(1, 1\), its names and times \(1, 2\)"),
        (Command(("a",), np.zeros(0), np.zeros((0, 1))), r"positions \(0, 1\)"),
        (row(np.nan, 0, 0), "not finite"),
        (row(np.inf, 0, 0), "not finite"),
        (Command(("a",), np.array([0.1, 0.1]), np.zeros((2, 1))), "do not rise"),
        (Command(("a",), np.array([-0.1, 0.1]), np.zeros((2, 1))), "do not rise"),
        (Command(("a",), np.array([np.nan]), np.zeros((1, 1))), "not finite"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_and_the_one_before_counts(command, words):
    who = leader()
    who.take(row(0.01, 0.01, 0.01), NS)
    with pytest.raises(WamError, match=words):
        who.take(command, NS)
    np.testing.assert_allclose(who.chunk(np.zeros(3), NS)[-1], 0.01)
