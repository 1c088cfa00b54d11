"""Velocities that are streamed: the pull back to the path never exceeds the limits of the
joints.
"""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")

import yaml

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.resources import config_path
from wam_ros.core.types import KinematicState
from wam_ros.nodes.bridge_node import BridgeNode
from wam_ros.robot.joints import load_joints
from wam_ros.ros.controllers.forward_velocity import pulled

pytestmark = pytest.mark.ros
PANDA = load_embodiment("panda")


@pytest.fixture
def output(arena):
    return arena.add(BridgeNode, controller="forward_velocity", rate_hz=200.0)._outputs.arm


def test_an_arm_that_is_behind_is_pulled_no_faster_than_its_joints_may_go(output):
    limit = load_joints(PANDA).limits.velocity
    zero = np.zeros(8)
    commanded = KinematicState(np.array([3.0, -3.0, 0.01, 0, 0, 0, 0, 0]), zero, zero)
    velocity = pulled(output, commanded, zero)
    np.testing.assert_allclose(velocity[:2], [limit[0], -limit[1]])
    assert velocity[2] == pytest.approx(0.01 * output.options.velocity_gain)


@pytest.mark.parametrize(
    ("kind", "wanted"), [("forward_position", -90.0), ("forward_velocity", -np.degrees(0.5))]
)
def test_a_driver_with_numbers_of_its_own_is_streamed_those(arena, tmp_path, kind, wanted):
    data = yaml.safe_load(config_path("embodiments", "panda").read_text())
    data["driver"] = {"panda_joint1": {"factor": -np.pi / 180, "zero": 0.5}}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    node = arena.add(BridgeNode, embodiment=str(path), controller=kind, rate_hz=200.0)
    q = np.full(8, 0.5 + np.pi / 2)
    values = node._outputs.arm.values(KinematicState(q, np.full(8, 0.5), 0 * q), q)
    assert values[0] == pytest.approx(wanted)
    assert values[1] == pytest.approx(0.5 + np.pi / 2 if kind == "forward_position" else 0.5)
