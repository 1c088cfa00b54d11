"""Collision bodies as convex shapes: capsules recognised, meshes replaced by their hulls."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

import coal
import numpy as np
import pinocchio as pin

from wam_ros.core.embodiment import Embodiment, Load
from wam_ros.core.errors import Problems, UnknownNameError, WamError, require_known
from wam_ros.core.packages import find_file
from wam_ros.robot.meshes import (
    LARGEST,
    NoBodyError,
    hull_of,
    mesh_hull,
    mesh_pieces,
    require_size,
)
from wam_ros.robot.obstacles import Cloud, Obstacle, read_points, require_obstacle
from wam_ros.robot.urdf import Urdf, numbers

# the way out for a link of which no body can be made
NO_BODY = "name the link under `unguarded` (`--unguarded` of `new`): nothing then watches it"
HELD = ("box", "sphere", "cylinder", "capsule")  # shapes of loads: what has an inside and an end


@dataclass(frozen=True)
class Body:
    """A convex body of a link, in its frame."""

    link: str
    placement: pin.SE3
    geometry: coal.CollisionGeometry
    mesh: Path | None = None  # what it is the hull of
    scale: np.ndarray = field(default_factory=lambda: np.ones(3))  # of that mesh
    seen: bool = False  # made of what is to look at, for want of a collision body

    def pieces(self) -> list[Body]:
        """What it is the hull of, as smaller convex bodies; itself if it is no mesh."""
        if self.mesh is None:
            return [self]
        parts = [points * self.scale for points in mesh_pieces(self.mesh)]
        return [
            Body(self.link, self.placement, hull_of(points, str(self.mesh)), seen=self.seen)
            for points in parts
        ]


def read_bodies(embodiment: Embodiment, urdf: Urdf, problems: Problems) -> list[Body]:
    """Bodies of every link, each convex; what is wrong goes into `problems`.

    A link that has something to look at and no collision body is watched by the hull of that,
    unless the embodiment says that it is not; so it may of one whose collision mesh is no body.
    """
    links = urdf.links()
    found = []
    wrong: dict[str, list[str]] = {}
    for name in embodiment.unguarded:
        if name not in links:
            problems.add(UnknownNameError("unguarded link", name, links))
        elif links[name].find("collision/geometry") is not None:
            # what of it is a body is watched all the same
            none: dict[str, list[str]] = {}
            found += bodies_of(links[name], embodiment, urdf, none)
            wrong |= {words: names for words, names in none.items() if NO_BODY not in words}
            if not none:
                problems.add(
                    f"unguarded link '{name}' has a collision body; an SRDF says what it may touch"
                )
    for name, link in links.items():
        if name not in embodiment.unguarded:
            found += bodies_of(link, embodiment, urdf, wrong)
    for error, names in wrong.items():
        who = f"link '{names[0]}'" if len(names) == 1 else f"links {', '.join(names)}"
        problems.add(f"{who}: {error}")
    if not found and not problems.found:
        problems.add("no link has a body, neither to meet nor to look at; add <collision>")
    return found


def bodies_of(
    link: ET.Element, embodiment: Embodiment, urdf: Urdf, wrong: dict[str, list[str]]
) -> list[Body]:
    """Bodies of one link, of what is drawn of it where it has none to meet; in `wrong`, links by
    what is wrong.
    """
    kind = "visual" if link.find("collision/geometry") is None else "collision"
    return _merge_capsules(_link_bodies(link, kind, embodiment, urdf, wrong))


def place_bodies(model: pin.Model, bodies: list[Body]) -> list[pin.GeometryObject]:
    """Bodies as pinocchio moves them, each called by its link, # and a number."""
    counts: dict[str, int] = {}
    placed = []
    for body in bodies:
        number = counts.get(body.link, 0)
        counts[body.link] = number + 1
        frame = model.getFrameId(body.link, pin.FrameType.BODY)
        body.geometry.computeLocalAABB()
        placed.append(
            pin.GeometryObject(
                f"{body.link}#{number}",
                model.frames[frame].parentJoint,
                frame,
                model.frames[frame].placement * body.placement,
                body.geometry,
            )
        )
    return placed


def load_shape(model: pin.Model, frame: int, name: str, load: Load) -> pin.GeometryObject:
    """Body of a tool or payload, fixed to the link of a frame.

    Raises:
        WamError: a shape, size or pose that makes no sense.
    """
    obstacle = Obstacle(load.shape, load.size, load.position, load.orientation)
    require_known(f"shape of load '{name}'", load.shape, HELD)
    require_obstacle(obstacle, f"load '{name}'")
    body = obstacle_shape(name, obstacle, model.frames[frame].placement, Path())
    body.parentJoint = model.frames[frame].parentJoint
    body.parentFrame = frame
    body.geometry.computeLocalAABB()
    return body


