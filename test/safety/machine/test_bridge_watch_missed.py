"""A stop that reaches the bridge too late is refused there; the arm must not go on for that."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testing.rig import LEAD_NS, MS, Rig
from testing.tools import at_rest, tool_pose
from wam_ros.bridge.gate import Gate, load_gate_limits
from wam_ros.core.types import NS, Decision, JointState, SafetyState
from wam_ros.robot.obstacles import Obstacle
from wam_ros.safety.machine.bridge_watch import BridgeWatch, CommandEcho
from wam_ros.safety.machine.live import Change

S = SafetyState
SIDEWAYS = np.r_[0.1, 0, 0, 0, 0, 0, 0, 0]  # rad per step of 0.1 s
PROMISE_S = 0.3  # a stop that was missed is noticed and proven anew within this
NOTICED_S = 0.15  # of which the noticing: from here on what is told is what really goes on
LONGEST_S = 0.5  # stops of the motions of these tests


class Wire:
    """A machine, a gate behind a wire on which trajectories take their time, and an arm that
    follows the gate.
    """

    def __init__(self, panda, home) -> None:
        self.rig = Rig(panda, home)
        self.rig.follow = False
        self.gate = Gate(load_gate_limits(panda.model.embodiment, 0.02, 0.005))
        self.echo = CommandEcho(np.where(panda.model.sliding, 0.005, 0.02), 0.15)
        self.watch = BridgeWatch(self.rig.machine, self.echo, False)
        self.latency_ns, self.sent, self.refused = 5 * MS, [], []
        self.rig.held()
        self.step()
        assert self.watch.arm(True, self.now).ok

    @property
    def now(self) -> int:
        return self.rig.now

    @property
    def moving(self) -> bool:
        """Whether the arm moves."""
        found = self.gate.commanded(self.now)
        return found is not None and bool(found.dq.any())

    def send(self, trajectory) -> None:
        if trajectory is not None:
            self.sent.append((self.now + self.latency_ns, trajectory))

    def step(self, seconds: float = 0.01) -> None:
        """Time passes: 10 ms at once, a word of the bridge each 20 ms, a tick each 50 ms."""
        for _ in range(round(seconds * 100)):
            self.rig.now += 10 * MS
            self.gate.on_heartbeat(self.now)
            due = [t for at, t in self.sent if at <= self.now]
            self.sent = [s for s in self.sent if s[0] > self.now]
            for trajectory in due:
                self.refused += [
                    r for r in [self.gate.admit(trajectory, self.now, self.now)[1]] if r
                ]
            commanded = self.gate.commanded(self.now)
            state = commanded or at_rest(self.rig.home)
            names = self.rig.filter.model.joint_names
            measured = JointState(self.now, names, state.q, state.dq, np.zeros(8))
            self.gate.on_joints(measured)
            output = self.rig.machine.on_joints(measured, self.now)
            self.send(output and output.trajectory)
            if commanded is not None and self.now // MS % 20 == 0:
                self.echo.on_commanded(measured)
            if self.now // MS % 50 == 0:
                self.tick()

    def tick(self) -> None:
        output = self.rig.machine.tick(self.now)
        _, ended = self.watch.look(self.now)
        self.send(ended and ended.trajectory)
        self.send(output.trajectory)

    def swing(self) -> None:
        """A long motion: what the arm does when nothing stops it."""
        begins = self.rig.machine.commanded(self.now + LEAD_NS).q
        output = self.rig.chunk(begins + np.outer(np.arange(1, 17), SIDEWAYS))
        assert output.report.decision in (Decision.PASS, Decision.SCALED)
        self.send(output.trajectory)
        self.step(0.4)
        assert self.moving
        assert not self.refused

    def until_rest(self) -> float:
        """Seconds until the arm stands."""
        since = self.now
        while self.moving:
            self.step()
            assert self.now < since + 5 * NS
        return (self.now - since) / NS


@pytest.fixture
def wire(panda, home):
    obstacles = dict(panda.model.obstacles)
    yield Wire(panda, home)
    panda.model.set_obstacles(obstacles, {})


@pytest.mark.parametrize("latency_ms", [5, 30, 70, 90])
@pytest.mark.parametrize("way", ["estop", "disarm", "fault"])
def test_a_stop_that_came_too_late_is_sent_again_from_the_motion_that_went_on(
    wire, way, latency_ms
):
    wire.swing()
    wire.latency_ns = latency_ms * MS
    machine = wire.rig.machine
    if way == "fault":
        stop = machine.brakes.escalate(wire.now, S.FAULT, 0, "a cause")
    else:
        stop = (
            machine.estop(wire.now) if way == "estop" else machine.arm(False, wire.now)
        ).trajectory
    wire.send(stop)
    told = machine.brakes.playback.rest_in_s(wire.now)
    wire.latency_ns = min(wire.latency_ns, 50 * MS)
    assert wire.until_rest() < told + PROMISE_S
    assert bool(wire.refused) == (latency_ms > 30)
    wire.step(0.2)
    assert machine.state == {"estop": S.ESTOP, "disarm": S.HOLD, "fault": S.FAULT}[way]
    assert np.abs(wire.gate.commanded(wire.now).q - machine.commanded(wire.now).q).max() < 1e-6, (
        "nobody is mistaken"
    )


def test_a_stop_for_an_obstacle_that_came_too_late_is_sent_again(wire):
    wire.swing()
    wire.latency_ns = 60 * MS
    q = wire.rig.machine.commanded(wire.now).q + np.eye(8)[0] * 0.9
    place = tuple(float(x) for x in tool_pose(wire.rig.filter.model, q).translation)
    output = wire.rig.machine.on_obstacles(
        [Change("people/1", Obstacle("box", (0.05,) * 3, place), "panda_link0", wire.now)], wire.now
    )
    wire.send(output.trajectory)
    wire.latency_ns = 20 * MS
    model, least = wire.rig.filter.model, np.inf
    against = [n[1] == "people/1" for n in model.pairs.names]
    while wire.moving:
        wire.step()
        least = min(least, model.distances(wire.gate.commanded(wire.now).q)[against].min())
    assert wire.refused
    assert least >= wire.rig.filter.params.obstacle_clearance_m


def test_a_stop_that_was_taken_is_not_sent_again(wire):
    wire.swing()
    wire.send(wire.rig.machine.estop(wire.now).trajectory)
    emitted = []
    wire.send = lambda trajectory: emitted.append(trajectory) if trajectory is not None else None
    wire.step(1.5)
    assert emitted == []


def missed_chunk(wire) -> None:
    """The machine believes in a chunk that the bridge never got."""
    begins = wire.rig.machine.commanded(wire.now + LEAD_NS).q
    output = wire.rig.chunk(begins + np.outer(np.arange(1, 9), 0.7 * SIDEWAYS))
    assert output.trajectory is not None


def test_an_emergency_stop_after_a_chunk_that_was_missed_stops_what_goes_on(wire):
    wire.swing()
    missed_chunk(wire)
    wire.step(0.2)
    assert wire.rig.machine.state == S.ARMED
    wire.send(wire.rig.machine.estop(wire.now).trajectory)
    told = wire.rig.machine.brakes.playback.rest_in_s(wire.now)
    assert wire.until_rest() < told + PROMISE_S
    assert wire.refused


def test_where_a_chunk_was_missed_what_goes_on_is_known_and_can_be_stopped(wire):
    wire.swing()
    missed_chunk(wire)
    while wire.rig.machine.state != S.HOLD:
        wire.step()
    assert wire.moving
    assert (
        np.abs(wire.gate.commanded(wire.now).q - wire.rig.machine.commanded(wire.now).q).max()
        < 1e-6
    )
    wire.send(wire.rig.machine.estop(wire.now).trajectory)
    assert wire.until_rest() < wire.rig.machine.brakes.playback.rest_in_s(wire.now) + PROMISE_S
    assert not wire.refused


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_however_late_trajectories_are_an_emergency_stop_ends_the_motion_when_it_says(
    panda, home, seed
):
    rng, wire = np.random.default_rng(seed), Wire(panda, home)
    for _ in range(rng.integers(5, 15)):
        wire.latency_ns = int(rng.choice([5, 10, 20, 40, 60, 90])) * MS
        rate = rng.uniform(-1, 1, 8) * np.r_[np.full(7, 0.09), 0.001]
        begins = wire.rig.machine.commanded(wire.now + LEAD_NS).q
        wire.send(wire.rig.chunk(begins + np.outer(np.arange(1, 9), rate)).trajectory)
        event = rng.uniform()
        if event < 0.05:
            wire.send(wire.watch.arm(False, wire.now).trajectory)
        elif event < 0.2:
            wire.watch.arm(True, wire.now)
        wire.step(rng.uniform(0.02, 0.2))
    wire.send(wire.rig.machine.estop(wire.now).trajectory)
    pressed, brakes = wire.now, wire.rig.machine.brakes
    wire.latency_ns = int(rng.choice([5, 20, 40])) * MS
    wire.step(NOTICED_S)
    told = brakes.playback.rest_in_s(
        wire.now
    )  # of what really goes on; until then the stop may have been that of a missed chunk
    assert wire.until_rest() <= told + 0.011
    assert (wire.now - pressed) / NS < 2 * NOTICED_S + LONGEST_S
    assert wire.rig.machine.state == S.ESTOP
