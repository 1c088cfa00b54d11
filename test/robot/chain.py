"""A small arm of three links on a base, of which a test changes one thing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from testing.tools import one_robot
from wam_ros.core.embodiment import Embodiment

INERTIAL = (
    '<inertial><origin xyz="0 0 0.1"/><mass value="1"/><inertia ixx="0.01" iyy="0.01" izz="0.005" '
    'ixy="0" ixz="0" iyz="0"/></inertial>'
)
ROD = (
    '<collision><origin xyz="0 0 0.15"/><geometry><cylinder radius="0.04" '
    'length="0.2"/></geometry></collision>'
)
LIMIT = '<limit lower="-2.5" upper="2.5" velocity="2" effort="80"/>'
HOME = (0.0, 0.5, 0.5)
BASE = f'<link name="base">{ROD}</link>'
TOOL = (
    '<link name="tool"/><joint name="jt" type="fixed"><parent link="l3"/><child '
    'link="tool"/></joint>'
)


def link(name: str, body: str = ROD, inertial: str = INERTIAL) -> str:
    return f'<link name="{name}">{inertial}{body}</link>'


def joint(
    name: str,
    parent: str,
    child: str,
    axis: str = "0 1 0",
    kind: str = "revolute",
    more: str = LIMIT,
) -> str:
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="0 0 0.3"/><axis xyz="{axis}"/>{more}</joint>'
    )


LINKS = {name: link(name) for name in ("l1", "l2", "l3")}
JOINTS = {
    "j1": joint("j1", "base", "l1", "0 0 1"),
    "j2": joint("j2", "l1", "l2"),
    "j3": joint("j3", "l2", "l3"),
}


def chain(
    folder: Path, changed: dict[str, str] | None = None, more: str = "", **keys
) -> Embodiment:
    """The arm with parts of it `changed` by name, `more` in its URDF and `keys` in its YAML."""
    parts = {"base": BASE, **LINKS, **JOINTS, "tool": TOOL, **(changed or {})}
    urdf = f'<robot name="chain">{"".join(parts.values())}{more}</robot>'
    keys = {"home": HOME, "world": "empty", **keys}
    return one_robot(folder, urdf, ("j1", "j2", "j3"), "base", "tool", **keys)


def write_obj(path: Path, corners: np.ndarray, triangles: np.ndarray) -> str:
    """A mesh file; its name."""
    lines = [f"v {x:.9g} {y:.9g} {z:.9g}" for x, y, z in corners]
    lines += ["f {} {} {}".format(*t) for t in np.asarray(triangles) + 1]
    path.write_text("\n".join(lines))
    return path.name


def boxes(*spans: tuple[tuple[float, ...], tuple[float, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """Corners and triangles of boxes from one corner to the opposite one; m."""
    sides = [(0, 1, 3), (0, 3, 2), (4, 7, 5), (4, 6, 7), (0, 5, 1), (0, 4, 5)]
    sides += [(2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)]
    corners = [
        [(x, y, z) for x in (a[0], b[0]) for y in (a[1], b[1]) for z in (a[2], b[2])]
        for a, b in spans
    ]
    return (
        np.concatenate([np.array(c, dtype=float) for c in corners]),
        np.concatenate([np.array(sides) + 8 * k for k in range(len(spans))]),
    )


def mesh(name: str, where: str = "", scale: str = "1 1 1", kind: str = "collision") -> str:
    return f'<{kind}>{where}<geometry><mesh filename="{name}" scale="{scale}"/></geometry></{kind}>'
