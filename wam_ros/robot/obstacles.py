"""What stands around the robot: `config/worlds/<name>.yaml` as obstacles."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wam_ros.core.errors import WamError, require_known
from wam_ros.core.resources import config_path
from wam_ros.core.yamlfile import from_mapping, load_yaml

# Numbers in `size`. A plane is solid below, its normal is z of its orientation.
SHAPES = {
    "box": 3,
    "sphere": 1,
    "cylinder": 2,
    "capsule": 2,
    "mesh": 3,
    "plane": 0,
    "points": 1,
    "hull": 0,
}


# from the origin to every side; an octree of 16 levels silently drops what is beyond
MOST_VOXELS = 30_000
HUGE = 1e6  # m; beyond it no distance means anything


@dataclass(frozen=True)
class Obstacle:
    """One body that does not move by itself, in the robot's base frame."""

    shape: str  # of SHAPES
    # m: box full extents; sphere radius; cylinder and capsule radius, length; mesh scale; points
    # edge of a voxel
    size: tuple[float, ...]
    position: tuple[float, float, float]  # m
    orientation: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)  # quaternion wxyz
    clearance: float = 0.01  # m kept from every link
    # links that may touch it: those that stand on it or always overlap it
    ignore: tuple[str, ...] = ()
    # file of a mesh, whose convex hull is used, or of points: an .npy array (N, 3) m
    mesh: str = ""


@dataclass(frozen=True, eq=False)
class Cloud(Obstacle):
    """Points that came from outside instead of a file: voxels around them, or their convex hull."""

    points: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))  # (N, 3) m

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Cloud)
            and super().__eq__(other)
            and np.array_equal(self.points, other.points)
        )

    __hash__ = Obstacle.__hash__


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
        if obstacle.shape == "hull":
            raise WamError(f"{path}: obstacle '{key}': the hull of a file is a mesh")
        files = (path.parent / obstacle.mesh, Path(obstacle.mesh))
        if obstacle.shape in ("mesh", "points") and not any(f.is_file() for f in files):
            raise WamError(
                f"{path}: obstacle '{key}': {obstacle.shape} file '{obstacle.mesh}' does not exist"
            )
    return world


def require_obstacle(obstacle: Obstacle, where: str) -> None:
    """Raise `WamError` when shape, size, clearance or orientation make no sense."""
    require_known(f"shape of {where}", obstacle.shape, SHAPES)
    wanted = SHAPES[obstacle.shape]
    if len(obstacle.size) != wanted or not all(0 < s < HUGE for s in obstacle.size):
        raise WamError(
            f"{where}: a {obstacle.shape} needs {wanted} positive sizes, found {obstacle.size}"
        )
    if not all(abs(x) < HUGE for x in obstacle.position) or not 0 <= obstacle.clearance < 10:
        raise WamError(f"{where}: position must be finite and clearance within [0, 10] m")
    if not abs(float(np.linalg.norm(obstacle.orientation)) - 1.0) <= 1e-3:
        raise WamError(f"{where}: orientation {obstacle.orientation} is not a unit quaternion")


def read_points(path: Path, edge: float) -> np.ndarray:
    """(N, 3) m of an .npy file, for voxels of `edge` m.

    Raises:
        WamError: not an array of finite points.
    """
    try:
        points = np.asarray(np.load(path, allow_pickle=False), dtype=float)
    except (OSError, ValueError, EOFError) as error:
        raise WamError(f"{path}: {error}") from error
    require_points(points, edge, str(path))
    return points


def require_points(points: np.ndarray, edge: float, where: str) -> None:
    """Raise `WamError` unless `points` are (N, 3), finite, at least one, and fit into voxels of
    `edge` m.
    """
    if (
        points.ndim != 2
        or points.shape[1] != 3
        or len(points) == 0
        or not (np.abs(points) < HUGE).all()
    ):
        raise WamError(f"{where}: expected finite points (N, 3) m, found {points.shape}")
    if np.abs(points).max() > MOST_VOXELS * edge:
        raise WamError(
            f"{where}: points {np.abs(points).max():.0f} m away do not fit into voxels of {edge} m"
        )
