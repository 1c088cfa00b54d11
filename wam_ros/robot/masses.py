"""Inertias of links of which the description tells none, or that of no body, and the embodiment the
mass.
"""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET

import numpy as np
import pinocchio as pin

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import Problems, UnknownNameError
from wam_ros.robot.inertias import MOMENTS, is_solid
from wam_ros.robot.shapes import Body, bodies_of
from wam_ros.robot.urdf import Urdf


def weigh_links(embodiment: Embodiment, urdf: Urdf, problems: Problems) -> None:
    """Give every link of `mass` an <inertial>: that of its bodies, all of it one material.

    A link that weighs like a body already keeps its own: two would contradict each other.
    """
    links = urdf.links()
    for name, mass in embodiment.mass.items():
        if name not in links:
            problems.add(UnknownNameError("link of mass", name, links))
            continue
        link = links[name]
        if is_solid(copy.deepcopy(link), Problems("")):
            problems.add(
                f"mass of link '{name}' is told, and the description has its <inertial>; leave one"
            )
            continue
        # what is wrong with a body is told by whoever watches it
        bodies = bodies_of(link, embodiment, urdf, {})
        if not bodies:
            problems.add(
                f"mass of link '{name}': it has no shape, so where its mass lies is unknown"
            )
            continue
        for old in link.findall("inertial"):
            link.remove(old)
        link.append(_inertial(mass, bodies))


def _inertial(mass: float, bodies: list[Body]) -> ET.Element:
    """<inertial> of bodies that weigh `mass` [kg] together, each as much as its volume."""
    volumes = [body.geometry.computeVolume() for body in bodies]
    total = pin.Inertia.Zero()
    for body, volume in zip(bodies, volumes, strict=True):
        density = mass / sum(volumes)
        moments = np.array(body.geometry.computeMomentofInertiaRelatedToCOM()) * density
        part = pin.Inertia(
            density * volume, np.array(body.geometry.computeCOM()), (moments + moments.T) / 2
        )
        total = total + body.placement.act(part)
    element = ET.Element("inertial")
    ET.SubElement(element, "origin", xyz=" ".join(f"{v:.17g}" for v in total.lever))
    ET.SubElement(element, "mass", value=f"{total.mass:.17g}")
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = total.inertia
    values = (xx, yy, zz, xy, xz, yz)
    ET.SubElement(
        element, "inertia", {k: f"{v:.17g}" for k, v in zip(MOMENTS, values, strict=True)}
    )
    return element
