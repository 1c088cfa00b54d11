"""Camera pictures to the canvas that the released models see, and back. Numpy; frames are uint8
RGB.
"""

from __future__ import annotations

import functools

import numpy as np

from wam_ros.core.errors import WamError

# rows of view names; a name repeated is stretched, '' stays black
Canvas = tuple[tuple[str, ...], ...]
GIVEN = (4, 8, 9)  # frames that stand for one executed block


def crop_box(height: int, width: int, keep: float) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the centre part; halves are rounded to even, as in training."""
    h = int(height * keep)
    w = int(width * keep)
    return round((height - h) / 2), round((width - w) / 2), h, w


def centre_crop(frames: np.ndarray, keep: float) -> np.ndarray:
    """(..., H, W, 3) -> (..., int(keep H), int(keep W), 3)."""
    top, left, h, w = crop_box(frames.shape[-3], frames.shape[-2], keep)
    return frames[..., top : top + h, left : left + w, :]


def resize_exact(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear with the triangle widened when shrinking: (..., H, W, 3) -> (..., height, width, 3)
    float64, 0..255.
    """
    rows = _triangle(frames.shape[-3], height)
    columns = _triangle(frames.shape[-2], width)
    flat = frames.astype(np.float64).reshape(*frames.shape[:-2], -1)
    return columns @ (rows @ flat).reshape(*frames.shape[:-3], height, *frames.shape[-2:])


def resize(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """`resize_exact`, cut (not rounded) to uint8 as in training."""
    return np.floor(resize_exact(frames, height, width) + 1e-6).clip(0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=16)
def _triangle(n_in: int, n_out: int) -> np.ndarray:
    """(n_out, n_in) weights, rows sum to one; places are rounded to fp32 as in training."""
    scale = np.float32(n_in / n_out)
    one = np.float32(1)
    centres = scale * (np.arange(n_out, dtype=np.float32) + np.float32(0.5))
    distance = np.abs(np.arange(n_in, dtype=np.float32) - centres[:, None] + np.float32(0.5)) / max(
        scale, one
    )
    weights = np.maximum(0, one - distance).astype(np.float64)
    weights /= weights.sum(1, keepdims=True)
    weights.setflags(write=False)
    return weights


def places(canvas: Canvas) -> dict[str, tuple[slice, slice]]:
    """Rows and columns of the grid that each view covers.

    Raises:
        WamError: the places of a name do not form one rectangle.
    """
    grid = np.array(canvas)
    found = {}
    for name in dict.fromkeys(v for row in canvas for v in row if v):
        ys, xs = np.nonzero(grid == name)
        box = (slice(int(ys.min()), int(ys.max()) + 1), slice(int(xs.min()), int(xs.max()) + 1))
        if not (grid[box] == name).all():
            raise WamError(f"canvas: the places of view '{name}' are not one rectangle")
        found[name] = box
    return found


def compose(views: dict[str, np.ndarray], canvas: Canvas) -> np.ndarray:
    """Views (..., h, w, 3) by name to one picture (..., rows h, columns w, 3); views that are not
    given stay black.

    A view that covers several places is enlarged by repeating pixels.
    """
    shape = next(iter(views.values())).shape
    h, w = shape[-3:-1]
    out = np.zeros((*shape[:-3], len(canvas) * h, len(canvas[0]) * w, 3), np.uint8)
    for name, (rows, columns) in places(canvas).items():
        if name in views:
            big = (
                views[name]
                .repeat(rows.stop - rows.start, -3)
                .repeat(columns.stop - columns.start, -2)
            )
            out[..., rows.start * h : rows.stop * h, columns.start * w : columns.stop * w, :] = big
    return out


def decompose(picture: np.ndarray, canvas: Canvas) -> dict[str, np.ndarray]:
    """Inverse of `compose`: what each view shows, repeated pixels once."""
    h = picture.shape[-3] // len(canvas)
    w = picture.shape[-2] // len(canvas[0])
    return {
        name: picture[
            ...,
            rows.start * h : rows.stop * h : rows.stop - rows.start,
            columns.start * w : columns.stop * w : columns.stop - columns.start,
            :,
        ]
        for name, (rows, columns) in places(canvas).items()
    }


def frame_index(given: int) -> list[int]:
    """Which of the `given` frames stand for the nine that an executed block is encoded from.

    Nine are taken as they are; of eight the first is doubled; four are each doubled and the first
    is put in front.

    Raises:
        WamError: another number of frames.
    """
    if given not in GIVEN:
        raise WamError(
            f"{given} frames for one block, expected one of {', '.join(map(str, GIVEN))}"
        )
    doubled = np.repeat(np.arange(given), 2 if given == 4 else 1).tolist()
    return doubled if given == 9 else [0, *doubled]
