"""The measure of smoothness sees a jump of any order, and none where trajectories of the filter
follow each other.
"""

import dataclasses

import numpy as np
import pytest

from testing.ticks import TICK_NS, Controllers, shares
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import NS, ActionChunk
from wam_ros.safety.machine.playback import Playback

PANDA = load_embodiment("panda")
LIMITS = np.array([[1.0], [10.0], [1000.0]])
TICK_S = TICK_NS / NS
T0 = 10**15
LEAD_NS = 80_000_000


def kinked(order, size, n=41):
    """(N, 1) a calm motion whose derivative of this order jumps by `size` in the middle."""
    t = TICK_S * (np.arange(n) - n // 2)
    jump = size * np.clip(t, 0, None) ** order / (1, 1, 2)[order] if order else size * (t >= 0)
    return (0.1 * np.sin(3 * t) + jump)[:, None]


def test_a_calm_motion_stays_below_its_limits():
    assert (shares(kinked(0, 0.0), LIMITS, TICK_S) < 0.4).all()


@pytest.mark.parametrize("order", [0, 1, 2])
def test_a_jump_of_any_order_shows_as_what_its_limit_does_not_explain(order):
    allowed = LIMITS[order, 0] * TICK_S
    found = shares(kinked(order, 10 * allowed), LIMITS, TICK_S)
    # seen half in one tick, half in the next
    assert found[order] == pytest.approx((10, 10, 5)[order], rel=0.1)
    assert (found[:order] < 1).all() and (found[order + 1 :] > 1).all()


def test_the_shares_of_too_few_positions_are_zero():
    np.testing.assert_array_equal(shares(np.zeros((1, 2)), np.ones((3, 2)), TICK_S), 0.0)


def chunk(seq, anchor_ns, start, slope):
    home = np.array(PANDA.home)
    q = np.tile(home, (8, 1))
    q[:, 0] += start + slope * np.arange(1, 9)
    return ActionChunk(anchor_ns, NS // 10, PANDA.joint_names, q, seq=seq, embodiment="panda")


def follow(panda, plans):
    """Send (when, start, slope) of plans through filter, gate and controllers; what the newest one
    showed.
    """
    playback, controllers = Playback(), Controllers(panda.model, np.array(PANDA.home))
    playback.hold(np.array(PANDA.home))
    for seq, (now, start, slope) in enumerate(plans):
        follows = now + LEAD_NS
        verdict = panda.filter(
            chunk(seq, now, start, slope), playback.at(follows), follows, now_ns=now
        )
        playback.play(verdict.trajectory)
        refusal, ticks = controllers.take(verdict.trajectory, now, ~panda.model.gripper)
        assert refusal == ""
    return ticks, playback, controllers


def test_a_plan_that_turns_back_is_joined_without_a_jump_where_points_carry_velocities(panda):
    ticks, _, _ = follow(panda, [(T0, 0.0, 0.05), (T0 + 405 * NS // 1000, 0.1, -0.05)])
    assert (ticks["quintic"] <= 1).all() and (ticks["cubic"] <= 1).all()
    # without velocities speed steps at every point
    assert ticks["linear"][1] > 3 * ticks["quintic"][1]


def test_what_begins_elsewhere_is_refused_in_words(panda):
    _, playback, controllers = follow(panda, [(T0, 0.0, 0.05)])
    elsewhere = playback.current.q + 0.1 * (np.arange(len(PANDA.joint_names)) == 0)
    off = dataclasses.replace(playback.current, q=elsewhere, start_ns=T0 + 3 * LEAD_NS)
    refusal, ticks = controllers.take(off, T0 + 2 * LEAD_NS, ~panda.model.gripper)
    assert "would jump" in refusal and not ticks
