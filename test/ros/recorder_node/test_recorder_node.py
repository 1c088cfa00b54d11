"""The recorder over DDS: what it hears is what was said, and takes end as a person says."""

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mcap")

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import NS, Observation
from wam_ros.core.types import JointState as Joints
from wam_ros.msg import Observation as ObservationMsg
from wam_ros.msg import TaskState
from wam_ros.nodes.recorder_node import RecorderNode
from wam_ros.ros import convert, qos
from wam_ros.ros.recording import Recording
from wam_ros.srv import SetInstruction

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
PANDA = load_embodiment("panda")


class Studio:
    """A recorder, and a test that plays the loop."""

    def __init__(self, arena, folder, **parameters):
        self.arena, self.folder = arena, folder
        self.states = arena.listen(DiagnosticStatus, "recorder_state", qos.LATCHED)
        self.diagnostics = arena.listen(DiagnosticArray, "/diagnostics", qos.STATUS)
        create = arena.observer.create_publisher
        self.joints = create(JointState, "joint_states", qos.JOINTS)
        self.observations = create(ObservationMsg, "observation", qos.OBSERVATION)
        self.tasks = create(TaskState, "task_state", qos.LATCHED)
        self.node = arena.add(RecorderNode, folder=str(folder), **parameters)
        self.until_heard()

    def until_heard(self):
        """Until it asks for what the publishers of this test offer."""
        mine = (self.joints, self.observations, self.tasks)
        names = {p.topic_name for p in mine}

        def asked():
            return {h.topic.name for h in self.node._heard._heard if h.topic.offered != "[]"}

        self.arena.until(lambda: names <= asked())
        self.arena.until(lambda: all(p.get_subscription_count() for p in mine))

    def call(self, name, kind=Trigger, **fields):
        return self.arena.call(kind, f"recorder_node/{name}", **fields)

    def saved(self, name):
        self.arena.until(lambda: (self.folder / name).is_dir())
        return self.folder / name

    def say(self, k, stamp_ns=None):
        """Joints and an observation by number."""
        q = np.full(len(PANDA.joint_names), float(k))
        stamp_ns = NS * (k + 1) if stamp_ns is None else stamp_ns
        joints = Joints(stamp_ns, PANDA.joint_names, q, q, q)
        frames = np.random.default_rng(k).integers(0, 256, (2, 16, 16, 3), np.uint8)
        seen = Observation(stamp_ns, PANDA.view_names, frames, (stamp_ns,) * 2, joints)
        told = convert.joint_state_to_msg(joints), convert.observation_to_msg(seen)
        self.joints.publish(told[0])
        self.observations.publish(told[1])
        return told


