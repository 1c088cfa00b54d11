"""safety_node over DDS: chunks become motion that ends at rest, and nothing else moves the arm."""

import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("pinocchio")
pytest.importorskip("wam_ros.sim.world")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, Pose
from nav_msgs.msg import Path
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import JointState, PointCloud2, PointField
from shape_msgs.msg import SolidPrimitive
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import Marker, MarkerArray

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import Decision, SafetyState
from wam_ros.msg import ActionChunk, SafetyReport, SolidObstacles
from wam_ros.nodes import safety_node as module
from wam_ros.nodes.bridge_node import BridgeNode
from wam_ros.nodes.safety_node import SafetyNode
from wam_ros.nodes.sim_node import SimNode
from wam_ros.ros import convert, qos
from wam_ros.safety.attention import EVERY_S
from wam_ros.srv import HoldObject

pytestmark = pytest.mark.ros
PANDA = load_embodiment("panda")


class Cell:
    """Simulated arm, safety node and bridge, and a place to put chunks in."""

    def __init__(self, arena, arm, safety_process=False, **safety):
        self.arena, self.arm = arena, arm
        self._chunks = arena.observer.create_publisher(ActionChunk, "action_chunk", qos.CHUNK)
        self._reports = arena.listen(SafetyReport, "safety_report", qos.STATUS)
        self.safe = arena.listen(JointTrajectory, "safe_trajectory", qos.TRAJECTORY)
        arena.add(SimNode, camera_hz=0.5)
        arena.add(BridgeNode)
        if safety_process:
            arena.spawn("safety_node", **safety)
        else:
            arena.add(SafetyNode, **safety)
        arena.until(
            lambda: (
                self._chunks.get_subscription_count() == 2
                and self.arm.state is not None
                and self._reports
            )
        )

    @property
    def reports(self):
        return [convert.report_from_msg(m) for m in self._reports]

    @property
    def state(self):
        return self.reports[-1].state

    def until_state(self, state):
        self.arena.until(lambda: self.state == state)

    def arm_it(self):
        self.until_state(SafetyState.HOLD)
        self.arena.until(lambda: self.arena.call(SetBool, "safety_node/arm", data=True).success)

    def offer(self, chunk):
        self._chunks.publish(
            chunk if isinstance(chunk, ActionChunk) else convert.chunk_to_msg(chunk)
        )

    def feed(self, step=0.03, make=None):
        """What offers a chunk each 0.1 s when called often: a busy machine may let one of them grow
        too old.
        """
        make, last = make or (lambda: self.arm.chunk(step)), [0]

        def feed():
            if self.arena.now_ns() - last[0] > 100_000_000:
                last[0] = self.arena.now_ns()
                self.offer(make())

        return feed

    def drive(self, seconds=0.5, step=0.03):
        """Keep the arm in motion with a chunk each 0.1 s."""
        feed = self.feed(step)
        self.arena.until(self.arm.moving, feed)
        self.arena.spin(seconds, feed)
        assert self.arm.moving()


@pytest.fixture
def cell(arena, arm):
    return Cell(arena, arm)


def test_a_chunk_moves_the_armed_arm_which_ends_at_rest(arena, arm, cell):
    cell.arm_it()
    q0 = arm.state.positions
    arena.until(arm.moving, cell.feed(0.02))
    arena.until(arm.at_rest)
    travelled = arm.state.positions - q0
    assert (travelled[:7] > 0.02).all()
    decided = [
        r
        for r in cell.reports
        if r.decision in (Decision.PASS, Decision.SCALED, Decision.TRUNCATED)
    ]
    assert decided[0].chunk_seq >= 1
    assert decided[0].stop_time_s > 0
    for msg in cell.safe:
        assert not any(msg.points[-1].velocities)


def test_joint_names_in_another_order_mean_the_same_motion(arena, arm, cell):
    cell.arm_it()
    q0 = arm.state.positions
    pick = [3, 1, 0, 2, 7, 6, 5, 4]
    names = tuple(PANDA.joint_names[i] for i in pick)

    def turn_the_first_joint():
        rows = np.tile(q0, (8, 1))
        rows[:, 0] = arm.state.positions[0] + np.linspace(0.02, 0.16, 8)
        return arm.chunk(0.0, joint_names=names, positions=rows[:, pick])

    arena.until(lambda: arm.state.positions[0] - q0[0] > 0.1, cell.feed(make=turn_the_first_joint))
    arena.until(arm.at_rest)
    assert np.abs((arm.state.positions - q0)[1:]).max() < 0.02


