"""Pictures of foreign clients, as PNG or JPEG. One says in its head how large it is, and is refused
before it is opened where that does not fit.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from wam_ros.wire.packing import WireError

MOST_OPEN = 6 << 20  # bytes of all pictures of a message when they are open: six of 640 x 480
CODED = {"png": "PNG", "jpeg": "JPEG"}


class Pictures:
    """Opens those of one message. A few bytes of PNG can claim gigabytes: what all of them take
    when they are open is bounded.
    """

    def __init__(self) -> None:
        self._bytes = 0

    def opened(self, kind: str, data: object) -> np.ndarray:
        """(H, W, 3) uint8 RGB of a file.

        Args:
            kind: one of `CODED`.
            data: its bytes.

        Raises:
            WireError: it is none, or larger than what is left.
        """
        if not isinstance(data, bytes):
            raise WireError("the data of a picture are bytes")
        try:
            with Image.open(io.BytesIO(data), formats=[CODED[kind]]) as image:
                self._bytes += 3 * image.width * image.height
                if self._bytes > MOST_OPEN:
                    raise WireError(f"pictures of more than {MOST_OPEN} bytes when they are open")
                if image.mode != "RGB":
                    raise WireError(f"a picture of mode {image.mode[:8]}, expected RGB")
                return np.asarray(image)
        except WireError:
            raise
        except Exception as error:  # a decoder's errors are of every kind
            words = " ".join(str(error).split())[:80]
            raise WireError(f"a picture that cannot be read: {words}") from error