def obstacle_shape(
    name: str, obstacle: Obstacle, base: pin.SE3, folder: Path
) -> pin.GeometryObject:
    """An obstacle as a body that stands in the universe; `base` is the pose of the base frame in
    it.
    """
    size = obstacle.size
    path = folder / obstacle.mesh if (folder / obstacle.mesh).is_file() else Path(obstacle.mesh)
    if obstacle.shape == "mesh":
        try:
            geometry = hull_of(mesh_hull(path) * np.array(size), str(path))
        except WamError as error:
            raise WamError(f"obstacle '{name}': {error}") from error
    elif obstacle.shape == "points":
        points = obstacle.points if isinstance(obstacle, Cloud) else read_points(path, size[0])
        geometry = coal.makeOctree(np.ascontiguousarray(points), size[0])
    elif obstacle.shape == "hull":
        geometry = hull_of(
            obstacle.points if isinstance(obstacle, Cloud) else np.zeros((0, 3)), name
        )
    elif obstacle.shape == "plane":
        geometry = coal.Halfspace(np.array([0.0, 0.0, 1.0]), 0.0)
    else:
        make = {
            "box": coal.Box,
            "sphere": coal.Sphere,
            "cylinder": coal.Cylinder,
            "capsule": coal.Capsule,
        }
        geometry = make[obstacle.shape](*size)
    w, x, y, z = obstacle.orientation
    pose = base * pin.SE3(
        pin.Quaternion(w, x, y, z).normalized().matrix(), np.array(obstacle.position)
    )
    return pin.GeometryObject(name, 0, 0, pose, geometry)


def _link_bodies(
    link: ET.Element, kind: str, embodiment: Embodiment, urdf: Urdf, wrong: dict[str, list[str]]
) -> list[Body]:
    """Bodies of a link's <collision> or <visual> elements; in `wrong`, links by what is wrong."""
    name = link.get("name", "")
    found = []
    for element in link.findall(kind):
        shapes = element.findall("geometry/*")
        instead = f", or {NO_BODY}" if kind == "visual" else ""
        try:
            (shape,) = shapes
            geometry, mesh, scale = _geometry(shape, embodiment, urdf.path.parent)
        except WamError as error:
            if isinstance(error, NoBodyError):
                instead = f", or {NO_BODY}"
            wrong.setdefault(f"{error}{instead}", []).append(name)
            continue
        except (ValueError, TypeError):
            # what is wrong with a collision body was told
            if instead:
                tags = ", ".join(f"<{s.tag}>" for s in shapes) or "nothing"
                words = f"what is drawn of it, {tags}, is no one body that is known{instead}"
                wrong.setdefault(words, []).append(name)
            continue
        found.append(
            Body(
                link=name,
                placement=_pose(element),
                geometry=geometry,
                mesh=mesh,
                scale=scale,
                seen=kind == "visual",
            )
        )
    return found


def _geometry(
    shape: ET.Element, embodiment: Embodiment, folder: Path
) -> tuple[coal.CollisionGeometry, Path | None, np.ndarray]:
    """A shape, the mesh file that it is the hull of, and the scale of that."""
    one = np.ones(3)
    if shape.tag == "mesh":
        if not shape.get("filename"):
            raise ValueError
        path = find_file(shape.get("filename", ""), folder, embodiment.packages)
        scale = np.array(numbers(shape.get("scale", "1 1 1")))
        corners = mesh_hull(path) * scale
        require_size(corners, f"mesh {path}")
        return hull_of(corners, f"mesh {path}"), path, scale
    sizes = {key: numbers(shape.get(key, "")) for key in ("radius", "length", "size")}
    make = {
        "box": lambda: coal.Box(*sizes["size"]),
        "sphere": lambda: coal.Sphere(*sizes["radius"]),
        "cylinder": lambda: coal.Cylinder(*sizes["radius"], *sizes["length"]),
        "capsule": lambda: coal.Capsule(*sizes["radius"], *sizes["length"]),
    }
    if shape.tag not in make:
        raise ValueError
    geometry = make[shape.tag]()
    # one that reaches to all others always meets them: then these pairs would not be watched
    if LARGEST < (largest := max(map(max, filter(None, sizes.values())))) < np.inf:
        raise WamError(
            f"a <{shape.tag}> of {largest:g} m is larger than a robot: sizes are in m, and a floor "
            "belongs into the world"
        )
    return geometry, None, one


def _pose(element: ET.Element) -> pin.SE3:
    """Pose of an element's <origin>; identity where there is none."""
    origin = element.find("origin")
    if origin is None:
        return pin.SE3.Identity()
    rpy, xyz = (numbers(origin.get(key, "0 0 0")) for key in ("rpy", "xyz"))
    if len(rpy) != 3 or len(xyz) != 3:
        return pin.SE3.Identity()  # told already
    return pin.SE3(pin.rpy.rpyToMatrix(*rpy), np.array(xyz))


def _merge_capsules(bodies: list[Body]) -> list[Body]:
    """One capsule for every cylinder with a sphere of its radius at both ends."""
    left = list(bodies)
    merged = []
    for body in bodies:
        if not isinstance(body.geometry, coal.Cylinder):
            continue
        radius = body.geometry.radius
        half = body.geometry.halfLength
        ends = [body.placement.act(np.array([0.0, 0.0, s * half])) for s in (-1.0, 1.0)]
        caps = [next((b for b in left if _is_ball(b, end, radius)), None) for end in ends]
        if all(c is not None for c in caps):
            left = [b for b in left if b is not body and b not in caps]
            capsule = coal.Capsule(radius, 2 * half)
            merged.append(Body(body.link, body.placement, capsule, seen=body.seen))
    return merged + left


def _is_ball(body: Body, centre: np.ndarray, radius: float) -> bool:
    near = bool(np.linalg.norm(body.placement.translation - centre) < 1e-6)
    return (
        isinstance(body.geometry, coal.Sphere)
        and abs(body.geometry.radius - radius) < 1e-9
        and near
    )
