"""What a page does with what it is sent, as `wam_ros/view/page/link.js` does it."""

from __future__ import annotations

import json
import struct
from typing import Any


def unpack(message: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Head and blobs of a packed message."""
    (length,) = struct.unpack_from("<I", message)
    head = json.loads(message[4 : 4 + length])
    start = 4 + length
    blobs = []
    for size in head["sizes"]:
        blobs.append(message[start : start + size])
        start += size
    return head, blobs
