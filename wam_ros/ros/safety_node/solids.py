"""`shape_msgs` as obstacles: from the topic `obstacle_shapes`, and inside MoveIt's messages."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import Pose
from shape_msgs.msg import SolidPrimitive

from wam_ros.core.errors import WamError
from wam_ros.msg import SolidObstacles
from wam_ros.robot.obstacles import Obstacle
from wam_ros.ros.fields import require_size, time_to_ns
from wam_ros.safety.machine.live import ALL, Change
from wam_ros.safety.machine.surroundings import LONGEST

SHAPES = "obstacle_shapes"
IDENTITY = (1.0, 0.0, 0.0, 0.0)
_DIMENSIONS = {
    SolidPrimitive.BOX: 3,
    SolidPrimitive.SPHERE: 1,
    SolidPrimitive.CYLINDER: 2,
    SolidPrimitive.CONE: 2,
}


def shape_of(primitive: Any) -> tuple[str, tuple[float, ...]]:
    """Kind and size [m] of a `SolidPrimitive`, as an `Obstacle` has them; a cone stands in its
    cylinder.

    Raises:
        WamError: another kind, or another number of dimensions than it has.
    """
    if primitive.type not in _DIMENSIONS:
        raise WamError(
            f"a primitive of type {primitive.type}; box, sphere, cylinder and cone can be read"
        )
    size = tuple(float(x) for x in primitive.dimensions)
    require_size("SolidPrimitive.dimensions", len(size), _DIMENSIONS[primitive.type])
    if primitive.type == SolidPrimitive.BOX:
        return "box", size
    if primitive.type == SolidPrimitive.SPHERE:
        return "sphere", size
    height, radius = size
    return "cylinder", (radius, height)


def changes_from_solids(msg: SolidObstacles) -> list[Change]:
    """One change for each solid that is added or gone; what cannot be read is refused by the
    filter, by name.
    """
    if msg.operation == SolidObstacles.OPERATION_REMOVE:
        return [Change(name, None, source=SHAPES) for name in msg.ids or [ALL]]
    refusal = ""
    if msg.operation != SolidObstacles.OPERATION_ADD:
        refusal = f"operation {msg.operation} is neither ADD nor REMOVE"
    elif not len(msg.ids) == len(msg.shapes) == len(msg.poses):
        refusal = f"{len(msg.ids)} ids, {len(msg.shapes)} shapes and {len(msg.poses)} poses"
    elif len(set(msg.ids)) < len(msg.ids):
        refusal = "two of them have the same id"
    if refusal:
        return [Change(SHAPES, None, refusal=refusal, source=SHAPES)]
    return [
        _change(msg, name, *rest)
        for name, *rest in zip(msg.ids, msg.shapes, msg.poses, strict=True)
    ]


def _change(msg: SolidObstacles, name: str, primitive: SolidPrimitive, pose: Pose) -> Change:
    p = pose.position
    o = pose.orientation
    turn = (o.w, o.x, o.y, o.z)
    try:
        if not 0 < len(name) <= LONGEST or ALL in name:
            raise WamError(f"an id has 1 to {LONGEST} characters, none of them {ALL}")
        shape, size = shape_of(primitive)
    except WamError as error:
        return Change(name[:LONGEST], None, refusal=str(error), source=SHAPES)
    obstacle = Obstacle(shape, size, (p.x, p.y, p.z), turn if any(turn) else IDENTITY)
    stamp_ns = time_to_ns(msg.header.stamp)
    lifetime_ns = time_to_ns(msg.lifetime)
    return Change(name, obstacle, msg.header.frame_id, stamp_ns, lifetime_ns / 1e9, source=SHAPES)
