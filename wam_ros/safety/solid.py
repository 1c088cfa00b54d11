"""Bodies that a parser drops without a word, or whose hull would end the process: refused first, by name."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import coal
import numpy as np
import pinocchio as pin

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.resources import config_path
from wam_ros.safety.model import SafetyModel, load_safety_model
from wam_ros.safety.world import load_world

FLAT = 1e-7  # of the largest coordinate; the hull of what is thinner ends the process in qhull
KINDS = ("box", "cylinder", "sphere", "mesh")  # of URDF bodies; a parser drops others, and the link would be unguarded


def load_solid_model(embodiment: Embodiment, world: str | None = None) -> SafetyModel:
    """`load_safety_model` of a robot and a world whose every body is one.

    Raises:
        WamError: what that raises; a collision body of an unknown kind, a mesh without volume or with a NaN.
    """
    _require_robot(embodiment.urdf_path)
    _require_world(embodiment.world if world is None else world)
    return load_safety_model(embodiment, world)


def require_volume(points: np.ndarray, where: str) -> None:
    """Raise `WamError` unless points (N, 3) m are finite and lie in more than a plane: what is flat has no hull."""
    if not np.isfinite(points).all():
        raise WamError(f"{where}: a corner of it is not finite; export it again")
    if len(points) > 3:
        centred = points - points.mean(axis=0)
        _, axes = np.linalg.eigh(centred.T @ centred)
        if np.ptp(centred @ axes, axis=0).min() > FLAT * np.abs(points).max():
            return
    raise WamError(f"{where}: its points have no volume; give it a thickness")


def _require_robot(urdf: Path) -> None:
    """Look at the collision bodies; whatever else is wrong with the file is told by who loads it."""
    try:
        links = ET.parse(urdf).getroot().findall("link")
        for link in links:
            for body in link.findall("collision/geometry/*"):
                if body.tag not in KINDS:
                    where = f"{urdf}: link '{link.get('name')}'"
                    raise WamError(f"{where}: a collision body cannot be a <{body.tag}>; use one of {', '.join(KINDS)}")
        if not any(link.find("collision/geometry/mesh") is not None for link in links):
            return
        folders = [str(urdf.parent), str(urdf.parent.parent)]
        model = pin.buildModelFromUrdf(str(urdf))
        bodies = pin.buildGeomFromUrdf(model, str(urdf), pin.GeometryType.COLLISION, package_dirs=folders)
    except (OSError, ET.ParseError, ValueError, RuntimeError):
        return
    for body in bodies.geometryObjects:
        link = model.frames[body.parentFrame].name
        _require_mesh(body.geometry, f"{urdf}: link '{link}': mesh {body.meshPath}")


def _require_world(name: str) -> None:
    folder = config_path("worlds", name).parent
    for key, obstacle in load_world(name).obstacles.items():
        if obstacle.shape == "mesh":
            path = folder / obstacle.mesh if (folder / obstacle.mesh).is_file() else Path(obstacle.mesh)
            try:
                geometry = coal.MeshLoader().load(str(path), np.array(obstacle.size))
            except (ValueError, RuntimeError) as error:
                raise WamError(f"{path}: {' '.join(str(error).split())[:160]}") from error
            _require_mesh(geometry, f"obstacle '{key}': {path}")


def _require_mesh(geometry: coal.CollisionGeometry, where: str) -> None:
    if isinstance(geometry, coal.BVHModelBase):
        require_volume(np.array(geometry.vertices()).reshape(-1, 3), where)
