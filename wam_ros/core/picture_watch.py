"""What a stream of pictures looks like when something is wrong with its camera.

Fresh stamps say nothing of the picture: a driver repeats its last one, a cap stays on, a mount
turns.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from wam_ros.core.types import NS

DARK = 16  # of 255; the brightest pixel of a covered lens
MOVED = 0.05  # rad or m of any joint, after which a picture of the arm must have changed
SLOW = 0.8  # of the model's rate
STAMPS = 20  # from which a rate is measured


class PictureWatch:
    """One view. One thread owns it.

    Args:
        height: px of the model's view.
        width: px of the model's view.
        rate_hz: pictures a second that the model was trained with.
        shaped: a rotation or crop was chosen for this camera, so that its shape is meant.
    """

    def __init__(self, height: int, width: int, rate_hz: float, shaped: bool) -> None:
        self._tall = height > width
        self._rate_hz = rate_hz
        self._shaped = shaped
        self._stamps: deque[int] = deque(maxlen=STAMPS)
        self._first: tuple[int, int] | None = None
        self._rgb: np.ndarray | None = None
        self._since = np.zeros(0)  # joints when the picture last changed
        self._faults: dict[str, str] = {}

    def arrived(self, stamp_ns: int) -> None:
        """Note that a picture came, used or not."""
        if self._stamps and not 0 < stamp_ns - self._stamps[-1] < NS:
            self._stamps.clear()
        self._stamps.append(stamp_ns)

    def saw(self, size: tuple[int, int], rgb: np.ndarray, joints: np.ndarray) -> None:
        """Look at a picture.

        Args:
            size: (height, width) in px as it came.
            rgb: (H, W, 3) uint8 as the model sees it.
            joints: (A,) newest positions, rad or m; empty when there are none.
        """
        self._first = self._first or size
        self._faults.clear()
        if size != self._first:
            height, width = self._first
            self._faults["size"] = f"changed from {width} x {height} to {size[1]} x {size[0]}"
        if size[0] > size[1] and not self._tall and not self._shaped:
            self._faults["portrait"] = (
                f"is portrait ({size[1]} x {size[0]}) and squeezed to the model's shape; turn it "
                "with `rotation`, or choose a `crop`"
            )
        if int(rgb.max()) < DARK:
            self._faults["black"] = "is black"
        elif not (rgb[..., 0] - rgb[..., 1]).any() and not (rgb[..., 1] - rgb[..., 2]).any():
            self._faults["grey"] = "has no colours"
        self._look_for_change(rgb, joints)

    def _look_for_change(self, rgb: np.ndarray, joints: np.ndarray) -> None:
        changed = self._rgb is None or not np.array_equal(rgb, self._rgb)
        if changed or self._since.shape != joints.shape:
            self._rgb = rgb
            self._since = joints
        elif joints.size and (moved := float(np.abs(joints - self._since).max())) > MOVED:
            self._faults["frozen"] = (
                f"is frozen: it stayed as it was while a joint moved {moved:.2f}"
            )

    def faults(self) -> dict[str, str]:
        """What is wrong now: kind -> words that follow the name of the camera."""
        found = dict(self._faults)
        if len(self._stamps) == STAMPS:
            hz = (STAMPS - 1) * NS / (self._stamps[-1] - self._stamps[0])
            if hz < SLOW * self._rate_hz:
                found["slow"] = f"comes at {hz:.1f} Hz, the model wants {self._rate_hz:.3g}"
        return found
