"""Every kind of controller over DDS: in another order of joints, incomplete, dying, refusing,
lagging, badly set.
"""

import importlib.util

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from wam_ros.core.admission import Admission
from wam_ros.core.types import NS, SafeTrajectory
from wam_ros.msg import ActionChunk, StageLatency
from wam_ros.nodes.bridge_node import BridgeNode
from wam_ros.ros import convert, qos

from .fakes import HOME, PANDA, PATH, Robot

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
WAY = np.array([0.2, 0.1, -0.2, 0.1, 0.1, -0.1, 0.2, 0.0])
SHUFFLED = [PANDA.joint_names[i] for i in (3, 1, 7, 0, 2, 6, 5, 4)]
NEED = pytest.mark.skipif(
    importlib.util.find_spec("control_msgs") is None, reason="control_msgs is not installed"
)
NEED_MANAGER = pytest.mark.skipif(
    importlib.util.find_spec("controller_manager_msgs") is None,
    reason="controller_manager_msgs is not installed",
)
NEED_SERVO = pytest.mark.skipif(
    importlib.util.find_spec("moveit_msgs") is None, reason="moveit_msgs is not installed"
)
SERVO = pytest.param("servo", marks=[NEED, NEED_SERVO])
TOPICS = ["joint_trajectory", "forward_position", "forward_velocity"]
ALL = [*TOPICS, pytest.param("follow_joint_trajectory", marks=NEED), SERVO]
STREAMS = ["forward_position", "forward_velocity", SERVO]
# A busy machine may delay a tick or a state without anybody having failed.
PATIENT = {"deadline_s": 0.5, "heartbeat_s": 2.0}


class Rig:
    """A bridge between a robot and a safety node that offers one motion."""

    def __init__(
        self,
        arena,
        kind,
        names=PANDA.joint_names,
        lag_s=0.0,
        controller=None,
        process=False,
        **parameters,
    ):
        parameters = {"controller": kind, **PATIENT, **parameters}
        admission = Admission(**{name: parameters[name] for name in PATIENT})
        self.arena, self.robot = arena, Robot(arena, lag_s, admission)
        self.part = self.robot.control(kind, names, **(controller or {}))
        self._safe = arena.observer.create_publisher(
            JointTrajectory, "safe_trajectory", qos.TRAJECTORY
        )
        self.commanded = arena.listen(JointState, "commanded_state", qos.JOINT_STATES)
        self.diagnostics = arena.listen(DiagnosticArray, "/diagnostics", qos.STATUS)
        self.node = (
            arena.spawn("bridge_node", **parameters)
            if process
            else arena.add(BridgeNode, **parameters)
        )
        arena.until(lambda: self._safe.get_subscription_count() == 1, self.robot.live)
        self._offered_ns = 0

    def motion(self, way=WAY, q0=HOME, seconds=0.6):
        """From rest to rest; begins a little later."""
        t = np.arange(0, seconds + 0.005, 0.01)
        s = t / seconds
        shape = [
            10 * s**3 - 15 * s**4 + 6 * s**5,
            30 * s**2 - 60 * s**3 + 30 * s**4,
            60 * s - 180 * s**2 + 120 * s**3,
        ]
        q, dq, ddq = (np.outer(f / seconds**k, way) for k, f in enumerate(shape))
        return SafeTrajectory(
            start_ns=self.arena.now_ns() + NS // 20,
            joint_names=PANDA.joint_names,
            t=t,
            q=q0 + q,
            dq=dq,
            ddq=ddq,
            chunk_seq=5,
        )

    def offer(self, motion=None):
        self._safe.publish(convert.trajectory_to_msg(motion or self.motion()))

    def until(self, condition, **motion):
        """Offer a motion each 0.2 s until the condition holds."""

        def each():
            self.robot.live()
            if motion.get("offer", True) and self.arena.now_ns() - self._offered_ns > NS // 5:
                self._offered_ns = self.arena.now_ns()
                self.offer(self.motion(**{k: v for k, v in motion.items() if k != "offer"}))

        self.arena.until(condition, each)

    def moved(self, share=1.0, tolerance=3e-3):
        """Whether the arm has gone this share of the way."""
        return bool((np.abs(self.robot.q() - HOME) >= share * np.abs(WAY) - tolerance).all())

    def statuses(self, level):
        return [s for d in self.diagnostics for s in d.status if s.level == level]

    def said(self, words, level=DiagnosticStatus.ERROR):
        """Whether the bridge told this on /diagnostics, as its state or among its values."""
        return any(
            words in s.message or any(words in v.value for v in s.values)
            for s in self.statuses(level)
        )


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("names", [PANDA.joint_names, SHUFFLED], ids=["in order", "shuffled"])
def test_the_arm_goes_where_it_is_told_whatever_the_order_of_joints(arena, kind, names):
    rig = Rig(arena, kind, names)
    rig.until(rig.moved)
    rig.until(lambda: np.abs(rig.robot.q() - HOME - WAY).max() < 5e-3, offer=False)
    rig.until(
        lambda: np.abs(np.array(rig.commanded[-1].position) - HOME - WAY).max() < 1e-6, offer=False
    )


