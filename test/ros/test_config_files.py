"""The shipped parameter files say exactly what the dataclasses say."""

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
pytest.importorskip("pinocchio")
pytest.importorskip("wam_ros.sim.world")

from wam_ros.core.admission import Admission
from wam_ros.core.resources import share_dir
from wam_ros.nodes.sim_node import SimParams
from wam_ros.ros.bridge_node.parameters import BridgeParams
from wam_ros.ros.controllers.base import ControllerParams
from wam_ros.ros.params import to_yaml
from wam_ros.ros.progress import LockstepParams
from wam_ros.ros.safety_node.parameters import SafetyNodeParams
from wam_ros.ros.task_node.parameters import TaskParams
from wam_ros.ros.view_node.parameters import ViewParams
from wam_ros.safety.params import SafetyParams

CLASSES = {
    "safety": (SafetyNodeParams, Admission, SafetyParams, LockstepParams),
    "bridge": (BridgeParams, Admission, ControllerParams, LockstepParams),
    "sim": (SimParams,),
    "task": (TaskParams,),
    "view": (ViewParams,),
}


@pytest.mark.parametrize("name", CLASSES)
def test_the_file_is_derived_from_the_dataclasses(name):
    expected = to_yaml(f"/**/{name}_node", *CLASSES[name])
    found = (share_dir() / "config" / f"{name}.yaml").read_text()
    assert found == expected, (
        f"config/{name}.yaml differs from its dataclass: write to_yaml(...) into it"
    )
