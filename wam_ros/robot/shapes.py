"""Collision bodies as convex shapes: capsules recognised, meshes replaced by their hulls."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import coal
import numpy as np
import pinocchio as pin

from wam_ros.core.embodiment import Load
from wam_ros.core.errors import WamError, require_known
from wam_ros.robot.obstacles import Cloud, Obstacle, read_points, require_obstacle

HELD = ("box", "sphere", "cylinder", "capsule")  # shapes of loads: what has an inside and an end
FLAT = 1e-7  # of the largest coordinate; the hull of what is thinner ends the process in qhull
CONVEX = (
    coal.Box,
    coal.Sphere,
    coal.Cylinder,
    coal.Capsule,
    coal.Cone,
    coal.Ellipsoid,
    coal.ConvexBase,
)


def load_shapes(model: pin.Model, urdf: Path) -> list[pin.GeometryObject]:
    """Collision bodies of every link, each convex.

    Raises:
        WamError: a mesh that is missing or has no volume, or a robot without any collision body.
    """
    folders = [str(urdf.parent), str(urdf.parent.parent)]
    try:
        raw = pin.buildGeomFromUrdf(
            model, str(urdf), pin.GeometryType.COLLISION, package_dirs=folders
        )
    except (ValueError, RuntimeError) as error:
        raise WamError(f"{urdf}: {_blamed(urdf, ' '.join(str(error).split()))}") from error
    if raw.ngeoms == 0:
        raise WamError(f"{urdf}: no link has a <collision> body; add them")
    by_link: dict[str, list[pin.GeometryObject]] = {}
    for body in raw.geometryObjects:
        by_link.setdefault(model.frames[body.parentFrame].name, []).append(body)
    return [
        shape for link, bodies in by_link.items() for shape in _merge_capsules(link, bodies, urdf)
    ]


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
        where = f"obstacle '{name}': {path}"
        try:
            geometry = coal.MeshLoader().load(str(path), np.array(size))
        except (ValueError, RuntimeError) as error:
            raise WamError(f"{where}: {' '.join(str(error).split())[:160]}") from error
        geometry = _hull(geometry, where)
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


def hull_of(points: np.ndarray, where: str) -> coal.ConvexBase:
    """Convex hull of points (N, 3) m.

    Raises:
        WamError: they have no volume, or one is not finite.
    """
    require_volume(points, where)
    corners = coal.StdVec_Vec3s()
    corners.extend(list(np.asarray(points, dtype=float)))
    try:
        return coal.Convex.convexHull(corners, True, "Qt")
    except (RuntimeError, ValueError) as error:
        raise WamError(f"{where}: its points have no volume") from error


def require_volume(points: np.ndarray, where: str) -> None:
    """Raise `WamError` unless points (N, 3) m are finite and lie in more than a plane: what is flat
    has no hull.
    """
    if not np.isfinite(points).all():
        raise WamError(f"{where}: a corner of it is not finite; export it again")
    if len(points) > 3:
        centred = points - points.mean(axis=0)
        _, axes = np.linalg.eigh(centred.T @ centred)
        if np.ptp(centred @ axes, axis=0).min() > FLAT * np.abs(points).max():
            return
    raise WamError(f"{where}: its points have no volume; give it a thickness")


def _blamed(urdf: Path, error: str) -> str:
    """What a parser says about a mesh, with the link that has it."""
    for link in ET.parse(urdf).getroot().findall("link"):
        for mesh in link.findall("collision/geometry/mesh"):
            name = mesh.get("filename", "")
            if name and name in error:
                place = f"put it into {urdf.parent} or correct its filename"
                return f"link '{link.get('name')}': mesh {name} cannot be read; {place} ({error})"
    return error


def _convex(body: pin.GeometryObject, where: str) -> pin.GeometryObject:
    """A copy, because the original dies with the geometry model it was read into."""
    if body.meshPath:
        where = f"{where}: mesh {body.meshPath}"
    geometry = body.geometry if isinstance(body.geometry, CONVEX) else _hull(body.geometry, where)
    return pin.GeometryObject(
        body.name, body.parentJoint, body.parentFrame, body.placement, geometry
    )


def _hull(geometry: coal.CollisionGeometry, where: str) -> coal.ConvexBase:
    if isinstance(geometry, coal.BVHModelBase):
        require_volume(np.array(geometry.vertices()).reshape(-1, 3), where)
    if not isinstance(geometry, coal.BVHModelBase) or not geometry.buildConvexHull(True, "Qt"):
        raise WamError(
            f"{where}: a {type(geometry).__name__} has no hull; use a mesh with volume or a "
            "primitive"
        )
    return geometry.convex


def _merge_capsules(
    link: str, bodies: list[pin.GeometryObject], urdf: Path
) -> list[pin.GeometryObject]:
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
            merged.append(
                pin.GeometryObject(
                    link, body.parentJoint, body.parentFrame, body.placement, capsule
                )
            )
    shapes = merged + [_convex(b, f"{urdf}: link '{link}'") for b in left]
    for i, shape in enumerate(shapes):
        shape.name = f"{link}#{i}"
        shape.geometry.computeLocalAABB()
    return shapes


def _is_ball(body: pin.GeometryObject, centre: np.ndarray, radius: float) -> bool:
    near = bool(np.linalg.norm(body.placement.translation - centre) < 1e-6)
    return (
        isinstance(body.geometry, coal.Sphere)
        and abs(body.geometry.radius - radius) < 1e-9
        and near
    )
