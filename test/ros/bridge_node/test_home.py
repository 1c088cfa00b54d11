"""`~/home` through the safety node, with the simulated robot."""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("mujoco")

from std_srvs.srv import SetBool, Trigger

from test.ros.conftest import Arena, Arm
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.types import Decision, SafetyState

from .cells import Cell

pytestmark = pytest.mark.ros
HOME = np.array(load_embodiment("panda").home)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with Arena(tmp_path_factory.mktemp("cell")) as arena:
        yield Cell(arena, Arm(arena, load_embodiment("panda").joint_names))


@pytest.fixture
def cell(running):
    running.begin_anew()
    return running


def test_home_needs_an_arm_that_a_person_has_armed(cell):
    arena, arm, answers = cell.arena, cell.arm, []

    def ask():  # until the bridge has heard the safety node
        answers.append(arena.call(Trigger, "bridge_node/home"))
        return ": held;" in answers[-1].message

    arena.until(ask)
    assert not any(answer.success for answer in answers)
    assert all("arm it first" in answer.message for answer in answers)
    first = arm.state.positions
    arena.spin(0.5)
    np.testing.assert_allclose(arm.state.positions, first, atol=2e-3)
    assert cell.state == SafetyState.HOLD


def test_a_person_who_disarms_while_the_way_home_waits_for_rest_has_ended_it(cell):
    arena, arm, said = cell.arena, cell.arm, len(cell.arena.log("bridge_node"))
    cell.arm_it()
    first = arm.state.positions
    arena.until(lambda: np.abs(arm.state.positions - first).max() > 0.05, cell.sway)
    moving = len(cell.reports)
    arena.until(lambda: arena.call(Trigger, "bridge_node/home").success, cell.sway)
    assert arena.call(SetBool, "safety_node/arm", data=False).success
    arena.until(lambda: "not home: held: disarmed" in arena.log("bridge_node")[said:], cell.sway)
    arena.until(arm.at_rest, cell.sway)
    stood = arm.state.positions
    arena.spin(1.0, cell.sway)
    np.testing.assert_allclose(arm.state.positions, stood, atol=2e-3)
    assert cell.state == SafetyState.HOLD
    later = cell.reports[moving:]
    assert not any(r.chunk_seq >= 1 << 40 for r in later), "nothing was asked for after that"


def test_home_is_reached_through_the_filter_while_the_model_goes_on_talking(cell):
    arena, arm = cell.arena, cell.arm
    first = arm.state.positions
    cell.arm_it()
    arena.until(lambda: np.abs(arm.state.positions - first).max() > 0.05, cell.sway)
    arena.until(lambda: arena.call(Trigger, "bridge_node/home").success, cell.sway)
    assert "already going home" in arena.call(Trigger, "bridge_node/home").message
    arena.until(lambda: np.abs(arm.state.positions - HOME)[:7].max() < 5e-3, cell.sway)
    arena.until(lambda: cell.state == SafetyState.HOLD, cell.sway)
    assert any(
        r.chunk_seq >= 1 << 40 and r.decision in (Decision.PASS, Decision.SCALED)
        for r in cell.heard
    )
    # the model was refused meanwhile
    assert "another session" in " ".join(r.sentence for r in cell.heard)
    arena.spin(0.5, cell.sway)
    np.testing.assert_allclose(arm.state.positions[:7], HOME[:7], atol=5e-3)
