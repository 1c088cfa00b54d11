"""Two arms, each with a controller of its own, and two grippers with theirs: one trajectory, split
by name, and one stop.
"""

import dataclasses
import importlib.util

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")

import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from trajectory_msgs.msg import JointTrajectory

from wam_ros.core.admission import Admission
from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.resources import config_path
from wam_ros.core.types import NS, Forwarding, SafeTrajectory
from wam_ros.nodes.bridge_node import BridgeNode
from wam_ros.ros import convert, qos
from wam_ros.ros.bridge_node.outputs import Outputs

from .fakes import Robot

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
NEED = pytest.mark.skipif(
    importlib.util.find_spec("control_msgs") is None, reason="control_msgs is not installed"
)
E = load_embodiment("bimanual")
HOME = np.array(E.home)
# order of the right arm's controller is its own
SIDES = {side: [n for n in E.joint_names if n.startswith(side)] for side in ("left", "right")}
GROUPS = {
    "left_arm_controller": ("joint_trajectory", SIDES["left"][:6]),
    "right_arm_controller": ("joint_trajectory", SIDES["right"][5::-1]),
    "left_gripper_controller": ("joint_trajectory", ["left_finger_joint"]),
    "right_gripper_controller": ("joint_trajectory", ["right_finger_joint"]),
}
BY_GOAL = {n: ("gripper_command", j) if "gripper" in n else (k, j) for n, (k, j) in GROUPS.items()}
WAY = np.array([0.1, 0.1, -0.1, 0.1, 0.1, -0.1, -0.02, -0.1, -0.1, 0.1, -0.1, 0.1, 0.2, -0.01])
PATIENT = {"deadline_s": 0.5, "heartbeat_s": 2.0}


def written(folder, groups=GROUPS):
    """The robot of two arms with controllers of their own."""
    data = yaml.safe_load(config_path("embodiments", "bimanual").read_text())
    data["controllers"] = {n: {"kind": k, "joints": j} for n, (k, j) in groups.items()}
    path = folder / "pair.yaml"
    path.write_text(yaml.safe_dump(data))
    return str(path)


class Rig:
    """A bridge between two arms and a safety node."""

    def __init__(self, arena, folder, groups=GROUPS):
        self.arena = arena
        self.robot = Robot(arena, admission=Admission(**PATIENT), names=E.joint_names)
        self.parts = {n: self.robot.control(k, j, name=n) for n, (k, j) in groups.items()}
        self._safe = arena.observer.create_publisher(
            JointTrajectory, "safe_trajectory", qos.TRAJECTORY
        )
        self.states = arena.listen(DiagnosticStatus, "bridge_state", qos.LATCHED)
        self.node = arena.add(BridgeNode, embodiment=written(folder, groups), **PATIENT)
        arena.until(lambda: self._safe.get_subscription_count() == 1, self.robot.live)
        self._offered_ns = 0

    def offer(self, seconds=0.6):
        t = np.arange(0, seconds + 0.005, 0.01)
        s = t / seconds
        shape = [
            10 * s**3 - 15 * s**4 + 6 * s**5,
            30 * s**2 - 60 * s**3 + 30 * s**4,
            60 * s - 180 * s**2 + 120 * s**3,
        ]
        q, dq, ddq = (np.outer(f / seconds**k, WAY) for k, f in enumerate(shape))
        motion = SafeTrajectory(
            start_ns=self.arena.now_ns() + NS // 20,
            joint_names=E.joint_names,
            t=t,
            q=HOME + q,
            dq=dq,
            ddq=ddq,
            chunk_seq=5,
        )
        self._safe.publish(convert.trajectory_to_msg(motion))

    def until(self, condition, offer=True):
        def each():
            self.robot.live()
            if offer and self.arena.now_ns() - self._offered_ns > NS // 5:
                self._offered_ns = self.arena.now_ns()
                self.offer()

        self.arena.until(condition, each)

    @property
    def words(self):
        return self.state.words if self.states else ""

    @property
    def state(self):
        return convert.bridge_state_from_msg(self.states[-1])


@pytest.mark.parametrize("groups", [GROUPS, pytest.param(BY_GOAL, marks=NEED)])
def test_every_joint_goes_its_own_way_by_its_own_controller(arena, tmp_path, groups):
    rig = Rig(arena, tmp_path, groups)
    rig.until(lambda: np.abs(rig.robot.q() - HOME - WAY).max() < 3e-3)


def test_when_one_of_them_is_gone_nothing_is_forwarded_to_any_and_its_name_is_said(arena, tmp_path):
    rig = Rig(arena, tmp_path)
    rig.until(lambda: np.abs(rig.robot.q() - HOME - WAY).max() < 3e-3)
    rig.parts["right_arm_controller"].die()
    rig.robot.parts.remove(rig.parts["right_arm_controller"])
    rig.until(lambda: "right_arm_controller" in rig.words, offer=False)
    assert rig.state.forwarding is Forwarding.HELD_BACK
    before = rig.parts["left_arm_controller"].controller.end_ns()
    told = len(rig.states)
    rig.until(lambda: len(rig.states) > told + 5)
    assert rig.parts["left_arm_controller"].controller.end_ns() == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"left_gripper_controller": ("joint_trajectory", ["left"])},
            "joint 'left' of controllers",
        ),
        (
            {"left_gripper_controller": ("joint_trajectory", [])},
            "'left_gripper_controller' drives no",
        ),
        ({"more": ("joint_trajectory", ["left_finger_joint"])}, "driven by more than one"),
    ],
)
def test_joints_that_are_driven_twice_or_by_none_are_named(tmp_path, changes, words):
    with pytest.raises(WamError, match=words):
        load_embodiment(written(tmp_path, {**GROUPS, **changes}))
    rest = dict(list(GROUPS.items())[:3])
    with pytest.raises(WamError, match="none of controllers drives right_finger_joint"):
        load_embodiment(written(tmp_path, rest))


def test_what_the_node_is_told_stands_above_the_groups_and_an_unknown_kind_is_refused(
    arena, tmp_path
):
    from wam_ros.ros.controllers.base import ControllerParams

    node = arena.observer
    node.params_of = lambda _cls: ControllerParams()
    robot = load_embodiment(written(tmp_path))
    one = Outputs(node, robot, ("joint_trajectory", ""), ("", ""), 100.0)
    assert [o.joint_names for o in one._all] == [E.joint_names]
    groups = {**robot.controllers}
    name = "left_arm_controller"
    groups[name] = dataclasses.replace(groups[name], kind="trajectory")
    with pytest.raises(WamError, match="unknown controller 'trajectory'"):
        Outputs(node, dataclasses.replace(robot, controllers=groups), ("", ""), ("", ""), 100.0)
