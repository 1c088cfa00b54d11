"""The gate passes what continues the motion inside the limits, and nothing else."""

import dataclasses

import numpy as np
import pytest

from wam_ros.bridge.gate import Gate, load_gate_limits
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.interpolation import Curve
from wam_ros.core.types import NS, JointState, MotionTable, SafeTrajectory

PANDA = load_embodiment("panda")
LIMITS = load_gate_limits(PANDA, start_rad=0.02, start_m=0.005)
HOME = np.array(PANDA.home)
ARM = np.array([1.0] * 7 + [0.0])
NOW = 1_000 * NS
DIRECTION = np.array([0.3, 0.2, -0.3, 0.2, 0.1, 0.2, 0.3, -0.01])


def test_a_home_beyond_a_limit_is_refused_by_name():
    home = (*PANDA.home[:3], 0.5, *PANDA.home[4:])
    with pytest.raises(
        WamError, match="home of joint 'panda_joint4' is 0.5 rad, beyond its limits -3.0"
    ):
        load_gate_limits(dataclasses.replace(PANDA, home=home), start_rad=0.02, start_m=0.005)


def move(start_ns=NOW, q0=HOME, duration=1.0, direction=DIRECTION):
    """From rest to rest on the smoothest quintic, a sample each 10 ms."""
    t = np.arange(0, duration + 0.005, 0.01)
    s = t / duration
    shape = [
        10 * s**3 - 15 * s**4 + 6 * s**5,
        30 * s**2 - 60 * s**3 + 30 * s**4,
        60 * s - 180 * s**2 + 120 * s**3,
    ]
    q, dq, ddq = (np.outer(f / duration**k, direction) for k, f in enumerate(shape))
    return SafeTrajectory(
        start_ns=start_ns, joint_names=PANDA.joint_names, t=t, q=q0 + q, dq=dq, ddq=ddq
    )


def sway(start_ns=NOW):
    """From rest to rest along a cosine, which no single quintic is."""
    t = np.linspace(0, 1, 101)
    w = 2 * np.pi
    shape = [t - np.sin(w * t) / w, 1 - np.cos(w * t), w * np.sin(w * t)]
    q, dq, ddq = (np.outer(f, DIRECTION) for f in shape)
    dq[-1], ddq[-1] = 0, 0
    return SafeTrajectory(
        start_ns=start_ns, joint_names=PANDA.joint_names, t=t, q=HOME + q, dq=dq, ddq=ddq
    )


def make_gate(q=HOME, heard=True):
    gate = Gate(LIMITS)
    if heard:
        gate.on_heartbeat(0)
    gate.on_joints(JointState(NOW, PANDA.joint_names, np.array(q), np.zeros(8), np.zeros(8)))
    return gate


def tail(trajectory, start_ns):
    """The rest of a trajectory from `start_ns` on, as the safety node would continue it."""
    curve = Curve.from_trajectory(trajectory)
    knots = [start_ns, *(int(ns) for ns in curve.t_ns if ns > start_ns + 1_000_000)]
    return SafeTrajectory(
        *MotionTable.of([curve.at(ns) for ns in knots]).arrays,
        start_ns=start_ns,
        joint_names=PANDA.joint_names,
        t=np.array([(ns - start_ns) / NS for ns in knots]),
    )


def test_a_first_trajectory_from_rest_at_the_measured_joints_passes():
    gate = make_gate()
    sent, reason = gate.admit(move(), NOW, 0)
    assert reason == ""
    np.testing.assert_array_equal(sent.q, move().q)


def test_joints_in_another_order_come_out_in_the_arms_order():
    pick = [3, 1, 0, 2, 7, 6, 5, 4]
    m = move()
    shuffled = SafeTrajectory(
        *m.columns(pick).arrays,
        start_ns=m.start_ns,
        joint_names=tuple(m.joint_names[i] for i in pick),
        t=m.t,
    )
    sent, _ = make_gate().admit(shuffled, NOW, 0)
    assert sent.joint_names == PANDA.joint_names
    np.testing.assert_array_equal(sent.q, m.q)


def test_nothing_begins_where_the_arm_is_measured_nowhere():
    for q in (HOME * np.nan, HOME + np.r_[np.nan, np.zeros(7)]):
        sent, reason = make_gate(q).admit(move(), NOW, 0)
        assert sent is None
        assert "away from the start" in reason


def changed(**fields):
    return dataclasses.replace(move(), **fields)


def spoiled(field, row, column, value):
    array = getattr(move(), field).copy()
    array[row, column] = value
    return changed(**{field: array})


