"""Two arms whose drivers tell their joints on topics and in numbers of their own, through the real
safety node and bridge.
"""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("pinocchio")
pytest.importorskip("wam_ros.sim.world")

import yaml
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from testing.tools import make_chunk
from wam_ros.core import types
from wam_ros.core.drivers import MEASURED, numbers_of
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.resources import config_path
from wam_ros.core.types import NS, SafetyState
from wam_ros.msg import ActionChunk, SafetyReport
from wam_ros.nodes.bridge_node import BridgeNode
from wam_ros.nodes.safety_node import SafetyNode
from wam_ros.nodes.sim_node import SimNode
from wam_ros.ros import convert, qos

from .controllers.fakes import Simple

pytestmark = pytest.mark.ros
NAMES = load_embodiment("bimanual").joint_names
HOME = np.array(load_embodiment("bimanual").home)
SIDES = {side: [n for n in NAMES if n.startswith(side)] for side in ("left", "right")}
# the left arm in degrees that count the other way, its gripper in per cent
DRIVER = {n: {"factor": -np.pi / 180, "zero": 0.2} for n in SIDES["left"][:6]}
DRIVER["left_finger_joint"] = {"factor": 0.0005, "zero": 0.0}
WAY = np.array([0.1, 0.1, -0.1, 0.1, 0.1, -0.1, -0.02, -0.1, -0.1, 0.1, -0.1, 0.1, 0.2, -0.01])
PATIENT = {"deadline_s": 0.5, "heartbeat_s": 2.0}


def written(folder):
    """The robot: each arm and each gripper has a controller, each side a topic of joint states."""
    data = yaml.safe_load(config_path("embodiments", "bimanual").read_text())
    data["controllers"] = {
        f"{side}_{part}_controller": {
            "kind": "joint_trajectory",
            "joints": joints,
            "joint_states": f"{side}/joint_states",
        }
        for side, names in SIDES.items()
        for part, joints in (("arm", names[5::-1]), ("gripper", names[6:]))
    }
    data["driver"] = DRIVER
    path = folder / "pair.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


class Cell:
    """Safety node and bridge before two arms, of which one says degrees."""

    def __init__(self, arena, path):
        self.arena = arena
        self.robot = load_embodiment(path)
        self.reports = arena.listen(SafetyReport, "safety_report", qos.STATUS)
        self.measured = arena.listen(JointState, MEASURED, qos.JOINTS)
        self.chunks = arena.observer.create_publisher(ActionChunk, "action_chunk", qos.CHUNK)
        arena.add(SafetyNode, embodiment=path, joint_timeout_s=2.0, **PATIENT)
        arena.add(BridgeNode, embodiment=path, **PATIENT)
        self._offered_ns = self._seq = 0

    @property
    def report(self):
        return convert.report_from_msg(self.reports[-1])

    def until(self, condition, *each):
        self.arena.until(condition, lambda: [do() for do in each])

    def arm_it(self, *each):
        self.until(lambda: self.reports and self.report.state == SafetyState.HOLD, *each)
        client = self.arena.observer.create_client(SetBool, "safety_node/arm")
        self.until(client.service_is_ready, *each)
        while True:
            future = client.call_async(SetBool.Request(data=True))
            self.until(future.done, *each)
            if future.result().success:
                return

    def feed(self):
        """A chunk from here towards where it should go, once that before has been executed."""
        if self.measured and self.arena.now_ns() - self._offered_ns > 1.5 * NS:
            self._offered_ns = self.arena.now_ns()
            left = np.clip(HOME + WAY - self.at, -0.1, 0.1)
            steps = self.at + np.outer(np.arange(1, 9) / 8, left)
            self._seq += 1
            chunk = make_chunk(NAMES, steps, age=0, now=self.arena.now_ns(), seq=self._seq)
            self.chunks.publish(convert.chunk_to_msg(chunk))

    @property
    def at(self):
        """(A,) rad or m, as the bridge tells it."""
        return convert.joint_state_from_msg(self.measured[-1], NAMES).positions


