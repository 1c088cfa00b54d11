"""What the robot is commanded to do is known at every instant, however fast the trajectories
come.
"""

from __future__ import annotations

import numpy as np
import pytest

from testing.rig import LEAD_NS, MS, Rig
from wam_ros.core.types import NS, Decision, SafeTrajectory
from wam_ros.safety.machine.playback import MEMORY_NS, Playback

GENTLE = np.r_[0.01, 0, 0, 0, 0, 0, 0, 0]  # rad per step


def crowded(rig: Rig, every_ms: int, seconds: float = 0.3) -> Rig:
    """A rig in motion that was given a chunk every few milliseconds, each from where it will be
    when it begins.
    """
    for _ in range(round(seconds * 1000 / every_ms)):
        rig.run(every_ms / 1000, step_ms=every_ms)
        begins = rig.machine.commanded(rig.now + LEAD_NS).q
        assert (
            rig.chunk(begins + np.outer(np.arange(1, 9), GENTLE)).report.decision == Decision.PASS
        )
    return rig


@pytest.mark.parametrize("every_ms", [4, 15])
def test_chunks_that_come_faster_than_they_begin_do_not_hide_what_is_executed(
    panda, home, every_ms
):
    rig = crowded(Rig(panda, home).armed(), every_ms)
    assert rig.machine.commanded(rig.now).dq[0] > 0.02
    assert rig.machine.commanded(rig.now).q[0] > home[0] + 1e-4


def test_an_emergency_stop_amid_a_flood_of_chunks_stops_the_motion_that_is_executed(panda, home):
    rig = crowded(Rig(panda, home).armed(), 10)
    here = rig.machine.commanded(rig.now + 10 * MS)
    stop = rig.machine.estop(rig.now).trajectory
    assert np.array_equal(stop.q[0], here.q)
    assert np.array_equal(stop.dq[0], here.dq)
    assert stop.dq[0].any()


def still(start_ns: int, q: float) -> SafeTrajectory:
    zero = np.zeros((2, 1))
    return SafeTrajectory(
        start_ns=start_ns, joint_names=("a",), t=np.array([0.0, 0.1]), q=zero + q, dq=zero, ddq=zero
    )


def test_what_was_commanded_is_kept_as_long_as_a_late_measurement_may_ask():
    playback = Playback()
    playback.hold(np.array([-1.0]))
    for k in range(1000):
        playback.play(still(k * NS // 100, float(k)))
    for k in range(800, 1000):
        assert playback.at(k * NS // 100).q[0] == k
    assert len(playback._sent) < 1.1 * MEMORY_NS / (NS // 100)


def test_a_trajectory_that_begins_sooner_replaces_until_it_is_known_to_be_missed():
    playback = Playback()
    playback.hold(np.array([-1.0]))
    for start_ms, q in ((0, 0.0), (80, 1.0), (10, 2.0)):
        playback.play(still(start_ms * MS, q))
    assert [playback.at(ms * MS).q[0] for ms in (5, 50, 90)] == [0.0, 2.0, 2.0]
    assert playback.end_ns() == 110 * MS
    assert [piece.q[0, 0] for piece in playback.ahead(5 * MS)] == [0.0, 2.0]
    playback.drop(1)
    assert [playback.at(ms * MS).q[0] for ms in (5, 50, 90)] == [0.0, 0.0, 1.0]
    assert [piece.q[0, 0] for piece in playback.ahead(5 * MS)] == [0.0, 1.0]


def test_what_is_commanded_stands_still_from_where_it_stays_near_its_end(panda, home):
    rig = Rig(panda, home)
    slack = rig.machine.inputs.slack
    assert rig.machine.brakes.playback.still_since_ns(slack, rig.now) == 0
    rig.moving()
    playback = rig.machine.brakes.playback
    slack = np.full(8, 0.01)
    assert playback.still_since_ns(slack, playback.end_ns() - 1) is None
    settled_ns = playback.still_since_ns(slack, playback.end_ns())
    end = playback.at(playback.end_ns()).q
    assert rig.now < settled_ns < playback.end_ns()
    off = [np.abs(playback.at(settled_ns + k * MS).q - end).max() for k in (-20, 0, 50, 500)]
    assert off[0] > 0.01 >= max(off[1:])