@pytest.mark.parametrize("kind", ["joint_trajectory", "forward_position", "forward_velocity"])
def test_a_controller_that_lacks_a_joint_gets_nothing_and_the_joint_is_named(arena, kind):
    rig = Rig(arena, kind, PANDA.joint_names[:-1])
    rig.until(lambda: rig.said("lacks panda_finger_joint1"), offer=False)
    rig.until(lambda: rig.said("refused") or rig.node._refused > 2)
    arena.spin(0.3, rig.robot.live)
    np.testing.assert_array_equal(rig.robot.q(), HOME)
    assert not rig.commanded


@pytest.mark.parametrize("kind", ALL)
def test_a_controller_that_dies_in_motion_is_noticed_and_nothing_is_commanded_any_more(arena, kind):
    rig = Rig(arena, kind)
    rig.until(lambda: rig.moved(0.2))
    rig.part.die()
    rig.until(lambda: rig.said("no controller listens"), offer=False)
    arena.spin(0.2, rig.robot.live)
    n = len(rig.commanded)
    arena.spin(0.3, rig.robot.live)
    assert len(rig.commanded) == n


@NEED_MANAGER
@pytest.mark.parametrize("kind", ["joint_trajectory", "forward_position"])
def test_a_controller_that_is_deactivated_is_named_and_motion_begins_anew_once_it_is_active(
    arena, kind
):
    rig, name = Rig(arena, kind), f"{kind}_controller"
    rig.robot.tell_activity(**{name: "active", "another": "inactive"})
    rig.until(lambda: rig.moved(0.2))
    rig.part.deaf = True
    rig.robot.tell_activity(**{name: "inactive", "another": "active"})
    rig.until(lambda: rig.said(f"{name} is inactive"), offer=False)
    arena.spin(0.2, rig.robot.live)
    n, here = len(rig.commanded), rig.robot.q()
    arena.spin(0.3, rig.robot.live)
    assert len(rig.commanded) == n
    rig.part.deaf = False
    rig.robot.tell_activity(**{name: "active"})
    rig.until(lambda: np.abs(rig.robot.q() - here).max() > 0.05, q0=here)


def test_a_velocity_left_in_motion_is_stopped_when_its_controller_is_back(arena):
    rig = Rig(arena, "forward_velocity")
    rig.until(lambda: rig.moved(0.2))
    rig.part.die()
    rig.robot.parts.remove(rig.part)
    rig.diagnostics.clear()  # the bridge may have been there first
    rig.until(lambda: rig.said("no controller listens"), offer=False)
    back = rig.robot.control("forward_velocity")
    for _ in range(2):  # the joints go on as they were told; the first zero was lost
        back.controller.command(np.full(8, 0.05), arena.now_ns())
        rig.until(lambda: not back.controller.sample(arena.now_ns()).dq.any(), offer=False)


@pytest.mark.parametrize("kind", ["joint_trajectory", "forward_position"])
def test_who_records_what_is_sent_is_no_controller(arena, kind):
    topic, message = {"joint_trajectory": ("joint_trajectory", JointTrajectory)}.get(
        kind, ("commands", Float64MultiArray)
    )
    recorder = Node("rosbag2_recorder", context=arena.context)
    arena.nodes.append(recorder)
    recorder.create_subscription(
        message, f"{kind}_controller/{topic}", lambda _: None, qos.TRAJECTORY
    )
    rig = Rig(arena, kind)
    rig.until(lambda: rig.moved(0.2))
    rig.part.die()
    rig.diagnostics.clear()  # the bridge may have been there first
    rig.until(lambda: rig.said("no controller listens"), offer=False)


