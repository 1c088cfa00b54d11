"""Strict reading of a robot description: what pinocchio would fill in silently is refused here by
name.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wam_ros.core.errors import UnknownNameError, WamError

MOVING = ("revolute", "continuous", "prismatic")
NUMBERS = {
    "xyz": 3,
    "rpy": 3,
    "size": 3,
    "scale": 3,
    "radius": 1,
    "length": 1,
    "damping": 1,
    "friction": 1,
}
# of bodies; a parser drops others, and the link would be unguarded
KINDS = ("box", "cylinder", "sphere", "mesh")
LOSSES = ("damping", "friction")  # a negative one would hide effort
SIZES = ("size", "scale", "radius", "length")


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
        WamError: unreadable file, a joint without limits, a link without inertia, a value that is
            not finite.
    """
    try:
        root = ET.parse(path).getroot()
    except (OSError, ET.ParseError) as error:
        raise WamError(f"{path}: {error}") from error
    if root.tag != "robot":
        raise WamError(f"{path}: expected a <robot>, found <{root.tag}>")
    for joint in root.findall("joint"):
        if joint.get("type") not in (*MOVING, "fixed"):
            raise WamError(
                f"{path}: joint '{joint.get('name')}' has the unknown type '{joint.get('type')}'"
            )
    _require_tree(path, root)
    _require_numbers(path, root)
    _require_bodies(path, root)
    _require_inertias(path, root)
    return {
        j.name: j
        for j in (_joint(path, e) for e in root.findall("joint") if e.get("type") in MOVING)
    }


def _require_tree(path: Path, root: ET.Element) -> None:
    """Every joint and link has a name of its own, and every joint two links that exist."""
    for tag in ("link", "joint"):
        names = [e.get("name", "") for e in root.findall(tag)]
        twice = next((n for n in names if not n or names.count(n) > 1), None)
        if twice is not None:
            raise WamError(
                f"{path}: {tag} '{twice}' has no name of its own; give every {tag} another name"
            )
    links = {e.get("name") for e in root.findall("link")}
    for joint in root.findall("joint"):
        for end in ("parent", "child"):
            element = joint.find(end)
            name = None if element is None else element.get("link")
            if name not in links:
                where = f"{path}: joint '{joint.get('name')}'"
                raise WamError(
                    f"{where}: its {end} link '{name}' does not exist; add <{end} link=...> and "
                    "that link"
                )


def _require_numbers(path: Path, root: ET.Element) -> None:
    """Every place, axis and size is as many finite numbers as it takes; sizes and axes are not
    zero.
    """
    for owner in (*root.findall("link"), *root.findall("joint")):
        where = f"{path}: {owner.tag} '{owner.get('name')}'"
        for element in owner.iter():
            for key, count in NUMBERS.items():
                text = element.get(key)
                if text is None:
                    continue
                try:
                    values = [float(word) for word in text.split()]
                except ValueError:
                    values = []
                good = len(values) == count and all(math.isfinite(v) for v in values)
                if not good:
                    what = f'{key}="{text[:60]}" in <{element.tag}>'
                    raise WamError(
                        f"{where}: {what} must be {count} finite number{'s' * (count > 1)}"
                    )
                if element.tag == "axis" and not any(values):
                    raise WamError(f"{where}: its axis is zero; give it a direction")
                if key in SIZES and min(values) <= 0:
                    raise WamError(
                        f'{where}: {key}="{text[:60]}" in <{element.tag}> must be positive'
                    )
                if key in LOSSES and min(values) < 0:
                    raise WamError(
                        f'{where}: {key}="{text[:60]}" in <{element.tag}> must not be negative'
                    )


def _require_bodies(path: Path, root: ET.Element) -> None:
    for link in root.findall("link"):
        for body in link.findall("collision/geometry/*"):
            if body.tag not in KINDS:
                where = f"{path}: link '{link.get('name')}'"
                raise WamError(
                    f"{where}: a collision body cannot be a <{body.tag}>; use one of "
                    f"{', '.join(KINDS)}"
                )


