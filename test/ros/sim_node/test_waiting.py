"""A simulated world in lock-step over DDS: who it waits for, when it stands, what it says."""

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mujoco")

from rclpy.lifecycle import TransitionCallbackReturn
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool

from wam_ros.core.lockstep import Progress
from wam_ros.core.types import NS
from wam_ros.msg import EpisodeState, LoopProgress, Pace
from wam_ros.nodes.sim_node import SimNode
from wam_ros.ros import convert, qos
from wam_ros.ros.sim_node import waiting
from wam_ros.ros.sim_node.waiting import SETTLE_NS, make_ticks
from wam_ros.srv import ResetEpisode

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
MS = 1_000_000


class World:
    """A world in lock-step, and a loop that is played by the test: it tells how far it has come."""

    def __init__(self, arena, **parameters):
        self.arena = arena
        self._publisher = arena.observer.create_publisher(LoopProgress, "loop_progress", qos.STATUS)
        self._paces = arena.listen(Pace, "pace", qos.STATUS)
        self.images = arena.listen(Image, "front/image_raw", qos.IMAGE)
        self.episodes = arena.listen(EpisodeState, "episode", qos.STATUS)
        self.sim = arena.add(SimNode, lockstep=True, camera_hz=10.0, **parameters)
        arena.until(lambda: self._publisher.get_subscription_count() and self._paces)

    @property
    def now_ns(self):
        """That it has reached."""
        return self.sim._stepper.now_ns

    @property
    def pace(self):
        return convert.pace_from_msg(self._paces[-1])

    def tell(self, node, **progress):
        self._publisher.publish(convert.progress_to_msg(Progress(node, **progress)))

    def still(self, seconds=0.3, each=lambda: None):
        """Whether the world stands still for so long."""
        before = self.now_ns
        self.arena.spin(seconds, each)
        return self.now_ns == before

    def goes_on(self, each=lambda: None):
        before = self.now_ns
        self.arena.until(lambda: self.now_ns > before, each)


def test_it_waits_until_the_images_were_heard_and_no_longer_for_who_leaves(arena):
    world = World(arena)

    def late():
        world.tell("camera_node", heard=5)

    arena.until(lambda: world.sim._waiting._awaited == ["camera_node"], late)
    assert world.still(0.5, late)
    arena.until(lambda: world.pace.awaited == ("camera_node",), late)
    assert world.pace.words == "waiting for camera_node"
    world.goes_on(lambda: world.tell("camera_node", heard=world.sim._waiting.shown_ns))
    arena.until(lambda: world.sim._waiting._awaited == ["camera_node"])
    assert world.now_ns == world.sim._waiting.shown_ns, "at the instant of the next images"
    world.tell("camera_node", leaves=True)
    world.goes_on()


def test_it_goes_on_without_who_falls_silent_and_without_what_was_lost(arena, monkeypatch):
    monkeypatch.setattr(waiting, "AGAIN_NS", 200 * MS)
    monkeypatch.setattr(waiting, "LOST_NS", NS)
    world = World(arena)
    world.tell("camera_node", heard=world.sim._waiting.shown_ns)  # its last word
    arena.until(lambda: world.sim._waiting._awaited == ["camera_node"])
    world.goes_on()
    arena.until(lambda: world.sim._waiting._awaited, lambda: world.tell("camera_node", heard=5))
    before = world.now_ns
    heard = len(world.images)
    arena.until(lambda: world.now_ns > before, lambda: world.tell("camera_node", heard=5))
    assert len(world.images) > heard + 1, "told again before it was given up"