@pytest.mark.parametrize("kind", ["joint_trajectory", "forward_position", SERVO])
def test_a_controller_that_ignores_its_commands_closes_the_bridge_until_a_person_opens_it(
    arena, kind
):
    rig = Rig(arena, kind, follow_rad=0.12)
    rig.until(lambda: rig.node._gate.measured is not None, offer=False)
    rig.part.deaf = True
    rig.until(lambda: rig.said("does not follow"))
    rig.part.deaf = False
    rig.until(lambda: rig.said("begin again"))
    assert not rig.moved(0.5)
    answer = arena.call(SetBool, "bridge_node/pause", data=False)
    assert answer.success
    rig.until(rig.moved)


@NEED
def test_a_refused_goal_is_told_and_motion_begins_anew(arena):
    rig = Rig(arena, "follow_joint_trajectory")
    rig.part.deaf = True
    rig.until(lambda: rig.said("the goal was refused"))
    rig.part.deaf = False
    rig.until(rig.moved)


@NEED
def test_an_aborted_goal_is_told_with_the_controllers_reason_and_a_replaced_one_is_not(arena):
    rig = Rig(arena, "follow_joint_trajectory", goal_tolerance=0.01)
    rig.until(lambda: rig.moved(0.3))
    here = rig.commanded[-1]
    # refused by the gate: the arm is in motion
    rig.offer(rig.motion(way=np.zeros(8), q0=np.array(here.position)))
    assert not rig.said("preempted")
    rig.part.end(PATH)
    rig.until(lambda: rig.said("path tolerance violation"), offer=False)
    assert rig.part.goals[0].goal_tolerance[0].position == 0.01
    assert len(rig.part.goals[0].goal_tolerance) == 8


@pytest.mark.parametrize("kind", ALL)
def test_an_arm_that_lags_a_little_is_followed_and_its_lag_is_known(arena, kind):
    rig = Rig(arena, kind, lag_s=0.1)
    rig.until(rig.moved)
    assert not rig.said("does not follow")
    assert 0.02 < rig.node._bridge.lag.servo.lag_s < 0.3


@NEED
@NEED_SERVO
def test_servo_is_told_to_take_jogs_each_time_it_appears_and_moves_nothing_before(arena):
    rig = Rig(arena, "servo")
    rig.until(lambda: rig.part.kind == 0 and not rig.node._outputs.arm.blocked, offer=False)
    rig.until(rig.moved)
    rig.part.die()
    rig.until(lambda: rig.said("no controller listens"), offer=False)
    again = rig.robot.control("servo")
    rig.until(lambda: again.kind == 0, offer=False)


@NEED
@NEED_SERVO
def test_servo_that_does_not_take_jogs_is_sent_none_and_it_is_said(arena):
    rig = Rig(arena, "servo")
    rig.part.kinds = ()
    rig.until(lambda: rig.said("servo_node does not take joint jogs"))
    assert not rig.commanded


def test_an_arm_that_lags_too_much_is_noticed(arena):
    rig = Rig(arena, "forward_position", lag_s=1.0, follow_rad=0.03, follow_s=0.1)
    rig.until(lambda: rig.said("does not follow"))


@pytest.mark.parametrize("kind", STREAMS)
def test_a_stream_ends_at_rest_when_the_node_is_deactivated(arena, kind):
    rig = Rig(arena, kind)
    rig.until(lambda: rig.moved(0.3))
    rig.robot.live()
    assert rig.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    arena.spin(0.3)
    first = rig.robot.q()
    arena.spin(0.5)
    np.testing.assert_allclose(rig.robot.q(), first, atol=1e-6)
    assert rig.moved(0.3)
    assert rig.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    here = rig.robot.q()
    rig.until(lambda: np.abs(rig.robot.q() - here).max() > 0.05, q0=here)


def test_a_stream_comes_at_its_rate_without_jumps(arena):
    rig = Rig(arena, "forward_position", rate_hz=200.0, process=True)
    heard = arena.overhear(Float64MultiArray, "forward_position_controller/commands", qos.STREAM)
    rig.until(rig.moved, seconds=2.0)
    q = np.array([m.data for m in heard])
    assert len(q) > 20  # of 400 in 2 s: an idle machine is not asked for
    assert np.abs(np.diff(q, axis=0)).max() < 0.1


