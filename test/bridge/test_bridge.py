"""The bridge closes when the arm, its controller, a clock or a person says so, and forgets what it
cannot know.
"""

import dataclasses

import numpy as np
import pytest

from wam_ros.bridge.bridge import RESUME, Bridge
from wam_ros.bridge.gate import Gate
from wam_ros.bridge.lag import Lag
from wam_ros.bridge.player import Player
from wam_ros.core.admission import SHIPPED, Admission, why_not_agreed
from wam_ros.core.angles import TURN
from wam_ros.core.interpolation import Curve
from wam_ros.core.types import (
    NS,
    BridgeState,
    Forwarding,
    JointState,
    KinematicState,
    MotionTable,
    SafeTrajectory,
)

from .test_gate import HOME, LIMITS, NOW, PANDA, move

TICK = 10_000_000


KINDS = pytest.mark.parametrize("streams", [False, True])


class Rig:
    """A bridge whose arm follows exactly unless told otherwise; one tick is 10 ms."""

    def __init__(self, streams):
        tolerance = np.array([0.1] * 7 + [np.inf])
        player = Player(LIMITS) if streams else None
        self.bridge = Bridge(
            Gate(LIMITS), Lag(PANDA.joint_names, tolerance, 0.1, LIMITS.sliding), player
        )
        self.k, self.commanded, self.missing = 0, None, ""
        self.follow = lambda q: q
        self.told = []
        self.tick()

    @property
    def now(self):
        return NOW + self.k * TICK

    def tick(self, n=1, live=True):
        for _ in range(n):
            self.k += 1
            q = HOME if self.commanded is None else self.commanded.q
            if live:
                self.bridge.gate.on_heartbeat(self.k * TICK)
                self.bridge.on_joints(
                    JointState(self.now, PANDA.joint_names, self.follow(q), q * 0, q * 0)
                )
            found = self.bridge.tick(self.now, self.k * TICK, self.missing)
            self.told.append(found)
            self.commanded = found or self.commanded

    def moved(self, ticks):
        """The rig, so many ticks after a motion began."""
        assert self.offer(move(self.now)) == ""
        self.tick(ticks)
        return self

    def offer(self, trajectory):
        return self.bridge.admit(trajectory, self.now, self.k * TICK)[1]


@KINDS
def test_what_passed_is_commanded_to_its_end(streams):
    rig = Rig(streams).moved(120)
    np.testing.assert_allclose(rig.commanded.q, move().q[-1], atol=1e-9)
    assert rig.bridge.why_not_open == ""


@KINDS
def test_while_the_safety_node_is_latched_an_arm_at_rest_is_given_nothing_and_its_stops_pass(
    streams,
):
    rig = Rig(streams)
    report = lambda latched: rig.bridge.on_report("", rig.k * TICK, SHIPPED, latched)  # noqa: E731
    report("FAULT")
    assert "the safety node is in FAULT" in rig.offer(move(rig.now))
    assert "FAULT" in rig.bridge.state(rig.k * TICK).words
    report("")
    rig.offer(move(rig.now, duration=3.0))
    rig.tick(100)
    report("ESTOP")
    assert rig.offer(halt(rig.now + TICK, rig.bridge.gate.curve.at(rig.now + TICK))) == ""
    rig.tick(60)
    assert not rig.commanded.dq.any()
    assert "the safety node is in ESTOP" in rig.offer(move(rig.now, rig.commanded.q))


@KINDS
def test_others_may_not_move_the_arm_while_it_is_still_led_to_rest(streams):
    rig = Rig(streams).moved(30)
    rig.bridge.pause(True)
    assert not rig.bridge.state(rig.k * TICK).released
    rig.tick(120)
    assert rig.bridge.state(rig.k * TICK).released


@KINDS
def test_paused_it_comes_to_rest_and_passes_nothing(streams):
    rig = Rig(streams).moved(30)
    rig.bridge.pause(True)
    assert "paused" in rig.offer(move(rig.now))
    rig.tick(120)
    np.testing.assert_allclose(rig.commanded.q, move().q[-1], atol=1e-9)
    rig.bridge.pause(False)


@KINDS
def test_paused_it_lets_pass_what_brings_the_arm_to_rest_sooner_and_nothing_else(streams):
    rig = Rig(streams)
    rig.offer(move(rig.now, duration=3.0))
    rig.tick(100)
    rig.bridge.pause(True)
    stop = halt(rig.now + TICK, rig.bridge.gate.curve.at(rig.now + TICK))
    late = dataclasses.replace(stop, t=stop.t * 10, dq=stop.dq / 10, ddq=stop.ddq / 100)
    for other in (late, dataclasses.replace(stop, q=stop.q + 0.1), move(rig.now, duration=0.5)):
        assert rig.offer(other) != ""
    assert rig.offer(stop) == ""
    rig.tick(60)
    assert not rig.commanded.dq.any()
    np.testing.assert_allclose(rig.commanded.q, stop.q[-1], atol=1e-9)
    assert "paused" in rig.offer(move(rig.now, stop.q[-1]))


