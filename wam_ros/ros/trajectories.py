"""`trajectory_msgs/JointTrajectory` and back: as a message, and as the bytes that travel, all
points at once.

rclpy makes six Python objects of every point: 2 ms of processor time to send and to receive a
trajectory of 170 points, in which a node serves nothing else. Here numpy does it in a twentieth of
that. The bytes are plain CDR: numbers are aligned to their size, counted from behind the four bytes
that name the encoding; sequences and strings begin with their length.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence

import numpy as np
from rclpy.serialization import deserialize_message
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from wam_ros.core.errors import WamError
from wam_ros.core.trace import chunk_number
from wam_ros.core.types import NS, SafeTrajectory
from wam_ros.ros.fields import (
    CDR_ORDER,
    doubles,
    ns_to_duration,
    ns_to_time,
    read_string,
    require_size,
    time_to_ns,
)

_ROWS = ("positions", "velocities", "accelerations")
_ENCODING = 4  # bytes in front of what alignment counts
_Head = tuple[int, str, tuple[str, ...]]  # start [ns], frame id, joint names


def trajectory_to_msg(trajectory: SafeTrajectory) -> JointTrajectory:
    """Trajectory for a controller."""
    msg = _head(trajectory)
    msg.points = [
        JointTrajectoryPoint(
            time_from_start=ns_to_duration(round(t * NS)),
            positions=doubles(q),
            velocities=doubles(dq),
            accelerations=doubles(ddq),
        )
        for t, q, dq, ddq in zip(
            trajectory.t, trajectory.q, trajectory.dq, trajectory.ddq, strict=True
        )
    ]
    return msg


def trajectory_from_msg(msg: JointTrajectory) -> SafeTrajectory:
    """Trajectory; raises `WamError` when it is empty, a size is wrong, or time does not rise from
    0.

    Whether it is proven is not in the message: trust the topic, not the type.
    """
    n = len(msg.joint_names)
    if not msg.points:
        raise WamError("JointTrajectory.points is empty")
    rows = {}
    for field in _ROWS:
        for k, point in enumerate(msg.points):
            require_size(f"JointTrajectory.points[{k}].{field}", len(getattr(point, field)), n)
        rows[field] = np.array([getattr(point, field) for point in msg.points]).reshape(
            len(msg.points), n
        )
    head = time_to_ns(msg.header.stamp), msg.header.frame_id, tuple(msg.joint_names)
    return _trajectory(
        head, np.array([time_to_ns(point.time_from_start) for point in msg.points]), rows
    )


def trajectory_to_wire(
    trajectory: SafeTrajectory,
    sender: str = "",
    *,
    velocities: bool = True,
    accelerations: bool = True,
) -> bytes:
    """What a publisher sends for `trajectory_to_msg(trajectory)`, with or without some of its
    fields.

    Who it is from may follow the chunk's number in `frame_id`; `sender_from_wire` reads it.
    """
    head = _head_to_wire(trajectory, sender)
    order = "<"
    rows = (
        trajectory.q,
        trajectory.dq if velocities else None,
        trajectory.ddq if accelerations else None,
        None,
    )
    ns = np.rint(trajectory.t * NS).astype(np.int64)
    first, rest = _layouts(len(head) + 4, [0 if a is None else a.shape[1] for a in rows], order)
    parts = [head, struct.pack(order + "I", len(ns))]
    for layout, some in ((first, slice(0, 1)), (rest, slice(1, None))):
        points = np.zeros(len(ns[some]), layout)
        for k, row in enumerate(rows):
            if row is not None:
                points[f"size {k}"] = row.shape[1]
                points[f"row {k}"] = row[some]
        points["sec"], points["nanosec"] = np.divmod(ns[some], NS)
        parts.append(points.tobytes())
    return b"".join(parts)


def trajectory_from_wire(data: bytes) -> SafeTrajectory:
    """As `trajectory_from_msg`, of what a raw subscription heard.

    Raises:
        WamError: as there, or the bytes are no such message.
    """
    try:
        found = _regular(data)
        return _trajectory(*found) if found else trajectory_from_msg(_message(data))
    except (struct.error, ValueError, RuntimeError) as error:
        raise WamError(f"no JointTrajectory: {' '.join(str(error).split())}") from error


def sender_from_wire(data: bytes) -> str:
    """Who a trajectory is from, of the bytes that `trajectory_from_wire` has read; empty when it
    does not say.
    """
    begin = _ENCODING + 12
    (length,) = struct.unpack_from(CDR_ORDER.get(data[:2], "<") + "I", data, begin - 4)
    return data[begin : begin + max(0, length - 1)].decode("utf-8", "replace").partition(" of ")[2]


def _head_to_wire(trajectory: SafeTrajectory, sender: str) -> bytes:
    """The bytes in front of the number of points: stamp, frame id and joint names."""
    stamp = ns_to_time(trajectory.start_ns)
    frame = f"chunk {trajectory.chunk_seq}" + (f" of {sender}" if sender else "")
    names = trajectory.joint_names
    strings = b"".join(
        (_string_to_wire(frame), struct.pack("<I", len(names)), *map(_string_to_wire, names))
    )
    return b"\0\1\0\0" + struct.pack("<iI", stamp.sec, stamp.nanosec) + strings


def _string_to_wire(text: str) -> bytes:
    """Length, characters, a zero, and what is left to a multiple of four."""
    raw = text.encode() + b"\0"
    return struct.pack("<I", len(raw)) + raw + bytes(-len(raw) % 4)


def _head(trajectory: SafeTrajectory) -> JointTrajectory:
    """Trajectory message without points: absolute start in the stamp, the chunk's number in
    `frame_id`.
    """
    msg = JointTrajectory(joint_names=list(trajectory.joint_names))
    msg.header.stamp = ns_to_time(trajectory.start_ns)
    msg.header.frame_id = f"chunk {trajectory.chunk_seq}"
    return msg


def _trajectory(head: _Head, ns: np.ndarray, rows: dict[str, np.ndarray]) -> SafeTrajectory:
    """Trajectory of a message's head, its points' times (N,) and `_ROWS`, each (N, A)."""
    if ns[0] != 0 or (np.diff(ns) <= 0).any():
        raise WamError("JointTrajectory.points: time_from_start must rise from 0")
    start_ns, frame, names = head
    return SafeTrajectory(
        *(rows[field] for field in _ROWS),
        start_ns=start_ns,
        joint_names=names,
        t=ns / NS,
        chunk_seq=chunk_number(frame) or 0,
    )


def _message(data: bytes) -> JointTrajectory:
    return deserialize_message(data, JointTrajectory)


def _regular(data: bytes) -> tuple[_Head, np.ndarray, dict[str, np.ndarray]] | None:
    """Head, times [ns] and rows where every point holds positions, velocities and accelerations of
    all joints.
    """
    if (order := CDR_ORDER.get(data[:2])) is None:
        return None
    head, at = _head_from_wire(data, order)
    (count,) = struct.unpack_from(order + "I", data, at)
    n = len(head[2])
    first, rest = _layouts(at + 4, (n, n, n, 0), order)
    if not n or not count or len(data) < at + 4 + first.itemsize + (count - 1) * rest.itemsize:
        return None
    parts = [np.frombuffer(data, first, 1, at + 4)]
    parts.append(np.frombuffer(data, rest, count - 1, at + 4 + first.itemsize))
    for k, size in enumerate((n, n, n, 0)):
        if any((part[f"size {k}"] != size).any() for part in parts):
            return None
    ns = np.concatenate([part["sec"].astype(np.int64) * NS + part["nanosec"] for part in parts])
    names = enumerate(_ROWS)
    rows = {
        f: np.concatenate([part[f"row {k}"] for part in parts], dtype=np.float64) for k, f in names
    }
    return head, ns, rows


def _head_from_wire(data: bytes, order: str) -> tuple[_Head, int]:
    """What `_head_to_wire` has written, and where it ends."""
    sec, nanosec = struct.unpack_from(order + "iI", data, _ENCODING)
    frame, at = read_string(data, _ENCODING + 8, order)
    at += -at % 4
    (count,) = struct.unpack_from(order + "I", data, at)
    names = []
    at = at + 4
    for _ in range(count):
        name, at = read_string(data, at, order)
        names.append(name)
    return (sec * NS + nanosec, frame, tuple(names)), at + -at % 4


def _layouts(at: int, sizes: Sequence[int], order: str) -> tuple[np.dtype, np.dtype]:
    """Of the first point and of all others: only the first can begin elsewhere within eight
    bytes.
    """
    begin = at - _ENCODING
    sizes = tuple(sizes)
    first = _layout(begin % 8, sizes, order)
    return first, _layout((begin + first.itemsize) % 8, sizes, order)


@functools.lru_cache(maxsize=32)
def _layout(begin: int, sizes: tuple[int, ...], order: str) -> np.dtype:
    """One point that begins at `begin`, its four sequences of numbers of these lengths."""
    fields: list[tuple[str, object, int]] = []
    at = begin
    for k, size in enumerate(sizes):
        fields.append((f"size {k}", order + "u4", at))
        at += 4
        if size:
            at += -at % 8
            fields.append((f"row {k}", (order + "f8", (size,)), at))
            at += 8 * size
    fields += [("sec", order + "i4", at), ("nanosec", order + "u4", at + 4)]
    names, formats, places = zip(*fields, strict=True)
    offsets = [place - begin for place in places]
    return np.dtype(
        {"names": names, "formats": formats, "offsets": offsets, "itemsize": at + 8 - begin}
    )
