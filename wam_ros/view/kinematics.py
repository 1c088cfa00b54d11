"""Forward kinematics of a URDF for drawing: positions of one link along a joint path."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transforms3d.euler import euler2mat

from wam_ros.core.errors import WamError


@dataclass(frozen=True)
class _Joint:
    column: int  # of the joint path; -1: fixed, or not in the path
    prismatic: bool
    axis: np.ndarray  # (3,) unit
    T_parent_joint: np.ndarray  # (4, 4)


class LinkPath:
    """The chain from the root of a URDF to one link.

    Args:
        urdf: path of the description.
        link: name of the link.
        joint_names: columns of the joint paths; joints of the chain that are not named stay at
            zero.

    Raises:
        WamError: unreadable file, or no such link.
    """

    def __init__(self, urdf: Path, link: str, joint_names: Sequence[str]) -> None:
        try:
            root = ElementTree.parse(urdf).getroot()
        except (OSError, ElementTree.ParseError) as error:
            raise WamError(f"{urdf}: {error}") from error
        above = {
            child.get("link"): joint
            for joint in root.iter("joint")
            if (child := joint.find("child")) is not None
        }
        if link not in above and link not in {e.get("name") for e in root.iter("link")}:
            raise WamError(f"{urdf}: no link '{link}'")
        names = list(joint_names)
        chain = []
        while (joint := above.get(link)) is not None:
            chain.append(_parse(joint, names))
            link = joint.find("parent").get("link")  # type: ignore[union-attr,assignment]
        self._chain = chain[::-1]

    def positions(self, q: np.ndarray) -> np.ndarray:
        """Positions of the link in the root frame, (N, 3) m, along a joint path (N, A) rad or m."""
        rotation = np.broadcast_to(np.eye(3), (len(q), 3, 3))
        position = np.zeros((len(q), 3))
        for joint in self._chain:
            position = position + rotation @ joint.T_parent_joint[:3, 3]
            rotation = rotation @ joint.T_parent_joint[:3, :3]
            if joint.column < 0:
                continue
            value = q[:, joint.column]
            if joint.prismatic:
                position = position + (rotation @ joint.axis) * value[:, None]
            else:
                rotation = rotation @ _rotations(joint.axis, value)
        return position


def _parse(joint: ElementTree.Element, names: list[str]) -> _Joint:
    kind = joint.get("type", "fixed")
    name = joint.get("name", "")
    moves = kind in ("revolute", "continuous", "prismatic") and name in names
    axis = joint.find("axis")
    vector = np.array(
        [float(v) for v in (axis.get("xyz", "1 0 0") if axis is not None else "1 0 0").split()]
    )
    vector = vector / np.linalg.norm(vector)
    return _Joint(
        names.index(name) if moves else -1,
        kind == "prismatic",
        vector,
        _origin(joint.find("origin")),
    )


def _origin(element: ElementTree.Element | None) -> np.ndarray:
    T = np.eye(4)
    if element is not None:
        T[:3, 3] = [float(v) for v in element.get("xyz", "0 0 0").split()]
        T[:3, :3] = euler2mat(*(float(v) for v in element.get("rpy", "0 0 0").split()), axes="sxyz")
    return T


def _rotations(axis: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Rotations about one unit axis, (N, 3, 3), by Rodrigues' formula."""
    k = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    s = np.sin(angles)[:, None, None]
    c = np.cos(angles)[:, None, None]
    return np.eye(3) + s * k + (1 - c) * (k @ k)
