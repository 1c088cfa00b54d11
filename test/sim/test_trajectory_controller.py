"""The simulated controller obeys the rules of joint_trajectory_controller."""

import numpy as np
import pytest

from wam_ros.core.types import NS
from wam_ros.sim.trajectory_controller import TrajectoryController

NAMES = ("a", "b", "c")
NOW = 1_000 * NS
Q0 = np.array([0.1, -0.2, 0.3])


def make(**options) -> TrajectoryController:
    return TrajectoryController(NAMES, Q0, **options)


def ramp(n=5, end=1.0):
    """A smooth path that starts at Q0 and ends at rest: t (N,), q, dq, ddq (N, 3)."""
    t = np.linspace(0, end, n)
    s = t / end
    shape = np.array([0.4, -0.3, 0.2])
    q = Q0 + np.outer(10 * s**3 - 15 * s**4 + 6 * s**5, shape)
    dq = np.outer(30 * s**2 - 60 * s**3 + 30 * s**4, shape) / end
    ddq = np.outer(60 * s - 180 * s**2 + 120 * s**3, shape) / end**2
    return t, q, dq, ddq


def test_holds_where_it_was_made_until_something_arrives():
    q, dq, ddq = make().sample(NOW).arrays
    assert np.array_equal(q, Q0)
    assert not dq.any()
    assert not ddq.any()


def test_stamp_zero_starts_now():
    c = make()
    t, q, dq, ddq = ramp()
    assert (
        c.set_trajectory(start_ns=0, joint_names=NAMES, t=t, q=q, dq=dq, ddq=ddq, now_ns=NOW) == ""
    )
    assert c.end_ns() == NOW + NS
    np.testing.assert_allclose(c.sample(NOW + NS).q, q[-1])


def test_quintic_reproduces_a_quintic_between_its_knots():
    c = make()
    c.set_trajectory(NOW, NAMES, *ramp(n=3), NOW)
    t, q, dq, ddq = ramp(n=41)
    for row in range(0, 41, 3):
        got = c.sample(NOW + round(t[row] * NS))
        np.testing.assert_allclose(got.arrays, (q[row], dq[row], ddq[row]), atol=1e-5)


