"""A robot description for drawing: the tree of links, what is seen of them, what safety keeps
clear.
"""

from __future__ import annotations

import math
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transforms3d.euler import euler2quat
from transforms3d.quaternions import quat2mat

from wam_ros.core.errors import WamError
from wam_ros.core.xmlfile import read_xml
from wam_ros.view.solid import RGBA, Solid

MOVING = ("revolute", "continuous", "prismatic")


@dataclass(frozen=True)
class DrawnLink:
    """A link and the joint above it. Its pose in its parent's frame is the origin, then the joint.

    A turning joint turns about `axis` by `multiplier * q[column] + offset` rad, a sliding one
    shifts along it by as many m.
    """

    name: str
    parent: int  # index of the link above; -1: the root
    position: tuple[float, float, float]  # m
    wxyz: tuple[float, float, float, float]
    axis: tuple[float, float, float]  # of length 1
    kind: str  # of MOVING, or "fixed"
    column: int = -1  # of the joint vector; -1: it stands at `offset`
    multiplier: float = 1.0
    offset: float = 0.0

    def described(self) -> dict[str, Any]:
        """As the page reads it."""
        return {
            "name": self.name,
            "parent": self.parent,
            "p": list(self.position),
            "q": list(self.wxyz),
            "axis": list(self.axis),
            "kind": self.kind,
            "column": self.column,
            "multiplier": self.multiplier,
            "offset": self.offset,
        }


class Description:
    """What a URDF says of the looks of a robot.

    Args:
        urdf: path of the description.
        joint_names: columns of the joint vectors.
        parked: rad or m, where joints stand that are not named; at zero without it.

    Raises:
        WamError: unreadable file, a number that is none, or a mesh that is not there.
    """

    def __init__(
        self, urdf: Path, joint_names: Sequence[str], parked: Mapping[str, float] | None = None
    ) -> None:
        root = read_xml(urdf)
        self._urdf = urdf
        self._parked = parked or {}
        self._colours = {
            m.get("name", ""): colour
            for m in root.iter("material")
            if (colour := self._colour(m)) is not None
        }
        self.links = self._tree(root, list(joint_names))
        self._origins = [pose_of(link.position, link.wxyz) for link in self.links]
        # Rodrigues: the matrix of a turn about an axis of length 1 is 1 + sin S + (1 - cos) S S
        skews = [_skew(link.axis) for link in self.links]
        self._sines = [origin @ s for origin, s in zip(self._origins, skews, strict=True)]
        self._versines = [first @ s for first, s in zip(self._sines, skews, strict=True)]
        number = {link.name: k for k, link in enumerate(self.links)}
        # (index of the link, body in its frame)
        self.visuals: list[tuple[int, Solid]] = []
        self.bodies: list[tuple[int, Solid]] = []
        for element in root.findall("link"):
            if (index := number.get(element.get("name", ""))) is None:
                continue
            for tag, found in (("visual", self.visuals), ("collision", self.bodies)):
                found += [(index, self._solid(e, element)) for e in element.findall(tag)]

    def index(self, link: str) -> int:
        """Number of a link.

        Raises:
            WamError: there is none of that name.
        """
        for k, known in enumerate(self.links):
            if known.name == link:
                return k
        raise WamError(f"{self._urdf}: no link '{link}'")

    def poses(self, q: np.ndarray) -> np.ndarray:
        """(..., L, 4, 4) pose of every link in the frame of the root, at joints `q` (..., A) rad or
        m.
        """
        found = np.empty((*q.shape[:-1], len(self.links), 4, 4))
        columns = np.moveaxis(q, -1, 0)[..., None, None]
        for k, (link, origin) in enumerate(zip(self.links, self._origins, strict=True)):
            pose = origin
            if link.kind != "fixed":
                told = columns[link.column] if link.column >= 0 else np.zeros((1, 1))
                value = link.multiplier * told + link.offset
                if link.kind == "prismatic":
                    way = np.zeros((4, 4))
                    way[:3, 3] = origin[:3, :3] @ link.axis
                    pose = origin + value * way
                else:
                    sine = np.sin(value) * self._sines[k]
                    pose = origin + sine + (1 - np.cos(value)) * self._versines[k]
            found[..., k, :, :] = found[..., link.parent, :, :] @ pose if link.parent >= 0 else pose
        return found

    def _tree(self, root: ElementTree.Element, names: list[str]) -> list[DrawnLink]:
        """Every link behind the one above it."""
        joints = root.findall("joint")
        below: dict[str, list[ElementTree.Element]] = {}
        for joint in joints:
            below.setdefault(_end(joint, "parent"), []).append(joint)
        children = {_end(joint, "child") for joint in joints}
        tops = [n for e in root.findall("link") if (n := e.get("name", "")) not in children]
        if not tops:
            raise WamError(f"{self._urdf}: no link is the root of the others")
        by_name = {joint.get("name", ""): joint for joint in joints}
        still = (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0), "fixed"
        links = [DrawnLink(tops[0], -1, *still)]
        for k, link in enumerate(links):  # it grows meanwhile
            for joint in below.pop(link.name, []):
                links.append(self._link(joint, k, by_name, names))
        return links

    def _link(
        self,
        joint: ElementTree.Element,
        parent: int,
        by_name: dict[str, ElementTree.Element],
        names: list[str],
    ) -> DrawnLink:
        where = f"joint '{joint.get('name')}'"
        kind = joint.get("type", "fixed")
        position, wxyz = self._origin(joint, where)
        axis = self._numbers(joint.find("axis"), "xyz", (1.0, 0.0, 0.0), where)
        length = math.hypot(*axis)
        column, multiplier, offset = self._source(joint, by_name, names)
        return DrawnLink(
            name=_end(joint, "child"),
            parent=parent,
            position=position,
            wxyz=wxyz,
            axis=(axis[0] / length, axis[1] / length, axis[2] / length) if length else axis,
            kind=kind if kind in MOVING else "fixed",
            column=column,
            multiplier=multiplier,
            offset=offset,
        )

    def _source(
        self,
        joint: ElementTree.Element,
        by_name: dict[str, ElementTree.Element],
        names: list[str],
    ) -> tuple[int, float, float]:
        """Column, factor and offset of a joint, or of the one that it follows."""
        factor = 1.0
        offset = 0.0
        for _ in by_name:
            mimic = joint.find("mimic")
            leader = None if mimic is None else by_name.get(mimic.get("joint", ""))
            if mimic is None or leader is None or joint.get("name", "") in self._parked:
                break
            where = f"joint '{joint.get('name')}'"
            (step,) = self._numbers(mimic, "offset", (0.0,), where)
            (slope,) = self._numbers(mimic, "multiplier", (1.0,), where)
            offset += factor * step
            factor *= slope
            joint = leader
        name = joint.get("name", "")
        offset += factor * self._parked.get(name, 0.0)
        return (names.index(name) if name in names else -1), factor, offset

    def _origin(
        self, element: ElementTree.Element, where: str
    ) -> tuple[tuple[float, float, float], tuple[float, float, float, float]]:
        origin = element.find("origin")
        x, y, z = self._numbers(origin, "xyz", (0.0, 0.0, 0.0), where)
        roll, pitch, yaw = self._numbers(origin, "rpy", (0.0, 0.0, 0.0), where)
        w, i, j, k = (float(v) for v in euler2quat(roll, pitch, yaw, axes="sxyz"))
        return (x, y, z), (w, i, j, k)

    def _numbers(
        self,
        element: ElementTree.Element | None,
        key: str,
        default: tuple[float, ...],
        where: str,
    ) -> Any:
        text = None if element is None else element.get(key)
        if text is None:
            return default
        try:
            values = tuple(float(word) for word in text.split())
        except ValueError:
            values = ()
        if len(values) != len(default) or not np.isfinite(values).all():
            raise WamError(
                f'{self._urdf}: {where}: {key}="{text[:60]}" must be {len(default)} finite number'
                f"{'s' * (len(default) > 1)}"
            )
        return values

    def _colour(self, material: ElementTree.Element | None) -> RGBA | None:
        if material is None:
            return None
        if (colour := material.find("color")) is not None:
            r, g, b, a = self._numbers(colour, "rgba", (0.0, 0.0, 0.0, 1.0), "a material")
            return r, g, b, a
        return getattr(self, "_colours", {}).get(material.get("name", ""))

    def _solid(self, element: ElementTree.Element, link: ElementTree.Element) -> Solid:
        where = f"link '{link.get('name')}'"
        geometry = element.find("geometry")
        shape = None if geometry is None else next(iter(geometry), None)
        if shape is None:
            raise WamError(f"{self._urdf}: {where}: a <{element.tag}> without a shape")
        position, wxyz = self._origin(element, where)
        file = None
        uri = ""
        size: tuple[float, ...]
        if shape.tag == "mesh":
            size = self._numbers(shape, "scale", (1.0, 1.0, 1.0), where)
            named = shape.get("filename", "")
            file = find_mesh(named, self._urdf, where)
            uri = named if named.startswith("package://") else file.resolve().as_uri()
        elif shape.tag == "box":
            size = self._numbers(shape, "size", (0.0, 0.0, 0.0), where)
        elif shape.tag in ("sphere", "cylinder", "capsule"):
            keys = ("radius",) if shape.tag == "sphere" else ("radius", "length")
            size = tuple(self._numbers(shape, key, (0.0,), where)[0] for key in keys)
        else:
            raise WamError(f"{self._urdf}: {where}: a <{shape.tag}> cannot be drawn")
        return Solid(
            name=link.get("name", ""),
            shape=shape.tag,
            size=size,
            position=position,
            wxyz=wxyz,
            rgba=self._colour(element.find("material")),
            file=file,
            uri=uri,
        )


