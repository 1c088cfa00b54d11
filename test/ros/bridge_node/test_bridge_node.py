"""bridge_node over DDS: what it lets through, and what happens when the safety node dies."""

import sys
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from sensor_msgs.msg import JointState
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

from wam_ros.core import types
from wam_ros.core.admission import SHIPPED, Admission
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import NS, Decision, Forwarding, SafeTrajectory, SafetyReport, SafetyState
from wam_ros.msg import SafetyReport as SafetyReportMsg
from wam_ros.nodes.bridge_node import BridgeNode
from wam_ros.ros import convert, qos
from wam_ros.ros.bridge_node.outputs import Outputs
from wam_ros.ros.controllers.joint_trajectory import TOPIC

pytestmark = pytest.mark.ros
PANDA = load_embodiment("panda")
HOME = np.array(PANDA.home)
STEP = np.array([0.2, 0.1, -0.2, 0.1, 0.1, -0.1, 0.2, 0.0])


class Rig:
    """A bridge between a safety node and an arm that do what the test says."""

    def __init__(self, arena, admission=SHIPPED, **parameters):
        self.arena, self.admission = arena, admission
        create = arena.observer.create_publisher
        self._joints = create(JointState, "joint_states", qos.JOINTS)
        self._reports = create(SafetyReportMsg, "safety_report", qos.STATUS)
        self._safe = create(JointTrajectory, "safe_trajectory", qos.TRAJECTORY)
        self.sent = arena.listen(JointTrajectory, TOPIC, qos.TRAJECTORY)
        self.commanded = arena.listen(JointState, "commanded_state", qos.JOINT_STATES)
        self.diagnostics = arena.listen(DiagnosticArray, "/diagnostics", qos.STATUS)
        self.node = arena.add(BridgeNode, **parameters)
        publishers = (self._joints, self._reports, self._safe)
        arena.until(lambda: all(p.get_subscription_count() == 1 for p in publishers))
        arena.until(lambda: arena.observer.count_publishers(TOPIC) == 1)

    def live(self, names=PANDA.joint_names, q=HOME):
        """A sign of life of the safety node and of the arm at q."""
        pick = [PANDA.joint_names.index(n) for n in names]
        zeros = np.zeros(len(names))
        measured = types.JointState(self.arena.now_ns(), tuple(names), q[pick], zeros, zeros)
        self._joints.publish(convert.joint_state_to_msg(measured))
        report = SafetyReport(self.arena.now_ns(), 0, SafetyState.ARMED, Decision.PASS)
        self._reports.publish(convert.report_to_msg(report, admission=self.admission))

    def move(self, seconds=1.0, lead_s=0.03, q0=HOME):
        """A smooth motion from q0 by STEP that begins after `lead_s`."""
        t = np.arange(0, seconds + 0.005, 0.01)
        s = t / seconds
        shape = [
            10 * s**3 - 15 * s**4 + 6 * s**5,
            30 * s**2 - 60 * s**3 + 30 * s**4,
            60 * s - 180 * s**2 + 120 * s**3,
        ]
        q, dq, ddq = (np.outer(f / seconds**k, STEP) for k, f in enumerate(shape))
        start_ns = self.arena.now_ns() + round(lead_s * NS)
        return SafeTrajectory(
            start_ns=start_ns,
            joint_names=PANDA.joint_names,
            t=t,
            q=q0 + q,
            dq=dq,
            ddq=ddq,
            chunk_seq=5,
        )

    def offer(self, trajectory):
        self._safe.publish(
            trajectory
            if isinstance(trajectory, JointTrajectory)
            else convert.trajectory_to_msg(trajectory)
        )

    def offer_until(self, condition, make=None, names=PANDA.joint_names):
        """Offer a fresh trajectory each 0.1 s beside the signs of life: a busy machine may make one
        of them late.
        """
        make, last = make or self.move, [0]

        def each():
            self.live(names)
            if self.arena.now_ns() - last[0] > 100_000_000:
                last[0] = self.arena.now_ns()
                self.offer(make())

        self.arena.until(condition, each)

    def offer_and_live(self):
        """A fresh trajectory, and the signs of life."""
        self.live()
        self.offer(self.move())

    def complained(self, words):
        """Whether the bridge has named a cause with these words."""
        return any(words in cause for cause in self.causes())

    def causes(self):
        """What the bridge has complained about."""
        return [
            d.status[0].message
            for d in self.diagnostics
            if d.status[0].level == DiagnosticStatus.ERROR
        ]


