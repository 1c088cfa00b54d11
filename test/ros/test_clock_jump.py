"""Processes whose clock jumps while the arm is in motion."""

import time

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mujoco")

from builtin_interfaces.msg import Time
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from wam_ros.core import types
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import NS, SafetyState
from wam_ros.msg import ActionChunk, SafetyReport
from wam_ros.ros import convert, qos

from .conftest import Arm

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
PANDA = load_embodiment("panda")
PATIENCE_S = 1.0
SPEED = 0.5  # rad/s, faster than the chunks of 0.02 rad each 0.1 s and the way to them


class Clocked:
    """A safety process on a clock of the test, which also plays its arm and bridge."""

    def __init__(self, arena):
        self.arena, self.now_ns, self.seq = arena, 100 * NS, 0
        create = arena.observer.create_publisher
        self._clock = create(Clock, "/clock", qos.STATUS)
        self._joints, self._commanded = (
            create(JointState, t, qos.JOINTS) for t in ("joint_states", "commanded_state")
        )
        self._chunks = create(ActionChunk, "action_chunk", qos.CHUNK)
        self._reports = arena.listen(SafetyReport, "safety_report", qos.STATUS)
        self.safe = arena.listen(JointTrajectory, "safe_trajectory", qos.TRAJECTORY)
        arena.spawn(
            "safety_node", use_sim_time=True, bridge_tolerance_s=2.0, joint_timeout_s=PATIENCE_S
        )
        self.until(lambda: self.state == SafetyState.HOLD)
        self.until(lambda: arena.call(SetBool, "safety_node/arm", data=True).success)

    @property
    def state(self):
        return convert.report_from_msg(self._reports[-1]).state if self._reports else None

    @property
    def sentences(self):
        return [m.sentence for m in self._reports]

    def step(self):
        """10 ms pass on the clock; the arm follows perfectly."""
        self.now_ns += 10_000_000
        self._clock.publish(Clock(clock=Time(sec=self.now_ns // NS, nanosec=self.now_ns % NS)))
        q, dq = np.array(PANDA.home), np.zeros(8)
        if self.safe:
            t = convert.trajectory_from_msg(self.safe[-1])
            k = int(np.clip(np.searchsorted(t.t, (self.now_ns - t.start_ns) / NS), 0, len(t.t) - 1))
            q, dq = t.q[k], t.dq[k]
        msg = convert.joint_state_to_msg(
            types.JointState(self.now_ns, PANDA.joint_names, q, dq, np.zeros(8))
        )
        self._joints.publish(msg)
        self._commanded.publish(msg)

    def until(self, condition):
        self.arena.until(condition, self.step)

    def swing(self):
        """Offer a chunk until a trajectory leaves."""
        before = len(self.safe)

        def offer():
            self.step()
            self.seq += 1
            rows = np.array(PANDA.home) + np.outer(np.arange(1, 9), [0.02, 0, 0, 0, 0, 0, 0.02, 0])
            chunk = types.ActionChunk(self.now_ns, NS // 10, PANDA.joint_names, rows, seq=self.seq)
            self._chunks.publish(convert.chunk_to_msg(chunk))

        self.arena.until(lambda: len(self.safe) > before, offer)


def test_a_clock_that_jumps_back_or_forth_stops_the_arm_and_is_named(arena):
    clocked = Clocked(arena)
    clocked.swing()
    clocked.now_ns -= 20 * NS
    clocked.until(lambda: any("the clock went back" in s for s in clocked.sentences))
    clocked.until(lambda: clocked.state == SafetyState.HOLD)
    last = convert.trajectory_from_msg(clocked.safe[-1])
    assert not last.dq[-1].any()
    assert last.start_ns < 90 * NS, "on the new clock"
    clocked.until(lambda: arena.call(SetBool, "safety_node/arm", data=True).success)
    clocked.safe.clear()
    clocked.swing()
    emitted, reported = len(clocked.safe), len(clocked.sentences)
    clocked.now_ns += 20 * NS
    clocked.until(lambda: len(clocked.sentences) > reported + 10)
    assert all(not any(m.points[-1].velocities) for m in clocked.safe[emitted:])
    last = convert.report_from_msg(clocked._reports[-1])
    assert last.stop_time_s == 0.0, "whatever was planned is over"
    assert last.state in (SafetyState.ARMED, SafetyState.FAULT)
    assert "chunk" in last.sentence or "joint state" in last.sentence


class ClockedLoop:
    """Simulated arm, safety node and bridge, each a process, all on a clock of the test."""

    def __init__(self, arena):
        self.arena, self.arm, self.now_ns = arena, Arm(arena, PANDA.joint_names), 100 * NS
        self._clock = arena.observer.create_publisher(Clock, "/clock", qos.STATUS)
        self._chunks = arena.observer.create_publisher(ActionChunk, "action_chunk", qos.CHUNK)
        self._reports = arena.listen(SafetyReport, "safety_report", qos.STATUS)
        arena.spawn("sim_node", use_sim_time=True, camera_hz=0.5)
        patience = {"joint_timeout_s": PATIENCE_S, "bridge_tolerance_s": 2.0, "tracking_rad": 0.4}
        patience["heartbeat_s"] = PATIENCE_S
        arena.spawn("safety_node", use_sim_time=True, **patience)
        arena.spawn("bridge_node", use_sim_time=True, heartbeat_s=PATIENCE_S)
        self._offered_ns, self._stepped_s = 0, 0.0

    @property
    def state(self):
        return convert.report_from_msg(self._reports[-1]).state if self._reports else None

    def reported(self, words, since):
        """Whether a report since that one says any of these."""
        return any(w in m.sentence for m in list(self._reports)[since:] for w in words)

    def step(self):
        """As much time passes on the clock as passed, at most 10 ms."""
        passed_s, self._stepped_s = time.monotonic() - self._stepped_s, time.monotonic()
        self.now_ns += round(min(passed_s, 0.01) * NS)
        self._clock.publish(Clock(clock=Time(sec=self.now_ns // NS, nanosec=self.now_ns % NS)))

    def swing(self):
        """Time passes and a policy speaks."""
        self.step()
        if self.arm.state is not None and abs(self.now_ns - self._offered_ns) > NS // 10:
            self._offered_ns = self.now_ns
            chunk = self.arm.chunk(0.02, anchor_ns=self.now_ns, observation_ns=self.now_ns)
            self._chunks.publish(convert.chunk_to_msg(chunk))

    def until(self, condition, each=None):
        self.arena.until(condition, each or self.step, seconds=60.0)

    def until_moving(self):
        """A person resets and arms until it moves; the bridge is told to go on where it asks for
        that.
        """

        def moving():
            if self.state in (SafetyState.FAULT, SafetyState.HOLD):
                self.ask(Trigger, "safety_node/reset")
                answer = self.ask(SetBool, "safety_node/arm", data=True)
                if "~/pause" in answer:
                    self.ask(SetBool, "bridge_node/pause", data=False)
            return self.state == SafetyState.ARMED and self.arm.moving()

        self.until(moving, self.swing)

    def ask(self, kind, service, **fields):
        """Call a service while time passes."""
        client = self.arena.observer.create_client(kind, service)
        self.until(client.service_is_ready)
        future = client.call_async(kind.Request(**fields))
        self.until(future.done)
        self.arena.observer.destroy_client(client)
        return future.result().message


def test_the_simulated_arm_rests_where_it_was_when_every_clock_jumps_and_goes_on_when_told(arena):
    loop = ClockedLoop(arena)
    for jump_s, words in ((-20, ("the clock went back",)), (20, ("no new chunk", "joint state"))):
        loop.until_moving()
        q0, told = loop.arm.state.positions, len(loop._reports)
        stop_s = max(m.stop_time_s for m in loop._reports[-20:])
        loop.now_ns += jump_s * NS
        jumped_ns = loop.now_ns
        loop.until(
            lambda ns=jumped_ns: loop.arm.at_rest() and 0 <= loop.arm.state.stamp_ns - ns < 10 * NS
        )
        loop.until(lambda words=words, told=told: loop.reported(words, told))
        loop.until(lambda ns=jumped_ns + (stop_s + 0.5) * NS: loop.now_ns > ns)
        assert loop.arm.at_rest()
        assert (np.abs(loop.arm.state.positions - q0) <= SPEED * stop_s + 0.05).all()
    loop.until_moving()
