"""A motion that the bridge did not take is noticed; one it took is not."""

import numpy as np
import pytest

from wam_ros.core.types import NS, JointState, SafeTrajectory
from wam_ros.safety.machine.bridge_watch import CommandEcho
from wam_ros.safety.machine.playback import Playback

NOW = 1_000 * NS
MS = 1_000_000


def trajectory(start_ns, speed=0.5):
    t = np.linspace(0, 1, 101)
    q = speed * (t - np.sin(2 * np.pi * t) / (2 * np.pi))[:, None]
    dq = speed * (1 - np.cos(2 * np.pi * t))[:, None]
    return SafeTrajectory(
        start_ns=start_ns,
        joint_names=("a",),
        t=t,
        q=q,
        dq=dq,
        ddq=speed * 2 * np.pi * np.sin(2 * np.pi * t)[:, None],
    )


@pytest.fixture
def playback():
    p = Playback()
    p.hold(np.zeros(1))
    p.play(trajectory(NOW))
    return p


def told(stamp_ns, q, dq=0.0):
    return JointState(stamp_ns, ("a",), np.array([q]), np.array([dq]), np.full(1, np.nan))


def run(echo, playback, word, from_ms, to_ms):
    """What is said at each 20 ms when the bridge's word about an instant is `word(ns)`."""
    said = []
    for ms in range(from_ms, to_ms, 20):
        ns = NOW + ms * MS
        if word is not None:
            echo.on_commanded(told(ns - 5 * MS, word(ns - 5 * MS)))
        said.append(echo.why_not_taken(playback, ns))
    return said


def test_a_bridge_that_follows_is_never_lost(playback):
    echo = CommandEcho(np.array([0.02]), 0.15)
    assert not any(run(echo, playback, lambda ns: playback.at(ns).q[0], 0, 1500))


def test_a_bridge_that_stays_behind_is_lost_after_the_patience_and_named_by_joint(playback):
    echo = CommandEcho(np.array([0.02]), 0.15)
    said = run(echo, playback, lambda ns: 0.0, 0, 1000)
    first = next(i for i, reason in enumerate(said) if reason)
    departs = next(i for i in range(len(said)) if playback.at(NOW + (20 * i - 5) * MS).q[0] > 0.02)
    assert 20 * (first - departs) == pytest.approx(160, abs=20)
    assert "joint 'a'" in said[first]


def test_a_short_difference_is_forgiven(playback):
    echo = CommandEcho(np.array([0.02]), 0.15)
    late = lambda ns: playback.at(ns).q[0] - (0.05 if 300 * MS < ns - NOW < 400 * MS else 0.0)  # noqa: E731
    assert not any(run(echo, playback, late, 0, 1000))


def test_trajectories_that_follow_each_other_faster_than_they_begin_are_no_loss():
    playback, echo = Playback(), CommandEcho(np.array([0.02]), 0.15)
    playback.hold(np.zeros(1))
    whole = Playback()
    whole.hold(np.zeros(1))
    whole.play(trajectory(NOW))
    for ms in range(0, 900, 10):
        ns, begins = NOW + ms * MS, NOW + (ms + 30) * MS
        rest = trajectory(begins)
        playback.play(
            SafeTrajectory(
                start_ns=begins,
                joint_names=("a",),
                t=rest.t,
                q=rest.q + whole.at(begins).q,
                dq=rest.dq,
                ddq=rest.ddq,
            )
        )
        echo.on_commanded(told(ns, whole.at(ns).q[0]))
        assert not echo.why_not_taken(playback, ns)


def test_a_silent_bridge_is_lost(playback):
    said = run(CommandEcho(np.array([0.02]), 0.15), playback, None, 0, 400)
    assert [bool(s) for s in said] == [20 * i > 150 for i in range(20)]


def test_a_bridge_that_never_speaks_is_lost_though_every_chunk_begins_anew(playback):
    echo, said = CommandEcho(np.array([0.02]), 0.15), []
    for ms in range(0, 1000, 20):
        if ms % 100 == 0:
            playback.play(trajectory(NOW + ms * MS))
        said.append(echo.why_not_taken(playback, NOW + ms * MS))
    assert all(said[10:])


def test_nothing_emitted_cannot_be_lost():
    playback = Playback()
    playback.hold(np.zeros(1))
    assert not any(run(CommandEcho(np.array([0.02]), 0.15), playback, lambda ns: 3.0, 0, 600))


def rest(echo):
    playback = Playback()
    playback.hold(np.zeros(1))
    return echo.rest(playback, np.array([0.7]), NOW)


def test_rest_is_where_the_bridge_stands_else_where_it_is_measured():
    echo = CommandEcho(np.array([0.02]), 0.15)
    assert rest(echo)[0] == 0.7
    echo.on_commanded(told(NOW, 0.4, 0.1))
    assert rest(echo) is None
    echo.on_commanded(told(NOW, 0.4))
    assert rest(echo)[0] == 0.4


def test_a_word_of_the_future_is_none_about_now(playback):
    echo = CommandEcho(np.array([0.02]), 0.15)
    said = []
    for ms in range(0, 400, 20):
        echo.on_commanded(told(NOW + 3600 * NS, playback.at(NOW + 3600 * NS).q[0]))
        said.append(echo.why_not_taken(playback, NOW + ms * MS))
    assert all(said[10:])


def test_a_speed_that_is_not_known_is_no_rest():
    echo = CommandEcho(np.array([0.02]), 0.15)
    echo.on_commanded(told(NOW, 0.4, np.nan))
    assert rest(echo) is None