@pytest.fixture
def rig(arena):
    return Rig(arena)


@pytest.mark.parametrize("names", [PANDA.joint_names, PANDA.joint_names[::-1]])
def test_a_safe_trajectory_reaches_the_controller_and_is_told_as_commanded(arena, names):
    rig = Rig(arena)
    move = []

    def make():
        move.append(rig.move())
        return move[-1]

    rig.offer_until(lambda: rig.sent, make, names)
    got = convert.trajectory_from_msg(rig.sent[0])
    assert got.start_ns in [m.start_ns for m in move]
    np.testing.assert_array_equal(got.q, move[0].q)
    arena.until(
        lambda: rig.commanded and np.allclose(rig.commanded[-1].position, HOME + STEP, atol=1e-9),
        rig.live,
    )
    q = np.array([m.position for m in rig.commanded])
    stamps = np.array([convert.time_to_ns(m.header.stamp) for m in rig.commanded]) / NS
    assert (np.abs(np.diff(q, axis=0)).max(axis=1) <= 0.5 * np.diff(stamps) + 1e-6).all()


@pytest.mark.parametrize(("due_ns", "behind"), [(10**12, True), (-(10**12), False)])
def test_what_comes_when_a_tick_is_due_is_looked_at_just_behind_it(
    arena, monkeypatch, due_ns, behind
):
    monkeypatch.setattr("wam_ros.nodes.bridge_node.ADMIT_NS", due_ns)
    monkeypatch.setattr("wam_ros.nodes.bridge_node.POLL_S", 0.0)  # every tick has more to do
    seen = []
    for cls, name in ((BridgeNode, "_tick"), (BridgeNode, "_admit"), (Outputs, "poll")):
        work = getattr(cls, name)

        def noted(self, *args, name=name, work=work):
            seen.append((name, sys._getframe(2).f_code.co_name))
            return work(self, *args)

        monkeypatch.setattr(cls, name, noted)
    rig = Rig(arena)
    rig.offer_until(lambda: len(rig.sent) > 1)
    admitted = [k for k, (name, _) in enumerate(seen) if name == "_admit"]
    assert len(admitted) > 1
    callers = {seen[k][1] for k in admitted}
    assert callers == ({"_on_tick"} if behind else {"_on_trajectory"})
    if behind:  # before whatever else a tick has to do: it may be a stop
        assert {seen[k - 1][0] for k in admitted} <= {"_tick", "_admit"}


def test_motion_begins_where_joints_say_the_arm_is_that_came_since_the_last_tick(rig):
    gate = rig.node._gate
    rig.arena.until(
        lambda: gate.measured is not None and not gate.why_not_heard(time.monotonic_ns()), rig.live
    )
    elsewhere = HOME + STEP
    rig.live(q=elsewhere)
    rig.node._admit(convert.trajectory_to_wire(rig.move(q0=elsewhere)))
    assert rig.node._passed == 1, rig.node._diagnostics.cause