def test_nothing_moves_before_it_is_armed(arena, arm, cell):
    cell.until_state(SafetyState.HOLD)
    q0 = arm.state.positions
    for _ in range(5):
        cell.offer(arm.chunk(0.02))
        arena.spin(0.1)
    np.testing.assert_allclose(arm.state.positions, q0, atol=1e-3)
    assert not cell.safe


def test_a_policy_that_was_restarted_is_followed_once_a_person_arms_again(arena, arm):
    cell = Cell(arena, arm, joint_timeout_s=3.0)  # a busy machine is no fault here
    cell.arm_it()
    arena.until(arm.moving, cell.feed())
    arena.until(arm.at_rest)

    def restarted():
        return arm.chunk(0.03, session_id=bytes([7] * 16))

    feed = cell.feed(make=restarted)
    arena.until(lambda: any("arm again, at rest" in r.sentence for r in cell.reports), feed)
    arena.until(lambda: arena.call(SetBool, "safety_node/arm", data=True).success)
    arena.until(arm.moving, feed)


def test_a_dry_run_judges_and_shows_but_never_moves(arena, arm):
    cell = Cell(arena, arm, dry_run=True)
    cell.until_state(SafetyState.SHADOW)
    assert not arena.call(SetBool, "safety_node/arm", data=True).success
    arena.until(lambda: any(r.steps_accepted for r in cell.reports), cell.feed(0.02))
    arena.spin(0.5)
    assert arm.at_rest()
    assert not cell.safe


def test_it_arms_itself_when_told_so_at_start_and_not_while_the_bridge_forwards_nothing(arena, arm):
    cell = Cell(arena, arm, arm_on_start=True)
    cell.until_state(SafetyState.ARMED)
    arena.call(SetBool, "bridge_node/pause", data=True)
    cell.until_state(SafetyState.HOLD)
    held = len(cell.reports)
    arena.until(lambda: len(cell.reports) > held + 5)
    assert {r.state for r in cell.reports[held:]} == {SafetyState.HOLD}
    arena.call(SetBool, "bridge_node/pause", data=False)
    cell.until_state(SafetyState.ARMED)


def test_malformed_chunks_are_refused_counted_and_move_nothing(arena, arm, cell):
    cell.arm_it()
    q0 = arm.state.positions
    short, nan, empty = (convert.chunk_to_msg(arm.chunk(0.02)) for _ in range(3))
    short.positions.pop()
    nan.positions[3] = float("nan")
    empty.joint_names = []
    for count, bad in enumerate((short, nan, empty), start=1):
        cell.offer(bad)
        arena.until(lambda n=count: sum(r.decision == Decision.REJECT for r in cell.reports) == n)
    assert any("malformed chunk (1 so far)" in r.sentence for r in cell.reports)
    arena.spin(0.3)
    np.testing.assert_allclose(arm.state.positions, q0, atol=1e-3)


@pytest.mark.parametrize("profile", [qos.LATCHED, qos.STATUS, 10, qos_profile_sensor_data])
def test_an_emergency_stop_is_heard_whatever_its_button_offers_and_holds_until_it_is_released(
    arena, profile
):
    reports = arena.listen(SafetyReport, "safety_report", qos.STATUS)
    arena.add(SafetyNode)
    button = arena.observer.create_publisher(Bool, "estop", profile)
    arena.until(lambda: reports, lambda: button.publish(Bool(data=False)))
    assert reports[-1].state != SafetyState.ESTOP
    arena.until(
        lambda: reports[-1].state == SafetyState.ESTOP, lambda: button.publish(Bool(data=True))
    )
    assert "still pressed" in arena.call(Trigger, "safety_node/reset").message
    released = lambda: "still pressed" not in arena.call(Trigger, "safety_node/reset").message  # noqa: E731
    arena.until(released, lambda: button.publish(Bool(data=False)))


