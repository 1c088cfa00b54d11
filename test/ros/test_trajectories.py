"""Trajectories as bytes: the same as by way of messages, and no bytes do harm."""

import struct

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("trajectory_msgs.msg")

from rclpy.serialization import deserialize_message, serialize_message
from trajectory_msgs.msg import JointTrajectory

from wam_ros.core.errors import WamError
from wam_ros.core.types import NS, SafeTrajectory
from wam_ros.ros.convert import (
    trajectory_from_msg,
    trajectory_from_wire,
    trajectory_to_msg,
    trajectory_to_wire,
)
from wam_ros.ros.trajectories import sender_from_wire

pytestmark = [pytest.mark.ros, pytest.mark.untimed]


def trajectory(n_points=3, names=("a", "joint_2"), seq=7):
    rng = np.random.default_rng(n_points + 100 * len(names))
    t = np.cumsum([0, *rng.integers(1, NS, n_points - 1)]) / NS
    rows = rng.normal(size=(3, n_points, len(names)))
    return SafeTrajectory(
        *rows, start_ns=1_700_000_000 * NS + 5, joint_names=tuple(names), t=t, chunk_seq=seq
    )


def assert_equal(a, b):
    assert (a.start_ns, a.joint_names, a.chunk_seq) == (b.start_ns, b.joint_names, b.chunk_seq)
    for field in ("t", "q", "dq", "ddq"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
        assert getattr(a, field).dtype == np.float64


# Names of every length shift where numbers are aligned.
SHAPES = [
    (points, ["x" * (1 + k + shift) for k in range(n)])
    for points in (1, 2, 9)
    for n in (1, 2, 7)
    for shift in range(4)
]


@pytest.mark.parametrize(("n_points", "names"), SHAPES)
def test_bytes_and_messages_say_the_same(n_points, names):
    for seq in (0, 12, 123_456):
        given = trajectory(n_points, names, seq)
        message = trajectory_to_msg(given)
        assert deserialize_message(trajectory_to_wire(given), JointTrajectory) == message
        assert_equal(trajectory_from_wire(serialize_message(message)), given)
        assert_equal(trajectory_from_wire(trajectory_to_wire(given)), given)


@pytest.mark.parametrize("velocities", [True, False])
def test_fields_can_be_left_out(velocities):
    given = trajectory()
    message = trajectory_to_msg(given)
    for point in message.points:
        point.accelerations = []
        if not velocities:
            point.velocities = []
    wire = trajectory_to_wire(given, velocities=velocities, accelerations=False)
    assert deserialize_message(wire, JointTrajectory) == message


@pytest.mark.parametrize("name", ["", "/safety_node (process 12, 0a1b2c)", "one of two", "ä" * 300])
def test_who_a_trajectory_is_from_travels_with_it(name):
    given = trajectory(seq=12)
    wire = trajectory_to_wire(given, name)
    assert sender_from_wire(wire) == name
    assert_equal(trajectory_from_wire(wire), given)


def test_the_other_byte_order_is_read():
    head = (
        struct.pack(">iI", 5, 6)
        + struct.pack(">I8s", 8, b"chunk 3\0")
        + struct.pack(">II4s", 1, 2, b"a\0\0\0")
    )
    point = struct.pack(">Id I4xd I4xd I iI", 1, 1.5, 1, -2.5, 1, 3.5, 0, 0, 0)
    found = trajectory_from_wire(b"\0\0\0\0" + head + struct.pack(">I", 1) + point)
    one = np.ones((1, 1))
    assert_equal(
        found,
        SafeTrajectory(
            start_ns=5 * NS + 6,
            joint_names=("a",),
            t=np.zeros(1),
            q=1.5 * one,
            dq=-2.5 * one,
            ddq=3.5 * one,
            chunk_seq=3,
        ),
    )


def test_what_is_wrong_is_named_as_in_a_message():
    ragged, empty, still = (trajectory_to_msg(trajectory()) for _ in range(3))
    ragged.points[2].velocities.pop()
    empty.points = []
    still.points[1].time_from_start = still.points[0].time_from_start
    for message in (ragged, empty, still):
        with pytest.raises(WamError) as by_message:
            trajectory_from_msg(message)
        with pytest.raises(WamError) as by_bytes:
            trajectory_from_wire(serialize_message(message))
        assert str(by_bytes.value) == str(by_message.value)


def test_no_bytes_do_harm():
    wire, rng = trajectory_to_wire(trajectory()), np.random.default_rng(0)
    for end in range(len(wire)):
        with pytest.raises(WamError):
            trajectory_from_wire(wire[:end])
    for _ in range(2000):
        spoilt = bytearray(wire)
        for at in rng.integers(0, len(wire), 3):
            spoilt[at] = rng.choice([0, 1, 127, 255])
        try:
            found = trajectory_from_wire(bytes(spoilt))
        except WamError:
            continue
        assert isinstance(sender_from_wire(bytes(spoilt)), str)
        assert (
            found.q.shape
            == found.dq.shape
            == found.ddq.shape
            == (len(found.t), len(found.joint_names))
        )