@pytest.mark.parametrize(("end_s", "passes"), [(0.3, True), (2.0, False)])
def test_what_waits_when_the_bridge_is_deactivated_passes_only_if_it_stops_the_arm_sooner(
    arena, monkeypatch, end_s, passes
):
    monkeypatch.setattr("wam_ros.nodes.bridge_node.ADMIT_NS", 10**12)
    patient = {"deadline_s": 0.5, "stop_seam_s": 0.1}
    rig = Rig(arena, Admission(**patient), rate_hz=10.0, **patient)
    moves = lambda: rig.sent and rig.commanded and any(rig.commanded[-1].velocity)  # noqa: E731
    rig.offer_until(moves, lambda: rig.move(lead_s=0.15))  # it waits for a tick, for up to 0.1 s
    now_ns = arena.now_ns() + NS // 20
    q, dq, _ = rig.node._gate.curve.at(now_ns).arrays
    t, still = np.array([0.0, end_s]), np.zeros(len(q))
    rest = SafeTrajectory(
        start_ns=now_ns,
        joint_names=PANDA.joint_names,
        t=t,
        q=np.array([q, q + dq * end_s / 2]),
        dq=np.array([dq, still]),
        ddq=np.zeros((2, len(q))),
        chunk_seq=7,
    )
    before = len(rig.sent)
    rig.node._on_trajectory(convert.trajectory_to_wire(rest), {})
    assert rig.node._arrived
    assert rig.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert not rig.node._arrived
    assert passes or "paused" in rig.node._diagnostics.cause
    arena.spin(0.3)
    assert [m.header.frame_id for m in rig.sent[before:]] == (["chunk 7"] if passes else [])


def test_nothing_passes_before_the_safety_node_was_heard(arena):
    rig = Rig(arena)
    arena.until(lambda: rig.complained("not been heard"), lambda: rig.offer(rig.move()))
    assert not rig.sent


def test_when_the_safety_node_falls_silent_nothing_passes_and_the_cause_is_told(arena, rig):
    rig.offer_until(lambda: rig.sent)
    arena.until(lambda: rig.complained("silent"))
    before = len(rig.sent)
    rig.offer(rig.move(q0=HOME + STEP))
    arena.spin(0.5)
    assert len(rig.sent) == before
    arena.until(lambda: not any(rig.commanded[-1].velocity))
    np.testing.assert_allclose(rig.commanded[-1].position, HOME + STEP)


def test_a_report_of_another_version_is_a_sign_of_life_and_ends_nothing(arena, rig):
    def live():
        rig.live()
        rig._reports.publish(SafetyReportMsg(state=200, decision=99, reasons=2**32 - 1))

    arena.until(lambda: rig.commanded or rig.sent, lambda: (live(), rig.offer(rig.move())))
    arena.spin(0.5, live)
    assert not rig.complained("silent")


def ragged(rig):
    message = convert.trajectory_to_msg(rig.move())
    message.points[3].velocities.pop()
    return message


def foreign(rig):
    message = convert.trajectory_to_msg(rig.move())
    message.joint_names[0] = "elbow"
    return message


BAD = {
    "away from the start": lambda rig: rig.move(q0=HOME - 0.1 * (STEP != 0)),
    "after its start": lambda rig: rig.move(lead_s=-0.5),
    "malformed": ragged,
    "elbow": foreign,
}


@pytest.mark.parametrize("words", BAD)
def test_bad_trajectories_do_not_reach_the_controller(arena, rig, words):
    rig.offer_until(lambda: rig.complained(words), lambda: BAD[words](rig))
    assert not rig.sent


def test_paused_it_passes_nothing_until_told_otherwise(arena, rig):
    assert arena.call(SetBool, "bridge_node/pause", data=True).success
    rig.offer_until(lambda: rig.complained("paused"))
    assert not rig.sent
    assert arena.call(SetBool, "bridge_node/pause", data=False).success
    rig.offer_until(lambda: rig.sent)


