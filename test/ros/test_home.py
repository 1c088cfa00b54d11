"""`~/home` through the safety node, and streams from chunk to arm, with the simulated robot."""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mujoco")

from std_srvs.srv import SetBool, Trigger
from wam_ros.msg import ActionChunk, SafetyReport

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.resources import share_dir
from wam_ros.core.types import Decision, SafetyState
from wam_ros.core.types import SafetyReport as Report
from wam_ros.ros import convert, qos
from wam_ros.ros.homing import Homing, Step

pytestmark = pytest.mark.ros
HOME = np.array(load_embodiment("panda").home)
PATIENT = {"deadline_s": 0.5, "heartbeat_s": 2.0}


class Cell:
    """Simulated arm, safety node and bridge, and a model's chunks."""

    def __init__(self, arena, arm, controller="joint_trajectory", embodiment="panda"):
        self.arena, self.arm = arena, arm
        self.chunks = arena.observer.create_publisher(ActionChunk, "action_chunk", qos.CHUNK)
        self.reports = arena.listen(SafetyReport, "safety_report", qos.STATUS)
        arena.spawn("sim_node", camera_hz=0.5, controller=controller)
        arena.spawn("bridge_node", controller=controller, embodiment=embodiment, **PATIENT)
        arena.spawn("safety_node", joint_timeout_s=2.0, observation_timeout_s=60.0)
        arena.until(lambda: self.arm.state is not None and self.state == SafetyState.HOLD)
        self._sent_ns = 0

    @property
    def state(self):
        return SafetyState(self.reports[-1].state) if self.reports else SafetyState.UNKNOWN

    def arm_it(self):
        self.arena.until(lambda: self.arena.call(SetBool, "safety_node/arm", data=True).success)

    def sway(self):
        """A chunk each 0.3 s that moves on from where the arm is."""
        if self.arena.now_ns() - self._sent_ns > 300_000_000:
            self._sent_ns = self.arena.now_ns()
            self.chunks.publish(convert.chunk_to_msg(self.arm.chunk(0.02, embodiment="panda")))


def test_home_is_reached_through_the_filter_while_the_model_goes_on_talking(arena, arm):
    cell = Cell(arena, arm)
    first = arm.state.positions
    cell.arm_it()
    arena.until(lambda: np.abs(arm.state.positions - first).max() > 0.05, cell.sway)
    arena.until(lambda: arena.call(Trigger, "bridge_node/home").success, cell.sway)
    assert "already going home" in arena.call(Trigger, "bridge_node/home").message
    arena.until(lambda: np.abs(arm.state.positions - HOME)[:7].max() < 5e-3, cell.sway)
    arena.until(lambda: cell.state == SafetyState.HOLD, cell.sway)
    assert any(r.chunk_seq >= 1 << 40 and r.decision in (Decision.PASS, Decision.SCALED) for r in cell.reports)
    assert "another session" in " ".join(r.sentence for r in cell.reports)  # the model was refused meanwhile
    arena.spin(0.5, cell.sway)
    np.testing.assert_allclose(arm.state.positions[:7], HOME[:7], atol=5e-3)


def test_home_needs_an_arm_that_a_person_has_armed(arena, arm):
    cell = Cell(arena, arm)
    answer = arena.call(Trigger, "bridge_node/home")
    assert not answer.success
    assert "HOLD" in answer.message
    assert "arm it first" in answer.message
    first = arm.state.positions
    arena.spin(0.5)
    np.testing.assert_allclose(arm.state.positions, first, atol=2e-3)
    assert cell.state == SafetyState.HOLD


def test_a_home_inside_the_table_is_not_reached_and_the_reason_is_told(arena, arm, tmp_path):
    text = (share_dir() / "config" / "embodiments" / "panda.yaml").read_text()
    low = tmp_path / "low.yaml"
    low.write_text(text.replace("home: [0.0, -0.3, 0.0, -2.2,", "home: [0.0, 0.9, 0.0, -2.2,"))
    assert load_embodiment(str(low)).home[1] == 0.9
    cell = Cell(arena, arm, embodiment=str(low))
    cell.arm_it()
    arena.until(lambda: arena.call(Trigger, "bridge_node/home").success)
    arena.until(lambda: "home: " in arena.log("bridge_node").partition("ends disarmed")[2])
    assert "panda" in arena.log("bridge_node").rpartition("home: ")[2]
    assert abs(arm.state.positions[1] - 0.9) > 0.05


class Asked:
    """A way home that waits for the safety node, whose reports the test writes and whose services nobody offers."""

    def __init__(self, arena):
        self.now_s = 0.0
        robot, still = load_embodiment("panda"), np.ones(len(HOME))
        self.homing = Homing(arena.observer, robot, still, 0.2, lambda: HOME, lambda: self.now_s)
        self.told = []
        self.homing._call = lambda arm, then: (self.told.append(arm), self.homing._go(then))
        self.report(SafetyState.ARMED)
        assert self.homing.start()[0]

    def report(self, state, sender="safety_node 1"):
        msg = convert.report_to_msg(Report(0, 0, state, Decision.UNKNOWN))
        msg.header.frame_id = sender
        self.homing.on_report(msg, 0.0)
        return self.homing.step


def test_a_safety_node_that_was_started_anew_is_not_armed_for_a_way_home_that_was_asked_of_another(arena):
    same, other = Asked(arena), Asked(arena)
    assert same.report(SafetyState.HOLD) == Step.ARM
    assert other.report(SafetyState.HOLD, "safety_node 2") == Step.IDLE
    assert (same.told, other.told) == ([False, True], [False, False])
    assert same.report(SafetyState.ARMED, "safety_node 2") == Step.IDLE  # a person has armed it, for something else


@pytest.mark.parametrize("states", [[], [SafetyState.HOLD], [SafetyState.HOLD, SafetyState.ARMED]])
def test_a_way_home_that_cannot_begin_is_given_up_and_ends_disarmed(arena, states):
    asked = Asked(arena)
    for state in states:
        asked.report(state)
    step = asked.homing.step
    asked.now_s = 9.0
    assert asked.report(SafetyState.BRAKING) == step
    asked.now_s = 11.0
    assert asked.report(SafetyState.BRAKING) == Step.IDLE
    assert asked.told[-1] is False
    assert asked.homing.start()[0]


@pytest.mark.parametrize("controller", ["forward_position", "forward_velocity"])
def test_chunks_move_an_arm_that_is_streamed_to(arena, arm, controller):
    cell = Cell(arena, arm, controller)
    first = arm.state.positions
    cell.arm_it()
    arena.until(lambda: (np.abs(arm.state.positions - first)[:7] > 0.05).all(), cell.sway)
    arena.until(arm.at_rest)
