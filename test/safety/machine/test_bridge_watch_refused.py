"""A first trajectory that the bridge refuses is known to be refused, and motion begins again from
the measured rest.
"""

from __future__ import annotations

import numpy as np
import pytest

from testing.rig import LEAD_NS, MS, Rig
from wam_ros.bridge.bridge import Bridge
from wam_ros.bridge.gate import Gate, load_gate_limits
from wam_ros.bridge.lag import Lag
from wam_ros.core.admission import SHIPPED, Admission
from wam_ros.core.idle import Idle
from wam_ros.core.types import NS, Forwarding, JointState, SafeTrajectory, SafetyState
from wam_ros.safety.machine.bridge_watch import BridgeWatch, CommandEcho
from wam_ros.safety.machine.playback import Playback

S = SafetyState
STEP_NS = 10 * MS  # of the loop: period of joint states and of the bridge
WIRE_NS = 10 * MS  # a message takes
LATE_NS = 150 * MS
# takes what comes late, also where what is joined so late makes a step
LENIENT = Admission(deadline_s=0.2, seam_s=0.1)
NOBODY = 10**15  # ns by which a bridge is too late to have heard anybody


class Loop:
    """A machine and a bridge that hear each other over a wire; a script arms whenever it can,
    chunks come at 10 Hz.
    """

    def __init__(self, panda, home, speaks=True, admission=SHIPPED):
        self.rig, self.speaks, self.deaf = Rig(panda, home, admission=admission), speaks, True
        self.wire_ns = WIRE_NS
        self.rig.follow = False
        names, limits = (
            panda.model.joint_names,
            load_gate_limits(panda.model.embodiment, 0.02, 0.005),
        )
        self.bridge = Bridge(
            Gate(limits, admission), Lag(names, np.full(8, np.inf), 0.3, limits.sliding)
        )
        self.echo = CommandEcho(
            np.where(panda.model.sliding, 0.005, 0.02), admission.deadline_s + 0.1, admission
        )
        self.watch = BridgeWatch(self.rig.machine, self.echo, False)
        self.under_way, self.refused, self.passed, self.lost = [], [], [], []
        self.told = None
        self.rig.held()

    @property
    def now(self):
        return self.rig.now

    def post(self, hear, *what):
        self.under_way.append((self.now + self.wire_ns, hear, what))

    def emit(self, output):
        if output is not None and output.trajectory is not None:
            self.post(self.admit, output.trajectory)

    def admit(self, trajectory):
        heard_ns = self.now + (NOBODY if self.deaf else 0)
        admitted, reason = self.bridge.admit(trajectory, self.now, heard_ns)
        (self.refused if admitted is None else self.passed).append((self.now, reason))

    def hear(self, state, idle):
        self.watch.hear(state, self.bridge.gate.admission, idle)
        self.look()

    def look(self):
        words, output = self.watch.look(self.now)
        self.lost += [words] if words else []
        self.emit(output)
        self.watch.arm_by_itself(self.now)

    def step(self):
        self.rig.now += STEP_NS
        due = [m for m in self.under_way if m[0] <= self.now]
        self.under_way = [m for m in self.under_way if m[0] > self.now]
        for _, hear, what in due:
            hear(*what)
        self.bridge.on_report("", self.now, self.rig.machine.brakes.admission)
        found = self.bridge.tick(self.now, self.now, "")
        q, dq = (self.rig.measured, 0 * self.rig.home) if found is None else (found.q, found.dq)
        self.rig.measured = q
        joints = JointState(self.now, self.rig.filter.model.joint_names, q, dq, 0 * q)
        self.bridge.on_joints(joints)
        self.emit(self.rig.machine.on_joints(joints, self.now))
        if found is not None and self.now // STEP_NS % 2 == 0:
            self.post(self.echo.on_commanded, joints)
        self.say()
        if self.now // STEP_NS % 5 == 0:
            self.emit(self.rig.machine.tick(self.now))
            self.look()
        if self.rig.state == S.HOLD:
            self.watch.arm(True, self.now)

    def say(self):
        state, idle = (
            self.bridge.state(self.now, "it was refused by a test" if self.refused else ""),
            self.bridge.idle,
        )
        if (told := (state, idle and idle.refused, idle is None)) != self.told and self.speaks:
            self.told = told
            self.post(self.hear, state, idle)

    def chunk(self, rate=0.03):
        path = self.rig.measured + np.outer(np.arange(1, 9), np.r_[np.full(7, rate), 0])
        self.emit(self.rig.chunk(path))

    def until(self, condition, seconds=4.0):
        """Steps until a condition holds; the s that took."""
        since = self.now
        while not condition():
            assert self.now - since < seconds * NS
            self.step()
        return (self.now - since) / NS


