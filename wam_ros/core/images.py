"""Images as numpy: resize, tile views side by side, compare. The same code feeds training and the
robot.

Frames are uint8 RGB. Every result is exact arithmetic, so two machines and any number of threads
agree bit for bit.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from wam_ros.core.embodiment import Camera
from wam_ros.core.errors import WamError

# bilinear weights are multiples of 2^-16: float64 sums of weight x pixel are then exact
_WEIGHT_ONE = 1 << 16
# rows of a result that are made together: fewer convert what they share again, more multiply by
# zeros
_BAND = 4
_PIXEL = np.dtype("V12")  # three floats that move together


def shape(image: np.ndarray, camera: Camera) -> np.ndarray:
    """The part of a picture (H, W, 3) that is used, turned as its camera is.

    Raises:
        WamError: the part lies outside the picture.
    """
    if camera.crop:
        left, top, width, height = camera.crop
        if left + width > image.shape[1] or top + height > image.shape[0]:
            raise WamError(
                f"crop {camera.crop} of '{camera.name}' lies outside its {image.shape[1]} x "
                f"{image.shape[0]} pixels"
            )
        image = image[top : top + height, left : left + width]
    return np.ascontiguousarray(np.rot90(image, -camera.rotation // 90))


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale frames to `height` x `width` pixels, ignoring the aspect ratio.

    Whole shrink factors average their block of pixels; everything else is bilinear with the
    triangle widened by the shrink factor, so that nothing aliases.

    Args:
        image: (..., H, W, 3) uint8.
        height: rows of the result, > 0.
        width: columns of the result, > 0.

    Returns:
        (..., height, width, 3) uint8, contiguous and never sharing memory with `image`.

    Raises:
        WamError: not uint8 RGB, empty, or a size that is not positive.
    """
    _require_rgb(image)
    if height <= 0 or width <= 0:
        raise WamError(f"cannot resize to {height}x{width}: both must be positive")
    rows, columns = image.shape[-3:-1]
    if (rows, columns) == (height, width):
        return image.copy()
    if rows % height == 0 and columns % width == 0:
        return _average_blocks(image, rows // height, columns // width)
    flat = image.reshape(*image.shape[:-2], columns * 3)
    narrow = _weigh_rows(flat, _triangle_bands(rows, height), np.float32)
    turned = (
        np.ascontiguousarray(narrow.view(_PIXEL).reshape(-1, columns).T)
        .view(np.float32)
        .reshape(columns, -1)
    )
    small = _weigh_rows(turned, _triangle_bands(columns, width), np.float64)
    small = (
        small.reshape(width, -1, 3).transpose(1, 0, 2).reshape(*image.shape[:-3], height, width, 3)
    )
    return np.floor(small + 0.5).astype(np.uint8, order="C")


def _weigh_rows(
    values: np.ndarray, bands: list[tuple[int, int, np.ndarray]], dtype: type
) -> np.ndarray:
    """(..., n_out, W) weighted sums of rows of `values` (..., n_in, W), of each only the few rows
    that count.

    Exact: weights are whole multiples of 1 / `_WEIGHT_ONE` that sum to one, so that sums of pixels
        need 24 bits, which
    is single precision, and sums of such sums 40. Only what is summed is converted: it stays in the
    processor's cache.
    """
    last, _, weights = bands[-1]
    out = np.empty((*values.shape[:-2], last + len(weights), values.shape[-1]), dtype)
    for k, first, weights in bands:
        some: np.ndarray = values[..., first : first + weights.shape[1], :].astype(dtype)
        np.matmul(weights.astype(dtype), some, out=out[..., k : k + len(weights), :])
    return out


def _average_blocks(image: np.ndarray, fy: int, fx: int) -> np.ndarray:
    total = np.zeros(
        (*image.shape[:-3], image.shape[-3] // fy, image.shape[-2] // fx, 3), np.uint32
    )
    for y in range(fy):
        for x in range(fx):
            total += image[..., y::fy, x::fx, :]
    return ((total + (fy * fx) // 2) // (fy * fx)).astype(np.uint8)


@functools.lru_cache(maxsize=32)
def _triangle_bands(n_in: int, n_out: int) -> list[tuple[int, int, np.ndarray]]:
    """(k, first, weights (m, n)): rows k to k + m of `n_out` are weighted sums of rows first to
    first + n of `n_in`.

    The weights of each row sum to exactly one. `_BAND` neighbours share most of the rows that
    count.
    """
    scale = n_in / n_out
    centres = (np.arange(n_out) + 0.5) * scale - 0.5
    weights = np.maximum(0.0, 1.0 - np.abs(np.arange(n_in) - centres[:, None]) / max(scale, 1.0))
    whole = np.rint(weights / weights.sum(axis=1, keepdims=True) * _WEIGHT_ONE)
    whole[np.arange(n_out), whole.argmax(axis=1)] += _WEIGHT_ONE - whole.sum(axis=1)
    bands = []
    for k in range(0, n_out, _BAND):
        band = whole[k : k + _BAND] / _WEIGHT_ONE
        used = np.flatnonzero(band.any(axis=0))
        bands.append((k, int(used[0]), np.ascontiguousarray(band[:, used[0] : used[-1] + 1])))
    return bands


def tile(frames: np.ndarray) -> np.ndarray:
    """Views side by side: (V, H, W, 3) to (H, V * W, 3), first view on the left."""
    if frames.ndim != 4:
        raise WamError(f"tile: expected (V, H, W, 3), found shape {frames.shape}")
    views, height, width, channels = frames.shape
    return frames.transpose(1, 0, 2, 3).reshape(height, views * width, channels)


def untile(image: np.ndarray, views: int) -> np.ndarray:
    """Inverse of `tile`: (H, V * W, 3) to (V, H, W, 3).

    Raises:
        WamError: the width does not divide into `views` equal parts.
    """
    if image.ndim != 3 or views <= 0 or image.shape[1] % views:
        raise WamError(
            f"untile: an image of shape {image.shape} does not divide into {views} views"
        )
    height, width, channels = image.shape
    return np.ascontiguousarray(
        image.reshape(height, views, width // views, channels).transpose(1, 0, 2, 3)
    )


def mse(a: np.ndarray, b: np.ndarray) -> float:
    """Mean squared error of two uint8 arrays of one shape, with pixels scaled to [0, 1]."""
    if a.shape != b.shape or a.dtype != np.uint8 or b.dtype != np.uint8:
        raise WamError(
            f"cannot compare {a.dtype} {a.shape} with {b.dtype} {b.shape}: expected uint8 of one "
            "shape"
        )
    # whole numbers: exact as doubles, and faster so than as integers
    apart = (np.maximum(a, b) - np.minimum(a, b)).ravel().astype(np.float64)
    return float(np.einsum("i,i", apart, apart)) / apart.size / 255.0**2


def psnr_db(mean_squared_error: float) -> float:
    """Peak signal-to-noise ratio [dB] of an error with pixels in [0, 1]; capped at 99 so that JSON
    can hold it.
    """
    return 99.0 if mean_squared_error <= 10**-9.9 else -10.0 * math.log10(mean_squared_error)


def _require_rgb(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim < 3 or image.shape[-1] != 3 or 0 in image.shape:
        raise WamError(
            f"expected a non-empty uint8 image (..., H, W, 3), found {image.dtype} {image.shape}"
        )