def test_a_clock_that_stands_still_does_not_silence_its_heartbeat(arena):
    reports = arena.listen(SafetyReport, "safety_report", qos.STATUS)
    arena.add(SafetyNode, use_sim_time=True)
    arena.until(lambda: len(reports) > 5)


@pytest.mark.parametrize("way", ["service", "topic"])
def test_an_emergency_stop_in_motion_brings_the_arm_to_rest_and_latches(arena, arm, cell, way):
    cell.arm_it()
    cell.drive()
    if way == "service":
        assert arena.call(Trigger, "safety_node/estop").success
    else:
        arena.observer.create_publisher(Bool, "estop", qos.LATCHED).publish(Bool(data=True))
    cell.until_state(SafetyState.ESTOP)
    arena.until(arm.at_rest, cell.feed(), seconds=5.0)
    stood = arm.state.positions
    for _ in range(5):
        cell.offer(arm.chunk(0.03))
        arena.spin(0.1)
    np.testing.assert_allclose(arm.state.positions, stood, atol=5e-3)
    assert not arena.call(SetBool, "safety_node/arm", data=True).success
    assert cell.state == SafetyState.ESTOP


def test_after_an_emergency_stop_reset_and_arm_are_two_calls(arena, arm, cell):
    cell.arm_it()
    arena.call(Trigger, "safety_node/estop")
    arena.until(lambda: arena.call(Trigger, "safety_node/reset").success)
    cell.until_state(SafetyState.HOLD)
    cell.offer(arm.chunk(0.02))
    arena.spin(0.4)
    assert arm.at_rest()
    cell.arm_it()
    arena.until(arm.moving, cell.feed(0.02))


def test_disarming_in_motion_brings_the_arm_to_rest(arena, arm, cell):
    cell.arm_it()
    cell.drive()
    assert arena.call(SetBool, "safety_node/arm", data=False).success
    arena.until(arm.at_rest, seconds=5.0)
    cell.until_state(SafetyState.HOLD)


def test_after_the_bridge_let_a_motion_pass_by_it_goes_on_from_rest(arena, arm, cell):
    cell.arm_it()
    cell.drive()
    assert arena.call(SetBool, "bridge_node/pause", data=True).success
    arena.until(arm.at_rest, cell.feed())
    cell.until_state(SafetyState.HOLD)
    paused = len(cell.reports)
    answer = arena.call(SetBool, "safety_node/arm", data=True)
    assert not answer.success
    assert "the bridge is paused" in answer.message
    arena.until(lambda: len(cell.reports) > paused + 10, cell.feed())
    assert {r.state for r in cell.reports[paused:]} == {SafetyState.HOLD}
    assert all(
        "the bridge is paused" in r.sentence
        for r in cell.reports[paused:]
        if r.decision == Decision.UNKNOWN
    )
    assert arena.call(SetBool, "bridge_node/pause", data=False).success
    arena.until(arm.moving, cell.feed())
    assert arena.call(SetBool, "safety_node/arm", data=False).success
    arena.until(arm.at_rest)
    cell.until_state(SafetyState.HOLD)
    arena.spin(0.5, cell.feed())
    assert arm.at_rest()


def test_killing_the_safety_process_in_motion_leaves_the_arm_at_rest_and_the_bridge_names_it(
    arena, arm
):
    diagnostics = arena.listen(DiagnosticArray, "/diagnostics", qos.STATUS)
    cell = Cell(arena, arm, safety_process=True)
    cell.arm_it()
    cell.drive()
    stop_s = cell.reports[-1].stop_time_s
    assert stop_s > 0
    arena.processes["safety_node"].kill()
    killed_ns = arena.now_ns()
    arena.until(
        lambda: any("the safety node has been silent" in d.status[0].message for d in diagnostics)
    )
    arena.until(arm.at_rest)
    q, t = arm.path()
    last_moving = t[1:][np.abs(np.diff(q, axis=0)).max(axis=1) > 1e-4].max()
    assert last_moving - killed_ns / 1e9 < max(r.stop_time_s for r in cell.reports) + 0.3
    assert last_moving > killed_ns / 1e9


