"""One body that the page draws."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

RGBA = tuple[float, float, float, float]
# numbers in `size`: full extents; radius; radius and length along z twice; scale; edge of a voxel
SIZES = {"box": 3, "sphere": 1, "cylinder": 2, "capsule": 2, "mesh": 3, "points": 1}
GREY: RGBA = (0.75, 0.77, 0.8, 1.0)


@dataclass(frozen=True)
class Solid:
    """Shape, size [m], pose in the frame of its owner and colour."""

    name: str
    shape: str  # of SIZES
    size: tuple[float, ...]
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)  # m, its centre
    wxyz: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    rgba: RGBA | None = None  # in [0, 1]; None: what a mesh file says, else grey
    file: Path | None = None  # of a mesh, or of points: an .npy array (N, 3) m
    # of a mesh as another program finds it: package:// as the description says it, or file://
    uri: str = ""
    frame: str = ""  # link that it moves with; empty: the base frame, or the frame of its owner
    cells: tuple[tuple[float, float, float], ...] = ()  # m, centres of the voxels of points

    def described(self) -> dict[str, Any]:
        """As the page reads it."""
        told: dict[str, Any] = {
            "name": self.name,
            "shape": self.shape,
            "size": list(self.size),
            "p": list(self.position),
            "q": list(self.wxyz),
            "rgba": list(self.rgba or GREY),
        }
        if self.frame:
            told["frame"] = self.frame
        if self.cells:
            told["cells"] = [round(v, 4) for cell in self.cells for v in cell]
        return told
