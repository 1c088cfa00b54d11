"""Strict reading of a robot description: what a parser would fill in silently is refused here by
name, and what differs between parsers is written in the one way that all of them read.

URDF 1.0 to 1.2: https://docs.ros.org/en/rolling/p/urdfdom/ (capsules, quaternions, limits of
acceleration, deceleration and jerk).
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wam_ros.core.errors import Problems, WamError
from wam_ros.core.xmlfile import read_xml

MOVING = ("revolute", "continuous", "prismatic")
NUMBERS = {
    "xyz": 3,
    "rpy": 3,
    "quat_xyzw": 4,
    "size": 3,
    "scale": 3,
    "radius": 1,
    "length": 1,
    "damping": 1,
    "friction": 1,
}
# bodies and what each takes; a parser drops others, and the link would be unguarded
KINDS = {
    "box": ("size",),
    "cylinder": ("radius", "length"),
    "sphere": ("radius",),
    "capsule": ("radius", "length"),
    "mesh": ("filename",),
}
LOSSES = ("damping", "friction")  # a negative one would hide effort
# of which an element has one at most; of two each parser takes another one
ONCE = {
    "link": ("inertial",),
    "joint": ("origin", "parent", "child", "axis", "limit", "mimic", "dynamics"),
    "inertial": ("origin", "mass", "inertia"),
    "collision": ("origin", "geometry"),
    "visual": ("origin", "geometry"),
}
SIZES = ("size", "radius", "length")
POSITIVE = ("velocity", "effort", "acceleration", "deceleration", "jerk")


@dataclass(frozen=True)
class UrdfJoint:
    """One movable joint; a limit that is not told is NaN."""

    name: str
    kind: str  # of MOVING
    parent: str
    child: str
    lower: float  # rad or m; -inf for a continuous joint
    upper: float
    velocity: float  # rad/s or m/s
    effort: float  # Nm or N
    acceleration: float  # rad/s^2 or m/s^2, the smaller one of speeding up and slowing down
    jerk: float  # rad/s^3 or m/s^3
    mimic: str  # name of the joint it follows, or ''
    multiplier: float
    offset: float

    @property
    def sliding(self) -> bool:
        """Whether its unit is the metre."""
        return self.kind == "prismatic"

    @property
    def unit(self) -> str:
        """Of its position."""
        return "m" if self.sliding else "rad"


@dataclass(frozen=True)
class Urdf:
    """A description, of use where no problem was noted; whether it fits an embodiment is asked
    elsewhere.
    """

    path: Path
    root: ET.Element  # <robot>, as every parser reads it alike
    joints: dict[str, UrdfJoint]  # the movable ones
    tree: bool  # whether links and joints are one; what walks them needs that

    def links(self) -> dict[str, ET.Element]:
        """The links by name."""
        return {link.get("name", ""): link for link in self.root.findall("link")}

    def fixed(self) -> list[tuple[str, str]]:
        """(parent, child) of every joint that does not move."""
        return [ends(j) for j in self.root.findall("joint") if j.get("type") == "fixed"]


def read_urdf(path: Path, problems: Problems) -> Urdf:
    """Read a description; what is wrong with it goes into `problems`.

    Raises:
        WamError: no XML, or no robot.
    """
    root = read_xml(path)
    if root.tag != "robot":
        raise WamError(f"{path}: expected a <robot>, found <{root.tag}>")
    _judge_counts(root, problems)
    _judge_numbers(root, problems)
    _judge_bodies(root, problems)
    tree = _judge_tree(root, problems)
    _write_alike(root)
    elements = [e for e in root.findall("joint") if e.get("type") in MOVING]
    joints = [_joint(e, problems) for e in elements]
    return Urdf(path, root, {j.name: j for j in joints}, tree)


def ends(joint: ET.Element) -> tuple[str, str]:
    """Parent and child link of a joint."""
    parent, child = (joint.find(key) for key in ("parent", "child"))
    return (
        "" if parent is None else parent.get("link", ""),
        "" if child is None else child.get("link", ""),
    )


def _judge_tree(root: ET.Element, problems: Problems) -> bool:
    """Whether every joint and link has a name of its own, every joint two links that exist, and
    every link one way to the root.
    """
    known = len(problems.found)
    for tag in ("link", "joint"):
        names = [e.get("name", "") for e in root.findall(tag)]
        for name in dict.fromkeys(n for n in names if not n or names.count(n) > 1):
            problems.add(f"{tag} '{name}' has no name of its own; give every {tag} another name")
    links = {e.get("name") for e in root.findall("link")}
    above: dict[str, str] = {}
    for joint in root.findall("joint"):
        name = joint.get("name", "")
        kind = joint.get("type", "")
        if kind not in (*MOVING, "fixed"):
            problems.add(f"joint '{name}' has the unknown type '{kind}'")
        for end, link in zip(("parent", "child"), ends(joint), strict=True):
            if link not in links:
                problems.add(
                    f"joint '{name}': its {end} link '{link or None}' does not exist; add <{end} "
                    "link=...> and that link"
                )
        top, hung = ends(joint)
        if hung in above:
            problems.add(f"link '{hung}' hangs from more than one joint, the second is '{name}'")
        above[hung] = top
    for link in above if len(problems.found) == known else ():
        seen = [link]
        while above.get(seen[-1]) is not None and above[seen[-1]] not in seen:
            seen.append(above[seen[-1]])
        if seen[-1] in above:
            loop = seen[seen.index(above[seen[-1]]) :]
            problems.add(f"links {', '.join(sorted(loop))} hang from each other in a loop")
    roots = sorted(str(link) for link in links if link not in above)
    if len(roots) > 1:
        problems.add(f"links {', '.join(roots)} hang from no joint; only one may, the base")
    if not links:
        problems.add("has no link")
    return len(problems.found) == known


def _judge_counts(root: ET.Element, problems: Problems) -> None:
    """What can be there once is not there twice, and a turn is told in one way."""
    for owner in (*root.findall("link"), *root.findall("joint")):
        where = f"{owner.tag} '{owner.get('name')}'"
        for element in owner.iter():
            for tag in ONCE.get(element.tag, ()):
                if (found := len(element.findall(tag))) > 1:
                    problems.add(f"{where}: a <{element.tag}> has {found} <{tag}>; leave one")
            if element.tag == "origin" and element.get("quat_xyzw") and element.get("rpy"):
                problems.add(f"{where}: an <origin> has quat_xyzw and rpy; leave one")


def _judge_numbers(root: ET.Element, problems: Problems) -> None:
    """Every place, axis and size is as many finite numbers as it takes; sizes and the axes of
    joints that move are not zero.
    """
    for owner in (*root.findall("link"), *root.findall("joint")):
        where = f"{owner.tag} '{owner.get('name')}'"
        for element in owner.iter():
            if element.tag == "axis" and owner.get("type") == "fixed":
                continue  # it has none, whatever is written there
            for key, count in NUMBERS.items():
                text = element.get(key)
                if text is None:
                    continue
                what = f'{where}: {key}="{text[:60]}" in <{element.tag}>'
                values = numbers(text)
                if len(values) != count or not all(math.isfinite(v) for v in values):
                    problems.add(f"{what} must be {count} finite number{'s' * (count > 1)}")
                elif element.tag == "axis" and not any(values):
                    problems.add(f"{where}: its axis is zero; give it a direction")
                elif (key in SIZES and min(values) <= 0) or (key == "scale" and 0 in values):
                    kind = "positive" if key in SIZES else "other than zero"
                    problems.add(f"{what} must be {kind}")
                elif key in LOSSES and min(values) < 0:
                    problems.add(f"{what} must not be negative")
                elif key == "quat_xyzw" and abs(np.linalg.norm(values) - 1) > 1e-3:
                    problems.add(f"{what} is not a unit quaternion")


def numbers(text: str) -> list[float]:
    """The numbers of an attribute; none where one of its words is no number."""
    try:
        return [_float(word) for word in text.split()]
    except ValueError:
        return []


def _float(word: str) -> float:
    """One number, as parsers of C++ read it: they end at an underscore and know ASCII only.

    Raises:
        ValueError: it is none.
    """
    if "_" in word or not word.isascii():
        raise ValueError
    return float(word)


def _judge_bodies(root: ET.Element, problems: Problems) -> None:
    for link in root.findall("link"):
        where = f"link '{link.get('name')}'"
        for element in link.findall("collision"):
            if (found := len(element.findall("geometry/*"))) != 1:
                problems.add(f"{where}: a <collision> has {found} shapes; give each its own")
        for body in link.findall("collision/geometry/*"):
            if body.tag not in KINDS:
                problems.add(
                    f"{where}: a collision body cannot be a <{body.tag}>; use one of "
                    f"{', '.join(KINDS)}"
                )
            for key in KINDS.get(body.tag, ()):
                if not body.get(key):
                    problems.add(f'{where}: its <{body.tag}> has no {key}; add {key}="..."')


def _write_alike(root: ET.Element) -> None:
    """Leave nothing in it that parsers read differently.

    The axis of a joint that does not move may be zero, and parsers without URDF 1.1 drop
    quaternions.
    """
    root.attrib.pop("version", None)
    for joint in root.findall("joint"):
        if joint.get("type") == "fixed":
            for axis in joint.findall("axis"):
                joint.remove(axis)
    for origin in root.iter("origin"):
        quaternion = numbers(origin.attrib.pop("quat_xyzw", ""))
        if len(quaternion) == 4 and any(quaternion):  # what is none was told
            origin.set("rpy", " ".join(f"{angle:.17g}" for angle in _rpy(quaternion)))


def _rpy(xyzw: list[float]) -> tuple[float, float, float]:
    """Roll, pitch and yaw [rad] of a quaternion."""
    x, y, z, w = np.array(xyzw) / np.linalg.norm(xyzw)
    sine = float(np.clip(2 * (w * y - x * z), -1.0, 1.0))
    if abs(sine) > 1 - 1e-12:  # roll and yaw turn about one axis: all of it is roll
        return 2 * math.atan2(x, w), math.copysign(math.pi / 2, sine), 0.0
    roll = math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
    yaw = math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return roll, math.asin(sine), yaw


def _joint(element: ET.Element, problems: Problems) -> UrdfJoint:
    name = element.get("name", "")
    kind = element.get("type", "")
    where = f"joint '{name}'"
    limit = element.find("limit")
    told = {
        key: _number(limit, key, where, problems)
        for key in ("lower", "upper", *POSITIVE)
        if limit is not None
    }
    if kind == "continuous":
        told["lower"] = -math.inf
        told["upper"] = math.inf
    mimic = element.find("mimic")
    multiplier = _number(mimic, "multiplier", where, problems, default=1.0)
    offset = _number(mimic, "offset", where, problems, default=0.0)
    parent, child = ends(element)
    acceleration = (told.get("acceleration", math.nan), told.get("deceleration", math.nan))
    return UrdfJoint(
        name=name,
        kind=kind,
        parent=parent,
        child=child,
        lower=told.get("lower", math.nan),
        upper=told.get("upper", math.nan),
        velocity=told.get("velocity", math.nan),
        effort=told.get("effort", math.nan),
        acceleration=float(np.fmin(*acceleration)),
        jerk=told.get("jerk", math.nan),
        mimic=mimic.get("joint", "") if mimic is not None else "",
        multiplier=multiplier,
        offset=offset,
    )


def _number(
    element: ET.Element | None,
    key: str,
    where: str,
    problems: Problems,
    default: float = math.nan,
) -> float:
    """A finite number, or `default` where it is not told."""
    text = None if element is None else element.get(key)
    if element is None or text is None:
        return default
    try:
        value = _float(text.strip())
    except ValueError:
        problems.add(f'{where}: {key}="{text[:40]}" in <{element.tag}> is not a number')
        return default
    if not math.isfinite(value):
        problems.add(f'{where}: {key}="{text[:40]}" in <{element.tag}> must be finite')
        return default
    return value