def halt(start_ns, state):
    """To rest within half a second, from a state of motion."""
    knots = MotionTable.of([state, KinematicState.at_rest(state.q + state.dq / 4)])
    curve = Curve(np.array([0, NS // 2]), knots)
    t = np.arange(0, 0.505, 0.01)
    motion = MotionTable.of([curve.at(round(s * NS)) for s in t])
    motion.dq[-1] = motion.ddq[-1] = 0
    return SafeTrajectory(*motion.arrays, start_ns=start_ns, joint_names=PANDA.joint_names, t=t)


@KINDS
def test_paused_and_at_rest_the_arm_may_be_moved_by_others_without_a_complaint(streams):
    rig = Rig(streams).moved(120)
    rig.bridge.pause(True)
    elsewhere = HOME + 0.5 * np.eye(8)[0]
    rig.follow = lambda q: elsewhere
    rig.tick(50)
    rig.bridge.pause(False)
    rig.tick(50)
    assert rig.bridge.why_not_open == ""
    assert rig.offer(move(rig.now, elsewhere)) == ""


@KINDS
def test_an_arm_that_does_not_follow_closes_it_until_a_person_opens_it(streams):
    rig = Rig(streams)
    rig.offer(move(rig.now, direction=np.array([0.8] + [0.0] * 7)))
    rig.follow = lambda q: HOME
    rig.tick(150)
    assert "panda_joint1" in rig.bridge.why_not_open
    assert "does not follow" in rig.offer(move(rig.now))
    assert rig.told[-1] is None
    rig.bridge.pause(False)
    rig.commanded = None
    rig.tick(1)
    assert rig.offer(move(rig.now)) == ""


def test_a_stream_that_is_not_followed_is_slowed_down_and_not_dropped():
    rig = Rig(True)
    rig.offer(move(rig.now, direction=np.array([0.8] + [0.0] * 7)))
    rig.follow = lambda q: HOME
    rig.tick(150)
    moving = [s for s in rig.told if s is not None]
    q = np.array([s.q[0] for s in moving])
    assert not moving[-1].dq.any()
    assert np.abs(np.diff(q, 2)).max() <= 1.5 * LIMITS.acceleration[0] * 0.01**2
    assert q[-1] < HOME[0] + 0.8 - 1e-3


@KINDS
def test_an_arm_moved_by_somebody_else_long_after_is_no_fault(streams):
    rig = Rig(streams).moved(300)
    rig.follow = lambda q: q + 0.3
    rig.tick(150)
    assert rig.bridge.why_not_open == ""
    assert rig.bridge.gate.curve is None


@KINDS
def test_without_its_controller_nothing_is_commanded_and_motion_begins_anew_from_rest(streams):
    rig = Rig(streams).moved(40)
    rig.missing = "no controller listens"
    rig.tick()
    assert "no controller listens" in rig.offer(move(rig.now))
    rig.missing = ""
    rig.commanded = None
    rig.tick(2)
    assert rig.told[-1] is None
    assert rig.offer(move(rig.now)) == ""


@KINDS
def test_it_says_whether_it_forwards_and_what_ends_it_when_not(streams):
    rig = Rig(streams)
    says = lambda: rig.bridge.state(rig.k * TICK, "a refusal")  # noqa: E731
    rig.missing = "no controller listens"
    rig.tick()
    words = "no controller listens"
    assert says() == BridgeState(Forwarding.HELD_BACK, words, "a refusal", released=True)
    rig.missing = ""
    rig.tick()
    assert says() == BridgeState(Forwarding.FORWARDING, "forwarding", "a refusal")
    rig.bridge.pause(True)
    assert says().forwarding == Forwarding.PAUSED
    assert RESUME in says().words
    assert says().released, "others may move the arm"
    rig.bridge.pause(False)
    assert says().forwarding == Forwarding.FORWARDING
    rig.tick(40, live=False)
    assert says().forwarding == Forwarding.UNHEARD
    rig.bridge.shut()
    words = "the bridge is not active"
    assert says() == BridgeState(Forwarding.HELD_BACK, words, "a refusal", released=True)
    rig.bridge.pause(False)
    rig.commanded = None
    rig.tick(2)
    rig.offer(move(rig.now, direction=np.array([0.8] + [0.0] * 7)))
    rig.follow = lambda q: HOME
    rig.tick(150)
    assert says().forwarding == Forwarding.HELD_BACK
    assert "panda_joint1" in says().words
    assert RESUME in says().words


def test_a_failed_goal_is_forgotten():
    rig = Rig(False)
    rig.offer(move(rig.now))
    rig.tick(40)
    rig.bridge.on_failure()
    rig.tick()
    assert rig.told[-1] is None


def test_a_stream_rests_when_the_joint_states_stop():
    rig = Rig(True)
    rig.offer(move(rig.now, duration=3.0))
    rig.tick(60)
    rig.tick(150, live=False)
    moving = [s for s in rig.told if s is not None]
    assert not moving[-1].dq.any()
    assert np.abs(moving[-1].q - move(duration=3.0).q[-1]).max() > 0.01
    rig.commanded = None
    rig.tick(2)
    assert rig.offer(move(rig.now)) == ""


def stamped(rig, ahead_ns=0, q=HOME):
    return JointState(rig.now + ahead_ns, PANDA.joint_names, np.array(q), HOME * 0, HOME * 0)


@KINDS
@pytest.mark.parametrize(("ahead_ns", "q"), [(0, HOME * np.nan), (3600 * NS, HOME)])
def test_joints_that_say_nothing_of_here_and_now_let_no_motion_begin(streams, ahead_ns, q):
    rig = Rig(streams)
    rig.bridge = Bridge(Gate(LIMITS), rig.bridge.lag, rig.bridge.player)
    rig.bridge.on_joints(stamped(rig, ahead_ns, q))
    rig.tick(2, live=False)
    rig.bridge.gate.on_heartbeat(rig.k * TICK)
    assert "no recent joint state" in rig.offer(move(rig.now))


def test_a_stream_rests_when_the_joint_states_stop_after_one_of_the_future():
    rig = Rig(True)
    rig.offer(move(rig.now, duration=3.0))
    rig.tick(60)
    rig.bridge.lag = Lag(PANDA.joint_names, np.full(8, np.inf), 0.1, LIMITS.sliding)
    rig.bridge.on_joints(stamped(rig, 3600 * NS))
    rig.tick(150, live=False)
    moving = [s for s in rig.told if s is not None]
    assert not moving[-1].dq.any()
    assert np.abs(moving[-1].q - move(duration=3.0).q[-1]).max() > 0.01


@pytest.mark.parametrize("ticks", [1, 30, 200])
def test_a_stream_that_is_shut_rests_soon_wherever_it_was(ticks):
    rig = Rig(True)
    rig.offer(move(rig.now))
    rig.tick(ticks)
    rig.bridge.shut()
    assert "paused" in rig.offer(move(rig.now))
    rig.tick(40)
    assert not rig.bridge.moving
    moving = [s for s in rig.told if s is not None]
    assert not moving[-1].dq.any()


def test_a_late_tick_of_a_player_reopens_once_it_rests():
    rig = Rig(True)
    rig.offer(move(rig.now))
    rig.tick(40)
    rig.k += 20
    rig.tick()
    assert "tick came" in rig.bridge.why_not_open
    rig.tick(100)
    assert rig.bridge.why_not_open == ""
    assert rig.bridge.gate.curve is None


@KINDS
@pytest.mark.parametrize("by", ["report", "trajectory"])
def test_a_second_safety_node_ends_the_motion_on_its_proven_path_until_a_person_lets_it_begin_again(
    streams, by
):
    rig = Rig(streams)

    def offer(sender):
        q0 = HOME if rig.commanded is None else rig.commanded.q
        return rig.bridge.admit(move(rig.now, q0), rig.now, rig.k * TICK, sender)[1]

    def speak(sender):
        return (
            rig.bridge.on_report(sender, rig.k * TICK, SHIPPED)
            if by == "report"
            else offer(sender) == ""
        )

    assert offer("first") == ""
    rig.tick(20)
    assert rig.bridge.on_report("first", rig.k * TICK, SHIPPED)
    assert not speak("second")
    assert "2 safety nodes speak at once: first, second" in rig.bridge.state(rig.k * TICK).words
    assert "speak at once" in offer("second")
    assert "speak at once" in offer("first")
    rig.tick(110)
    np.testing.assert_allclose(rig.commanded.q, move().q[-1], atol=1e-9)
    assert not rig.commanded.dq.any()
    assert rig.bridge.on_report("first", rig.k * TICK, SHIPPED), "the other is gone"
    assert "speak at once" in offer("first")
    rig.bridge.pause(False)
    assert offer("first") == ""


@KINDS
def test_of_two_safety_nodes_only_the_first_may_bring_the_arm_to_rest_sooner(streams):
    rig = Rig(streams)
    assert rig.bridge.admit(move(rig.now, duration=3.0), rig.now, rig.k * TICK, "first")[1] == ""
    rig.tick(100)
    for sender in ("first", "second"):
        rig.bridge.on_report(sender, rig.k * TICK, SHIPPED)
    stop = halt(rig.now + TICK, rig.bridge.gate.curve.at(rig.now + TICK))
    assert "speak at once" in rig.bridge.admit(stop, rig.now, rig.k * TICK, "second")[1]
    assert rig.bridge.admit(stop, rig.now, rig.k * TICK, "first")[1] == ""
    rig.tick(60)
    np.testing.assert_allclose(rig.commanded.q, stop.q[-1], atol=1e-9)


def test_a_safety_node_that_takes_the_place_of_one_that_fell_silent_is_followed():
    rig = Rig(False)
    rig.bridge.on_report("first", rig.k * TICK, SHIPPED)
    rig.tick(31)
    assert rig.bridge.on_report("second", rig.k * TICK, SHIPPED)
    assert rig.bridge.why_not_open == ""


@KINDS
@pytest.mark.parametrize("told", [None, Admission(deadline_s=0.2)])
def test_a_safety_node_that_relies_on_something_else_is_given_nothing_until_it_agrees(
    streams, told
):
    rig = Rig(streams)
    assert rig.bridge.on_report("", rig.k * TICK, told)
    words = rig.offer(move(rig.now))
    assert words == why_not_agreed(SHIPPED, told) != ""
    rig.tick(20)
    assert not any(rig.told), "nothing was commanded"
    state = rig.bridge.state(rig.k * TICK)
    assert (state.forwarding, state.words) == (Forwarding.HELD_BACK, words)
    rig.bridge.pause(False)
    assert rig.bridge.why_not_open == words, "no person can wish that away"
    assert rig.bridge.on_report("", rig.k * TICK, SHIPPED)
    assert rig.offer(move(rig.now)) == ""


@KINDS
def test_a_safety_node_that_changes_its_mind_in_motion_may_still_stop_the_arm_sooner(streams):
    rig = Rig(streams)
    rig.offer(move(rig.now, duration=3.0))
    rig.tick(100)
    rig.bridge.on_report("", rig.k * TICK, Admission(stop_seam_s=0.1))
    stop = halt(rig.now + TICK, rig.bridge.gate.curve.at(rig.now + TICK))
    late = dataclasses.replace(stop, t=stop.t * 10, dq=stop.dq / 10, ddq=stop.ddq / 100)
    assert "stop_seam_s is 0.02 s in bridge_node and 0.1 s in safety_node" in rig.offer(late)
    assert rig.offer(stop) == ""
    rig.tick(60)
    assert not rig.commanded.dq.any()


@pytest.mark.parametrize("name", ["second", "first"])
def test_what_a_safety_node_that_is_not_followed_relies_on_opens_nothing(name):
    rig = Rig(False)
    rig.bridge.on_report("first", rig.k * TICK, Admission(ahead_s=2.0))
    rig.bridge.on_report(name, rig.k * TICK, SHIPPED)
    assert bool(rig.bridge.why_not_open) is (name == "second")
    if name == "second":
        rig.bridge.pause(False)
        assert "ahead_s is 1 s" in rig.bridge.why_not_open


# the last joint of the arm turns on and on
ENDLESS = dataclasses.replace(LIMITS, endless=np.arange(8) == 6)
TURNED = HOME + TURN * (np.arange(8) == 6)


def joints_at(q, at_ns=NOW):
    return JointState(at_ns, PANDA.joint_names, np.array(q), np.zeros(8), np.zeros(8))


@pytest.mark.parametrize("streams", [False, True])
def test_it_begins_and_is_followed_though_the_driver_is_whole_turns_away(streams):
    player = Player(ENDLESS) if streams else None
    bridge = Bridge(
        Gate(ENDLESS), Lag(PANDA.joint_names, np.full(8, 0.1), 0.1, ENDLESS.sliding), player
    )
    told = None
    for k in range(120):
        now = NOW + k * 10_000_000
        q = TURNED if told is None else told.q + TURNED - HOME
        bridge.gate.on_heartbeat(now)
        bridge.on_joints(joints_at(q, now))
        told = bridge.tick(now, now, "") or told
        if k == 1:
            assert bridge.admit(move(now), now, now)[1] == ""
        if k > 1 and told is not None:
            assert np.abs(told.q - HOME).max() < 3, "no way of a whole turn is faded in"
    assert bridge.why_not_open == ""
    np.testing.assert_allclose(told.q, move().q[-1], atol=1e-6)


def test_of_a_joint_with_limits_the_words_say_that_it_is_whole_turns_off():
    gate = Gate(LIMITS)
    gate.on_heartbeat(NOW)
    gate.on_joints(joints_at(TURNED))
    words = gate.admit(move(), NOW, NOW)[1]
    assert "panda_joint7" in words
    assert "(2 pi apart" in words
