"""MessagePack with numpy arrays, as `openpi_client.msgpack_numpy` 0.1 packs them.

An array is a map with the byte-string keys `__ndarray__`, `data`, `dtype` and `shape`, a scalar of
numpy one with `__npgeneric__`, `data` and `dtype`. What comes in is nobody's friend: sizes, depth
and counts are bounded before memory is taken for them, types are a closed list, and an array is
as large as its shape says or refused. Nothing that is read can run code.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgpack
import numpy as np

from wam_ros.core.errors import WamError

MOST_BYTES = 16 << 20  # of one message: sixteen frames of three 640 x 480 views would not fit
MOST_DEPTH = 8
MOST_ITEMS = 1024  # of one list or map; a parser takes memory for as many as a header claims
MOST_CONTAINERS = 512  # lists and maps of one message
MOST_TEXT = 4096  # bytes of one text
MOST_AXES = 8
DTYPES = frozenset(
    ("|b1", "|i1", "|u1", *(f"<{kind}{size}" for kind in "iu" for size in (2, 4, 8)))
) | {"<f2", "<f4", "<f8"}
_ARRAY = {b"__ndarray__", b"data", b"dtype", b"shape"}
_SCALAR = {b"__npgeneric__", b"data", b"dtype"}


class WireError(WamError):
    """A message that cannot be read, and why."""


def pack(message: Any) -> bytes:
    """The bytes of a message: None, bool, int, float, str, lists, maps with text keys, arrays.

    Raises:
        WireError: something else is in it.
    """
    try:
        return bytes(msgpack.packb(message, default=_packed))
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"cannot be packed: {error}") from error


def unpack(data: bytes, read_map: Callable[[dict[Any, Any]], Any] | None = None) -> Any:
    """What `pack` packed; arrays cannot be written to and share the memory of `data`.

    Args:
        data: of a stranger.
        read_map: what a map stands for, in a wire that packs arrays in another way.

    Raises:
        WireError: too large, too deep, too many parts, no MessagePack, or a type or an array that
            is not read here.
    """
    if len(data) > MOST_BYTES:
        raise WireError(f"a message of {len(data)} bytes; at most {MOST_BYTES} are read")
    reader = _Reader(read_map or _numpy)
    try:
        found = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            object_pairs_hook=reader.take_map,
            list_hook=reader.take_list,
            ext_hook=_no_extension,
            max_str_len=MOST_TEXT,
            max_bin_len=len(data),
            max_array_len=MOST_ITEMS,
            max_map_len=MOST_ITEMS,
            max_ext_len=0,
        )
    except WireError:
        raise
    # msgpack's own errors are of these, too
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        words = " ".join(str(error).split())[:120] or type(error).__name__
        raise WireError(f"no message of MessagePack: {words}") from error
    _require_plain(found, 0)
    return found


def _packed(value: Any) -> Any:
    """What msgpack does not know by itself."""
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.str not in DTYPES:
        kind = getattr(value, "dtype", type(value).__name__)
        raise TypeError(f"{kind} has no place in a message")
    if isinstance(value, np.ndarray):
        return {
            b"__ndarray__": True,
            b"data": np.ascontiguousarray(value).data,  # not copied before it is packed
            b"dtype": value.dtype.str,
            b"shape": value.shape,
        }
    return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}


class _Reader:
    """Takes lists and maps as they are complete, and counts them."""

    def __init__(self, read_map: Callable[[dict[Any, Any]], Any]) -> None:
        self._containers = 0
        self._read_map = read_map

    def take_list(self, items: list[Any]) -> list[Any]:
        self._count()
        return items

    def take_map(self, pairs: list[tuple[Any, Any]]) -> Any:
        self._count()
        found = dict(pairs)
        if len(found) != len(pairs):
            raise WireError("a key came twice")
        return self._read_map(found)

    def _count(self) -> None:
        self._containers += 1
        if self._containers > MOST_CONTAINERS:
            raise WireError(f"more than {MOST_CONTAINERS} lists and maps")


def _numpy(found: dict[Any, Any]) -> Any:
    """A map as it was read, or what openpi packs as one."""
    if b"__ndarray__" in found:
        if set(found) != _ARRAY:
            raise WireError("an array has exactly the keys __ndarray__, data, dtype and shape")
        return array_of(found[b"dtype"], found[b"shape"], found[b"data"])
    if b"__npgeneric__" in found:
        return _scalar(found)
    return found


def _dtype(dtype: object) -> np.dtype[Any]:
    if not isinstance(dtype, str) or dtype not in DTYPES:
        listed = ", ".join(sorted(DTYPES))
        raise WireError(f"arrays of {str(dtype)[:20]!r} are not read; there are {listed}")
    return np.dtype(dtype)


def array_of(dtype: object, shape: object, data: object) -> np.ndarray:
    """An array from its parts, which are a stranger's; it shares the memory of `data`.

    Raises:
        WireError: a part of another type, or more or fewer bytes than the shape says.
    """
    kind = _dtype(dtype)
    if not isinstance(shape, list) or len(shape) > MOST_AXES:
        raise WireError(f"the shape of an array is a list of at most {MOST_AXES} numbers")
    if any(type(n) is not int or n < 0 for n in shape):
        raise WireError("the shape of an array has whole numbers from 0 on")
    # by Python's own numbers, that know no overflow
    size = math.prod(shape) * kind.itemsize
    if not isinstance(data, bytes) or len(data) != size:
        has = f"{len(data)} bytes" if isinstance(data, bytes) else type(data).__name__
        raise WireError(f"an array {tuple(shape)} of {kind.str} is {size} bytes, found {has}")
    return np.ndarray(tuple(shape), kind, data)


def _scalar(found: dict[Any, Any]) -> bool | int | float:
    if set(found) != _SCALAR:
        raise WireError("a number of numpy has exactly the keys __npgeneric__, data and dtype")
    _dtype(found[b"dtype"])
    if not isinstance(value := found[b"data"], bool | int | float):
        raise WireError(f"a number of numpy, found {type(value).__name__}")
    return value


def _no_extension(code: int, data: bytes) -> None:
    raise WireError(f"extension type {code} is not read")


def _require_plain(value: Any, depth: int) -> None:
    """Raise `WireError` for what is too deep, for maps without text keys, and for bytes."""
    if depth > MOST_DEPTH:
        raise WireError(f"more than {MOST_DEPTH} lists or maps in each other")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise WireError("the keys of a map are text")
        for item in value.values():
            _require_plain(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _require_plain(item, depth + 1)
    elif not isinstance(value, bool | int | float | str | np.ndarray | type(None)):
        raise WireError(f"{type(value).__name__} has no place in a message outside of an array")
