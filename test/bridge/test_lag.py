"""An arm that stays behind what it is commanded is named, and one that catches up is not."""

import numpy as np

from wam_ros.bridge.lag import Lag
from wam_ros.core.types import NS

JOINTS = ("shoulder", "elbow", "finger")
TOLERANCE = np.array([0.1, 0.2, np.inf])
PATIENCE_S = 0.2
STILL = np.zeros(3)
SLIDING = np.array([False, True, True])


def watch(*errors, period_s: float = 0.1) -> Lag:
    """A lag that has seen joints so far behind (3,) [rad] one after another."""
    lag = Lag(JOINTS, TOLERANCE, PATIENCE_S, SLIDING)
    for k, error in enumerate(errors):
        lag.on_measured(round(k * period_s * NS), STILL, np.asarray(error, dtype=float), STILL)
    return lag


def test_an_arm_within_its_tolerance_follows_however_long():
    assert watch(*[(0.1, -0.2, 0.0)] * 50).why_not_following == ""


def test_an_arm_that_stays_behind_is_named_by_joint_and_size_after_the_patience():
    assert watch(*[(0.05, -0.3, 0.0)] * 3).why_not_following == "", "not longer than the patience"
    assert watch(*[(0.05, -0.3, 0.0)] * 4).why_not_following == (
        "the arm does not follow: joint 'elbow' is 0.300 off"
    )


def test_the_joint_farthest_beyond_its_own_tolerance_is_named():
    assert "'shoulder' is 0.250 off" in watch(*[(0.25, 0.4, 0.0)] * 4).why_not_following


def test_a_turning_joint_that_is_whole_turns_away_is_told_so_and_a_sliding_one_not():
    assert watch(*[(2 * np.pi + 0.04, 0.0, 0.0)] * 4).why_not_following == (
        "the arm does not follow: joint 'shoulder' is 6.323 off (2 pi apart: one of the two counts "
        "turns that the other does not)"
    )
    assert watch(*[(0.0, 4 * np.pi, 0.0)] * 4).why_not_following.endswith("'elbow' is 12.566 off")


def test_fingers_that_close_on_something_are_not_watched_and_hide_no_arm_that_stays_behind():
    assert watch(*[(0.0, 0.0, 5.0)] * 50).why_not_following == ""
    assert "'elbow' is 0.300 off" in watch(*[(0.0, 0.3, 5.0)] * 4).why_not_following


def test_one_that_catches_up_has_its_whole_patience_again():
    behind, close = (0.0, 0.3, 0.0), (0.0, 0.1, 0.0)
    assert watch(behind, behind, behind, close, behind, behind, behind).why_not_following == ""
    assert (
        watch(behind, behind, behind, close, behind, behind, behind, behind).why_not_following != ""
    )


def test_what_is_measured_nowhere_is_no_arm_that_follows():
    assert "nan off" in watch(*[(np.nan, 0.0, 0.0)] * 4).why_not_following


def test_a_clock_that_was_set_back_neither_forgives_nor_condemns_at_once():
    lag = watch(*[(0.3, 0.0, 0.0)] * 2)
    for k in range(3):
        lag.on_measured(k * NS // 10 - 5 * NS, STILL, np.array([0.3, 0.0, 0.0]), STILL)
        assert lag.why_not_following == ""
    lag.on_measured(3 * NS // 10 - 5 * NS, STILL, np.array([0.3, 0.0, 0.0]), STILL)
    assert lag.why_not_following != ""


def test_times_far_apart_do_not_add_up_to_a_lag():
    lag = Lag(("a",), np.array([0.1]), 0.2, np.array([False]))
    for k in range(100):
        off = 0.5 if k % 10 == 0 else 0.0
        lag.on_measured(k * NS // 10, np.array([0.0]), np.array([off]), np.array([0.0]))
    assert lag.why_not_following == ""
