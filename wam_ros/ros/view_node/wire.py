"""`visualization_msgs/MarkerArray` as the bytes that travel.

To make a marker of fifty fields a message, and the message bytes, takes rclpy 0.1 ms: three ghosts
five times a second are 3 % of a core, and of a picture in space each cell is an object of Python's.
Here a marker is made once, and what changes of it is written into its bytes. They are plain CDR:
numbers are aligned to their size, counted from behind the four bytes that name the encoding;
sequences and strings begin with their length.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import numpy as np
from rclpy.serialization import serialize_message
from visualization_msgs.msg import Marker, MarkerArray

from wam_ros.core.types import NS
from wam_ros.ros.fields import CDR_ORDER, ENCAPSULATION

_COUNT = 4  # bytes that the number of markers takes


class WireMarker:
    """A marker that is sent again and again. One thread owns it.

    Args:
        marker: as it stays, but for its stamp and what `move` and `paint` change.
    """

    def __init__(self, marker: Marker) -> None:
        self.key = marker.ns, marker.id
        self._marker = marker
        self._pose: Sequence[float] | None = None
        self._colours: np.ndarray | None = None
        # by where it begins, of every eight bytes: those in front of it decide
        self._made: dict[int, tuple[str, bytearray, tuple[int, int]]] = {}

    def move(self, position: Iterable[float], turn: Iterable[float]) -> None:
        """Put it at (x, y, z) m, turned by the quaternion (w, x, y, z)."""
        w, *axis = turn
        self._pose = (*position, *axis, w)

    def paint(self, colours: np.ndarray) -> None:
        """Give its `colors`, of which there are as many as before, (N, 4) in [0, 1]."""
        self._colours = colours

    def to_wire(self, at: int, stamp_ns: int) -> bytes | bytearray:
        """Its bytes where it begins `at` 0 or 4 of every eight bytes."""
        if at not in self._made:
            self._made[at] = *_serialised(self._marker, at), _offsets(self._marker, at)
        order, data, (pose_at, colours_at) = self._made[at]
        struct.pack_into(f"{order}iI", data, 0, *divmod(stamp_ns, NS))
        if self._pose is not None:
            struct.pack_into(f"{order}7d", data, pose_at, *self._pose)
        if self._colours is not None:
            rows = np.asarray(self._colours, f"{order}f4")
            if rows.shape != (len(self._marker.colors), 4):
                raise ValueError(f"{rows.shape} colours of {len(self._marker.colors)}")
            data[colours_at : colours_at + rows.nbytes] = rows.tobytes()
        return data


def markers_to_wire(markers: Sequence[WireMarker], stamp_ns: int) -> bytes:
    """What a publisher sends for a `MarkerArray` of these, all of one stamp."""
    empty = serialize_message(MarkerArray())
    order = CDR_ORDER[empty[:2]]
    found = bytearray(empty[:ENCAPSULATION] + struct.pack(f"{order}I", len(markers)))
    for marker in markers:
        found += bytes(-len(found) % 4)
        found += marker.to_wire((len(found) - ENCAPSULATION) % 8, stamp_ns)
    return bytes(found)


def _serialised(marker: Marker, at: int) -> tuple[str, bytearray]:
    """Order of bytes, and the bytes of a marker that begins `at` of every eight."""
    before = []
    begin = ENCAPSULATION + _COUNT
    if at != _COUNT:
        # one in front of it, whose end lies so
        for longer in ("", "more"):
            before = [Marker(mesh_resource=longer)]
            end = len(serialize_message(MarkerArray(markers=before)))
            begin = end + -end % 4
            if (begin - ENCAPSULATION) % 8 == at:
                break
    data = serialize_message(MarkerArray(markers=[*before, marker]))
    return CDR_ORDER[data[:2]], bytearray(data[begin:])


def _offsets(marker: Marker, at: int) -> tuple[int, int]:
    """Where the pose and the colours begin in the bytes of a marker that begins `at` of every
    eight.
    """
    # stamp, frame_id, ns
    end = at + 8
    for text in (marker.header.frame_id, marker.ns):
        end += -end % 4 + 4 + len(text.encode()) + 1
    end += -end % 4 + 12  # id, type, action
    pose = end + -end % 8
    end = pose + 56 + 24 + 16 + 8 + 1  # pose, scale, color, lifetime, frame_locked
    end += -end % 4 + 4
    if marker.points:
        end += -end % 8 + 24 * len(marker.points)
    return pose - at, end + -end % 4 + 4 - at
