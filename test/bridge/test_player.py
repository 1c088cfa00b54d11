"""A stream follows the admitted path tick by tick, and leaves it only by slowing down along it."""

import numpy as np
import pytest

from wam_ros.bridge.gate import load_gate_limits
from wam_ros.bridge.player import Player
from wam_ros.core.admission import Admission
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.interpolation import Curve
from wam_ros.core.types import NS, SafeTrajectory

PANDA = load_embodiment("panda")
LIMITS = load_gate_limits(PANDA, start_rad=0.02, start_m=0.005)
HOME = np.array(PANDA.home)
WAY = np.array([0.6, 0.3, -0.5, 0.4, 0.4, -0.3, 0.6, -0.02])
NOW, MS, TICK = 1_000 * NS, 1_000_000, 4_000_000


def curve(start_ns=NOW, seconds=1.0, way=WAY):
    """From rest at home to rest on the smoothest quintic."""
    t = np.linspace(0, seconds, 101)
    s = t / seconds
    shape = [
        10 * s**3 - 15 * s**4 + 6 * s**5,
        30 * s**2 - 60 * s**3 + 30 * s**4,
        60 * s - 180 * s**2 + 120 * s**3,
    ]
    q, dq, ddq = (np.outer(f / seconds**k, way) for k, f in enumerate(shape))
    return Curve.from_trajectory(
        SafeTrajectory(
            start_ns=start_ns, joint_names=PANDA.joint_names, t=t, q=HOME + q, dq=dq, ddq=ddq
        )
    )


def playing(at_ms=0, **options):
    """A player that has followed the curve up to an instant."""
    player = Player(LIMITS, **options)
    player.play(curve())
    for k in range(at_ms * MS // TICK + 1):
        player.tick(NOW + k * TICK, k * TICK)
    return player, at_ms * MS // TICK


def run_out(player, k, now_ns=lambda k: NOW + k * TICK, n=500):
    """States of the ticks after tick `k`."""
    return [player.tick(now_ns(i), i * TICK) for i in range(k + 1, k + 1 + n)]


def on_the_path(states):
    """Whether every position lies on the curve between its ends (the quintic of one way is a
    straight line).
    """
    share = np.array([(s.q - HOME)[0] / WAY[0] for s in states])
    straight = np.array(
        [np.abs(s.q - HOME - f * WAY).max() for s, f in zip(states, share, strict=True)]
    )
    return bool((straight < 1e-9).all() and (share >= -1e-9).all() and (share <= 1 + 1e-9).all())


def test_in_time_it_is_the_curve():
    player, k = playing()
    expected = curve()
    for i, state in enumerate(run_out(player, k, n=300), k + 1):
        np.testing.assert_allclose(
            (state.q, state.dq, state.ddq), expected.at(NOW + i * TICK).arrays, atol=1e-12
        )
    assert player.cause == ""


def test_before_the_first_path_there_is_no_command():
    player = Player(LIMITS)
    assert player.tick(NOW, 0) is None
    assert player.resting


FAULTS = {
    "a tick came": lambda k: (NOW + k * TICK + 80 * MS, k * TICK + 80 * MS),
    "the clock went back": lambda k: (NOW + k * TICK - 700 * MS, k * TICK),
    "after the one before": lambda k: (NOW + k * TICK + 5 * NS, k * TICK),  # the clock jumped ahead
}


@pytest.mark.parametrize("words", FAULTS)
@pytest.mark.parametrize("at_ms", [100, 500, 900])
def test_when_ticks_or_clocks_fail_it_slows_down_along_the_path(words, at_ms):
    player, k = playing(at_ms)
    now, steady = FAULTS[words](k + 1)
    before = curve().at(NOW + k * TICK).q
    states = [player.tick(now, steady)]
    assert words in player.cause
    for i in range(1, 500):
        states.append(player.tick(now + i * TICK, steady + i * TICK))
    assert player.resting
    assert on_the_path(states)
    q = np.array([before, *(s.q for s in states)])
    steps = np.abs(np.diff(q, axis=0))
    assert (steps[0] <= LIMITS.velocity * 0.05 + 1e-9).all()  # the late tick itself
    assert (steps[1:] <= LIMITS.velocity * 0.0041).all()
    dq = np.array([s.dq for s in states])
    assert (np.abs(np.diff(dq, axis=0)) <= LIMITS.acceleration * 0.0041).all()
    assert not states[-1].dq.any()
    assert not states[-1].ddq.any()


def test_a_clock_that_stands_still_is_a_failure_after_its_patience_only():
    player, k = playing(400, admission=Admission(heartbeat_s=0.1))
    stood = NOW + k * TICK
    states = run_out(player, k, lambda i: stood, n=24)
    assert player.cause == ""
    assert all((s.q == states[0].q).all() for s in states)
    states = run_out(player, k + 24, lambda i: stood)
    assert "stood still" in player.cause
    assert player.resting
    assert on_the_path(states)


def test_a_curve_that_jumps_is_not_followed():
    player, k = playing(400)
    player.play(curve(way=WAY + 0.2))
    states = run_out(player, k)
    assert "would jump" in player.cause
    assert on_the_path(states)
    steps = np.abs(np.diff([s.q for s in states], axis=0))
    assert (steps <= LIMITS.velocity * 0.0041).all()


def test_while_it_slows_down_nothing_new_is_followed_until_it_is_released():
    player, k = playing(400)
    player.brake("told to")
    player.play(curve(NOW + 5 * NS))
    states = run_out(player, k)
    assert on_the_path(states)
    assert player.resting
    player.release()
    assert player.cause == ""
    assert player.tick(NOW + 6 * NS, 6 * NS) is None


def test_the_arms_offset_at_the_first_start_is_taken_up_smoothly():
    player = Player(LIMITS)
    off = np.array([0.02, -0.02, 0.01, 0.0, 0.02, 0.0, 0.0, 0.004])
    player.play(curve(NOW + 50 * MS), HOME + off)
    states = run_out(player, -1)
    np.testing.assert_allclose(states[0].q, HOME + off, atol=1e-12)
    np.testing.assert_allclose(states[-1].q, HOME + WAY, atol=1e-12)
    q, dq, ddq = (np.array([getattr(s, name) for s in states]) for name in ("q", "dq", "ddq"))
    np.testing.assert_allclose(np.gradient(q, 0.004, axis=0)[2:-2], dq[2:-2], atol=2e-3)
    assert (np.abs(ddq) <= LIMITS.acceleration).all()


def test_a_first_curve_that_is_no_number_moves_nothing():
    player = Player(LIMITS)
    player.play(curve(way=WAY * np.nan))
    for k in range(5):
        assert player.tick(NOW + k * TICK, k * TICK) is None
    assert "not finite" in player.cause
