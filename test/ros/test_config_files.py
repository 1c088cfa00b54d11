"""The shipped parameter files say exactly what the dataclasses say."""

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")

from wam_ros.core.resources import share_dir
from wam_ros.ros.launching.parameter_files import KNOWN
from wam_ros.ros.params import to_yaml


@pytest.mark.parametrize("node", KNOWN)
def test_the_file_is_derived_from_the_dataclasses(node):
    name = f"{node.removesuffix('_node')}.yaml"
    assert (share_dir() / "config" / name).read_text() == to_yaml(f"/**/{node}", *KNOWN[node]), (
        f"config/{name} differs from its dataclasses: write to_yaml(...) into it"
    )