SETTINGS = {
    "interpolate_from_desired_state": (
        "joint_trajectory",
        {"interpolate_from_desired_state": False},
        {},
    ),
    "cmd_timeout": ("joint_trajectory", {"cmd_timeout": 1.0}, {}),
    "enforce_command_limits": ("joint_trajectory", {}, {"enforce_command_limits": False}),
    "version has no positions_upsampling": ("joint_trajectory", {}, {}),
    "without positions_upsampling.enable": (
        "joint_trajectory",
        {"positions_upsampling.enable": False},
        {},
    ),
    "allow_trajectory_replacement": (
        "joint_trajectory",
        {"allow_trajectory_replacement": True},
        {},
    ),
    "decelerate_on_cancel": ("joint_trajectory", {"constraints.decelerate_on_cancel": False}, {}),
    "max_deceleration_on_cancel of panda_joint2": (
        "joint_trajectory",
        {"constraints.panda_joint2.max_deceleration_on_cancel": 0.0},
        {},
    ),
    "interface_name": ("forward_position", {"interface_name": "effort"}, {}),
    "no timeout": ("forward_velocity", {}, {}),
}


@pytest.mark.parametrize("words", SETTINGS)
def test_a_controller_that_is_badly_set_is_warned_of(arena, words):
    kind, controller, manager = SETTINGS[words]
    points = {"points": "linear"} if "upsampling" in words else {}
    rig = Rig(arena, kind, controller=controller, **points)
    rig.robot.manage(**{"enforce_command_limits": True, **manager})
    rig.until(lambda: any(words in told for told in rig.node._outputs.warnings), offer=False)


def test_what_is_warned_of_is_on_diagnostics(arena):
    rig = Rig(arena, "forward_velocity")
    rig.until(lambda: rig.said("no timeout", DiagnosticStatus.WARN), offer=False)


NEWER = {
    "allow_trajectory_replacement": False,
    "constraints.decelerate_on_cancel": True,
    "constraints.panda_joint1.max_deceleration_on_cancel": 4.0,
    "positions_upsampling.enable": False,
}


@pytest.mark.parametrize("version", [{}, NEWER])
def test_a_controller_that_is_well_set_is_not_warned_of(arena, version):
    """Nor is one of a version that lacks what newer ones have."""
    rig = Rig(arena, "joint_trajectory", controller=version)
    rig.robot.manage(enforce_command_limits=True)
    rig.until(rig.moved)
    assert rig.node._outputs.warnings == []


@pytest.mark.parametrize(
    ("points", "sizes"), [("quintic", (8, 8)), ("cubic", (8, 0)), ("linear", (0, 0))]
)
def test_points_carry_what_is_asked_for(arena, points, sizes):
    rig = Rig(arena, "joint_trajectory", points=points)
    sent = arena.overhear(
        JointTrajectory, "joint_trajectory_controller/joint_trajectory", qos.TRAJECTORY
    )
    rig.until(lambda: sent)
    assert {(len(p.velocities), len(p.accelerations)) for p in sent[0].points} == {sizes}
    rig.until(rig.moved, offer=False)


def test_a_gripper_by_trajectory_has_a_controller_of_its_own(arena):
    arm = PANDA.joint_names[:7]
    rig = Rig(arena, "joint_trajectory", arm, gripper="joint_trajectory")
    fingers = rig.robot.control(
        "joint_trajectory", PANDA.joint_names[7:], name="gripper_controller"
    )
    close = np.array([0.1] * 7 + [-0.03])
    rig.until(lambda: np.abs(rig.robot.q() - HOME - close).max() < 2e-3, way=close)
    assert fingers.controller.active


@NEED
@pytest.mark.parametrize("kind", ["gripper_command", "parallel_gripper_command"])
def test_a_gripper_by_goal_gets_one_goal_per_change(arena, kind):
    rig = Rig(arena, "joint_trajectory", PANDA.joint_names[:7], gripper=kind, gripper_scale=2.0)
    fingers = rig.robot.control(kind, PANDA.joint_names[7:])
    close = np.array([0.1] * 7 + [-0.03])
    rig.until(lambda: fingers.goals, way=close)
    rig.until(lambda: rig.commanded and not any(rig.commanded[-1].velocity), offer=False)
    rig.until(lambda: len(rig.commanded) > 10, offer=False)
    assert len(fingers.goals) == 1
    told = fingers.goals[0].command
    assert (told.position if kind == "gripper_command" else told.position[0]) == pytest.approx(0.02)


@NEED
def test_a_gripper_may_call_its_action_otherwise(arena):
    own = {
        "gripper": "gripper_command",
        "gripper_name": "franka_gripper",
        "gripper_action": "gripper_action",
    }
    rig = Rig(arena, "joint_trajectory", PANDA.joint_names[:7], **own)
    fingers = rig.robot.control(
        "gripper_command", PANDA.joint_names[7:], name="franka_gripper/gripper_action"
    )
    rig.until(lambda: fingers.goals, way=np.array([0.1] * 7 + [-0.03]))