def test_it_tells_its_state_at_every_change_and_to_whoever_comes_late(arena, rig):
    states = []
    hear = lambda m: states.append(convert.bridge_state_from_msg(m))  # noqa: E731
    arena.observer.create_subscription(DiagnosticStatus, "bridge_state", hear, qos.LATCHED)
    arena.until(lambda: states and states[-1].forwarding == Forwarding.FORWARDING, rig.live)
    before = len(states)
    arena.until(lambda: len(states) > before + 3, rig.live)
    rig.offer_until(lambda: states[-1].error, lambda: rig.move(lead_s=-0.5))
    assert "after its start" in states[-1].error
    assert arena.call(SetBool, "bridge_node/pause", data=True).success
    arena.until(lambda: states[-1].forwarding == Forwarding.PAUSED, rig.live)
    assert "`~/pause` with false" in states[-1].words
    assert arena.call(SetBool, "bridge_node/pause", data=False).success
    arena.until(lambda: states[-1].forwarding == Forwarding.FORWARDING, rig.live)
    arena.until(lambda: states[-1].forwarding == Forwarding.UNHEARD)
    rig.node.trigger_deactivate()
    assert not arena.call(SetBool, "bridge_node/pause", data=False).success
    home = arena.call(Trigger, "bridge_node/home")
    assert (home.success, home.message) == (False, "the bridge is not active")
    late = []
    hear = lambda m: late.append(convert.bridge_state_from_msg(m))  # noqa: E731
    arena.observer.create_subscription(DiagnosticStatus, "bridge_state", hear, qos.LATCHED)
    arena.until(lambda: late)
    assert (late[0].forwarding, late[0].words) == (Forwarding.HELD_BACK, "the bridge is not active")


def test_an_unknown_controller_is_refused_with_the_choices(arena, capfd):
    node = arena.make(BridgeNode, controller="joint_trajektory")
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    text = capfd.readouterr().err
    assert "unknown controller 'joint_trajektory'" in text
    assert "joint_trajectory" in text.split("Choices:")[1]


def test_a_joint_state_without_a_joint_moves_nothing_and_names_it(arena, capfd):
    rig = Rig(arena)
    rig.offer_until(lambda: rig.complained("no recent joint state"), names=PANDA.joint_names[:-1])
    assert not rig.sent
    assert "panda_finger_joint1" in capfd.readouterr().err


def test_every_cause_is_told_at_once_also_just_after_another_and_a_flood_is_not(
    arena, rig, capfd, monkeypatch
):
    monkeypatch.setattr("wam_ros.ros.bridge_node.diagnostics.AGAIN_NS", 1000 * NS)
    for cause in (
        "the arm is 1.0 s late",
        "the gripper's goal was refused",
        "the arm is 2.0 s late",
    ):
        rig.node._diagnostics.report_fault(cause)
    arena.until(lambda: rig.complained("gripper") and rig.complained("1.0 s late"))
    assert capfd.readouterr().err.count("late") == 1
    for k in range(100):
        rig.node._diagnostics.report_fault(f"joint '{'x' * k}' is unknown")
    assert capfd.readouterr().err.count("is unknown") < 10


def test_a_second_bridge_or_a_stranger_at_the_controller_closes_it_by_name_until_a_person_says_so(
    arena, rig, capfd
):
    rig.offer_until(lambda: rig.sent)
    stranger = arena.observer.create_publisher(JointTrajectory, TOPIC, qos.TRAJECTORY)
    words = f"/{TOPIC} has 2 publishers, also /observer; end all but one"
    arena.until(lambda: rig.complained(words), rig.live)
    assert words in capfd.readouterr().err
    arena.observer.destroy_publisher(stranger)
    arena.until(lambda: arena.observer.count_publishers(TOPIC) == 1, rig.live)
    passed = len(rig.sent)
    arena.spin(0.5, rig.live)
    arena.until(lambda: rig.complained("motion begin again"), lambda: rig.offer_and_live())
    assert len(rig.sent) == passed, "nobody has said so"
    assert arena.call(SetBool, "bridge_node/pause", data=False).success
    rig.offer_until(lambda: len(rig.sent) > passed)
    arena.add(BridgeNode)
    words = "/commanded_state has 2 publishers, also /bridge_node; end all but one"
    arena.until(lambda: sum(words in cause for cause in rig.causes()) >= 2, rig.live)
    passed = len(rig.sent)
    for _ in range(10):
        rig.offer_and_live()
        arena.spin(0.05, rig.live)
    assert len(rig.sent) == passed, "neither of them"
