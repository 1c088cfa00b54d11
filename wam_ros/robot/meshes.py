"""The convex hulls of mesh files, and their decomposition where one hull would hide a cavity.

Both are kept in the user's cache by the hash of the file: a mesh is read once. Decomposition by
V-HACD (Mamou, Volumetric Hierarchical Approximate Convex Decomposition, 2016), whose pieces are
only near the mesh: each is widened until every triangle of the mesh lies in one of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import re
from collections.abc import Callable
from pathlib import Path

import coal
import numpy as np

from wam_ros.core.errors import WamError
from wam_ros.core.files import cache_folder, write_whole

FLAT = 1e-7  # of the largest coordinate; the hull of what is thinner ends the process in qhull
LARGEST = 10.0  # m; a body of an arm that is larger is one whose unit was lost
SMALLEST = 1e-4  # m
CACHE = 1  # raised when what is kept means something else
MOST_CORNERS = 200_000  # of a file that was kept; a mesh that is larger is read anew
# V-HACD: voxels and pieces; they bound its time, and the pieces that of every distance
VOXELS = 60_000
PIECES = 12
CORNERS = 48  # of one piece before it is widened
EDGES = 24  # a triangle longer than the mesh by one of so many is cut into smaller ones

_LOG = logging.getLogger(__name__)


class NoBodyError(WamError):
    """A mesh file has no surface, or is flat: there is nothing that could be met."""


def mesh_hull(path: Path) -> np.ndarray:
    """(N, 3) corners of the convex hull of a mesh file, in its unit.

    Raises:
        WamError: it cannot be read, or has no volume.
    """
    return _kept(path, "hull", lambda: [corners_of(read_mesh(path)[0], str(path))])[0]


def mesh_pieces(path: Path) -> list[np.ndarray]:
    """Corners (N, 3) of convex bodies that hold all of a mesh between them, in its unit.

    Raises:
        WamError: it cannot be read, or has no volume.
    """

    def make() -> list[np.ndarray]:
        _LOG.warning("cutting %s into convex pieces; that takes seconds, once", path)
        return decompose(*read_mesh(path), str(path))

    return _kept(path, "pieces", make)


def read_mesh(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (N, 3) and triangles (M, 3) of a mesh file.

    Raises:
        WamError: it cannot be read; it has no triangle, or a vertex that is not finite.
    """
    try:
        if path.suffix.lower() == ".stl":
            vertices, triangles = _read_stl(path)
        else:
            vertices, triangles = _read_other(path)
    except WamError:
        raise
    except Exception:  # the libraries have many words for a file that is damaged, none of them ours
        raise _not_read(path) from None
    if len(triangles) == 0:
        raise _not_read(path)
    if not np.isfinite(vertices).all():
        raise WamError(f"mesh {path}: a corner of it is not finite; export it again")
    return vertices, triangles


def _not_read(path: Path) -> WamError:
    """What a file is in which no surface was found, as far as its beginning tells."""
    where = f"mesh {path} cannot be read:"
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        return WamError(f"{where} {error.strerror or error}")
    if not head:
        return WamError(f"{where} the file is empty")
    if head.startswith(b"version https://git-lfs"):
        words = "it is a pointer of Git LFS, not the file: `git lfs pull` where it comes from"
        return WamError(f"{where} {words}")
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return WamError(f"{where} it is a web page: the download failed")
    if path.suffix.lower() in (".stl", ".obj", ".dae"):
        words = "no triangle is found in it: it is damaged or has no surface; export it again"
        return NoBodyError(f"{where} {words}")
    return WamError(f"{where} no triangle is found in it; export it as STL, OBJ or COLLADA")


