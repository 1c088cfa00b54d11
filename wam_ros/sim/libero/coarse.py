"""Coarser meshes for small pictures: LIBERO's scenes have 700,000 corners, and a processor draws
every one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import mujoco
import numpy as np

from wam_ros.sim.arm import merge_corners


@contextlib.contextmanager
def coarse_meshes(model: mujoco.MjModel, cells_m: np.ndarray) -> Iterator[None]:
    """Who uploads meshes to draw them, as a new renderer does, gets coarser ones inside.

    Nothing of the model is changed afterwards: physics never sees them.

    Args:
        model: whose meshes are seen in small pictures only.
        cells_m: (M,) m for each mesh: corners in one cell of so large a grid become one.
    """
    names = ("mesh_face", "mesh_facenormal", "mesh_facetexcoord", "mesh_facenum")
    before = {name: getattr(model, name).copy() for name in names}
    try:
        for mesh in range(model.nmesh):
            _make_coarse(model, mesh, float(cells_m[mesh]))
        yield
    finally:
        for name, values in before.items():
            getattr(model, name)[:] = values


def _make_coarse(model: mujoco.MjModel, mesh: int, cell_m: float) -> None:
    """Let the first faces of a mesh be those that are left of it, and no more count.

    A side that is left keeps its own normals and texture: only its corners move.
    """
    first = model.mesh_vertadr[mesh]
    corners = model.mesh_vert[first : first + model.mesh_vertnum[mesh]]
    begin = model.mesh_faceadr[mesh]
    rows = slice(begin, begin + model.mesh_facenum[mesh])
    sides = model.mesh_face[rows]
    new, kept = merge_corners(corners, sides, cell_m)
    left = slice(begin, begin + len(kept))
    for name in ("mesh_facenormal", "mesh_facetexcoord"):
        table = getattr(model, name)
        table[left] = table[rows][kept]
    model.mesh_face[left] = new[sides[kept]]
    model.mesh_facenum[mesh] = len(kept)