def test_what_it_thinks_is_drawn(arena, arm):
    cell = Cell(arena, arm, tf_prefix="left/")
    markers = arena.listen(MarkerArray, "safety/markers", qos.STATUS)
    ghost = arena.listen(Path, "safety/ghost_path", qos.STATUS)
    cell.arm_it()
    arena.until(lambda: arena.observer.count_publishers("safety/markers") == 1)
    arena.spin(0.5)
    arena.until(lambda: markers and ghost, cell.feed())
    arena.until(lambda: any(m.points for m in markers[-1].markers if m.ns == "stop"), cell.feed())
    drawn = {m.ns: m for m in markers[-1].markers}
    assert set(drawn) == {"accepted", "cut", "stop", "nearest", "distance"}
    assert re.fullmatch(r"\S+ to \S+ -?\d+ mm", drawn["distance"].text)
    assert drawn["accepted"].action == Marker.ADD
    assert {drawn["accepted"].header.frame_id, ghost[0].header.frame_id} == {
        "left/" + PANDA.base_frame
    }
    assert len(ghost[0].poses) == 8
    start, end = drawn["accepted"].points[0], drawn["stop"].points[-1]
    assert abs(start.x - end.x) + abs(start.y - end.y) + abs(start.z - end.z) > 0.005


def test_unknown_robots_and_worlds_do_not_configure(arena, capfd):
    for wrong in ({"embodiment": "pamda"}, {"world": "tabel"}):
        assert (
            arena.make(SafetyNode, **wrong).trigger_configure() == TransitionCallbackReturn.FAILURE
        )
    text = capfd.readouterr().err
    assert "Did you mean 'panda'" in text
    assert "Did you mean 'table'" in text


def test_what_guards_much_less_than_as_shipped_is_said_when_it_is_configured(arena, capfd):
    arena.make(SafetyNode).trigger_configure()
    assert "guards less" not in capfd.readouterr().err
    arena.make(SafetyNode, joint_timeout_s=10.0, self_clearance_m=0.0).trigger_configure()
    text = capfd.readouterr().err
    assert (
        "joint_timeout_s is 10 s, shipped with 0.3; self_clearance_m is 0 m, shipped with 0.005"
        in text
    )


def test_a_joint_state_without_a_joint_is_named_and_nothing_is_armed(arena, capfd):
    arena.add(SafetyNode)
    publisher = arena.observer.create_publisher(JointState, "joint_states", qos.JOINTS)
    arena.until(lambda: publisher.get_subscription_count() == 1)
    lame = JointState(name=list(PANDA.joint_names[1:]), position=[0.0] * 7)
    arena.spin(0.3, lambda: publisher.publish(lame))
    assert "panda_joint1" in capfd.readouterr().err
    assert not arena.call(SetBool, "safety_node/arm", data=True).success