class Drivers:
    """Two drivers, each with a node, a topic and two controllers of its own."""

    def __init__(self, arena, robot):
        self._arena = arena
        self._robot = robot
        self.silent = set()
        self.parts = {}
        self._pubs = {}
        for side in SIDES:
            node = Node(f"{side}_driver", context=arena.context)
            arena.nodes.append(node)
            self._pubs[side] = node.create_publisher(JointState, f"{side}/joint_states", qos.JOINTS)
        for name, group in robot.controllers.items():
            node = Node(f"{name}_of_robot", context=arena.context)
            arena.executor.add_node(node)
            part = Simple(node, group.kind, list(group.joints), name, arena.now_ns)
            # it holds what its own numbers say of home
            part.controller.reset(numbers_of(robot, group.joints).positions(part.sample(0)))
            arena.nodes.append(part)
            self.parts[name] = part

    def live(self):
        now_ns = self._arena.now_ns()
        told = {
            n: q
            for part in self.parts.values()
            for n, q in zip(part.joint_names, part.sample(now_ns), strict=True)
        }
        for side, names in SIDES.items():
            if side not in self.silent:
                q = np.array([told[n] for n in names])
                unknown = np.full(len(names), np.nan)
                state = types.JointState(now_ns, tuple(names), q, unknown, unknown)
                self._pubs[side].publish(convert.joint_state_to_msg(state))


def test_two_arms_of_two_drivers_go_where_a_chunk_leads_and_stop_when_one_falls_silent(
    arena, tmp_path
):
    cell = Cell(arena, written(tmp_path))
    drivers = Drivers(arena, cell.robot)
    cell.arm_it(drivers.live)
    np.testing.assert_allclose(cell.at, HOME, atol=1e-6)
    cell.until(lambda: np.abs(cell.at - HOME - WAY).max() < 3e-3, drivers.live, cell.feed)
    # and its driver was told so in its own numbers
    pan = drivers.parts["left_arm_controller"].sample(arena.now_ns())[5]
    assert pan == pytest.approx(-np.degrees(HOME[0] + WAY[0] - 0.2), abs=0.2)
    grip = drivers.parts["left_gripper_controller"].sample(arena.now_ns())[0]
    assert grip == pytest.approx((HOME[6] + WAY[6]) / 0.0005, abs=6)
    states = {convert.report_from_msg(m).state for m in cell.reports}
    assert not states & {SafetyState.FAULT, SafetyState.ESTOP}
    drivers.silent.add("right")
    cell.until(lambda: cell.report.state == SafetyState.FAULT, drivers.live)
    assert "nothing new on right/joint_states" in cell.report.sentence


def test_a_second_publisher_on_the_topic_of_one_arm_stops_both_and_the_two_are_named(
    arena, tmp_path
):
    cell = Cell(arena, written(tmp_path))
    drivers = Drivers(arena, cell.robot)
    cell.arm_it(drivers.live)
    node = Node("other", context=arena.context)
    arena.nodes.append(node)
    second = node.create_publisher(JointState, "left/joint_states", qos.JOINTS)

    def say_home():
        q = numbers_of(cell.robot, SIDES["left"]).positions(HOME[:7])
        msg = JointState(name=SIDES["left"], position=q.tolist())
        msg.header.stamp = convert.ns_to_time(arena.now_ns())
        second.publish(msg)

    cell.until(lambda: cell.report.state == SafetyState.FAULT, drivers.live, say_home)
    named = "left/joint_states is published by /left_driver, /other"
    cell.until(lambda: named in cell.report.sentence, drivers.live, say_home)
    assert "right/joint_states" not in cell.report.sentence


def test_the_simulated_arm_hears_and_speaks_as_its_drivers_would(arena, tmp_path):
    path = written(tmp_path)
    heard = arena.listen(JointState, "left/joint_states", qos.JOINTS)
    topic = "joint_trajectory_controller/joint_trajectory"
    publisher = arena.observer.create_publisher(JointTrajectory, topic, qos.COMMANDS)
    arena.add(SimNode, embodiment=path, camera_hz=0.5)
    arena.until(lambda: heard and publisher.get_subscription_count())
    numbers = numbers_of(load_embodiment(path), NAMES)
    at_home = numbers.positions(HOME)[:7]
    np.testing.assert_allclose(heard[-1].position, at_home, atol=0.5)
    point = JointTrajectoryPoint(positions=numbers.positions(HOME + WAY).tolist())
    point.time_from_start.sec = 1
    publisher.publish(JointTrajectory(joint_names=NAMES, points=[point]))
    wanted = numbers.positions(HOME + WAY)[:7]
    assert np.abs(wanted - at_home).min() > 5, "degrees and per cent"
    arena.until(lambda: np.abs(np.array(heard[-1].position) - wanted).max() < 1.0)
