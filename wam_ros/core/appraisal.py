"""What a model makes of an observation: how it fits what was imagined for it, and how far the task
is.

Surprise has one meaning everywhere: the error of what was imagined that two observations in a row
show at the same place, where in the picture it is largest, in units of the most that calm runs of
the same weights ever showed. 1 is the end of calm. What moves is imagined a little wrong in one
place after another, what is not as it was stays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from wam_ros.core.errors import WamError

NAN = float("nan")


@dataclass(frozen=True)
class Outlook:
    """What a model says of the task, now and at the end of what it imagines; NaN: it does not
    say.
    """

    done: float = NAN  # 0 to 1, that the task is done
    failed: float = NAN  # 0 to 1, that it cannot be done any more
    done_ahead: float = NAN  # the same at the end of what is imagined
    failed_ahead: float = NAN
    # (V, R, C) mean squared error of the latents that were imagined for now; None: none were
    latent_errors: np.ndarray | None = None


@dataclass(frozen=True)
class Calm:
    """What errors calm runs show, cell by cell of a grid over each view.

    Raises:
        WamError: the two are not of one size, or not all numbers are positive.
    """

    pixel: np.ndarray  # (V, R, C) the most of the mean squared error of pixels in [0, 1]
    latent: np.ndarray  # (V, R, C) likewise of latents

    def __post_init__(self) -> None:
        for name in ("pixel", "latent"):
            scale = getattr(self, name)
            if scale.ndim != 3 or not (np.isfinite(scale).all() and (scale > 0).all()):
                raise WamError(
                    f"calm runs: '{name}' must be positive numbers (views, rows, columns), found "
                    f"{scale.shape}"
                )
        if self.pixel.shape != self.latent.shape:
            raise WamError(
                f"calm runs: pixels {self.pixel.shape} and latents {self.latent.shape} must be of "
                "one size"
            )


@dataclass(frozen=True)
class Appraisal:
    """How one observation fits what was imagined for it, and what the model says of the task."""

    stamp_ns: int  # of the observation
    view_names: tuple[str, ...]
    epoch: int = 0
    instruction: str = ""
    pixel: tuple[float, ...] = ()  # surprise of each view; empty: nothing was imagined for now
    latent: tuple[float, ...] = ()
    # (V, R, C) where; 1 is the most that calm runs showed
    heat: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    outlook: Outlook = field(default_factory=Outlook)

    @property
    def surprise(self) -> float:
        """The largest of all views, in pixels and latents; NaN where neither is known."""
        return max((*self.pixel, *self.latent), default=math.nan)


class LastingErrors:
    """Errors that two observations in a row show. One thread owns it.

    Args:
        patience_ns: observations further apart do not follow each other.
    """

    def __init__(self, patience_ns: int = 500_000_000) -> None:
        self._patience_ns = patience_ns
        self._newest: tuple[int, np.ndarray] | None = None
        self._found: np.ndarray | None = None

    def take(self, stamp_ns: int, errors: np.ndarray | None) -> np.ndarray | None:
        """Errors (V, R, C) of an observation of `stamp_ns`, as far as the one before had them; None
        where nothing was imagined for it or for the one before.
        """
        before = self._newest
        if before is not None and before[0] == stamp_ns:
            return self._found
        if errors is None:
            return None
        self._newest = stamp_ns, errors
        follows = before is not None and 0 < stamp_ns - before[0] <= self._patience_ns
        self._found = np.minimum(errors, before[1]) if before and follows else None
        return self._found

    def clear(self) -> None:
        """Forget the observation before."""
        self._newest = self._found = None


def pixel_errors(imagined: np.ndarray, seen: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(V, rows, columns) mean squared error of frames (V, H, W, 3) uint8, pixels in [0, 1].

    Blocks of 2 x 2 pixels are compared, each with the one of its neighbours that is most like it,
    from the imagined frame to the seen one and back: an edge that is off by two pixels is no
    surprise, a thing that is not where it was imagined is.

    Raises:
        WamError: the frames cannot be cut into such cells.
    """
    views, height, width = imagined.shape[:3]
    if height % (2 * rows) or width % (2 * columns):
        raise WamError(f"frames of {height}x{width} px cannot be cut into {rows}x{columns} cells")
    small = [
        f.astype(np.float32).reshape(views, height // 2, 2, width // 2, 2, 3).mean((2, 4)) / 255
        for f in (imagined, seen)
    ]
    return cell_errors(small[0], small[1], rows, columns)


def cell_errors(a: np.ndarray, b: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(V, rows, columns) of pictures (V, H, W, C): the mean over each cell of how little every
    place of the one is like any place of the other that is next to it, the larger of both ways.
    """
    errors = np.maximum(_least_difference(a, b), _least_difference(b, a))
    views, height, width = errors.shape
    return errors.reshape(views, rows, height // rows, columns, width // columns).mean((2, 4))


def _least_difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(V, H, W) of (V, H, W, C): mean square difference to the best of nine places."""
    height, width = a.shape[1:3]
    padded = np.pad(b, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    ways = [
        ((a - padded[:, y : y + height, x : x + width]) ** 2).mean(-1)
        for y in range(3)
        for x in range(3)
    ]
    return np.minimum.reduce(ways)


def appraise(
    calm: Calm | None, pixel: np.ndarray | None, latent: np.ndarray | None
) -> tuple[tuple[float, ...], tuple[float, ...], np.ndarray]:
    """Surprise per view in pixels and in latents, and the map of where (V, R, C), of errors in the
    cells of the grid; empty where errors or calm runs are not known.
    """
    heat = np.zeros((0, 0, 0))
    if calm is None:
        return (), (), heat
    found: list[tuple[float, ...]] = []
    for errors, scale in ((pixel, calm.pixel), (latent, calm.latent)):
        if errors is None or errors.shape != scale.shape:
            found.append(())
            continue
        units = errors / scale
        found.append(tuple(float(x) for x in units.max((1, 2))))
        heat = np.maximum(heat, units) if heat.size else units
    return found[0], found[1], heat