def test_the_safety_process_never_imports_torch():
    code = (
        "import sys, wam_ros.nodes.safety_node, wam_ros.nodes.bridge_node; print('torch' in "
        "sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.split() == ["False"]


def obstacle(arena, position, **more):
    marker = Marker(ns="people", id=1, type=Marker.CUBE, **more)
    marker.header.frame_id = PANDA.base_frame
    marker.header.stamp = arena.observer.get_clock().now().to_msg()
    marker.pose.position.x, marker.pose.position.y, marker.pose.position.z = position
    marker.scale.x = marker.scale.y = marker.scale.z = 0.1
    return MarkerArray(markers=[marker])


@pytest.mark.parametrize("profile", [qos.STATUS, qos.LATCHED])
def test_an_obstacle_that_appears_ends_the_motion_and_its_removal_lets_it_go_on(
    arena, arm, cell, profile
):
    publisher = arena.observer.create_publisher(MarkerArray, "obstacles", profile)
    cell.arm_it()
    cell.drive()
    publisher.publish(obstacle(arena, (0.45, 0.0, 0.55)))
    arena.until(lambda: any("people/1" in r.sentence for r in cell.reports), cell.feed())
    arena.until(arm.at_rest, cell.feed(), seconds=5.0)
    publisher.publish(MarkerArray(markers=[Marker(ns="people", id=1, action=Marker.DELETE)]))
    if cell.state == SafetyState.FAULT:  # it appeared too near to stop clear of it
        arena.until(lambda: arena.call(Trigger, "safety_node/reset").success)
        cell.arm_it()
    arena.until(arm.moving, cell.feed(-0.03))


def test_a_solid_that_appears_ends_the_motion_and_is_named(arena, arm, cell):
    publisher = arena.observer.create_publisher(SolidObstacles, "obstacle_shapes", qos.LATCHED)
    cell.arm_it()
    cell.drive()
    header = obstacle(arena, (0.45, 0.0, 0.55)).markers[0].header
    pose = Pose(position=Point(x=0.45, z=0.55))
    box = SolidPrimitive(type=SolidPrimitive.BOX, dimensions=[0.1, 0.1, 0.1])
    told = {
        "operation": SolidObstacles.OPERATION_ADD,
        "ids": ["crate"],
        "shapes": [box],
        "poses": [pose],
    }
    publisher.publish(SolidObstacles(header=header, **told))
    arena.until(lambda: any("crate" in r.sentence for r in cell.reports), cell.feed())
    arena.until(arm.at_rest, cell.feed(), seconds=5.0)


def test_an_obstacle_in_an_unknown_frame_stops_the_arm_by_name(arena, arm, cell, capfd):
    publisher = arena.observer.create_publisher(MarkerArray, "obstacles", qos.STATUS)
    cell.arm_it()
    cell.drive()
    odd = obstacle(arena, (5.0, 0.0, 0.0))
    odd.markers[0].header.frame_id = "panda_lnk0"
    publisher.publish(odd)
    arena.until(
        lambda: any("Did you mean 'panda_link0'" in r.sentence for r in cell.reports), cell.feed()
    )
    arena.until(arm.at_rest, cell.feed(), seconds=5.0)
    assert "panda_lnk0" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("blind", "words"), [(False, "'points' was last seen"), (True, "obstacle_points is blind")]
)
def test_a_point_cloud_must_keep_coming_once_it_came_and_must_see(arena, arm, cell, blind, words):
    publisher = arena.observer.create_publisher(PointCloud2, "obstacle_points", qos.STATUS)
    arena.until(lambda: publisher.get_subscription_count() == 1)
    fields = [
        PointField(name=n, offset=4 * k, datatype=PointField.FLOAT32, count=1)
        for k, n in enumerate("xyz")
    ]
    points = np.array([[-2.0, 0.0, 0.5]] * 50, np.float32)
    cloud = PointCloud2(
        height=1, width=50, fields=fields, point_step=12, row_step=600, data=points.tobytes()
    )
    cloud.header.frame_id = PANDA.base_frame
    feed = cell.feed()

    def see():
        cloud.header.stamp = arena.observer.get_clock().now().to_msg()
        publisher.publish(cloud)
        feed()

    cell.arm_it()
    arena.until(arm.moving, see)
    cloud.data = np.full((50, 3), np.nan, np.float32).tobytes()
    arena.until(lambda: any(words in r.sentence for r in cell.reports), see if blind else feed)
    arena.until(arm.at_rest, see if blind else feed, seconds=5.0)


def test_what_is_held_is_said_and_nonsense_is_refused(arena, arm, cell):
    can = {
        "name": "can",
        "frame": "panda_hand",
        "mass": 0.5,
        "shape": "cylinder",
        "size": [0.03, 0.1],
    }
    assert "holds can" in arena.call(HoldObject, "safety_node/hold", **can).message
    refused = arena.call(
        HoldObject, "safety_node/hold", **{**can, "name": "box", "size": [0.03] * 5000}
    )
    assert not refused.success
    assert (
        "holds nothing"
        in arena.call(HoldObject, "safety_node/hold", name="can", release=True).message
    )


def test_in_the_middle_of_work_others_get_the_processor_before_the_stop_is_heard(
    arena, monkeypatch
):
    """A real-time thread that leaves ordinary ones less than 50 ms of a second is held up by the
    kernel: a pause after each stretch of work between two looks must be more than that share.
    """
    node = arena.add(SafetyNode)
    paused = []
    monkeypatch.setattr(module.time, "sleep", paused.append)
    monkeypatch.setattr(node, "_estop", SimpleNamespace(take=lambda: paused.append("heard")))
    node._machine.filter.attention.look_up()
    assert paused == [module.PAUSE_S, "heard"]
    assert module.PAUSE_S / (EVERY_S + module.PAUSE_S) > 0.05