def _joint(path: Path, element: ET.Element) -> UrdfJoint:
    name = element.get("name", "")
    kind = element.get("type", "")
    where = f"{path}: joint '{name}'"
    limit = element.find("limit")
    if limit is None:
        raise WamError(f"{where} has no <limit>; add <limit lower upper velocity effort>")
    velocity, effort = (_number(limit, key, where, positive=True) for key in ("velocity", "effort"))
    lower = -math.inf
    upper = math.inf
    if kind != "continuous":
        lower, upper = (_number(limit, key, where) for key in ("lower", "upper"))
        if lower >= upper:
            raise WamError(f"{where}: lower limit {lower} is not below upper limit {upper}")
    mimic = element.find("mimic")
    multiplier = _number(mimic, "multiplier", where, default=1.0) if mimic is not None else 1.0
    offset = _number(mimic, "offset", where, default=0.0) if mimic is not None else 0.0
    parent, child = (element.find(k).get("link", "") for k in ("parent", "child"))  # type: ignore[union-attr]
    follows = mimic.get("joint", "") if mimic is not None else ""
    return UrdfJoint(
        name=name,
        kind=kind,
        parent=parent,
        child=child,
        lower=lower,
        upper=upper,
        velocity=velocity,
        effort=effort,
        mimic=follows,
        multiplier=multiplier,
        offset=offset,
    )


def _number(
    element: ET.Element, key: str, where: str, positive: bool = False, default: float | None = None
) -> float:
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
        raise WamError(
            f'{where}: {key}="{text[:40]}" must be finite{" and positive" if positive else ""}'
        )
    return value


def _require_inertias(path: Path, root: ET.Element) -> None:
    parents = {j.find("child").get("link") for j in root.findall("joint")}  # type: ignore[union-attr]
    for link in root.findall("link"):
        name = link.get("name", "")
        if name not in parents or (link.find("collision") is None and link.find("visual") is None):
            continue  # the root stands still; a link without a body is only a frame
        where = f"{path}: link '{name}'"
        mass = link.find("inertial/mass")
        inertia = link.find("inertial/inertia")
        if mass is None or inertia is None:
            raise WamError(f"{where} has no inertia; add <inertial> with <mass> and <inertia>")
        _number(mass, "value", where, positive=True)
        xx, yy, zz = (_number(inertia, key, where, positive=True) for key in ("ixx", "iyy", "izz"))
        xy, xz, yz = (_number(inertia, key, where) for key in ("ixy", "ixz", "iyz"))
        least = np.linalg.eigvalsh([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])[0]
        if least <= 0:
            raise WamError(
                f"{where}: its inertia is that of no body (smallest principal moment {least:.3g} "
                "kg m^2)"
            )


def resolve_mimic(
    joints: dict[str, UrdfJoint], commanded: Iterable[str]
) -> dict[str, tuple[str, float, float]]:
    """For every movable joint: (commanded joint, multiplier, offset) that gives its position.

    Raises:
        WamError: a joint that is neither commanded nor follows one, or a loop of followers.
    """
    names = tuple(commanded)
    for name in names:
        if name not in joints:
            raise UnknownNameError("joint", name, joints)
        if joints[name].mimic:
            raise WamError(
                f"joint '{name}' follows '{joints[name].mimic}' and cannot be commanded itself"
            )
    resolved = {}
    for joint in joints.values():
        leader = joint
        factor = 1.0
        offset = 0.0
        for _ in range(len(joints)):
            if not leader.mimic:
                break
            offset += factor * leader.offset
            factor *= leader.multiplier
            if leader.mimic not in joints:
                raise WamError(
                    f"joint '{leader.name}' follows '{leader.mimic}', which does not move or exist"
                )
            leader = joints[leader.mimic]
        if leader.mimic:
            raise WamError(f"joint '{joint.name}' is in a loop of mimic joints")
        if leader.name not in names:
            raise WamError(
                f"joint '{joint.name}' moves but is not in joint_names; add it there or make it "
                "fixed"
            )
        resolved[joint.name] = (leader.name, factor, offset)
    return resolved