def pose_of(position: Sequence[float], wxyz: Sequence[float]) -> np.ndarray:
    """(4, 4) of a position [m] and a quaternion."""
    pose = np.eye(4)
    pose[:3, :3] = quat2mat(wxyz)
    pose[:3, 3] = position
    return pose


def _skew(axis: Sequence[float]) -> np.ndarray:
    """(4, 4) of which the upper left part times a vector is the cross product with it."""
    x, y, z = axis
    found = np.zeros((4, 4))
    found[:3, :3] = ((0, -z, y), (z, 0, -x), (-y, x, 0))
    return found


def _end(joint: ElementTree.Element, tag: str) -> str:
    element = joint.find(tag)
    return "" if element is None else element.get("link", "")


def find_mesh(filename: str, urdf: Path, where: str) -> Path:
    """Path of a mesh: beside the description, or in a package where the safety node looks, too.

    Raises:
        WamError: it is in none of the folders; names them.
    """
    scheme, _, rest = filename.rpartition("://")
    if scheme == "package":
        folders = [urdf.parent, urdf.parent.parent]
        for variable, below in (("AMENT_PREFIX_PATH", "share"), ("ROS_PACKAGE_PATH", "")):
            parts = os.environ.get(variable, "").split(os.pathsep)
            folders += [Path(part) / below for part in parts if part]
    else:
        folders = [urdf.parent]
    for folder in folders:
        if rest and (path := folder / rest).is_file():
            return path
    looked = ", ".join(dict.fromkeys(map(str, folders)))
    raise WamError(f"{urdf}: {where}: mesh '{filename}' is in none of {looked}")
