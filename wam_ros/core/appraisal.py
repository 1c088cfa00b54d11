"""What a model makes of an observation: how it fits what was imagined for it, and how far the task
is.

Surprise has one meaning everywhere: the error of what was imagined, where in the picture it is
largest, in units of the most that calm runs of the same weights ever showed. 1 is the end of calm.
An error counts as it is at a glance, and as far as it lasts a look of 0.3 s at the same place: what
moves is imagined a little wrong in one place after another, what is not as it was stays. Calm runs
show less of the latter.
"""

from __future__ import annotations

import math
from collections import deque
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
    """What errors calm runs show at a glance and in a look, cell by cell of a grid over each view.

    Raises:
        WamError: the two are not of one size, or not all numbers are positive.
    """

    pixel: np.ndarray  # (2, V, R, C) the most of the mean squared error of pixels in [0, 1]
    latent: np.ndarray  # (2, V, R, C) likewise of latents

    def __post_init__(self) -> None:
        for name in ("pixel", "latent"):
            scale = getattr(self, name)
            whole = scale.ndim == 4 and scale.shape[0] == 2
            if not whole or not (np.isfinite(scale).all() and (scale > 0).all()):
                raise WamError(
                    f"calm runs: '{name}' must be positive numbers (2, views, rows, columns), "
                    f"found {scale.shape}"
                )
        if self.pixel.shape != self.latent.shape:
            raise WamError(
                f"calm runs: pixels {self.pixel.shape} and latents {self.latent.shape} must be of "
                "one size"
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of cells over a view."""
        return self.pixel.shape[2], self.pixel.shape[3]


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
    """Errors of one observation after the other, at a glance and in a look. One thread owns it."""

    LOOK_NS = 300_000_000
    SLACK_NS = 30_000_000  # observations are not evenly spaced

    def __init__(self) -> None:
        self._seen: deque[tuple[int, np.ndarray]] = deque()
        self._found: np.ndarray | None = None

    def take(self, stamp_ns: int, errors: np.ndarray | None) -> np.ndarray | None:
        """(2, V, R, C) of the errors (V, R, C) of an observation of `stamp_ns`: as they are, and as
        far as every observation of a look has them, NaN when it has not been so long; None where
        nothing was imagined.
        """
        if self._seen and self._seen[-1][0] == stamp_ns:
            return self._found
        if errors is None:
            return None
        self._seen.append((stamp_ns, errors))
        while self._seen[0][0] < stamp_ns - self.LOOK_NS - self.SLACK_NS:
            self._seen.popleft()
        long_enough = stamp_ns - self._seen[0][0] >= self.LOOK_NS - self.SLACK_NS
        least = np.minimum.reduce([e for _, e in self._seen])
        self._found = np.stack([errors, least if long_enough else np.full_like(errors, np.nan)])
        return self._found

    def clear(self) -> None:
        """Forget the observations before."""
        self._seen.clear()
        self._found = None


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
        f.astype(np.float32).reshape((views, height // 2, 2, width // 2, 2, 3)).mean((2, 4)) / 255
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
    """Surprise per view in pixels and in latents, and the map of where (V, R, C), of errors
    (2, V, R, C) as `LastingErrors` gives them; empty where errors or calm runs are not known.
    """
    heat = np.zeros((0, 0, 0))
    if calm is None:
        return (), (), heat
    found: list[tuple[float, ...]] = []
    for errors, scale in ((pixel, calm.pixel), (latent, calm.latent)):
        if errors is None or errors.shape != scale.shape:
            found.append(())
            continue
        units = np.fmax.reduce(errors / scale)
        found.append(tuple(float(x) for x in units.max((1, 2))))
        heat = np.maximum(heat, units) if heat.size else units
    return found[0], found[1], heat
