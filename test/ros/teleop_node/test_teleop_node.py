"""A person's commands through every node: they pass the same safety, and become the actions of what
is recorded.
"""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mujoco")

from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import Decision, Reason, SafetyState
from wam_ros.data.folder import open_episodes
from wam_ros.msg import ActionChunk, Observation, SafetyReport
from wam_ros.nodes.recorder_node import RecorderNode
from wam_ros.nodes.teleop_node import TeleopNode
from wam_ros.ros import convert, qos
from wam_ros.ros.fields import ns_to_duration
from wam_ros.srv import SetInstruction

pytestmark = pytest.mark.ros
PANDA = load_embodiment("panda")
FREE = (Decision.UNKNOWN, Decision.PASS, Decision.SCALED)


class Person:
    """A leader arm, and an arm and a bridge that stand where they are told."""

    def __init__(self, arena, **parameters):
        self.arena = arena
        self.node = arena.add(TeleopNode, topic="leader", **parameters)
        self.chunks = arena.listen(ActionChunk, "action_chunk", qos.CHUNK)
        self.joints = arena.observer.create_publisher(JointState, "joint_states", qos.JOINTS)

    def leads(self, kind, message):
        publisher = self.arena.observer.create_publisher(kind, "leader", qos.JOINTS)
        self.arena.until(publisher.get_subscription_count)

        def lead():
            state = JointState(name=list(PANDA.joint_names), position=list(PANDA.home))
            state.header.stamp = self.arena.observer.get_clock().now().to_msg()
            self.joints.publish(state)
            publisher.publish(message)

        return lead


HOME = np.array(PANDA.home)
THERE = np.add(HOME, [0.05, 0, 0, 0, 0, 0, 0, 0])
ROWS = 10  # of a take, at least


def points():
    point = JointTrajectoryPoint(positions=[0.05], time_from_start=ns_to_duration(200_000_000))
    return JointTrajectory(joint_names=["panda_joint1"], points=[point])


@pytest.mark.parametrize(
    ("kind", "type_", "message"),
    [
        ("joint_state", JointState, JointState(name=["panda_joint1"], position=[0.05])),
        ("joint_trajectory", JointTrajectory, points()),
        ("positions", Float64MultiArray, Float64MultiArray(data=list(THERE))),
        ("positions", Float64MultiArray, Float64MultiArray(data=list(THERE[:-1]))),
    ],
)
def test_every_kind_of_command_becomes_a_chunk_to_where_it_points(arena, kind, type_, message):
    person = Person(arena, kind=kind, instruction="wave")
    lead = person.leads(type_, message)
    arena.until(lambda: len(person.chunks) >= 3, lead)
    chunk = convert.chunk_from_msg(person.chunks[-1])
    np.testing.assert_allclose(chunk.positions[-1], THERE, atol=1e-9)
    assert (chunk.embodiment, chunk.model, chunk.instruction) == ("panda", "a person", "wave")
    assert len({m.session_id.tobytes() for m in person.chunks}) == 1
    assert [m.seq for m in person.chunks] == list(range(1, len(person.chunks) + 1))
    assert arena.call(SetInstruction, "teleop_node/set_instruction", instruction="nod").ok
    n = len(person.chunks)
    arena.until(lambda: len(person.chunks) > n + 1, lead)
    assert person.chunks[-1].instruction == "nod"
    arena.spin(0.5)
    n = len(person.chunks)
    arena.spin(0.4)
    assert len(person.chunks) == n, "a leader that is silent is not followed"


def test_what_is_no_command_moves_nothing_and_is_said(arena, capfd):
    person = Person(arena)
    bad = JointState(name=["panda_joint1"], position=[float("nan")])
    lead = person.leads(JointState, bad)
    arena.spin(0.5, lead)
    assert person.chunks == []
    assert "leader: a number of the command is not finite" in capfd.readouterr().err


def test_a_teleoperated_take_passes_safety_and_its_actions_are_what_was_executed(
    arena, arm, tmp_path
):
    arena.spawn("sim_node")
    arena.spawn("camera_node")
    arena.spawn("safety_node", joint_timeout_s=2.0, heartbeat_s=2.0)
    arena.spawn("bridge_node", heartbeat_s=2.0)
    reports = arena.listen(SafetyReport, "safety_report", qos.STATUS)
    arena.add(TeleopNode, topic="leader", instruction="wave")
    recorder = arena.add(RecorderNode, folder=str(tmp_path), begin_at_once=False)
    leader = arena.observer.create_publisher(JointState, "leader", qos.JOINTS)

    def state():
        return convert.report_from_msg(reports[-1]).state if reports else None

    arena.until(lambda: arm.state and state() == SafetyState.HOLD, seconds=60)
    home = arm.state.positions.copy()
    goal = np.add(home, [0.9, 0, 0, -0.2, 0, 0, 0, 0])

    def lead(to):
        leader.publish(JointState(name=list(PANDA.joint_names), position=list(to)))

    def goes(to):
        near = lambda: np.abs(arm.state.positions - to)[:7].max() < 0.02  # noqa: E731
        arena.until(near, lambda: lead(to), seconds=60)

    arena.until(lambda: arena.call(SetBool, "safety_node/arm", data=True).success)
    recorder._begin()
    seen = arena.listen(Observation, "observation", qos.reliable(200))
    # a slow machine sees little of it on its way
    for to in (goal, *(home, goal) * ROWS):
        goes(to)
        if to is goal and len(seen) >= ROWS:
            break
    assert len(seen) >= ROWS
    # through the table: refused or cut, whoever asks
    low = np.add(goal, [0, 1.2, 0, 0, 0, 0, 0, 0])
    before = len(reports)
    collides = Reason.ENV_COLLISION | Reason.SELF_COLLISION

    def stopped():
        found = [convert.report_from_msg(m) for m in reports[before:]]
        return any(r.decision not in FREE and r.reasons & collides for r in found)

    arena.until(stopped, lambda: lead(low), seconds=60)
    arena.until(arm.at_rest, seconds=30)
    name = recorder._takes.name
    recorder._save()
    arena.until((tmp_path / name).is_dir)
    (episode,) = open_episodes(tmp_path)[:]
    assert set(episode.instructions) == {"wave"}
    moved = np.abs(np.diff(episode.states[:, 0])) > 1e-3
    assert moved.sum() > 3 and episode.labelled[:-1][moved].mean() > 0.7
    error = np.abs(episode.actions[:-1] - episode.states[1:])[episode.labelled[:-1], :7]
    assert error.max() < 0.05, "what was commanded is what came one row later"
