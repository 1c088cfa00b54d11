"""Markers and obstacles as bodies that the page draws."""

from __future__ import annotations

from pathlib import Path

from visualization_msgs.msg import Marker, MarkerArray

from wam_ros.core.resources import config_path
from wam_ros.robot.obstacles import Obstacle, load_world
from wam_ros.view.solid import RGBA, Solid

MOST = 500  # bodies drawn of one message
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
    """The cubes, spheres and cylinders of a message; anything else is left out."""
    return [s for m in message.markers[:MOST] if (s := _from_marker(m)) is not None]


def _from_marker(marker: Marker) -> Solid | None:
    s = marker.scale
    shapes: dict[int, tuple[str, tuple[float, ...]]] = {
        Marker.CUBE: ("box", (s.x, s.y, s.z)),
        Marker.SPHERE: ("sphere", (max(s.x, s.y, s.z) / 2,)),
        Marker.CYLINDER: ("cylinder", (max(s.x, s.y) / 2, s.z)),
    }
    if marker.type not in shapes or marker.action != Marker.ADD:
        return None
    shape, size = shapes[marker.type]
    p = marker.pose.position
    q = marker.pose.orientation
    c = marker.color
    return Solid(
        name=f"{marker.ns or 'object'}_{marker.id}",
        shape=shape,
        size=size,
        position=(p.x, p.y, p.z),
        wxyz=(q.w, q.x, q.y, q.z),
        rgba=(c.r, c.g, c.b, c.a),
    )
