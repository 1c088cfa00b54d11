"""A joint that turns without end, as a Gen3's: its driver and its policy wrap it to one turn, and
it turns on through the real nodes.
"""

import math

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("pinocchio")

from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool

from testing.tools import make_chunk
from testing.waist import waist_robot
from wam_ros.core import types
from wam_ros.core.types import SafetyState
from wam_ros.msg import ActionChunk, SafetyReport
from wam_ros.nodes.bridge_node import BridgeNode
from wam_ros.nodes.safety_node import SafetyNode
from wam_ros.ros import convert, qos
from wam_ros.ros.sim_node.controller_server import ControllerServer, make_sim_controller

pytestmark = pytest.mark.ros
NAMES = ("shoulder", "elbow")
HOME = np.array([0.0, 1.4])
# a busy machine is no fault here
PATIENT = {"deadline_s": 0.5, "heartbeat_s": 2.0}
SPEED = 1.5  # rad/s
STEP_S = 0.1


def wrapped(q):
    return (np.asarray(q) + math.pi) % (2 * math.pi) - math.pi


def robot_file(folder):
    """The arm of `waist_robot` whose shoulder turns on and on."""
    robot = waist_robot(folder, sensed={}, parked={"waist": 0.0}, home=tuple(HOME.tolist()))
    text = robot.urdf_path.read_text()
    text = text.replace('name="shoulder" type="revolute"', 'name="shoulder" type="continuous"')
    robot.urdf_path.write_text(text)
    keys = "name base_frame tool_frame image_height image_width frame_rate_hz step_period_s"
    data = {key: getattr(robot, key) for key in (*keys.split(), "action_horizon", "parked")}
    lists = ("joint_names", "gripper_joints", "home", "max_acceleration", "max_jerk")
    data |= {key: list(getattr(robot, key)) for key in lists}
    data |= {"urdf": "robot.urdf", "cameras": [{"name": "eye", "image_topic": "eye"}]}
    path = folder / "turning.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


class Driver:
    """A trajectory controller, and joint states that are wrapped to one turn."""

    def __init__(self, arena):
        self.arena = arena
        self.node = Node("driver", context=arena.context)
        arena.nodes.append(self.node)
        arena.executor.add_node(self.node)
        self.controller = make_sim_controller("joint_trajectory", list(NAMES), HOME)
        ControllerServer(self.node, "joint_trajectory", self.controller, arena.now_ns, "")
        self._joints = self.node.create_publisher(JointState, "joint_states", qos.JOINTS)
        self._told_ns = 0

    def live(self):
        """A joint state, a hundred times a second at most."""
        now_ns = self.arena.now_ns()
        if now_ns - self._told_ns < 10_000_000:
            return
        self._told_ns = now_ns
        unknown = np.full(2, np.nan)
        q = wrapped(self.controller.sample(now_ns).q)
        state = types.JointState(now_ns, NAMES, q, unknown, unknown)
        self._joints.publish(convert.joint_state_to_msg(state))


@pytest.mark.parametrize("turns", [1, pytest.param(10, marks=pytest.mark.long)])
def test_turn_after_turn_nothing_stops_and_a_second_publisher_does_by_its_name(
    arena, tmp_path, turns
):
    name = robot_file(tmp_path)
    limits = {"tcp_speed": 5.0, "joint_timeout_s": 3.0, "self_clearance_m": 0.0}
    driver = Driver(arena)
    arena.add(BridgeNode, embodiment=name, **PATIENT)
    arena.add(SafetyNode, embodiment=name, **PATIENT, **limits)
    chunks = arena.observer.create_publisher(ActionChunk, "action_chunk", qos.CHUNK)
    heard = arena.listen(SafetyReport, "safety_report", qos.STATUS)
    arena.until(lambda: heard and heard[-1].state == SafetyState.HOLD, driver.live)

    def armed():
        return arena.call(SetBool, "safety_node/arm", data=True).success

    arena.until(armed, driver.live)
    heard.clear()
    sent = {"seq": 0, "ns": 0, "zeros": 0}

    def each():
        driver.live()
        now_ns = arena.now_ns()
        if now_ns - sent["ns"] < 150_000_000:
            return
        sent["ns"] = now_ns
        sent["seq"] += 1
        ahead = np.arange(1, 9)[:, None] * STEP_S
        path = wrapped(driver.controller.sample(now_ns).q[0] + SPEED * ahead)
        path = np.hstack([path, np.full((8, 1), HOME[1])])
        chunk = make_chunk(NAMES, path, period=STEP_S, age=0, now=now_ns, seq=sent["seq"])
        chunks.publish(convert.chunk_to_msg(chunk))

    def turned():
        return driver.controller.sample(arena.now_ns()).q[0] > turns * 2 * math.pi

    arena.until(turned, each, seconds=90.0)
    # what a busy machine does late is refused and goes on from rest; a turn is no reason to stop
    assert not {SafetyState(m.state) for m in heard} & {SafetyState.FAULT, SafetyState.ESTOP}
    for words in ("contradict", "off the commanded path", "pi apart", "come mixed"):
        assert not [m.sentence for m in heard if words in m.sentence]
    assert not any("shoulder velocity 6" in m.sentence for m in heard), "62 rad/s: a wrap"

    other = Node("second_driver", context=arena.context)
    arena.nodes.append(other)
    zeros = other.create_publisher(JointState, "joint_states", qos.JOINTS)

    def contradict():
        each()
        if arena.now_ns() - sent["zeros"] < 30_000_000:
            return
        sent["zeros"] = arena.now_ns()
        state = types.JointState(arena.now_ns(), NAMES, np.zeros(2), np.zeros(2), np.zeros(2))
        zeros.publish(convert.joint_state_to_msg(state))

    arena.until(lambda: heard[-1].state == SafetyState.FAULT, contradict)
    arena.until(lambda: "/driver, /second_driver" in heard[-1].sentence, contradict)
