"""Single message fields to ours and back, for `convert`: stamps, arrays whose size is checked,
enumerations.
"""

from __future__ import annotations

import array
import enum
import math
import struct
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from builtin_interfaces.msg import Duration, Time

from wam_ros.core.errors import WamError
from wam_ros.core.types import NS

E = TypeVar("E", bound=enum.IntEnum)
ENCAPSULATION = 4  # bytes in front of every serialised message: how it is written
HEADER = 16  # bytes at least of a message that begins with one
# what the first bytes of a plain CDR message say of all numbers in it
CDR_ORDER = {b"\0\0": ">", b"\0\1": "<"}
_MAX_NS = 2**31 * NS
# what a middleware says that does not number its messages
_UNNUMBERED = 2**64 - 1


def time_to_ns(msg: Time | Duration) -> int:
    """Nanoseconds of a stamp or a duration."""
    return msg.sec * NS + msg.nanosec


def read_header(data: bytes) -> tuple[int, str]:
    """Stamp [ns] and frame of a serialised message that begins with a header, without reading the
    rest of it.

    A trajectory of a hundred points takes a millisecond to deserialise; who only wants to know
    when, need not.

    Raises:
        WamError: it ends before the header does.
    """
    if len(data) < HEADER:
        raise WamError(f"a message of {len(data)} bytes has no header")
    order = "<" if data[1] & 1 else ">"
    sec, nanosec, length = struct.unpack_from(order + "iII", data, 4)
    return sec * NS + nanosec, data[16 : 16 + max(0, length - 1)].decode("utf-8", "replace")


def number_of(info: Mapping[str, Any]) -> int | None:
    """Number that its publisher gave a message, from what came with it; None: it is not told."""
    number = info.get("publication_sequence_number")
    return None if number == _UNNUMBERED else number


def read_pressed(data: bytes) -> bool:
    """What the serialised `std_msgs/Bool` of a button says; what cannot be read is a press."""
    return len(data) <= ENCAPSULATION or data[ENCAPSULATION] != 0


def read_string(data: bytes, at: int, order: str) -> tuple[str, int]:
    """A serialised string, and where it ends.

    Args:
        data: the whole message.
        at: where what comes before it ends; the string begins at the next multiple of four.
        order: of bytes, as `struct` writes it.

    Raises:
        ValueError: it does not end within the message, or is not UTF-8.
        struct.error: the message ends before its length.
    """
    at += -at % 4
    (length,) = struct.unpack_from(order + "I", data, at)
    end = at + 4 + length
    if end > len(data):
        raise ValueError("a string that does not end")
    return data[at + 4 : end - 1 if length else end].decode(), end


def ns_to_time(ns: int) -> Time:
    """Stamp of integer nanoseconds.

    Raises:
        WamError: before 1970 or after 2038, where the message has no room.
    """
    if not 0 <= ns < _MAX_NS:
        raise WamError(f"stamp: {ns} ns is outside of what builtin_interfaces/Time can hold")
    sec, nanosec = divmod(int(ns), NS)
    return Time(sec=sec, nanosec=nanosec)


def ns_to_duration(ns: int) -> Duration:
    """Duration of integer nanoseconds."""
    sec, nanosec = divmod(int(ns), NS)
    return Duration(sec=sec, nanosec=nanosec)


def doubles(values: np.ndarray) -> array.array:
    """Only `array.array` reaches a message without a check of every number."""
    return array.array("d", np.asarray(values, np.float64).tobytes())


def image_bytes(frames: np.ndarray) -> array.array:
    """Bytes of uint8 frames of any shape; raises `WamError` for another type."""
    if frames.dtype != np.uint8:
        raise WamError(f"frames: expected uint8, found {frames.dtype}")
    return array.array("B", frames.tobytes())


def matrix(field: str, data: array.array, shape: tuple[int, ...]) -> np.ndarray:
    """A copy of `data` in `shape`; raises `WamError` when it does not fit."""
    require_size(field, len(data), math.prod(shape), shape)
    return np.array(data, np.float64).reshape(shape)


def image_array(field: str, data: array.array, shape: tuple[int, ...]) -> np.ndarray:
    """A view of `data` in `shape`; raises `WamError` when it does not fit."""
    require_size(field, len(data), math.prod(shape), shape)
    return np.frombuffer(data, np.uint8).reshape(shape) if len(data) else np.zeros(shape, np.uint8)


def require_size(field: str, found: int, expected: int, shape: tuple[int, ...] = ()) -> None:
    """Raise `WamError` that names the field unless both sizes agree."""
    if found != expected:
        detail = f" for shape {shape}" if len(shape) > 1 else ""
        raise WamError(f"{field}: expected {expected} values{detail}, found {found}")


def enum_member(field: str, kind: type[E], value: int) -> E:
    """The member with this value; raises `WamError` that lists the choices."""
    try:
        return kind(value)
    except ValueError:
        choices = ", ".join(f"{e.value} {e.name}" for e in kind)
        raise WamError(f"{field}: {value} is not one of {choices}") from None