def _read_stl(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Without assimp, which takes a second to look for corners that triangles share."""
    import trimesh

    with path.open("rb") as file:
        found = trimesh.exchange.stl.load_stl(file)
    return np.asarray(found["vertices"], float), np.asarray(found["faces"], int)


def _read_other(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """By assimp, which leaves the unit of a COLLADA file to us."""
    mesh = coal.MeshLoader().load(str(path), np.ones(3))
    triangles = [mesh.tri_indices(i) for i in range(mesh.num_tris)]
    vertices = np.array(mesh.vertices(), dtype=float).reshape(-1, 3)
    return vertices * _unit(path), np.array([[t[0], t[1], t[2]] for t in triangles], dtype=int)


def _unit(path: Path) -> float:
    """Metres per unit of a COLLADA file, as RViz reads it; 1 for others."""
    if path.suffix.lower() != ".dae":
        return 1.0
    head = path.read_bytes()[:65536].decode("utf-8", "replace")
    found = re.search(r'<unit\b[^>]*\bmeter\s*=\s*"([^"]*)"', head)
    unit = float(found[1]) if found else 1.0
    if not 0 < unit < 1e6:
        raise WamError(f"mesh {path}: its unit is {unit} m")
    return unit


def corners_of(points: np.ndarray, where: str) -> np.ndarray:
    """(K, 3) those of points (N, 3) that are corners of their convex hull.

    Raises:
        WamError: they have no volume, or one is not finite.
    """
    return np.array(hull_of(points, where).points(), dtype=float).reshape(-1, 3)


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
    """Raise `WamError` unless points (N, 3) m are finite, `NoBodyError` unless they lie in more
    than a plane: what is flat has no hull.
    """
    if not np.isfinite(points).all():
        raise WamError(f"{where}: a corner of it is not finite; export it again")
    if len(points) > 3:
        centred = points - points.mean(axis=0)
        _, axes = np.linalg.eigh(centred.T @ centred)
        if np.ptp(centred @ axes, axis=0).min() > FLAT * np.abs(points).max():
            return
    raise NoBodyError(f"{where}: it is flat, its points have no volume; give it a thickness")


def require_size(points: np.ndarray, where: str) -> None:
    """Raise `WamError` when points (N, 3) m of a mesh span more or less than any body of a
    robot.
    """
    size = float(np.ptp(points, axis=0).max())
    if not SMALLEST <= size <= LARGEST:
        raise WamError(
            f"{where} is {size:.3g} m large; the unit of the mesh is another one: correct its scale"
        )


def decompose(vertices: np.ndarray, triangles: np.ndarray, where: str) -> list[np.ndarray]:
    """Corners (N, 3) of convex bodies that hold all triangles between them.

    Args:
        vertices: (N, 3) m.
        triangles: (M, 3) of a surface, which need not be closed.
        where: for errors.
    """
    import vhacdx

    found = vhacdx.compute_vhacd(
        np.ascontiguousarray(vertices, dtype=float),
        np.ascontiguousarray(triangles, dtype=np.uint32),
        maxConvexHulls=PIECES,
        resolution=VOXELS,
        maxNumVerticesPerCH=CORNERS,
        asyncACD=False,
    )
    pieces = []
    for points, _ in found:
        with contextlib.suppress(WamError):  # a sliver; what it held goes to another one
            pieces.append(hull_of(np.asarray(points, dtype=float), where))
    if not pieces:
        return [corners_of(vertices, where)]
    corners = _cut(vertices[triangles], float(np.ptp(vertices, axis=0).max()) / EDGES)
    excess = np.stack([_outside(p, corners) for p in pieces])  # (P, K)
    owner = excess.argmin(axis=0)
    held = [
        np.concatenate((np.array(p.points()).reshape(-1, 3), corners[owner == k].reshape(-1, 3)))
        for k, p in enumerate(pieces)
    ]
    return [corners_of(points, where) for points in held]


def _cut(corners: np.ndarray, edge: float) -> np.ndarray:
    """Triangles (K, 3, 3) m that cover those given and have no side longer than `edge`, each cut at
    its longest side.
    """
    done = []
    while len(corners):
        sides = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2)
        long = sides.max(axis=1) > edge
        done.append(corners[~long])
        corners = corners[long]
        first = sides[long].argmax(axis=1)
        a, b, c = (corners[np.arange(len(corners)), (first + k) % 3] for k in range(3))
        middle = (a + b) / 2
        corners = np.concatenate((np.stack((a, middle, c), 1), np.stack((middle, b, c), 1)))
    return np.concatenate(done)


def _outside(hull: coal.ConvexBase, corners: np.ndarray) -> np.ndarray:
    """(K,) m how far triangles (K, 3, 3) leave a hull; negative inside."""
    points = np.array(hull.points(), dtype=float).reshape(-1, 3)
    sides = np.array(
        [[p[0], p[1], p[2]] for p in (hull.polygons(i) for i in range(hull.num_polygons))]
    )
    a, b, c = points[sides].swapaxes(0, 1)
    normal = np.cross(b - a, c - a)
    size = np.linalg.norm(normal, axis=1)
    normal = normal[size > 0] / size[size > 0, None]
    base = a[size > 0]
    inner = points.mean(axis=0)
    offset = np.einsum("ij,ij->i", normal, base)
    normal = np.where((normal @ inner > offset)[:, None], -normal, normal)
    offset = np.einsum("ij,ij->i", normal, base)
    return (corners @ normal.T - offset).max(axis=(1, 2))


def _kept(path: Path, kind: str, make: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
    """What was made of a file before, or is made now."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WamError(f"mesh {path} cannot be read: {error.strerror}") from error
    folder = cache_folder("meshes")
    name = f"{digest[:40]}-{path.suffix[1:].lower()}-{kind}-{CACHE}.npz"
    if folder is not None and (found := _read_kept(folder / name)):
        return found
    made = make()
    if folder is not None:
        data = io.BytesIO()
        np.savez(data, *made)
        # a full disk costs time, nothing else
        with contextlib.suppress(WamError):
            write_whole(folder / name, data.getvalue())
    return made


def _read_kept(path: Path) -> list[np.ndarray]:
    """What a file of the cache holds; nothing where it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found = [file[f"arr_{k}"] for k in range(len(file.files))]
    except Exception:  # numpy and zipfile have many words for a damaged file
        return []
    good = all(
        f.dtype == np.float64 and f.ndim == 2 and f.shape[1] == 3 and 4 <= len(f) <= MOST_CORNERS
        for f in found
    )
    return found if good and all(np.isfinite(f).all() for f in found) else []
