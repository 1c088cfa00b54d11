"""Solids of `shape_msgs` as words about the surroundings."""

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("wam_ros.msg")
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point, Pose, Quaternion
from rclpy.serialization import serialize_message
from shape_msgs.msg import SolidPrimitive
from std_msgs.msg import Header

from wam_ros.core.embodiment import load_embodiment
from wam_ros.core.errors import WamError
from wam_ros.msg import SolidObstacles
from wam_ros.robot.model import load_safety_model
from wam_ros.robot.obstacles import require_obstacle
from wam_ros.ros.safety_node.obstacles import changes_from_bytes
from wam_ros.ros.safety_node.solids import SHAPES, changes_from_solids, shape_of
from wam_ros.safety.machine.live import LiveWorld
from wam_ros.safety.params import SafetyParams

pytestmark = [pytest.mark.ros, pytest.mark.untimed]
S = SolidPrimitive
POSE = Pose(position=Point(x=0.6, y=0.2, z=0.3), orientation=Quaternion(z=1.0, w=0.0))


def solid(kind=S.BOX, dimensions=(0.1, 0.2, 0.3)):
    return S(type=kind, dimensions=list(dimensions))


def told(*ids, shapes=None, poses=None, operation=SolidObstacles.OPERATION_ADD, **more):
    header = Header(stamp=Time(sec=5), frame_id="panda_link0")
    shapes = [solid() for _ in ids] if shapes is None else shapes
    poses = [POSE for _ in ids] if poses is None else poses
    return SolidObstacles(
        header=header, operation=operation, ids=list(ids), shapes=shapes, poses=poses, **more
    )


@pytest.mark.parametrize(
    ("kind", "dimensions", "shape", "size"),
    [
        (S.BOX, (0.1, 0.2, 0.3), "box", (0.1, 0.2, 0.3)),
        (S.SPHERE, (0.1,), "sphere", (0.1,)),
        (S.CYLINDER, (0.5, 0.1), "cylinder", (0.1, 0.5)),
        (S.CONE, (0.5, 0.1), "cylinder", (0.1, 0.5)),
    ],
)
def test_a_solid_is_the_obstacle_of_its_kind_size_and_place(kind, dimensions, shape, size):
    msg = told("post", shapes=[solid(kind, dimensions)], lifetime=Duration(nanosec=500_000_000))
    (change,) = changes_from_bytes(serialize_message(msg), SolidObstacles)
    assert (
        change.name,
        change.frame,
        change.stamp_ns,
        change.lifetime_s,
        change.source,
        change.refusal,
    ) == (
        "post",
        "panda_link0",
        5 * 10**9,
        0.5,
        SHAPES,
        "",
    )
    assert (change.obstacle.shape, change.obstacle.size) == (shape, size)
    assert change.obstacle.position == (0.6, 0.2, 0.3)
    assert change.obstacle.orientation == (0.0, 0.0, 0.0, 1.0)
    require_obstacle(change.obstacle, "it")


@pytest.mark.parametrize("kind", [S.BOX, S.SPHERE, S.CYLINDER, S.CONE])
@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_another_number_of_dimensions_is_refused(kind, length):
    primitive = solid(kind, [0.1] * length)
    if length == {S.BOX: 3, S.SPHERE: 1}.get(kind, 2):
        shape_of(primitive)
        return
    with pytest.raises(
        WamError, match=f"SolidPrimitive.dimensions: expected [123] values, found {length}"
    ):
        shape_of(primitive)


@pytest.mark.parametrize(
    ("msg", "name", "word"),
    [
        (told("a", shapes=[solid(S.PRISM)]), "a", "box, sphere, cylinder and cone can be read"),
        (told("a", shapes=[solid(0)]), "a", "type 0"),
        (told(""), "", "an id has 1 to 200 characters"),
        (told("x" * 201), "x" * 200, "an id has 1 to 200 characters"),
        (told("every/*"), "every/*", "none of them *"),
        (told("a", "b", shapes=[solid()]), SHAPES, "2 ids, 1 shapes and 2 poses"),
        (told("a", poses=[]), SHAPES, "1 ids, 1 shapes and 0 poses"),
        (told("a", "a"), SHAPES, "the same id"),
        (told("a", operation=7), SHAPES, "operation 7 is neither ADD nor REMOVE"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(msg, name, word):
    (change,) = changes_from_solids(msg)
    assert change.name == name
    assert word in change.refusal
    assert change.obstacle is None


@pytest.mark.parametrize(
    "size", [(0.1, 0.2, 0.0), (-0.1, 0.2, 0.3), (np.nan, 0.2, 0.3), (np.inf, 0.2, 0.3)]
)
def test_a_size_that_is_none_counts_as_standing_anywhere_until_it_is_told_properly(size):
    world = LiveWorld(load_safety_model(load_embodiment("panda")), SafetyParams())
    for change in changes_from_solids(told("post", shapes=[solid(S.BOX, size)])):
        world.take(change, 5 * 10**9)
    assert "obstacle 'post' refused" in world.why_not_known(5 * 10**9)
    for change in changes_from_solids(told("post")):
        world.take(change, 5 * 10**9)
    assert world.why_not_known(5 * 10**9) == ""
    assert world.told == {"post"}


def test_the_named_are_removed_or_all_of_this_topic_and_nobody_elses():
    world = LiveWorld(load_safety_model(load_embodiment("panda")), SafetyParams())
    (marker,) = changes_from_solids(told("theirs"))

    def take(msg):
        for change in changes_from_solids(msg):
            world.take(change, 5 * 10**9)

    world.take(type(marker)("theirs", marker.obstacle, marker.frame), 5 * 10**9)
    take(told("a", "b", "c"))
    assert world.told == {"theirs", "a", "b", "c"}
    take(told("b", "theirs", shapes=[], poses=[], operation=SolidObstacles.OPERATION_REMOVE))
    assert world.told == {"theirs", "a", "c"}
    take(told(operation=SolidObstacles.OPERATION_REMOVE))
    assert world.told == {"theirs"}
    take(told("theirs"))
    assert "one of this name was told by markers" in world.why_not_known(5 * 10**9)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\1\0\0\xff\xff\xff\x7f"])
def test_bytes_that_are_no_solids_are_refused(data):
    (change,) = changes_from_bytes(data, SolidObstacles)
    assert "no obstacle_shapes" in change.refusal
    assert change.source == SHAPES