REFUSED = {
    "foreign joint": (
        changed(joint_names=(*PANDA.joint_names[:-1], "x")),
        "joints are not the arm's",
    ),
    "nan": (spoiled("q", 5, 1, np.nan), "not finite"),
    "short": (changed(t=move().t[:-1]), "differ in length"),
    "time stands": (changed(t=np.zeros(101)), "do not rise"),
    "position": (spoiled("q", 50, 3, 0.5), "position of joint 'panda_joint4'"),
    "velocity": (spoiled("dq", 50, 0, 3.0), "velocity of joint 'panda_joint1'"),
    "acceleration": (spoiled("ddq", 50, 1, -9.0), "acceleration of joint 'panda_joint2'"),
    "slew": (spoiled("q", 50, 0, 0.6), "slew of joint 'panda_joint1'"),
    "ends moving": (spoiled("dq", -1, 2, 0.01), "does not end at rest: joint 'panda_joint3'"),
    "late": (move(NOW - 60_000_000), "after its start"),
    "far future": (move(NOW + 2 * NS), "in the future"),
    "elsewhere": (move(q0=HOME - 0.03 * ARM), "measured 0.030 away"),
    "moving start": (tail(move(NOW - NS // 4), NOW), "must start at rest"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_is_refused_by_name(case):
    trajectory, words = REFUSED[case]
    gate = make_gate()
    sent, reason = gate.admit(trajectory, NOW, 0)
    assert sent is None
    assert words in reason
    assert gate.commanded(NOW) is None


def two_points(seconds, q, dq):
    """One quintic; every joint but the first rests."""
    knots = np.array([HOME, HOME]), np.zeros((2, 8)), np.zeros((2, 8))
    knots[0][:, 0], knots[1][:, 0] = q, dq
    return SafeTrajectory(
        *knots, start_ns=NOW, joint_names=PANDA.joint_names, t=np.array([0.0, seconds])
    )


BETWEEN = {
    "position of joint 'panda_joint1'": two_points(0.5, LIMITS.upper[0] - 0.01, (1.0, 0.0)),
    "velocity of joint 'panda_joint1'": two_points(1.0, (0.0, 0.9 * LIMITS.velocity[0]), 0.0),
}


@pytest.mark.parametrize("words", BETWEEN)
def test_limits_hold_between_points_that_lie_far_apart_too(words):
    gate, wild = make_gate(), BETWEEN[words]
    assert gate._why_not_inside(wild) == ""  # at the points all is well
    sent, reason = gate.admit(wild, NOW, 0)
    assert sent is None
    assert words in reason
    slow = dataclasses.replace(wild, t=4 * wild.t, q=HOME + 0.5 * (wild.q - HOME), dq=wild.dq / 8)
    assert gate._why_not_inside_between(slow) == ""


def test_the_filters_own_points_are_close_enough_to_need_no_second_look(monkeypatch):
    monkeypatch.setattr("wam_ros.bridge.gate.evaluate", None)
    assert make_gate().admit(move(), NOW, 0)[1] == ""


def test_without_a_recent_joint_state_nothing_starts():
    gate = Gate(LIMITS)
    gate.on_heartbeat(0)
    assert "no recent joint state" in gate.admit(move(), NOW, 0)[1]
    gate = make_gate()
    assert "no recent joint state" in gate.admit(move(NOW + NS), NOW + NS, 0)[1]


def test_a_silent_safety_node_closes_the_gate_and_a_heard_one_opens_it():
    gate = make_gate(heard=False)
    assert "not been heard" in gate.admit(move(), NOW, 5 * NS)[1]
    gate.on_heartbeat(5 * NS)
    assert gate.why_not_heard(5 * NS + 300_000_000) == ""
    assert "silent for 0.31 s" in gate.admit(move(), NOW, 5 * NS + 310_000_000)[1]
    gate.on_heartbeat(6 * NS)
    assert gate.admit(move(), NOW, 6 * NS)[1] == ""


def test_a_closed_gate_passes_nothing_and_says_why():
    gate = make_gate()
    gate.why_not_open = "the bridge is paused"
    assert "paused" in gate.admit(move(), NOW, 0)[1]


@pytest.mark.parametrize("lead_ns", [30_000_000, 300_000_000])
def test_a_continuation_is_joined_behind_the_rest_of_the_running_motion(lead_ns):
    gate = make_gate()
    first = sway()
    gate.admit(first, NOW, 0)
    now = NOW + 403_000_000
    start = now + lead_ns
    sent, reason = gate.admit(tail(first, start), now, 0)
    assert reason == ""
    assert sent.start_ns == now
    assert sent.t[0] == 0
    assert (np.diff(sent.t) > 0).all()
    was, joined = Curve.from_trajectory(first), Curve.from_trajectory(sent)
    for ns in range(now, NOW + NS, 3_700_000):
        np.testing.assert_allclose(joined.at(ns).q, was.at(ns).q, atol=1e-7)
        np.testing.assert_allclose(joined.at(ns).dq, was.at(ns).dq, atol=1e-5)


def test_a_jump_in_motion_is_refused_and_the_old_motion_goes_on():
    gate = make_gate()
    first = move()
    gate.admit(first, NOW, 0)
    now = NOW + NS // 2
    after = tail(first, now)
    sent, reason = gate.admit(dataclasses.replace(after, q=after.q + 0.05 * ARM), now, 0)
    assert sent is None
    assert "would jump" in reason
    assert "in motion" in reason
    np.testing.assert_allclose(
        gate.commanded(now + NS // 4).q, Curve.from_trajectory(first).at(now + NS // 4).q
    )


def test_a_jump_in_speed_is_refused():
    gate = make_gate()
    gate.admit(move(), NOW, 0)
    now = NOW + NS // 2
    q = Curve.from_trajectory(move()).at(now).q
    assert "would jump" in gate.admit(move(now, q), now, 0)[1]


def bent(trajectory, start_ns, joint, dq):
    """The rest of a trajectory from `start_ns` on, with a jump in the speed of one joint."""
    after = tail(trajectory, start_ns)
    speeds = after.dq.copy()
    speeds[0, joint] -= dq
    return dataclasses.replace(after, dq=speeds)


@pytest.mark.parametrize(("share", "passes"), [(0.8, True), (1.3, False)])
def test_a_small_step_at_a_seam_passes_and_one_beyond_full_acceleration_does_not(share, passes):
    gate = make_gate()
    gate.admit(move(), NOW, 0)
    now = NOW + NS // 2
    by = share * gate.admission.seam_s * PANDA.max_acceleration[1]
    assert (gate.admit(bent(move(), now, 1, by), now, 0)[1] == "") == passes


def turn(start_ns, q, dq, ddq, seconds, by):
    """From a state to rest, `by` beyond where that speed alone would lead in half the time; one
    quintic.
    """
    knots = [np.array(pair) for pair in ((q, q + dq * seconds / 2 + by), (dq, 0 * q), (ddq, 0 * q))]
    return SafeTrajectory(
        *knots, start_ns=start_ns, joint_names=PANDA.joint_names, t=np.array([0.0, seconds])
    )


@pytest.mark.parametrize("late_ms", [0, 3, 8, 15, 20, 25, 30, 40])
@pytest.mark.parametrize(("seconds", "by"), [(0.65, -DIRECTION), (0.2, 0 * DIRECTION)])
def test_what_comes_late_passes_while_the_leap_is_small_and_a_stop_for_longer(seconds, by, late_ms):
    gate = make_gate()
    gate.admit(move(), NOW, 0)
    start_ns, now = NOW + NS // 2, NOW + NS // 2 + late_ms * 1_000_000
    running = Curve.from_trajectory(move())
    new = turn(start_ns, *running.at(start_ns).arrays, seconds, by)
    leap = Curve.from_trajectory(new).at(now) - running.at(now)
    seam_s = gate.admission.stop_seam_s if seconds < 0.5 else gate.admission.seam_s
    little = (np.abs(leap.dq) <= LIMITS.acceleration * seam_s) & (
        np.abs(leap.q) <= LIMITS.acceleration * seam_s**2 / 2
    )
    sent, reason = gate.admit(new, now, 0)
    assert (sent is not None) == little.all()
    if sent is None:
        assert "s after its start" in reason
        np.testing.assert_array_equal(gate.commanded(now + NS // 4).q, running.at(now + NS // 4).q)


@pytest.mark.parametrize(("late_ms", "passes"), [(0, True), (20, True), (45, False)])
def test_a_motion_from_rest_that_comes_late_is_no_leap_either(late_ms, passes):
    sent, reason = make_gate().admit(move(duration=0.7), NOW + late_ms * 1_000_000, 0)
    assert (sent is not None) == passes
    assert passes or "would jump" in reason


def test_at_rest_a_start_where_the_arm_is_commanded_passes_even_if_measured_elsewhere():
    gate = make_gate()
    gate.admit(move(), NOW, 0)
    now = NOW + 2 * NS
    gate.on_joints(
        JointState(now, PANDA.joint_names, HOME + DIRECTION + 0.015 * ARM, np.zeros(8), np.zeros(8))
    )
    assert gate.admit(move(now, HOME + DIRECTION), now, 0)[1] == ""


def test_an_arm_that_was_put_elsewhere_is_not_sent_back_first():
    gate = make_gate()
    gate.admit(move(), NOW, 0)
    now, there = NOW + 2 * NS, HOME - 0.2 * ARM
    gate.on_joints(JointState(now, PANDA.joint_names, there, np.zeros(8), np.zeros(8)))
    sent, reason = gate.admit(move(now + 30_000_000, there), now, 0)
    assert reason == ""
    np.testing.assert_array_equal(sent.q[0], there)


def test_a_clock_set_back_makes_the_next_start_count_from_the_measured_joints():
    gate = make_gate()
    gate.admit(move(), NOW, 0)
    assert gate.commanded(NOW + NS // 2) is not None
    assert gate.commanded(NOW - NS) is None


def test_rest_is_told_and_reached():
    gate = make_gate()
    gate.admit(move(NOW + 30_000_000), NOW, 0)
    assert gate.rest_in_s(NOW) == pytest.approx(1.03)
    assert gate.rest_in_s(NOW + 2 * NS) == 0
    q, dq, ddq = gate.commanded(NOW + 2 * NS).arrays
    np.testing.assert_allclose(q, HOME + DIRECTION)
    assert not dq.any()
    assert not ddq.any()


def test_rounding_at_rest_is_sent_as_an_exact_rest():
    sent, _ = make_gate().admit(spoiled("dq", -1, 0, 1e-5), NOW, 0)
    assert not sent.dq[-1].any()
