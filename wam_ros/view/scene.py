"""What stands still in the page, as files for the browser: the robot's links and the surroundings.

A mesh travels as little-endian binary: the numbers of vertices and of indices (uint32 each), the
vertices (float32 x, y, z in m) and the indices of the corners of its triangles (uint32).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from wam_ros.core.embodiment import Embodiment
from wam_ros.core.errors import WamError
from wam_ros.core.words import BRIDGE, STATES
from wam_ros.view.assets import Asset, make_asset
from wam_ros.view.description import Description
from wam_ros.view.solid import RGBA, Solid

SCENE = "/scene.json"
MOST_POINTS = 20_000  # drawn of a cloud
_BINARY = "application/octet-stream"


def make_scene(embodiment: Embodiment, world: Sequence[Solid] = ()) -> dict[str, Asset]:
    """Files by path: `SCENE`, and the meshes that it names.

    Args:
        embodiment: the robot.
        world: what stands around it, in its base frame.

    Raises:
        WamError: the description or a mesh cannot be read.
    """
    robot, loads = describe_robot(embodiment)
    meshes = _Meshes()
    scene = {
        "robot": {
            "name": embodiment.name,
            "links": [link.described() for link in robot.links],
            "visuals": meshes.owned([*robot.visuals, *loads]),
            "bodies": meshes.owned([*robot.bodies, *loads]),
        },
        "base": robot.index(embodiment.base_frame),
        "tools": [robot.index(frame) for frame in embodiment.tool_frames],
        "joints": list(embodiment.joint_names),
        "home": list(embodiment.home),
        "views": list(embodiment.view_names),
        "labels": {
            "safety": {state.name.lower(): words.label for state, words in STATES.items()},
            "bridge": {state.name.lower(): words.label for state, words in BRIDGE.items()},
        },
        "horizon_s": embodiment.action_horizon * embodiment.step_period_s,
        "world": [part for solid in world for part in meshes.described(solid)],
        "floor": min(
            (s.position[2] - s.size[2] / 2 for s in world if s.shape == "box"), default=0.0
        ),
    }
    text = json.dumps(scene, allow_nan=False).encode()
    return {SCENE: make_asset("application/json", text), **meshes.assets}


def describe_robot(embodiment: Embodiment) -> tuple[Description, list[tuple[int, Solid]]]:
    """What is seen of a robot, and of what is fixed to it: (index of the link, body in its frame).

    Raises:
        WamError: the description cannot be read.
    """
    standing = {**embodiment.parked, **embodiment.sensed}
    robot = Description(embodiment.urdf_path, embodiment.joint_names, standing)
    loads = [
        (
            robot.index(load.frame),
            Solid(name, load.shape, load.size, load.position, load.orientation),
        )
        for name, load in embodiment.loads.items()
        if load.shape
    ]
    return robot, loads


class _Meshes:
    """Collects the mesh files of a scene; the same file at the same scale is one asset."""

    def __init__(self) -> None:
        self.assets: dict[str, Asset] = {}
        self._known: dict[tuple[str, Path, tuple[float, ...]], list[tuple[str, RGBA | None]]] = {}

    def owned(self, solids: Sequence[tuple[int, Solid]]) -> list[dict[str, Any]]:
        return [{**part, "link": link} for link, solid in solids for part in self.described(solid)]

    def described(self, solid: Solid) -> list[dict[str, Any]]:
        """A body as the page reads it; a mesh file of several colours is several."""
        if solid.file is None:
            return [solid.described()]
        key = solid.shape, solid.file, solid.size
        if key not in self._known:
            read = _read_points if solid.shape == "points" else _read_mesh
            parts = read(solid.file, solid.size)
            self._known[key] = [(self._add(v, i), colour) for v, i, colour in parts]
        return [
            {**replace(solid, rgba=solid.rgba or colour).described(), "mesh": path}
            for path, colour in self._known[key]
        ]

    def _add(self, vertices: np.ndarray, indices: np.ndarray) -> str:
        path = f"/mesh/{len(self.assets)}"
        body = struct.pack("<II", len(vertices), indices.size)
        body += vertices.astype("<f4").tobytes() + indices.astype("<u4").tobytes()
        self.assets[path] = make_asset(_BINARY, body)
        return path


_Part = tuple[np.ndarray, np.ndarray, RGBA | None]  # (N, 3) m, (M, 3) indices, colour


def _read_mesh(path: Path, scale: tuple[float, ...]) -> list[_Part]:
    """The parts of a mesh file, each of one colour.

    Raises:
        WamError: it cannot be read.
    """
    import trimesh  # takes a while, and few robots of meshes are drawn

    try:
        scene: Any = trimesh.load(path, force="scene")
        found = [g for g in scene.dump() if isinstance(g, trimesh.Trimesh) and len(g.faces)]
    except Exception as error:  # the readers raise whatever their XML and image libraries raise
        raise WamError(f"mesh {path} cannot be read: {error}") from error
    if not found or not all(np.isfinite(g.vertices).all() for g in found):
        raise WamError(f"mesh {path} has no triangles, or a corner of it is not finite")
    return [(np.asarray(g.vertices) * scale, np.asarray(g.faces), _colour(g)) for g in found]


def _colour(geometry: Any) -> RGBA | None:
    """Of the material or of the vertices; None where the file has none."""
    visual = geometry.visual
    if not visual.defined:
        return None
    owner = getattr(visual, "material", visual)
    r, g, b, a = (float(v) / 255.0 for v in owner.main_color)
    return r, g, b, a


def _read_points(path: Path, size: tuple[float, ...]) -> list[_Part]:
    """A cloud, thinned to what can be drawn.

    Raises:
        WamError: not an array (N, 3).
    """
    try:
        points = np.asarray(np.load(path, allow_pickle=False), dtype=float)
    except (OSError, ValueError) as error:
        raise WamError(f"{path}: {error}") from error
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise WamError(f"{path}: expected finite points (N, 3) m, found {points.shape}")
    step = max(1, -(-len(points) // MOST_POINTS))
    return [(points[::step], np.zeros((0, 3), int), None)]