def test_nodes_that_were_there_before_the_world_hear_its_clock_and_it_begins(arena):
    """Whichever of them is the last to start."""
    clock = arena.listen(Clock, "/clock", qos.STATUS)
    publisher = arena.observer.create_publisher(LoopProgress, "loop_progress", qos.STATUS)
    sim = arena.make(SimNode, lockstep=True, camera_hz=10.0)
    assert sim.trigger_configure() == TransitionCallbackReturn.SUCCESS

    def tell():
        at_ns = convert.time_to_ns(clock[-1].clock) if clock else 0
        publisher.publish(convert.progress_to_msg(Progress("safety_node", at_ns=at_ns)))

    arena.until(lambda: sim._waiting._lockstep._members, tell)
    assert sim.trigger_activate() == TransitionCallbackReturn.SUCCESS
    begun_ns = sim._stepper.now_ns
    arena.until(lambda: sim._stepper.now_ns > begun_ns + NS // 2, tell, seconds=2)


def test_a_node_that_joins_a_world_that_stands_is_told_the_time(arena):
    world = World(arena)
    assert arena.call(SetBool, "sim_node/stand", data=True).success
    arena.until(lambda: world._paces and world.pace.standing)
    clock = arena.listen(Clock, "/clock", qos.STATUS)
    arena.spin(0.2)
    assert clock == []
    world.tell("bridge_node")
    arena.until(lambda: clock)
    assert convert.time_to_ns(clock[-1].clock) == world.now_ns


def test_what_is_due_holds_it_and_it_says_when_all_have_heard(arena):
    world = World(arena)
    due_ns = world.now_ns + NS

    def answer():
        world.tell("inference_node", heard=world.sim._waiting.shown_ns, until_ns=due_ns)

    arena.until(lambda: world.pace.settled, answer)
    assert world.still(0.3, answer)
    assert due_ns <= world.now_ns < due_ns + 20 * MS, "the first tick that is not before it"
    assert world.pace.now_ns == world.now_ns
    world.goes_on(lambda: world.tell("inference_node", heard=world.now_ns))


def test_it_stands_at_a_frame_and_a_new_scene_settles_for_the_same_time_each_time(arena):
    world = World(arena)
    stamps = []
    for seed in (3, 4):
        world._paces.clear()
        assert arena.call(SetBool, "sim_node/stand", data=True).success
        arena.until(lambda: world._paces and world.pace.standing)
        stood = world.now_ns
        assert world.still()
        assert stood == world.sim._waiting.shown_ns
        assert arena.call(ResetEpisode, "sim_node/reset_episode", seed=seed).ok
        arena.until(lambda ns=stood: world.pace.standing and world.pace.now_ns > ns)
        assert world.still()
        assert world.now_ns - stood == SETTLE_NS
        assert world.episodes[-1].seed == seed
        stamps.append(convert.time_to_ns(world.images[-1].header.stamp))
        assert stamps[-1] == world.now_ns, "the settled scene is seen"
        assert arena.call(SetBool, "sim_node/stand", data=False).success
        world.goes_on()
    assert (stamps[1] - stamps[0]) % (100 * MS) == 0, "images come on one grid"


def test_a_world_that_is_too_slow_for_its_rate_still_hears_who_calls(arena):
    arena.add(SimNode, lockstep=True, rate=20.0, camera_hz=100.0)
    arena.spin(0.5)
    assert arena.call(ResetEpisode, "sim_node/reset_episode", seed=1).ok


def test_strangers_hold_nothing_up(arena):
    world = World(arena)
    before = world.now_ns

    def nonsense():
        world.tell("evil_node", until_ns=1)
        world.tell("camera_node", heard=-(2**63), said=2**63 - 1, until_ns=-1, leaves=True)

    arena.until(lambda: world.now_ns > before + NS, nonsense)


@pytest.mark.parametrize(
    ("hz", "longest_ms", "tick_ms", "n"),
    [(10, 20, 20, 5), (20, 20, 10, 5), (10, 10, 10, 10), (0.5, 20, 20, 100), (1000, 20, 2, 1)],
)
def test_a_tick_is_the_longest_that_fits_between_images(hz, longest_ms, tick_ms, n):
    assert make_ticks(round(NS / hz), 2 * MS, longest_ms * MS) == (tick_ms * MS, n)


@pytest.mark.parametrize("hz", [30, 15, 29.97, 60, 7])
def test_images_between_physics_steps_come_at_the_nearest_rate_that_fits(hz):
    tick, n = make_ticks(round(NS / hz), 2 * MS, 20 * MS)
    assert tick % (2 * MS) == 0
    assert 8 * MS < tick <= 20 * MS
    assert NS / (n * tick) == pytest.approx(hz, rel=0.07)
