"""Joints that nobody here commands, heard by the real node from a driver of their own."""

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("pinocchio")

from sensor_msgs.msg import JointState

from testing.tools import make_chunk
from testing.waist import TOWARDS, WALL, waist_robot
from wam_ros.core import types
from wam_ros.core.types import Decision
from wam_ros.msg import ActionChunk, SafetyReport
from wam_ros.nodes.safety_node import SafetyNode
from wam_ros.ros import convert, qos

pytestmark = pytest.mark.ros


def files(folder):
    """The robot and its wall as a person would write them."""
    robot = waist_robot(folder)
    wall = WALL["wall"]
    world = {"shape": wall.shape, "size": list(wall.size), "position": list(wall.position)}
    (folder / "cell.yaml").write_text(yaml.safe_dump({"obstacles": {"wall": world}}))
    keys = "name base_frame tool_frame image_height image_width frame_rate_hz step_period_s".split()
    data = {key: getattr(robot, key) for key in (*keys, "action_horizon", "sensed")}
    lists = ("joint_names", "gripper_joints", "home", "max_acceleration", "max_jerk")
    data |= {key: list(getattr(robot, key)) for key in lists}
    data |= {"urdf": "robot.urdf", "world": "cell.yaml"}
    data["cameras"] = [{"name": "eye", "image_topic": "eye"}]
    path = folder / "waist.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


def test_a_waist_of_another_driver_is_waited_for_and_changes_what_is_cut(arena, tmp_path):
    name = files(tmp_path)
    node = arena.add(SafetyNode, embodiment=name, dry_run=True, joint_timeout_s=3.0)
    machine = node._machine
    drivers = [
        arena.observer.create_publisher(JointState, "joint_states", qos.JOINTS) for _ in range(2)
    ]
    chunks = arena.observer.create_publisher(ActionChunk, "action_chunk", qos.CHUNK)
    heard = arena.listen(SafetyReport, "safety_report", qos.STATUS)
    arena.until(lambda: chunks.get_subscription_count() and heard)
    zero = np.zeros(2)

    def say(k, names, q):
        n = len(names)
        state = types.JointState(arena.now_ns(), names, np.array(q), zero[:n], zero[:n])
        drivers[k].publish(convert.joint_state_to_msg(state))

    def arm_only():
        say(0, ("shoulder", "elbow"), (0.0, 0.0))

    def told():
        return heard[-1].sentence

    arena.until(lambda: "no joint state has told where waist is" in told(), arm_only)
    steps = np.outer(np.arange(1, 9), [0.05, 0.0])
    answers = []
    for place in (0.0, TOWARDS):

        def both(place=place):
            arm_only()
            say(1, ("waist", "wheel"), (place, 7.0))

        def stands(place=place):
            sensed = machine.inputs.sensed
            known = not sensed.why_not_known(arena.now_ns()) and not sensed.why_not_still()
            return known and machine.model.sensed[0] == place

        arena.until(stands, both)
        heard.clear()
        chunk = make_chunk(("shoulder", "elbow"), steps, age=0, now=arena.now_ns())
        chunks.publish(convert.chunk_to_msg(chunk))
        judged = []

        def found(judged=judged):
            judged[:] = [m for m in heard if m.decision != Decision.UNKNOWN]
            return judged

        arena.until(found, both)
        answers.append(convert.report_from_msg(judged[0]))
    assert answers[0].decision == Decision.PASS
    assert answers[1].decision in (Decision.TRUNCATED, Decision.BRAKE)
    assert "wall" in answers[1].sentence
