"""The lens of a camera from pictures of a board (Zhang, "A flexible new technique for camera
calibration", 2000), by OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from wam_ros.calibration.board import Corners
from wam_ros.core.errors import WamError

LEAST_PICTURES = 6
OUTLIER = 3.0  # times the median error of a picture
OUTLIER_PX = 1.0  # and that much at least
LARGEST_PX = 2.0  # error of all together
FOCAL_STD = 0.02  # of the focal length, that it may be unsure by
DISTORTION = 5
# a lens is said to distort where that leaves so much less of the squared error
GAIN = 0.04
PLAIN = cv2.CALIB_FIX_K1 | cv2.CALIB_FIX_K2 | cv2.CALIB_FIX_K3 | cv2.CALIB_ZERO_TANGENT_DIST


@dataclass(frozen=True)
class Lens:
    """What was found."""

    k: np.ndarray  # (3, 3) px
    distortion: np.ndarray  # (5,), or (0,) where it is straight
    size: tuple[int, int]  # px, width and height
    rms: float  # px
    std: np.ndarray  # (4,) px, of fx, fy, cx and cy
    errors: dict[str, float]  # px, by picture
    left_out: dict[str, str]  # why, by picture


def calibrate_lens(found: dict[str, Corners], size: tuple[int, int]) -> Lens:
    """Fit a pinhole with distortion to corners by picture.

    Args:
        found: what was seen of the board.
        size: width and height of the pictures, px.

    Raises:
        WamError: too few pictures, poses that are too alike, or a fit that is bad.
    """
    kept = dict(found)
    left_out: dict[str, str] = {}
    while True:
        if len(kept) < LEAST_PICTURES:
            raise WamError(
                f"{len(kept)} pictures show enough of the board, {LEAST_PICTURES} are needed; left "
                f"out: {_listed(left_out)}"
            )
        points = [c.points.astype(np.float32) for c in kept.values()]
        pixels = [c.pixels.astype(np.float32) for c in kept.values()]
        try:
            plain, full = (
                cv2.calibrateCameraExtended(
                    points, pixels, size, np.eye(3), np.zeros(5), flags=flags
                )
                for flags in (PLAIN, 0)
            )
        except cv2.error as error:
            words = " ".join(str(error).split())
            raise WamError(f"no lens fits these pictures; are they too alike? {words}") from error
        bent = full[0] ** 2 < (1 - GAIN) * plain[0] ** 2
        rms, k, distortion, _, _, std, _, each = full if bent else plain
        errors = dict(zip(kept, np.asarray(each).ravel().tolist(), strict=True))
        worst = max(errors, key=lambda name: errors[name])
        limit = max(OUTLIER * float(np.median(list(errors.values()))), OUTLIER_PX)
        if errors[worst] <= limit:
            break
        left_out[worst] = f"its error is {errors[worst]:.2f} px, of most {limit / OUTLIER:.2f}"
        del kept[worst]
    stds = np.asarray(std).ravel()[:4]
    focal_std = float(stds[:2].max())
    if not np.isfinite(k).all() or focal_std > FOCAL_STD * k[0, 0]:
        raise WamError(
            f"the focal length is only known to {focal_std:.0f} of {k[0, 0]:.0f} px: the pictures "
            "are too alike; tilt the board or the camera by 20 to 40 degrees in several directions"
        )
    if rms > LARGEST_PX:
        raise WamError(
            f"the corners are {rms:.1f} px off on average: is the board flat, and as --board says?"
        )
    return Lens(
        k=k,
        distortion=np.asarray(distortion).ravel()[:DISTORTION] if bent else np.zeros(0),
        size=size,
        rms=rms,
        std=stds,
        errors=errors,
        left_out=left_out,
    )


def _listed(left_out: dict[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in left_out.items()) or "none"
