"""What stands around the robot: `config/worlds/<name>.yaml` as obstacles."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wam_ros.core.errors import WamError, require_known
from wam_ros.core.resources import config_path
from wam_ros.core.yamlfile import from_mapping, load_yaml

SHAPES = {"box": 3, "sphere": 1, "cylinder": 2, "capsule": 2, "mesh": 3}  # numbers in `size`


@dataclass(frozen=True)
class Obstacle:
    """One body that does not move by itself, in the robot's base frame."""

    shape: str  # of SHAPES
    size: tuple[float, ...]  # m: box full extents; sphere radius; cylinder and capsule radius, length; mesh scale
    position: tuple[float, float, float]  # m
    orientation: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)  # quaternion wxyz
    clearance: float = 0.01  # m kept from every link
    mesh: str = ""  # file of a mesh; its convex hull is used


@dataclass(frozen=True)
class World:
    """All obstacles by name."""

    obstacles: dict[str, Obstacle] = field(default_factory=dict)


def load_world(name: str) -> World:
    """Load a shipped world by name, or one from a path ending in .yaml.

    Raises:
        WamError: unknown name or key, a size or orientation that makes no sense.
    """
    path = config_path("worlds", name)
    world = from_mapping(World, load_yaml(path), str(path))
    for key, obstacle in world.obstacles.items():
        require_obstacle(obstacle, f"{path}: obstacle '{key}'")
        files = (path.parent / obstacle.mesh, Path(obstacle.mesh))
        if obstacle.shape == "mesh" and not any(f.is_file() for f in files):
            raise WamError(f"{path}: obstacle '{key}': mesh file '{obstacle.mesh}' does not exist")
    return world


def require_obstacle(obstacle: Obstacle, where: str) -> None:
    """Raise `WamError` when shape, size, clearance or orientation make no sense."""
    require_known(f"shape of {where}", obstacle.shape, SHAPES)
    wanted = SHAPES[obstacle.shape]
    if len(obstacle.size) != wanted or not all(np.isfinite(obstacle.size)) or min(obstacle.size) <= 0:
        raise WamError(f"{where}: a {obstacle.shape} needs {wanted} positive sizes, found {obstacle.size}")
    if not all(np.isfinite(obstacle.position)) or not 0 <= obstacle.clearance < 10:
        raise WamError(f"{where}: position must be finite and clearance within [0, 10] m")
    if abs(float(np.linalg.norm(obstacle.orientation)) - 1.0) > 1e-3:
        raise WamError(f"{where}: orientation {obstacle.orientation} is not a unit quaternion")
