"""The behaviour trees that are shipped speak of interfaces as they are."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")

from std_srvs.srv import Trigger

from wam_ros.action import ExecuteTask
from wam_ros.core.resources import share_dir
from wam_ros.core.task import TaskEnd
from wam_ros.msg import TaskState
from wam_ros.srv import GetActionChunk

pytestmark = pytest.mark.ros
TREES = sorted((share_dir() / "config" / "trees").glob("*.xml"))
NODES = {  # of a tree: what goes in, what comes out, and the port that names the interface
    "ExecuteTask": (ExecuteTask.Goal, ExecuteTask.Result, "action_name"),
    "GetActionChunk": (GetActionChunk.Request, GetActionChunk.Response, "service_name"),
    "GoHome": (Trigger.Request, Trigger.Response, "service_name"),
}


@pytest.mark.parametrize("path", TREES, ids=lambda p: p.name)
def test_every_port_is_a_field_of_its_interface(path):
    root = ET.parse(path).getroot()
    assert root.find(f"BehaviorTree[@ID='{root.get('main_tree_to_execute')}']") is not None
    for model in root.find("TreeNodesModel"):
        goes_in, comes_out, names = NODES[model.get("ID")]
        for port in model:
            name = port.get("name")
            kind = goes_in if port.tag == "input_port" else comes_out
            assert name == names or name in kind.get_fields_and_field_types(), name
        known = {port.get("name") for port in model}
        used = [n for n in root.iter(model.get("ID")) if n is not model]
        assert used and all(set(n.attrib) <= known for n in used)


@pytest.mark.parametrize("kind", [ExecuteTask.Result, TaskState], ids=lambda k: k.__name__)
def test_the_reasons_have_the_same_numbers_everywhere(kind):
    assert {e.name: getattr(kind, f"REASON_{e.name}") for e in TaskEnd} == {
        e.name: e.value for e in TaskEnd
    }


def test_the_client_of_the_manual_is_python():
    text = (Path(__file__).parents[2] / "docs" / "task.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    compile(code, "docs/task.md", "exec")
    assert len([line for line in code.splitlines() if line and "import" not in line]) <= 10