@pytest.fixture
def loop(panda, home):
    loop = Loop(panda, home)
    loop.until(lambda: loop.rig.state == S.ARMED)
    return loop


def test_within_a_joint_state_of_the_refusal_the_machine_stands_armed_where_the_arm_is_measured(
    loop,
):
    loop.chunk()
    loop.until(lambda: loop.refused)
    since = loop.now
    loop.until(lambda: loop.lost)
    assert loop.now - since <= WIRE_NS + STEP_NS
    assert loop.rig.state == S.ARMED
    assert loop.rig.machine.brakes.playback.current is None
    np.testing.assert_array_equal(loop.rig.machine.commanded(loop.now).q, loop.rig.measured)


@pytest.mark.parametrize("after", range(1, 11))
def test_the_first_motion_that_is_taken_is_followed_to_its_end_whenever_its_chunk_comes(
    loop, after
):
    """Whatever part of the patience with the refused one was used up."""
    loop.chunk()
    loop.until(lambda: loop.lost)
    loop.deaf = False
    for _ in range(after):
        loop.step()
    loop.chunk()
    loop.until(lambda: loop.passed)
    while loop.bridge.gate.rest_in_s(loop.now) > 0:
        loop.step()
        q = loop.bridge.gate.commanded(loop.now).q
        np.testing.assert_allclose(loop.rig.machine.commanded(loop.now).q, q, atol=1e-9)
    assert len(loop.lost) == len(loop.refused) == 1


def test_a_bridge_that_refuses_ten_times_passes_the_next_one(loop):
    for _ in range(10):
        loop.chunk()
        n = len(loop.lost)
        loop.until(lambda n=n: len(loop.lost) > n)
        assert not loop.rig.machine.commanded(loop.now).dq.any()
    loop.deaf = False
    loop.chunk()
    assert loop.until(lambda: loop.passed) <= 0.02
    assert len(loop.refused) == 10


@pytest.mark.parametrize("after", range(0, 7, 2))
def test_a_bridge_that_never_speaks_of_itself_is_given_time_until_what_was_emitted_is_over(
    panda, home, after
):
    loop = Loop(panda, home, speaks=False)
    loop.until(lambda: loop.rig.state == S.ARMED)
    loop.chunk()
    loop.until(lambda: loop.lost)
    assert loop.rig.state == S.HOLD, "perhaps it was taken, and nobody says so"
    loop.deaf = False
    loop.until(lambda: loop.rig.state == S.ARMED)
    for _ in range(after):
        loop.step()
    loop.chunk()
    loop.until(lambda: loop.passed)
    loop.until(lambda: loop.bridge.gate.rest_in_s(loop.now) == 0)
    assert len(loop.lost) == 1


def test_why_the_bridge_refused_is_said(loop):
    loop.chunk()
    loop.until(lambda: loop.lost)
    assert loop.lost == [
        "the bridge commands nothing: it was refused by a test; waiting for the arm to rest, "
        "then going on"
    ]


def still(start_ns, seq=7):
    q = np.zeros((2, 1))
    return SafeTrajectory(
        start_ns=start_ns,
        joint_names=("a",),
        t=np.array([0.0, 1.0]),
        q=q,
        dq=q,
        ddq=q,
        chunk_seq=seq,
    )


