"""Markers and obstacles as bodies that the page draws."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from geometry_msgs.msg import Point
from visualization_msgs.msg import Marker, MarkerArray

from wam_ros.core.resources import config_path
from wam_ros.robot.obstacles import Obstacle, load_world
from wam_ros.view.solid import RGBA, Solid

MOST = 500  # bodies drawn of one message
MOST_CELLS = 2000  # voxels drawn of one body
MOST_POINTS = 200  # of one line
TABLE: RGBA = (0.67, 0.62, 0.55, 1.0)
_PLANE_M = 3.0  # drawn of a plane, which has no end
_THIN_M = 0.002


def solids_of_world(name: str) -> list[Solid]:
    """What stands around the robot, in its base frame.

    Raises:
        WamError: unknown name, or an obstacle that makes no sense.
    """
    folder = config_path("worlds", name).parent
    return [_solid(key, o, folder) for key, o in load_world(name).obstacles.items()]


def _solid(name: str, obstacle: Obstacle, folder: Path) -> Solid:
    beside = folder / obstacle.mesh
    file = None
    if obstacle.mesh:
        file = beside if beside.is_file() else Path(obstacle.mesh)
    plane = obstacle.shape == "plane"
    return Solid(
        name=name,
        shape="box" if plane else obstacle.shape,
        size=(_PLANE_M, _PLANE_M, _THIN_M) if plane else obstacle.size,
        position=obstacle.position,
        wxyz=obstacle.orientation,
        rgba=TABLE,
        file=file,
    )


def solids_from_markers(message: MarkerArray) -> list[Solid]:
    """The cubes, spheres, cylinders and voxels of a message; anything else is left out.

    A frame that ends in the name of a link is that link's, whatever prefix it has.
    """
    return [s for m in message.markers[:MOST] if (s := _from_marker(m)) is not None]


def _from_marker(marker: Marker) -> Solid | None:
    s = marker.scale
    shapes: dict[int, tuple[str, tuple[float, ...]]] = {
        Marker.CUBE: ("box", (s.x, s.y, s.z)),
        Marker.SPHERE: ("sphere", (max(s.x, s.y, s.z) / 2,)),
        Marker.CYLINDER: ("cylinder", (max(s.x, s.y) / 2, s.z)),
        Marker.CUBE_LIST: ("points", (s.x,)),
    }
    if marker.type not in shapes or marker.action != Marker.ADD:
        return None
    shape, size = shapes[marker.type]
    p = marker.pose.position
    q = marker.pose.orientation
    pose = (p.x, p.y, p.z), (q.w, q.x, q.y, q.z)
    cells = tuple(_point(c) for c in marker.points[:MOST_CELLS])
    numbers = (*size, *pose[0], *pose[1], *(v for cell in cells for v in cell))
    if not all(map(math.isfinite, numbers)) or min(size) <= 0:
        return None
    return Solid(
        name=marker.text or f"{marker.ns or 'object'}_{marker.id}",
        shape=shape,
        size=size,
        position=pose[0],
        wxyz=pose[1],
        rgba=_colour(marker),
        frame=marker.header.frame_id.rpartition("/")[2],
        cells=cells,
    )


def lines_from_markers(message: MarkerArray) -> list[dict[str, Any]]:
    """Lines of a message by name, with their points [m] in the base frame and their colour, and
    words without points.
    """
    found: list[dict[str, Any]] = []
    for marker in message.markers[:MOST]:
        if marker.action != Marker.ADD:
            continue
        told: dict[str, Any] = {"name": marker.ns, "rgba": _colour(marker)}
        points = [_point(p) for p in marker.points[:MOST_POINTS]]
        if marker.type == Marker.TEXT_VIEW_FACING:
            found.append(told | {"text": marker.text[:MOST_POINTS]})
        elif marker.type == Marker.LINE_STRIP and all(math.isfinite(v) for p in points for v in p):
            found.append(told | {"points": points})
    return found


def _point(p: Point) -> tuple[float, float, float]:
    return p.x, p.y, p.z


def _colour(marker: Marker) -> RGBA:
    return tuple(  # type: ignore[return-value]
        min(1.0, max(0.0, v)) if math.isfinite(v) else 0.0
        for v in (marker.color.r, marker.color.g, marker.color.b, marker.color.a)
    )
