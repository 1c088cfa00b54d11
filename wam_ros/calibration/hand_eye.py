"""Where a camera is fixed, from what it sees of a board at several poses of the arm.

Camera X in its link, board Z in what it is fixed to, A_i the pose of the latter in the former by
kinematics and B_i the board in the camera: X B_i = A_i Z. First closed (Park and Martin, "Robot
sensor calibration: solving AX = XB on the Euclidean group", 1994), then by least squares over what
is seen: px between corners as they are found and as they should be. Focal length and centre may
give way as far as they are unsure: the arm's own motion is a good ruler.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import pinocchio as pin

from wam_ros.calibration.board import Corners
from wam_ros.calibration.lens import OUTLIER, OUTLIER_PX, Lens
from wam_ros.core.errors import WamError

LEAST_POSES = 5
LEAST_TURN = np.deg2rad(10.0)  # rad that poses must turn about two axes
ROUNDS = 30
STEP = 1e-6
LARGEST_M = 0.01  # m and rad that the answer may be unsure by
LARGEST_RAD = np.deg2rad(1.0)
LARGEST_PX = 5.0


@dataclass(frozen=True)
class HandEye:
    """What was found."""

    camera: pin.SE3  # optical frame in its link
    board: pin.SE3  # in what it is fixed to
    lens: Lens  # with the focal length and centre that fit the motion
    std_m: float
    std_rad: float
    errors: dict[str, float]  # px, rms by picture
    left_out: dict[str, str]  # why, by picture


def calibrate_hand_eye(found: dict[str, Corners], poses: dict[str, pin.SE3], lens: Lens) -> HandEye:
    """Fit where camera and board are fixed.

    Args:
        found: corners by picture.
        poses: of what the board is fixed to, in the camera's link, by picture.
        lens: of the camera.

    Raises:
        WamError: too few poses, too much alike, or none that fits.
    """
    kept = [n for n in found if n in poses]
    seen = {n: _board_pose(found[n], lens) for n in kept}
    left_out: dict[str, str] = {}
    while True:
        _require_different([poses[n] for n in kept], left_out)
        camera, board = _closed([poses[n] for n in kept], [seen[n] for n in kept])
        camera, board, fitted, inverse = _refine(
            camera, board, names=kept, found=found, poses=poses, lens=lens
        )
        errors = {
            n: float(
                np.sqrt(np.square(_residual(camera, board, found[n], poses[n], fitted)).mean() * 2)
            )
            for n in kept
        }
        worst = max(errors, key=lambda name: errors[name])
        limit = max(OUTLIER * float(np.median(list(errors.values()))), OUTLIER_PX)
        if errors[worst] <= limit:
            break
        left_out[worst] = f"its error is {errors[worst]:.1f} px, of most {limit / OUTLIER:.1f}"
        kept.remove(worst)
    rms = float(np.sqrt(np.mean(np.square(list(errors.values())))))
    if rms > LARGEST_PX:
        raise WamError(
            f"no place of the camera fits: {rms:.0f} px are left; do the joints belong to the "
            "pictures, is the camera's link right, and does the board not move against its own?"
        )
    std = rms * np.sqrt(np.maximum(np.diag(inverse), 0))
    std_m, std_rad = float(std[:3].max()), float(std[3:6].max())
    if std_m > LARGEST_M or std_rad > LARGEST_RAD:
        raise WamError(
            f"the camera is only known to {1e3 * std_m:.0f} mm and {np.rad2deg(std_rad):.1f} "
            "degrees: the poses are too alike; turn the hand farther, about several axes"
        )
    return HandEye(
        camera=camera,
        board=board,
        lens=fitted,
        std_m=std_m,
        std_rad=std_rad,
        errors=errors,
        left_out=left_out,
    )


def _require_different(poses: list[pin.SE3], left_out: dict[str, str]) -> None:
    """Raise `WamError` unless the poses turn far enough about two axes."""
    if len(poses) < LEAST_POSES:
        words = "; ".join(f"{n}: {why}" for n, why in left_out.items())
        raise WamError(
            f"{len(poses)} pictures have board and joints, {LEAST_POSES} are needed"
            + (f"; left out: {words}" if words else "")
        )
    turns = np.array([pin.log3(poses[0].rotation.T @ p.rotation) for p in poses[1:]])
    sizes = np.linalg.svd(turns, compute_uv=False) / np.sqrt(len(turns))
    if sizes[1] < LEAST_TURN / 2:
        raise WamError(
            f"the poses are too alike: they turn by about {np.rad2deg(sizes[0]):.0f} degrees about "
            f"one axis and by {np.rad2deg(sizes[1]):.0f} about others; at least "
            f"{np.rad2deg(LEAST_TURN):.0f} about two are needed"
        )


def _board_pose(corners: Corners, lens: Lens) -> pin.SE3:
    """The board in the camera's frame."""
    ok, turn, shift = cv2.solvePnP(corners.points, corners.pixels, lens.k, lens.distortion)
    if not ok:
        raise WamError("a board has no pose in its picture")
    return pin.SE3(pin.exp3(np.asarray(turn).ravel()), np.asarray(shift).ravel())