@pytest.mark.parametrize(
    ("idle", "void"),
    [
        (Idle(NS), False),
        (Idle(NS, (NS, 6)), False),
        (Idle(0, (NS, 7)), True),
        (Idle(NS + SHIPPED.deadline_ns - 1), False),
        (Idle(NS + SHIPPED.deadline_ns), True),
        (Idle(3 * NS), False),
    ],
    ids=[
        "early",
        "another chunk",
        "refused by name",
        "may come yet",
        "comes no more",
        "said on another clock",
    ],
)
def test_what_was_emitted_is_void_when_it_was_refused_by_name_or_can_be_taken_no_more(idle, void):
    playback, echo = Playback(), CommandEcho(np.array([0.02]), 0.15)
    playback.hold(np.zeros(1))
    playback.play(still(NS))
    echo.on_idle(idle)
    assert bool(echo.why_not_taken(playback, 2 * NS)) is False or void
    assert echo.void(playback, 2 * NS) is void
    echo.on_idle(None)
    assert not echo.void(playback, 2 * NS)


def word(stamp_ns, q=0.4, dq=0.0):
    return JointState(stamp_ns, ("a",), np.array([q]), np.array([dq]), np.full(1, np.nan))


def test_of_two_words_of_the_bridge_the_later_one_counts_in_whatever_order_they_are_heard():
    measured, playback = np.array([0.7]), Playback()
    playback.hold(np.zeros(1))
    for words in ((1, 2), (2, 1)):
        echo = CommandEcho(np.array([0.02]), 0.15)
        for ms in words:
            echo.on_idle(Idle(NS + 2 * MS)) if ms == 2 else echo.on_commanded(word(NS + MS, dq=0.1))
        assert echo.rest(playback, measured, 2 * NS) is measured
        echo.on_commanded(word(NS + 3 * MS))
        assert echo.rest(playback, measured, 2 * NS)[0] == 0.4


def test_a_speed_that_a_bridge_had_before_it_began_anew_does_not_forbid_to_arm_for_good():
    measured, playback, echo = np.array([0.7]), Playback(), CommandEcho(np.array([0.02]), 0.15)
    playback.hold(np.zeros(1))
    echo.on_commanded(word(9 * NS, dq=0.3))  # and then its clock went back
    assert echo.rest(playback, measured, 9 * NS) is None
    echo.on_idle(Idle(NS))
    assert echo.rest(playback, measured, NS) is measured


def test_where_the_command_stands_for_a_moment_in_a_motion_that_goes_on_is_no_rest():
    playback, echo = Playback(), CommandEcho(np.array([0.02]), 0.15)
    playback.hold(np.zeros(1))
    playback.play(still(NS))
    echo.on_commanded(word(NS + MS, q=0.0))
    assert echo.rest(playback, np.zeros(1), NS + MS) is None, "it may not have been taken yet"
    echo.on_commanded(word(NS + 500 * MS, q=0.0))
    assert echo.rest(playback, np.zeros(1), NS + 500 * MS) is None, "it is under way"
    echo.on_commanded(word(3 * NS, q=0.0))
    assert echo.rest(playback, np.zeros(1), 3 * NS) is not None


def test_a_bridge_names_what_it_refused_until_something_passes(loop):
    assert (loop.bridge.idle.refused, loop.bridge.state(loop.now).forwarding) == (
        None,
        Forwarding.FORWARDING,
    )
    loop.chunk()
    loop.until(lambda: loop.refused)
    assert loop.bridge.idle.refused == (loop.rig.emitted[0].start_ns, 1)
    loop.deaf = False
    loop.until(lambda: loop.lost)
    loop.chunk()
    loop.until(lambda: loop.passed)
    assert loop.bridge.idle is None


@pytest.mark.parametrize(("admission", "taken"), [(LENIENT, True), (SHIPPED, False)])
def test_what_the_bridge_still_takes_is_not_counted_as_void_and_what_it_does_not_is(
    panda, home, admission, taken
):
    loop = Loop(panda, home, admission=admission)
    loop.until(lambda: loop.rig.state == S.ARMED)
    loop.deaf = False
    loop.wire_ns = LEAD_NS + LATE_NS
    loop.chunk()
    loop.wire_ns = 10 * MS

    def answered():
        loop.told = None  # the bridge says at every step that it commands nothing
        return loop.passed or loop.refused

    loop.until(answered)
    assert bool(loop.passed) is taken
    if not taken:
        assert loop.lost, "long before it came"
        return
    while loop.bridge.gate.rest_in_s(loop.now) > 0:
        loop.step()
        q = loop.bridge.gate.commanded(loop.now).q
        np.testing.assert_allclose(loop.rig.machine.commanded(loop.now).q, q, atol=1e-9)
    assert not loop.lost
