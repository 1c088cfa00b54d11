"""What a model makes of an observation: how it fits what was imagined for it, and how far the task
is.

Surprise has one meaning everywhere: how far an observation is from calm, in units of the most that
calm runs of the same weights ever showed. 1 is the end of calm. It is looked for in three ways, and
the largest counts:

- at a glance: where neither what was imagined for now nor what was seen a frame before explains
  what is seen. A hand that is imagined a little late is where it was, or next to it; a block that
  somebody moved is neither. Only near a motion that was imagined may a thing have moved by itself;
- in a look of 0.3 s: where what is seen stays unlike what was imagined, also when it came slowly;
- in the whole view: whether its errors are spread as when a camera is turned. A cell alone shows
  less of that than calm cells show when a hand rushes past, all of them together do.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from wam_ros.core.errors import WamError

NAN = float("nan")
LEAST = 3e-3  # of a mean squared error: what is smaller looks the same
# blocks of 2 x 2 pixels: how far off what was imagined, or seen a frame before, is still the same
IMAGINED_REACH = 1
SEEN_REACH = 1
MOVING_REACH = 2  # where motion was imagined
BORDER = 2
MOTION = 1e-2  # mean squared error of what was imagined against the frame before: so much moves
NEARBY = 3  # blocks around a motion in which a thing may move, too


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
    """What errors calm runs show at a glance and in a look, cell by cell of a grid over each view,
    and what makes a whole view unlike them.

    Raises:
        WamError: the sizes contradict each other, or not all numbers are finite, those that are
            divided by positive.
    """

    pixel: np.ndarray  # (2, V, R, C) the most of the mean squared error of pixels in [0, 1]
    latent: np.ndarray  # (2, V, R, C) likewise of latents
    # (V, 2, 2 R, 2 C) and (V,): a view's logarithms of `PixelErrors.fine`, times the weights, plus
    # the bias are its surprise
    weights: np.ndarray
    bias: np.ndarray

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
        views, rows, columns = self.pixel.shape[1:]
        for name, shape in (("weights", (views, 2, 2 * rows, 2 * columns)), ("bias", (views,))):
            found = getattr(self, name)
            if found.shape != shape or not np.isfinite(found).all():
                raise WamError(
                    f"calm runs: '{name}' must be finite numbers {shape}, found {found.shape}"
                )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of cells over a view."""
        return self.pixel.shape[2], self.pixel.shape[3]

    def whole(self, fine: np.ndarray) -> np.ndarray:
        """(V,) surprise of each view as a whole by `PixelErrors.fine` (2, V, 2 R, 2 C); NaN where
        one of them is not known.
        """
        seen = features(fine).swapaxes(0, 1)
        return np.maximum((self.weights * seen).sum((1, 2, 3)) + self.bias, 0.0)


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


@dataclass(frozen=True)
class PixelErrors:
    """How far the pixels of one observation, in [0, 1], are from what was expected of them: mean
    squared errors.
    """

    # (2, V, R, C) at a glance, explained neither by what was imagined nor by the frame before, and
    # in a look, of what was imagined alone; NaN: not known
    cells: np.ndarray
    # (2, V, 2 R, 2 C) of quarters of cells: of what was imagined alone, and explained by neither
    fine: np.ndarray


class PixelWatch:
    """Errors of one observation after the other. One thread owns it.

    Args:
        period_ns: of the frames. A frame that came before that long ago, and half as much again, is
            none that explains what is seen now.
    """

    def __init__(self, period_ns: int) -> None:
        self._longest_ns = period_ns + period_ns // 2
        self._before: tuple[int, np.ndarray] | None = None  # stamp and frames
        self._found: PixelErrors | None = None  # of the newest
        self._lasting = LastingErrors()

    def take(
        self, stamp_ns: int, seen: np.ndarray, imagined: np.ndarray | None, grid: tuple[int, int]
    ) -> PixelErrors | None:
        """Errors of frames `seen` (V, H, W, 3) uint8 at `stamp_ns` on a grid of cells over each
        view; None where nothing of their size was `imagined` for them.

        Raises:
            WamError: the frames cannot be cut into such cells.
        """
        if self._before is not None and self._before[0] == stamp_ns:
            return self._found
        before = self._frame_before(stamp_ns, seen)
        self._before = (stamp_ns, seen)
        self._found = None
        if imagined is not None and imagined.shape == seen.shape:
            fine = pixel_errors(imagined, before, seen, grid)
            alone, neither = cells_of(fine)
            lasting = self._lasting.take(stamp_ns, alone)
            if lasting is not None:
                self._found = PixelErrors(np.stack([neither, lasting[1]]), fine)
        return self._found

    def _frame_before(self, stamp_ns: int, seen: np.ndarray) -> np.ndarray | None:
        if self._before is None or stamp_ns - self._before[0] > self._longest_ns:
            return None
        return self._before[1] if self._before[1].shape == seen.shape else None

    def clear(self) -> None:
        """Forget the observations before."""
        self._before = self._found = None
        self._lasting.clear()