def notes(folder):
    told = yaml.safe_load((folder / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    return told["custom_data"]


def read(folder, *topics):
    with Recording(folder, "/") as recording:
        return [(m.topic, bytes(m.data)) for m in recording.messages(topics)]


def test_a_take_holds_all_that_was_said_and_what_a_person_said_of_it(arena, tmp_path):
    studio = Studio(arena, tmp_path / "takes", more_topics="cup /elsewhere/cup")
    cups = [
        arena.observer.create_publisher(PoseStamped, name, qos.STATUS)
        for name in ("cup", "/elsewhere/cup")
    ]
    arena.until(lambda: all(cup.get_subscription_count() for cup in cups))
    said = {"joint_states": [], "observation": []}
    for k in range(20):
        joints, seen = studio.say(k)
        said["joint_states"].append(joints)
        said["observation"].append(seen)
        for cup in cups:
            cup.publish(PoseStamped())
        arena.spin(0.02)
    studio.tasks.publish(TaskState(sentence="kept for late listeners"))
    arena.spin(0.1)
    assert studio.call("set_instruction", SetInstruction, instruction="pour the tea").ok
    assert studio.call("mark", SetBool, data=False).success
    assert studio.call("mark", SetBool, data=True).message == "take_000000 is a success"
    assert studio.call("save").message == "saving take_000000"
    folder = studio.saved("take_000000")
    found = read(folder, "joint_states", "observation", "task_state", "success", "instruction")
    for topic, messages in said.items():
        kind = type(messages[0])
        # compared as messages: serialisation leaves what stands between two fields to chance
        got = [deserialize_message(data, kind) for t, data in found if t == topic]
        assert got == messages
    for topic, n in {"task_state": 1, "success": 2, "instruction": 1}.items():
        assert sum(t == topic for t, _ in found) == n
    assert len(read(folder, "cup")) == 20
    with Recording(folder, "/") as recording:
        (told,) = recording.messages({"instruction"})
        assert told.message.data == "pour the tea"
        assert "/elsewhere/cup" in recording.topics
    assert notes(folder) == {
        "embodiment": "panda",
        "instruction": "pour the tea",
        "success": "true",
    }


def test_takes_begin_end_and_go_as_services_say_and_refuse_in_words(arena, tmp_path):
    studio = Studio(arena, tmp_path / "takes", begin_at_once=False)
    for name in ("save", "discard"):
        answer = studio.call(name)
        assert not answer.success and "call ~/start" in answer.message
    assert not studio.call("mark", SetBool, data=True).success
    assert studio.call("start").message == "recording take_000000"
    assert studio.call("start").message == "take_000000 is recorded already"
    assert not studio.call("set_instruction", SetInstruction, instruction="  ").ok
    arena.until(lambda: studio.states and "take_000000, " in studio.states[-1].message)
    assert studio.call("discard").success
    assert studio.call("start").message == "recording take_000001"
    assert studio.call("save").success
    studio.saved("take_000001")
    arena.until(lambda: studio.states[-1].message == "take_000001 saved")
    assert [path.name for path in studio.folder.iterdir()] == ["take_000001"]


def test_a_take_that_grows_when_the_node_ends_is_saved(arena, tmp_path):
    studio = Studio(arena, tmp_path / "takes")
    studio.say(1)
    arena.spin(0.1)
    studio.node.on_shutdown(None)
    assert len(read(tmp_path / "takes" / "take_000000", "observation")) == 1


def test_a_second_recorder_into_the_same_folder_is_refused(arena, tmp_path, capfd):
    from rclpy.lifecycle import TransitionCallbackReturn

    Studio(arena, tmp_path / "takes", begin_at_once=False)
    second = arena.make(RecorderNode, folder=str(tmp_path / "takes"))
    assert second.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert "another process records into" in capfd.readouterr().err


def test_what_was_interrupted_is_mended_at_the_next_start_and_said(arena, tmp_path, capfd):
    part = tmp_path / "takes" / "take_000002.part"
    part.mkdir(parents=True)
    (part / "take_000002.mcap").write_bytes(b"")
    Studio(arena, tmp_path / "takes")
    assert "take_000002 was interrupted before anything was closed" in capfd.readouterr().err
    assert not part.exists()


def test_a_full_disk_is_an_alarm_and_nothing_stops(arena, full_disk):
    folder, fill = full_disk
    studio = Studio(arena, folder / "takes", chunk_s=0.05)
    studio.say(0)
    arena.spin(0.2)
    fill(True)
    number = iter(range(1, 1000))
    level = DiagnosticStatus.ERROR
    studio.states.clear()
    alarmed = lambda: studio.states and studio.states[-1].level == level  # noqa: E731
    arena.until(alarmed, lambda: studio.say(next(number)))
    assert "nothing can be written: No space left on device" in studio.states[-1].message
    arena.until(lambda: any(s.level == level for d in studio.diagnostics for s in d.status))
    fill(False)
    arena.until(lambda: studio.states[-1].level == DiagnosticStatus.OK)
    assert studio.call("save").success
    n = next(number)
    assert len(read(studio.saved("take_000000"), "observation")) == n


def test_a_clock_that_is_set_back_begins_a_take_so_that_stamps_rise_in_each(arena, tmp_path):
    clock = arena.observer.create_publisher(Clock, "/clock", qos.STATUS)
    studio = Studio(arena, tmp_path / "takes", use_sim_time=True)

    def at(seconds):
        """Say something at that time, once the node knows it."""
        told = Time(sec=seconds)
        now = studio.node.get_clock().now
        arena.until(lambda: now().to_msg() == told, lambda: clock.publish(Clock(clock=told)))
        arena.spin(0.1)
        studio.say(seconds)
        arena.spin(0.1)

    for seconds in (50, 51, 55, 20, 21):
        at(seconds)
    assert studio.call("save").success
    first, second = studio.saved("take_000000"), studio.saved("take_000001")
    stamps = []
    for folder in (first, second):
        with Recording(folder, "/") as recording:
            found = [m.message.header.stamp.sec for m in recording.messages({"observation"})]
            stamps.append(found)
    assert stamps == [[51, 52, 56], [21, 22]]
    assert "the clock jumped by -35.000 s after" in notes(first)["clock"]
    assert notes(second)["clock"] == "begins because the clock jumped by -35.000 s"