@NEED
def test_a_gripper_that_refuses_is_told_and_the_arm_goes_on(arena):
    rig = Rig(arena, "joint_trajectory", PANDA.joint_names[:7], gripper="gripper_command")
    fingers = rig.robot.control("gripper_command", PANDA.joint_names[7:])
    fingers.deaf = True
    rig.until(lambda: rig.said("gripper's goal was refused"))
    rig.until(lambda: (np.abs(rig.robot.q() - HOME - WAY) < 3e-3).all())


WRONG = {
    "unknown controller 'joint_trajectori'": {"controller": "joint_trajectori"},
    "unknown controller 'gripper_comand'": {"gripper": "gripper_comand"},
    "drives a gripper": {"controller": "gripper_command"},
    "'my arm' is no name": {"controller_name": "my arm"},
    "'2nd' is no name": {"gripper": "joint_trajectory", "gripper_name": "2nd"},
    "unknown embodiment 'pamda'": {"embodiment": "pamda"},
    "rate_hz is 50": {"controller": "forward_position", "rate_hz": 50.0},
}


@pytest.mark.parametrize("words", WRONG)
def test_what_cannot_work_is_refused_at_configure_by_name(arena, capfd, words):
    node = arena.make(BridgeNode, **WRONG[words])
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    text = capfd.readouterr().err
    assert words in text
    if "unknown" in words:
        assert "Choices:" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate_hz", 0.0),
        ("rate_hz", -100.0),
        ("rate_hz", 1e9),
        ("rate_hz", float("nan")),
        ("deadline_s", -1.0),
        ("seam_s", 0.0),
        ("follow_rad", float("inf")),
        ("home_speed", 2.0),
        ("velocity_gain", -1.0),
        ("gripper_scale", 0.0),
        ("points", "septic"),
        ("controller", 7),
    ],
)
def test_absurd_values_are_refused_before_the_node_is(arena, name, value):
    with pytest.raises(Exception, match=name):
        arena.make(BridgeNode, **{name: value})


def test_joints_that_the_robot_description_does_not_have_are_refused_with_its_own(
    arena, capfd, tmp_path
):
    from wam_ros.core.resources import share_dir

    text = (share_dir() / "config" / "embodiments" / "panda.yaml").read_text()
    file = tmp_path / "odd.yaml"
    file.write_text(
        text.replace("panda_joint3", "panda_elbow").replace("panda.urdf", str(PANDA.urdf_path))
    )
    node = arena.make(BridgeNode, embodiment=str(file))
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    text = capfd.readouterr().err
    assert "unknown joint 'panda_elbow'" in text
    assert "panda_joint3" in text


@pytest.mark.skipif(
    importlib.util.find_spec("control_msgs") is not None, reason="control_msgs is installed"
)
@pytest.mark.parametrize("kind", ["follow_joint_trajectory", "servo"])
def test_without_control_msgs_the_error_says_what_works(arena, capfd, kind):
    node = arena.make(BridgeNode, controller=kind)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    text = capfd.readouterr().err
    assert "control_msgs" in text
    assert "joint_trajectory" in text


def test_where_the_time_went_is_on_diagnostics(arena):
    rig = Rig(arena, "joint_trajectory")
    chunks = arena.observer.create_publisher(ActionChunk, "action_chunk", qos.CHUNK)
    arena.until(lambda: chunks.get_subscription_count() == 1, rig.robot.live)
    chunk = ActionChunk(seq=5)
    chunk.observation_stamp = convert.ns_to_time(arena.now_ns() - NS // 10)
    chunks.publish(chunk)
    arena.spin(0.1, rig.robot.live)
    told = arena.listen(StageLatency, "stage_latency", qos.STATUS)
    rig.until(rig.moved)

    def stages():
        latency = [s for d in rig.diagnostics for s in d.status if s.name == "bridge_node: latency"]
        return {v.key: v.value for v in latency[-1].values}

    rig.until(lambda: "camera to command [ms]" in stages(), offer=False)
    assert set(stages()) >= {"camera to chunk [ms]", "safe trajectory to command [ms]"}
    p50 = float(stages()["camera to command [ms]"].split()[1])
    assert 100 < p50 < 30_000
    rig.until(lambda: any(m.stage == "camera to command" for m in told), offer=False)
    newest = {m.stage: m for m in told}
    assert set(stages()) == {f"{name} [ms]" for name in newest}
    assert newest["camera to command"].p50_s == pytest.approx(p50 / 1e3, abs=1e-4)
    assert newest["camera to command"].samples == 1