def pixel_errors(
    imagined: np.ndarray, before: np.ndarray | None, seen: np.ndarray, grid: tuple[int, int]
) -> np.ndarray:
    """(2, V, 2 R, 2 C) mean squared error of frames (V, H, W, 3) uint8, pixels in [0, 1], on a grid
    of R rows and C columns of cells, each in quarters: of what was imagined alone, and of what
    neither that nor the frame before explains; NaN without a frame before.

    Blocks of 2 x 2 pixels are compared, each with the one of its neighbours that is most like it,
    from the imagined frame to the seen one and back: an edge that is off by two pixels is no
    surprise, a thing that is not where it was imagined is. What was seen before may be off by two,
    too, and by four near what was imagined to move: of a camera that stands still, near the arm.
    What comes in from outside, or leaves, is explained by the border.

    Raises:
        WamError: the frames cannot be cut into such cells.
    """
    rows, columns = (2 * n for n in grid)
    height, width = seen.shape[1:3]
    if height % (2 * rows) or width % (2 * columns):
        raise WamError(
            f"frames of {height}x{width} px cannot be cut into {grid[0]}x{grid[1]} cells"
        )
    small, expected = _blocks(seen), _blocks(imagined)
    alone = place_errors(expected, small, IMAGINED_REACH)
    neither = np.full_like(alone, np.nan)
    if before is not None:
        old = _blocks(before)
        moving = _near(place_errors(expected, old, IMAGINED_REACH) > MOTION, NEARBY)
        known = np.where(
            moving, place_errors(old, small, MOVING_REACH), place_errors(old, small, SEEN_REACH)
        )
        neither = np.minimum(alone, known)
        inside = np.zeros(neither.shape[1:], bool)
        inside[BORDER:-BORDER, BORDER:-BORDER] = True
        neither = np.where(inside, neither, 0.0)
    return np.stack([_mean_of_cells(e, rows, columns) for e in (alone, neither)])


def cells_of(fine: np.ndarray) -> np.ndarray:
    """(..., R, C) of the quarters (..., 2 R, 2 C) of cells."""
    return _mean_of_cells(fine, fine.shape[-2] // 2, fine.shape[-1] // 2)


def features(fine: np.ndarray) -> np.ndarray:
    """Of mean squared errors: their logarithms, what is too small to be seen left out."""
    return np.log(fine + LEAST)


def place_errors(a: np.ndarray, b: np.ndarray, reach: int = 1) -> np.ndarray:
    """(V, H, W) of pictures (V, H, W, C): how little every place of the one is like any place of
    the other that is not farther than `reach`, the larger of both ways; mean squares.
    """
    there = np.full(a.shape[:3], np.inf, a.dtype)
    back = there.copy()
    ways = range(-reach, reach + 1)
    for rows_a, rows_b in (_overlap(a.shape[1], y) for y in ways):
        for columns_a, columns_b in (_overlap(a.shape[2], x) for x in ways):
            at = np.s_[:, rows_a, columns_a]
            to = np.s_[:, rows_b, columns_b]
            apart = a[at] - b[to]
            apart = np.einsum("vhwc,vhwc->vhw", apart, apart)
            there[at] = np.minimum(there[at], apart)
            back[to] = np.minimum(back[to], apart)
    return np.maximum(there, back) / a.shape[-1]


def _near(places: np.ndarray, reach: int) -> np.ndarray:
    """(V, H, W) of places: which have one of them within `reach` rows and columns."""
    for axis in (1, 2):
        around = [(reach, reach) if k == axis else (0, 0) for k in range(3)]
        windows = np.lib.stride_tricks.sliding_window_view(
            np.pad(places, around), 2 * reach + 1, axis
        )
        places = np.logical_or.reduce(windows, -1)
    return places


def _overlap(length: int, shift: int) -> tuple[slice, slice]:
    """Where a row and the same row further on by `shift` are both there."""
    return slice(max(0, -shift), length - max(0, shift)), slice(
        max(0, shift), length - max(0, -shift)
    )


def _blocks(frames: np.ndarray) -> np.ndarray:
    """(V, H / 2, W / 2, 3) in [0, 1] of frames (V, H, W, 3) uint8."""
    views, height, width = frames.shape[:3]
    pairs = frames.astype(np.float32).reshape((views, height // 2, 2, width // 2, 2, 3))
    return pairs.mean((2, 4)) / 255


def _mean_of_cells(errors: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(..., rows, columns) of (..., H, W)."""
    height, width = errors.shape[-2:]
    cut = errors.reshape((*errors.shape[:-2], rows, height // rows, columns, width // columns))
    return cut.mean((-3, -1))


def appraise(
    calm: Calm | None, pixel: PixelErrors | None, latent: np.ndarray | None
) -> tuple[tuple[float, ...], tuple[float, ...], np.ndarray]:
    """Surprise per view in pixels and in latents, and the map of where (V, R, C), of errors as
    `PixelWatch` and, of latents (2, V, R, C), as `LastingErrors` gives them; empty where errors or
    calm runs are not known.
    """
    heat = np.zeros((0, 0, 0))
    if calm is None:
        return (), (), heat
    found: list[tuple[float, ...]] = []
    cells = None if pixel is None else pixel.cells
    for errors, scale in ((cells, calm.pixel), (latent, calm.latent)):
        units = None
        if errors is not None and errors.shape == scale.shape:
            units = np.fmax.reduce(errors / scale)
        if units is None or not np.isfinite(units).all():
            found.append(())
            continue
        found.append(tuple(float(x) for x in units.max((1, 2))))
        heat = np.maximum(heat, units) if heat.size else units
    if pixel is not None and found[0]:
        found[0] = tuple(float(x) for x in np.fmax(found[0], calm.whole(pixel.fine)))
    return found[0], found[1], heat