def test_positions_only_is_linear_with_the_slope_as_velocity():
    c = make()
    c.set_trajectory(
        start_ns=NOW,
        joint_names=NAMES,
        t=[0.0, 1.0],
        q=[Q0, Q0 + 1.0],
        dq=None,
        ddq=None,
        now_ns=NOW,
    )
    q, dq, ddq = c.sample(NOW + NS // 4).arrays
    np.testing.assert_allclose(q, Q0 + 0.25)
    np.testing.assert_allclose(dq, 1.0)
    assert not ddq.any()


def test_velocities_make_it_cubic():
    c = make()
    c.set_trajectory(
        start_ns=NOW,
        joint_names=NAMES,
        t=[0.0, 2.0],
        q=[Q0, Q0 + 1.0],
        dq=np.zeros((2, 3)),
        ddq=None,
        now_ns=NOW,
    )
    q, dq, _ = c.sample(NOW + NS // 2).arrays
    np.testing.assert_allclose(q, Q0 + 3 / 16 - 2 / 64)  # 3 s^2 - 2 s^3 at s = 1/4
    np.testing.assert_allclose(dq, (6 / 4 - 6 / 16) / 2)


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 2, 0)])
def test_joints_are_found_by_name_in_any_order(order):
    straight, shuffled = make(), make()
    t, q, dq, ddq = ramp()
    straight.set_trajectory(start_ns=NOW, joint_names=NAMES, t=t, q=q, dq=dq, ddq=ddq, now_ns=NOW)
    names = [NAMES[i] for i in order]
    pick = list(order)
    assert (
        shuffled.set_trajectory(
            start_ns=NOW,
            joint_names=names,
            t=t,
            q=q[:, pick],
            dq=dq[:, pick],
            ddq=ddq[:, pick],
            now_ns=NOW,
        )
        == ""
    )
    np.testing.assert_array_equal(
        straight.sample(NOW + NS // 3).arrays, shuffled.sample(NOW + NS // 3).arrays
    )


def test_partial_joints_are_refused_unless_allowed():
    args = (NOW, ("b",), [0.0, 1.0], [[-0.2], [0.0]], None, None, NOW)
    assert "'a' is missing" in make().set_trajectory(*args)
    c = make(allow_partial=True)
    assert c.set_trajectory(*args) == ""
    np.testing.assert_allclose(c.sample(NOW + NS).q, [Q0[0], 0.0, Q0[2]])


BAD = {
    "unknown joint": ({"names": ("a", "b", "x")}, "'x' is not commanded"),
    "twice": ({"names": ("a", "b", "b")}, "twice"),
    "no joints": ({"names": ()}, "missing"),
    "no points": ({"t": np.zeros(0), "q": np.zeros((0, 3)), "dq": None, "ddq": None}, "no points"),
    "equal times": ({"t": np.array([0.0, 0.5, 0.5, 0.6, 1.0])}, "point 2"),
    "times go back": ({"t": np.array([0.0, 0.5, 0.4, 0.6, 1.0])}, "point 2"),
    "nan time": ({"t": np.array([0.0, np.nan, 0.4, 0.6, 1.0])}, "finite"),
    "negative time": ({"t": np.array([-0.1, 0.1, 0.4, 0.6, 1.0])}, "negative"),
    "nan position": ({"q": np.full((5, 3), np.nan)}, "positions hold"),
    "inf velocity": ({"dq": np.full((5, 3), np.inf)}, "velocities hold"),
    "short": ({"q": np.zeros((4, 3))}, "expected (5, 3)"),
    "accelerations alone": ({"dq": None}, "without velocities"),
    "ends moving": ({"dq": np.full((5, 3), 0.1)}, "rest"),
    "past": ({"start": NOW - 3 * NS}, "ended 2.000 s ago"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_trajectory_is_refused_whole_and_the_old_one_goes_on(case):
    change, words = BAD[case]
    c, untouched = make(), make()
    t, q, dq, ddq = ramp()
    for each in (c, untouched):
        each.set_trajectory(start_ns=NOW, joint_names=NAMES, t=t, q=q, dq=dq, ddq=ddq, now_ns=NOW)
    args = {"start": NOW, "names": NAMES, "t": t, "q": q, "dq": dq, "ddq": ddq} | change
    error = c.set_trajectory(*args.values(), NOW)
    assert error
    assert words in error
    np.testing.assert_array_equal(
        c.sample(NOW + NS // 2).arrays, untouched.sample(NOW + NS // 2).arrays
    )


def test_points_already_past_are_skipped_without_starting_over():
    c = make()
    t, q, dq, ddq = ramp()
    now = NOW + 6 * NS // 10
    assert (
        c.set_trajectory(start_ns=NOW, joint_names=NAMES, t=t, q=q, dq=dq, ddq=ddq, now_ns=now)
        == ""
    )
    whole = make()
    whole.set_trajectory(start_ns=NOW, joint_names=NAMES, t=t, q=q, dq=dq, ddq=ddq, now_ns=NOW)
    np.testing.assert_array_equal(c.sample(now).arrays, whole.sample(now).arrays)


def test_a_start_in_the_future_is_reached_from_the_desired_state_without_a_jump():
    c = make()
    c.set_trajectory(NOW, NAMES, *ramp(), NOW)
    unbroken = make()
    unbroken.set_trajectory(NOW, NAMES, *ramp(), NOW)
    before = unbroken.sample(NOW + 3 * NS // 10)
    t, q, dq, ddq = ramp()
    c.set_trajectory(
        start_ns=NOW + NS // 2,
        joint_names=NAMES,
        t=t,
        q=q + 0.05,
        dq=dq,
        ddq=ddq,
        now_ns=NOW + 3 * NS // 10,
    )
    np.testing.assert_allclose(c.sample(NOW + 3 * NS // 10 + 1).arrays, before.arrays, atol=1e-5)
    np.testing.assert_allclose(c.sample(NOW + NS // 2).q, q[0] + 0.05, atol=1e-9)


def test_the_last_point_is_held_at_rest():
    c = make()
    t, q, dq, ddq = ramp()
    c.set_trajectory(start_ns=NOW, joint_names=NAMES, t=t, q=q, dq=dq, ddq=ddq, now_ns=NOW)
    held = c.sample(NOW + 2 * NS)
    np.testing.assert_allclose(held.q, q[-1])
    np.testing.assert_allclose(held.dq, 0, atol=1e-12)


def test_a_clock_that_steps_back_does_not_move_the_arm_back():
    c = make()
    c.set_trajectory(NOW, NAMES, *ramp(), NOW)
    newest = c.sample(NOW + NS // 2)
    np.testing.assert_array_equal(c.sample(NOW).arrays, newest.arrays)


def test_reset_forgets_the_trajectory():
    c = make()
    c.set_trajectory(NOW, NAMES, *ramp(), NOW)
    c.reset(Q0 + 1)
    assert not c.active
    np.testing.assert_array_equal(c.sample(NOW + NS // 2).q, Q0 + 1)


def test_a_state_sampled_ahead_is_where_the_next_motion_starts():
    c = make()
    c.set_trajectory(NOW, NAMES, *ramp(), NOW)
    ahead = c.sample(NOW + 304_000_000)
    t, q, dq, ddq = ramp()
    c.set_trajectory(
        start_ns=NOW + NS // 2,
        joint_names=NAMES,
        t=t,
        q=q,
        dq=dq,
        ddq=ddq,
        now_ns=NOW + 300_000_000,
    )
    np.testing.assert_array_equal(c.sample(NOW + 304_000_000).arrays, ahead.arrays)
