"""Strict reading of a robot description: what pinocchio would fill in silently is refused here by name."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wam_ros.core.errors import UnknownNameError, WamError

MOVING = ("revolute", "continuous", "prismatic")


@dataclass(frozen=True)
class UrdfJoint:
    """One movable joint."""

    name: str
    kind: str  # of MOVING
    parent: str
    child: str
    lower: float  # rad or m; -inf for a continuous joint
    upper: float
    velocity: float  # rad/s or m/s
    effort: float  # Nm or N
    mimic: str  # name of the joint it follows, or ''
    multiplier: float
    offset: float

    @property
    def sliding(self) -> bool:
        """Whether its unit is the metre."""
        return self.kind == "prismatic"


def read_urdf(path: Path) -> dict[str, UrdfJoint]:
    """Movable joints by name, every limit and inertia of the file checked.

    Raises:
        WamError: unreadable file, a joint without limits, a link without inertia, a value that is not finite.
    """
    try:
        root = ET.parse(path).getroot()
    except (OSError, ET.ParseError) as error:
        raise WamError(f"{path}: {error}") from error
    if root.tag != "robot":
        raise WamError(f"{path}: expected a <robot>, found <{root.tag}>")
    moving = [j for j in root.iter("joint") if j.get("type") in MOVING]
    for joint in root.findall("joint"):
        if joint.get("type") not in (*MOVING, "fixed"):
            raise WamError(f"{path}: joint '{joint.get('name')}' has the unknown type '{joint.get('type')}'")
    _require_inertias(path, root)
    return {j.name: j for j in (_joint(path, e) for e in moving)}


def _joint(path: Path, element: ET.Element) -> UrdfJoint:
    name, kind = element.get("name", ""), element.get("type", "")
    where = f"{path}: joint '{name}'"
    limit = element.find("limit")
    if limit is None:
        raise WamError(f"{where} has no <limit>; add <limit lower upper velocity effort>")
    velocity, effort = (_number(limit, key, where, positive=True) for key in ("velocity", "effort"))
    lower, upper = -math.inf, math.inf
    if kind != "continuous":
        lower, upper = (_number(limit, key, where) for key in ("lower", "upper"))
        if lower >= upper:
            raise WamError(f"{where}: lower limit {lower} is not below upper limit {upper}")
    mimic = element.find("mimic")
    multiplier = _number(mimic, "multiplier", where, default=1.0) if mimic is not None else 1.0
    offset = _number(mimic, "offset", where, default=0.0) if mimic is not None else 0.0
    parent, child = (element.find(k).get("link", "") for k in ("parent", "child"))  # type: ignore[union-attr]
    follows = mimic.get("joint", "") if mimic is not None else ""
    return UrdfJoint(name, kind, parent, child, lower, upper, velocity, effort, follows, multiplier, offset)


def _number(element: ET.Element, key: str, where: str, positive: bool = False, default: float | None = None) -> float:
    text = element.get(key)
    if text is None:
        if default is not None:
            return default
        raise WamError(f'{where} has no {key} limit; add {key}="..." to its <{element.tag}>')
    try:
        value = float(text)
    except ValueError as error:
        raise WamError(f'{where}: {key}="{text[:40]}" is not a number') from error
    if not math.isfinite(value) or (positive and value <= 0):
        raise WamError(f'{where}: {key}="{text[:40]}" must be finite{" and positive" if positive else ""}')
    return value


def _require_inertias(path: Path, root: ET.Element) -> None:
    parents = {j.find("child").get("link") for j in root.findall("joint")}  # type: ignore[union-attr]
    for link in root.findall("link"):
        name = link.get("name", "")
        if name not in parents or (link.find("collision") is None and link.find("visual") is None):
            continue  # the root stands still; a link without a body is only a frame
        where = f"{path}: link '{name}'"
        mass, inertia = link.find("inertial/mass"), link.find("inertial/inertia")
        if mass is None or inertia is None:
            raise WamError(f"{where} has no inertia; add <inertial> with <mass> and <inertia>")
        _number(mass, "value", where, positive=True)
        for key in ("ixx", "iyy", "izz"):
            _number(inertia, key, where, positive=True)
        for key in ("ixy", "ixz", "iyz"):
            _number(inertia, key, where)


def resolve_mimic(joints: dict[str, UrdfJoint], commanded: Iterable[str]) -> dict[str, tuple[str, float, float]]:
    """For every movable joint: (commanded joint, multiplier, offset) that gives its position.

    Raises:
        WamError: a joint that is neither commanded nor follows one, or a loop of followers.
    """
    names = tuple(commanded)
    for name in names:
        if name not in joints:
            raise UnknownNameError("joint", name, joints)
        if joints[name].mimic:
            raise WamError(f"joint '{name}' follows '{joints[name].mimic}' and cannot be commanded itself")
    resolved = {}
    for joint in joints.values():
        leader, factor, offset = joint, 1.0, 0.0
        for _ in range(len(joints)):
            if not leader.mimic:
                break
            offset += factor * leader.offset
            factor *= leader.multiplier
            if leader.mimic not in joints:
                raise WamError(f"joint '{leader.name}' follows '{leader.mimic}', which does not move or exist")
            leader = joints[leader.mimic]
        if leader.mimic:
            raise WamError(f"joint '{joint.name}' is in a loop of mimic joints")
        if leader.name not in names:
            raise WamError(f"joint '{joint.name}' moves but is not in joint_names; add it there or make it fixed")
        resolved[joint.name] = (leader.name, factor, offset)
    return resolved
