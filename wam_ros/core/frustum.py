"""What a camera of the robot sees in space, and where an imagined picture hangs: before its camera,
as far away as makes it fill what that camera sees.
"""

from __future__ import annotations

import numpy as np
from transforms3d.euler import euler2mat

from wam_ros.core.embodiment import Camera
from wam_ros.core.errors import WamError


def pinhole(camera: Camera) -> tuple[np.ndarray, tuple[int, int]] | None:
    """Intrinsics (3, 3) px and size (width, height) px of the whole picture, as its calibration
    says, else its mount; None where neither tells them.
    """
    if (lens := camera.calibration) is not None:
        (fx, fy), (cx, cy) = lens.focal, lens.centre
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]]), lens.size
    if camera.mount is None or not camera.mount.size:
        return None
    width, height = camera.mount.size
    return field_of_view(camera.mount.fov, width, height), (width, height)


def field_of_view(fov: float, width: int, height: int) -> np.ndarray:
    """Intrinsics (3, 3) px of a picture of so many degrees from its upper edge to its lower."""
    focal = height / 2 / np.tan(np.deg2rad(fov) / 2)
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])


def picture_corners(
    camera: Camera, k: np.ndarray, size: tuple[int, int], edge_m: float
) -> np.ndarray:
    """(5, 3) m in the frame of the link that the camera is fixed to: its optical centre, then the
    corners of what the model sees: upper left, upper right, lower right, lower left. Without the
    distortion of the lens.

    Args:
        camera: with its mount; crop and rotation are those of the model's picture.
        k: (3, 3) intrinsics of the whole picture, px.
        size: width and height of the whole picture, px.
        edge_m: height of the picture in space.

    Raises:
        WamError: not mounted, or intrinsics that are none.
    """
    mount = camera.mount
    if mount is None:
        raise WamError(f"camera '{camera.name}' has no mount: where it stands is not known")
    focal = np.array([k[0, 0], k[1, 1]])
    if not np.isfinite(k).all() or min(focal) <= 0 or min(size) <= 0:
        raise WamError(f"camera '{camera.name}': its camera_info is no calibration")
    left, top, width, height = camera.crop or (0, 0, *size)
    right = left + width
    bottom = top + height
    pixels = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], float)
    # turned clockwise, what was lower left is upper left
    pixels = np.roll(pixels, camera.rotation // 90, axis=0)
    rays = np.column_stack(((pixels - k[:2, 2]) / focal, np.ones(4)))
    far = edge_m / np.linalg.norm(rays[3] - rays[0])
    points = np.vstack((np.zeros(3), far * rays))
    found: np.ndarray = points @ euler2mat(*mount.rpy).T + mount.xyz
    return found
