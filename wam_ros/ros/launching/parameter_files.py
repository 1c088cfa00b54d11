"""What a file of parameters says to the nodes, judged before any of them starts: its names, the
kinds of its values, their bounds, and that they fit each other.

A node that refuses its parameters would end a launch that is half under way. The nodes judge the
same once more, and what only they know: robots, models and worlds by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from wam_ros.core.admission import Admission
from wam_ros.core.errors import UnknownNameError, WamError
from wam_ros.ros.bridge_node.parameters import BridgeParams
from wam_ros.ros.camera_node.parameters import CameraParams
from wam_ros.ros.controllers.base import ControllerParams
from wam_ros.ros.inference_node.parameters import InferenceParams
from wam_ros.ros.lifecycle import NodeParams
from wam_ros.ros.params import check_value, param
from wam_ros.ros.progress import LockstepParams
from wam_ros.ros.recorder_node.parameters import RecorderParams
from wam_ros.ros.safety_node.parameters import SafetyNodeParams
from wam_ros.ros.sim_node.parameters import SimParams
from wam_ros.ros.task_node.parameters import TaskParams
from wam_ros.ros.teleop_node.parameters import TeleopParams
from wam_ros.ros.view_node.parameters import ViewParams
from wam_ros.safety.params import SafetyParams

# of every node of the loop, in the order in which it declares them
KNOWN: dict[str, tuple[type, ...]] = {
    "safety_node": (SafetyNodeParams, Admission, SafetyParams, LockstepParams),
    "bridge_node": (BridgeParams, Admission, ControllerParams, LockstepParams),
    "inference_node": (InferenceParams, LockstepParams),
    "camera_node": (CameraParams, LockstepParams),
    "sim_node": (SimParams,),
    "task_node": (TaskParams,),
    "teleop_node": (TeleopParams,),
    "recorder_node": (RecorderParams,),
    "view_node": (ViewParams,),
}
QOS_OVERRIDES = "qos_overrides"
PARAMETERS = "ros__parameters"


@dataclass(frozen=True)
class OfRos:
    """Parameters that ROS declares itself."""

    use_sim_time: bool = param(False)


def require_parameters(path: Path) -> None:
    """Judge a file of parameters for the nodes of the loop; those of others are left alone.

    Raises:
        WamError: it is no such file, or names a parameter that the node does not have, with a value
            of another kind, one out of bounds, or some that do not fit each other.
    """
    for section, values in read_sections(path):
        node = node_of(section)
        if node not in KNOWN:
            continue
        try:
            _require(node, values)
        except WamError as error:
            raise WamError(f"{section}: {error}") from error


def node_of(section: str) -> str:
    """The name of a node without its namespace."""
    return section.rstrip("/").rpartition("/")[2]


def read_sections(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names of nodes, with their namespaces or patterns, and what is said to each.

    Raises:
        WamError: the file cannot be read, or what stands in it are no parameters of nodes: what a
            launch would leave out may be somebody's limits.
    """
    if not path.is_file():
        raise WamError("this file does not exist")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise WamError(" ".join(str(error).split())) from error
    yield from _sections("", found)


def _sections(above: str, found: object) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(found, dict) or not found:
        raise WamError("expected sections like '/**/safety_node: {ros__parameters: {...}}'")
    for name, section in found.items():
        here = f"{above}/{name}" if above else str(name)
        if isinstance(section, dict) and isinstance(section.get(PARAMETERS), dict):
            yield here, section[PARAMETERS]
        else:
            yield from _sections(here, section)


def _require(node: str, values: dict[str, Any]) -> None:
    classes = (*KNOWN[node], NodeParams, OfRos)
    owner = {f.name: cls for cls in classes for f in dataclasses.fields(cls)}
    given: dict[type, dict[str, Any]] = {}
    for key, value in values.items():
        if key.startswith(QOS_OVERRIDES):
            continue
        if key not in owner:
            raise UnknownNameError(f"parameter of {node}", key, owner)
        given.setdefault(owner[key], {})[key] = check_value(owner[key], key, value)
    for cls, found in given.items():
        cls(**found)  # what does not fit each other is refused here
