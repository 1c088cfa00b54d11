"""The nodes of the loop in lock-step with a simulated world: it waits for them, and a stop does not
wait for it.
"""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mujoco")

from rclpy.lifecycle import TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from wam_ros.core.lockstep import Progress
from wam_ros.core.types import NS, SafetyState
from wam_ros.msg import ActionChunk, LoopProgress, Pace, SafetyReport
from wam_ros.nodes.bridge_node import BridgeNode
from wam_ros.nodes.camera_node import CameraNode
from wam_ros.nodes.inference_node import InferenceNode
from wam_ros.nodes.safety_node import SafetyNode
from wam_ros.nodes.sim_node import SimNode
from wam_ros.ros import convert, qos
from wam_ros.srv import ResetEpisode

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
PATIENCE_S = 60.0


class Loop:
    """A world in lock-step, safety node and bridge, each a process; the test plays the model."""

    def __init__(self, arena, arm):
        self.arena, self.arm, self.seq = arena, arm, 0
        self._chunks = arena.observer.create_publisher(ActionChunk, "action_chunk", qos.CHUNK)
        self._progress = arena.observer.create_publisher(LoopProgress, "loop_progress", qos.STATUS)
        self._reports = arena.listen(SafetyReport, "safety_report", qos.STATUS)
        self._paces = arena.listen(Pace, "pace", qos.STATUS)
        time = {"lockstep": True, "use_sim_time": True, "heartbeat_s": 2.0}
        arena.spawn("sim_node", lockstep=True, camera_hz=10.0, rate=4.0)
        arena.spawn("safety_node", **time)
        arena.spawn("bridge_node", **time)
        self.until(lambda: self.state == SafetyState.HOLD and self.arm.state)
        arena.until_forwarding()

    @property
    def state(self):
        return convert.report_from_msg(self._reports[-1]).state if self._reports else None

    @property
    def now_ns(self):
        """That the world has reached, by its newest joint state."""
        return self.arm.state.stamp_ns

    def until(self, condition, each=lambda: None):
        self.arena.until(condition, each, seconds=PATIENCE_S)

    def call(self, kind, service, **fields):
        client = self.arena.observer.create_client(kind, service)
        self.until(client.service_is_ready)
        future = client.call_async(kind.Request(**fields))
        self.until(future.done)
        self.arena.observer.destroy_client(client)
        return future.result()

    def stand(self):
        """Stand, and place a scene that settles."""
        self._paces.clear()
        self.call(SetBool, "sim_node/stand", data=True)
        self.until(lambda: self._paces and self._paces[-1].standing)
        stood = self._paces[-1].header.stamp
        self.call(SetBool, "bridge_node/pause", data=True)
        assert self.call(ResetEpisode, "sim_node/reset_episode", seed=3).ok
        # while the scene settles: at its ticks the bridge sees where the arm is
        self.call(SetBool, "bridge_node/pause", data=False)
        self.until(lambda: self._paces[-1].standing and self._paces[-1].header.stamp != stood)

    def arm_it(self):
        self.until(lambda: self.call(SetBool, "safety_node/arm", data=True).success)

    def tell(self, **progress):
        """The word of the model."""
        told = Progress("inference_node", said=self.seq, **progress)
        self._progress.publish(convert.progress_to_msg(told))

    def speak(self, step):
        """A chunk of a model that sees the present, for a world that waits until it is judged."""
        chunk = self.arm.chunk(step, anchor_ns=self.now_ns, observation_ns=self.now_ns)
        self.seq = chunk.seq + 1
        self.tell()
        self._chunks.publish(convert.chunk_to_msg(chunk))


@pytest.fixture
def loop(arena, arm):
    return Loop(arena, arm)


def test_the_same_chunk_at_the_same_instant_is_the_same_motion_to_the_last_bit(loop):
    paths = []
    for _ in range(2):
        loop.stand()
        loop.arm_it()
        begun_ns = loop.now_ns
        loop.speak(0.03)
        loop.call(SetBool, "sim_node/stand", data=False)
        loop.until(lambda ns=begun_ns: loop.now_ns > ns + 1.5 * NS, loop.tell)
        assert loop.call(SetBool, "safety_node/arm", data=False).success
        q, t = loop.arm.path()
        after = np.round((t - begun_ns / NS) * 100).astype(int)
        paths.append({k: row for k, row in zip(after, q, strict=True) if 0 <= k <= 140})
        loop.until(loop.arm.at_rest, loop.tell)
    common = sorted(set(paths[0]) & set(paths[1]))
    assert len(common) > 100
    moved = paths[0][common[-1]] - paths[0][common[0]]
    assert np.abs(moved).max() > 0.1
    for k in common:
        assert (paths[0][k] == paths[1][k]).all(), f"{k / 100} s after the chunk"


def test_a_stop_that_is_pressed_while_the_world_waits_is_carried_out_before_it_goes_on(loop):
    loop.stand()
    loop.arm_it()
    hostile = loop.arm.chunk(0.03, seq=2**64 - 1)
    loop._chunks.publish(convert.chunk_to_msg(hostile))
    loop.call(SetBool, "sim_node/stand", data=False)
    loop.until(loop.arm.moving, lambda: loop.speak(0.03))
    due_ns = loop.now_ns

    def think():
        loop.tell(until_ns=due_ns)

    loop.arena.spin(0.3, think)
    stood_ns = loop.now_ns
    assert loop.arm.moving()
    assert loop.call(Trigger, "safety_node/estop").success
    loop.until(lambda: loop.state == SafetyState.ESTOP, think)
    assert loop.now_ns == stood_ns, "the world waits all the while"
    promised_s = max(m.stop_time_s for m in loop._reports[-3:])
    loop.until(loop.arm.at_rest, loop.tell)
    q, t = loop.arm.path()
    moved = t[1:][np.abs(np.diff(q, axis=0)).max(axis=1) > 5e-5]  # as at_rest: 5e-3 rad/s
    assert moved.max() - stood_ns / NS < promised_s + 0.3


@pytest.mark.parametrize(
    "cls", [CameraNode, InferenceNode, SafetyNode, BridgeNode], ids=lambda cls: cls.__name__
)
def test_a_real_robot_waits_for_nobody_lockstep_by_the_wall_clock_is_refused(arena, capfd, cls):
    node = arena.make(cls, lockstep=True)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert "lockstep needs use_sim_time" in capfd.readouterr().err


def test_a_world_in_real_time_publishes_no_clock_and_waits_for_nobody(arena):
    node = arena.add(SimNode, camera_hz=0.5)
    topics = {name for name, _ in node.get_publisher_names_and_types_by_node("sim_node", "/")}
    assert not {"/clock", "/pace"} & topics
