"""How what the page shows travels: frames as compressed images behind a head of JSON."""

from __future__ import annotations

import functools
import io
import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

_SMALL = 160 * 160  # px; below, a frame travels without loss: it is shown many times enlarged
_QUALITY = 88  # of JPEG


@dataclass(frozen=True)
class Column:
    """One set of frames: all views of one instant."""

    kind: str  # observed, expected (imagined earlier for now) or imagined
    frames: np.ndarray  # (V, H, W, 3) uint8 RGB
    ahead_s: float = 0.0  # of now, or of when it was imagined


def encode(frame: np.ndarray) -> bytes:
    """Frame (H, W, 3) uint8 RGB as PNG where it is small, else as JPEG."""
    image = Image.fromarray(np.ascontiguousarray(frame))
    out = io.BytesIO()
    if image.width * image.height <= _SMALL:
        image.save(out, "PNG", compress_level=1)
    else:
        image.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


class Encoder:
    """Encodes sets of frames; the same array is encoded once while it is shown."""

    def __init__(self) -> None:
        self._done: dict[int, tuple[np.ndarray, list[bytes]]] = {}

    def encode(self, columns: Sequence[Column]) -> list[list[bytes]]:
        """The images of each column, one per view."""
        done = {}
        for column in columns:
            key = id(column.frames)
            kept = self._done.get(key)
            if kept is None or kept[0] is not column.frames:
                kept = column.frames, [encode(frame) for frame in column.frames]
            done[key] = kept
        self._done = done
        return [done[id(column.frames)][1] for column in columns]


def pack(head: Mapping[str, Any], blobs: Sequence[bytes]) -> bytes:
    """One message: length of the head (uint32, little-endian), the head as JSON, the blobs.

    The head gets a key `sizes`: bytes of each blob.
    """
    text = to_json({**head, "sizes": [len(b) for b in blobs]}).encode()
    return b"".join((struct.pack("<I", len(text)), text, *blobs))


def to_json(value: Any) -> str:
    """JSON that a browser reads: what is not finite becomes null."""
    return json.dumps(_finite(value), separators=(",", ":"), allow_nan=False)


@functools.singledispatch
def _finite(value: Any) -> Any:
    return value


@_finite.register
def _(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


@_finite.register
def _(value: np.ndarray) -> Any:
    if np.isfinite(value).all():
        return np.round(value, 6).tolist()
    return _finite(value.tolist())


@_finite.register(dict)
def _(value: dict[str, Any]) -> dict[str, Any]:
    return {key: _finite(v) for key, v in value.items()}


@_finite.register(list)
@_finite.register(tuple)
def _(value: Sequence[Any]) -> list[Any]:
    return [_finite(v) for v in value]
