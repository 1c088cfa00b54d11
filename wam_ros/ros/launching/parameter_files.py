"""What a file of parameters says to the nodes, judged before any of them starts: its names, the
kinds of its values, and their bounds as far as whoever launches can know them.

A node that refuses its parameters would end a launch that is half under way. The nodes judge the
same once more, and what only they know: robots, models and worlds by name.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from wam_ros.core.admission import Admission
from wam_ros.core.errors import UnknownNameError, WamError
from wam_ros.core.resources import share_dir
from wam_ros.ros.bridge_node.parameters import BridgeParams
from wam_ros.ros.controllers.base import ControllerParams
from wam_ros.ros.inference_node.parameters import InferenceParams
from wam_ros.ros.params import check_value
from wam_ros.ros.progress import LockstepParams
from wam_ros.ros.task_node.parameters import TaskParams
from wam_ros.ros.view_node.parameters import ViewParams
from wam_ros.safety.params import SafetyParams

# what is known of the values without a library of the nodes; of the others the defaults tell
KNOWN: dict[str, tuple[type, ...]] = {
    "safety_node": (SafetyParams, Admission, LockstepParams),
    "bridge_node": (BridgeParams, Admission, ControllerParams, LockstepParams),
    "inference_node": (InferenceParams,),
    "camera_node": (LockstepParams,),
    "sim_node": (),
    "task_node": (TaskParams,),
    "view_node": (ViewParams,),
}
OF_ROS = {"use_sim_time": False, "autostart": True}  # of every node
ROS_OWN = "qos_overrides"
PARAMETERS = "ros__parameters"


def require_parameters(path: Path) -> None:
    """Judge a file of parameters for the nodes of the loop; those of others are left alone.

    Raises:
        WamError: it is no such file, or names a parameter that the node does not have, with a value
            of another kind, or one out of bounds.
    """
    for section, values in read_sections(path):
        name = section.rstrip("/").rpartition("/")[2]
        if name not in KNOWN:
            continue
        known = {**_defaults(name), **OF_ROS}
        for key, value in values.items():
            if key.startswith(ROS_OWN):
                continue
            try:
                _require(name, key, value, known)
            except WamError as error:
                raise WamError(f"{section}: {error}") from error


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


def _defaults(node: str) -> dict[str, Any]:
    """Every parameter of a node with its default, as its shipped file has them."""
    shipped = share_dir() / "config" / f"{node.removesuffix('_node')}.yaml"
    return next(values for _, values in read_sections(shipped))


def _require(node: str, key: str, value: object, known: dict[str, Any]) -> None:
    if key not in known:
        raise UnknownNameError(f"parameter of {node}", key, known)
    for cls in KNOWN[node]:
        if key in {f.name for f in dataclasses.fields(cls)}:
            check_value(cls, key, value)
            return
    kind = type(known[key])
    fits = type(value) is kind or (kind is float and type(value) is int)
    if not fits:
        raise WamError(f"parameter '{key}': expected {kind.__name__}, found {value!r}")