def _closed(a: list[pin.SE3], b: list[pin.SE3]) -> tuple[pin.SE3, pin.SE3]:
    """Camera and board in closed form: (A_j^-1 A_i) Z = Z (B_j^-1 B_i)."""
    count = len(a)
    pairs = [(i, j) for i in range(count) for j in range(i)]
    moves = [(a[j].actInv(a[i]), b[j].actInv(b[i])) for i, j in pairs]
    m = sum(np.outer(pin.log3(mb.rotation), pin.log3(ma.rotation)) for ma, mb in moves)
    u, _, vt = np.linalg.svd(np.asarray(m))
    turn = vt.T @ np.diag([1, 1, np.linalg.det(vt.T @ u.T)]) @ u.T
    rows = np.vstack([ma.rotation - np.eye(3) for ma, _ in moves])
    right = np.concatenate([turn @ mb.translation - ma.translation for ma, mb in moves])
    shift = np.linalg.lstsq(rows, right, rcond=None)[0]
    board = pin.SE3(turn, shift)
    return a[0] * board * b[0].inverse(), board


def _residual(
    camera: pin.SE3, board: pin.SE3, corners: Corners, pose: pin.SE3, lens: Lens
) -> np.ndarray:
    """(2 N,) px between where corners should be and where they are."""
    placed = camera.actInv(pose * board)
    seen, _ = cv2.projectPoints(
        corners.points, pin.log3(placed.rotation), placed.translation, lens.k, lens.distortion
    )
    return np.asarray(seen).ravel() - corners.pixels.ravel()


def _refine(
    camera: pin.SE3,
    board: pin.SE3,
    names: list[str],
    found: dict[str, Corners],
    poses: dict[str, pin.SE3],
    lens: Lens,
) -> tuple[pin.SE3, pin.SE3, Lens, np.ndarray]:
    """Least squares by Levenberg and Marquardt; also the inverse of the normal matrix (16, 16)."""

    def moved(x: np.ndarray) -> tuple[pin.SE3, pin.SE3, Lens]:
        fx, fy, cx, cy = x[12:] * lens.std
        k = lens.k + np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 0]])
        return camera * pin.exp6(x[:6]), board * pin.exp6(x[6:12]), replace(lens, k=k)

    def residual(x: np.ndarray) -> np.ndarray:
        at, of, through = moved(x)
        rows = [_residual(at, of, found[n], poses[n], through) for n in names]
        return np.concatenate([*rows, lens.rms * x[12:]])

    damping = 1e-3
    x = np.zeros(16)
    now = residual(x)
    normal = np.eye(16)
    for _ in range(ROUNDS):
        columns = [residual(x + STEP * e) - residual(x - STEP * e) for e in np.eye(16)]
        j = np.stack(columns, axis=1) / (2 * STEP)
        normal = j.T @ j
        step = -np.linalg.solve(normal + damping * np.diag(np.diag(normal)), j.T @ now)
        then = residual(x + step)
        if then @ then < now @ now:
            x = x + step
            gain = (now @ now - then @ then) / max(now @ now, 1e-12)
            now = then
            damping = max(damping / 10, 1e-9)
            if gain < 1e-9:
                break
        else:
            damping *= 10
            if damping > 1e6:
                break
    return *moved(x), np.linalg.pinv(normal)
