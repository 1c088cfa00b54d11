"""Which links move as one, and whether each such group weighs what a body can weigh."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Iterable

import numpy as np

from wam_ros.core.errors import Problems
from wam_ros.robot.urdf import Urdf, numbers

ROUNDING = 1e-6  # of the largest principal moment
MOMENTS = ("ixx", "iyy", "izz", "ixy", "ixz", "iyz")


def rigid_groups(urdf: Urdf, parked: Iterable[str]) -> list[list[str]]:
    """Links that nothing moves against each other; `parked` joints stand."""
    joints = urdf.joints
    tied = {child: parent for parent, child in urdf.fixed()}
    tied |= {joints[n].child: joints[n].parent for n in parked}
    groups: dict[str, list[str]] = {}
    for link in urdf.links():
        head = link
        while head in tied:
            head = tied[head]
        groups.setdefault(head, []).append(link)
    return list(groups.values())


def judge_inertias(urdf: Urdf, parked: Iterable[str], problems: Problems) -> None:
    """Note every moving group that weighs nothing or like no body, and drop what does not count.

    What is fixed to the base needs no inertia, and a link without a mass may be fixed to one that
    has it. A group without any shape is only a frame.
    """
    links = urdf.links()
    found: dict[bool, list[tuple[str, list[str]]]] = {}
    moved = {joint.child for joint in urdf.joints.values()} - {
        urdf.joints[name].child for name in parked
    }
    for group in rigid_groups(urdf, parked):
        if not moved.intersection(group):
            for name in group:
                _drop(links[name])
            continue
        solid = [is_solid(links[name], problems) for name in group]
        shaped = [n for n in group if has_shape(links[n])]
        if any(s is None for s in solid) or any(solid) or not shaped:
            continue
        weighs = any(links[n].find("inertial") is not None for n in group)
        found.setdefault(weighs, []).append((shaped[0], [n for n in group if n != shaped[0]]))
    for weighs, massless in sorted(found.items()):
        problems.add(_massless(massless, weighs))


def _massless(found: list[tuple[str, list[str]]], weighs: bool) -> str:
    """Of links and what is fixed to each, which move and weigh nothing, or like no body."""
    names = [name for name, _ in found]
    many = len(names) > 1
    who = f"links {', '.join(names)}" if many else f"link '{names[0]}'"
    if weighs:
        what = f"{who}: {'their inertias are those' if many else 'its inertia is that'} of no body"
    else:
        what = f"{who} {'move' if many else 'moves'} but {'have' if many else 'has'} no inertia"
    fixed = [f"{', '.join(others)} to {name}" for name, others in found if others]
    where = f", to {'each' if many else 'it'} or to what is fixed to it ({'; '.join(fixed)})"
    told = ", ".join(f"{name}: kg" for name in names)
    flags = " ".join(f"{name} kg" for name in names)
    return (
        f"{what}; add <inertial> with <mass> and <inertia>{where if fixed else ''}, or tell what "
        f"they weigh: `mass: {{{told}}}` in the YAML, `--mass {flags}` to `new`"
    )


def has_shape(link: ET.Element) -> bool:
    """Whether there is anything of a link to meet or to look at."""
    return link.find("collision/geometry") is not None or link.find("visual/geometry") is not None


def is_solid(link: ET.Element, problems: Problems) -> bool | None:
    """Whether a link is a solid by itself; None where that was noted as wrong.

    What weighs nothing loses its <inertial>: a parser would divide by its mass.
    """
    inertial = link.find("inertial")
    if inertial is None:
        return False
    where = f"link '{link.get('name')}'"
    tensor = inertial.find("inertia")
    if inertial.find("mass") is None and tensor is None:
        _drop(link)
        return False
    mass = _number(inertial.find("mass"), "value", f"{where}: mass value", problems)
    if mass == 0:
        _drop(link)
        return False
    if mass is None:
        return None
    if mass < 0:
        problems.add(f"{where}: its mass {mass:g} kg must not be negative")
        return None
    if tensor is None:
        # a point: it weighs, and what it is fixed to must be a body
        ET.SubElement(inertial, "inertia", dict.fromkeys(MOMENTS, "0"))
        return False
    told = [_number(tensor, key, f"{where}: {key}", problems) for key in MOMENTS]
    if None in told:
        return None
    xx, yy, zz, xy, xz, yz = (float(v) for v in told)  # type: ignore[arg-type]
    moments = np.linalg.eigvalsh([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    if moments[0] < -ROUNDING * moments[-1]:
        problems.add(
            f"{where}: its inertia is that of no body (smallest principal moment "
            f"{moments[0]:.3g} kg m^2)"
        )
        return None
    return bool(moments[0] > 0)


def _number(element: ET.Element | None, key: str, what: str, problems: Problems) -> float | None:
    """One finite number, or None where that was noted as wrong."""
    text = None if element is None else element.get(key)
    values = numbers(text or "")
    if len(values) == 1 and math.isfinite(values[0]):
        return values[0]
    said = f'"{text[:40]}" must be' if text else "is missing; it must be"
    problems.add(f"{what} {said} a finite number")
    return None


def _drop(link: ET.Element) -> None:
    for inertial in link.findall("inertial"):
        link.remove(inertial)
