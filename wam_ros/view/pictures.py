"""Composes observed and imagined frames into one labelled picture."""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_BACKGROUND = (18, 20, 24)
_INK = (236, 238, 241)
_FAINT = (150, 156, 164)
_GAP = 6  # px between tiles


@dataclass(frozen=True)
class Column:
    """One column of a board: all views of one kind."""

    label: str
    frames: np.ndarray | None  # (V, H, W, 3) uint8 RGB, or None while there is nothing to show


@functools.lru_cache(maxsize=8)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of every picture, `size` px high."""
    return ImageFont.load_default(size=size)


def enlarge(frame: np.ndarray, size: int) -> Image.Image:
    """Frame (H, W, 3) uint8 RGB as a `size` x `size` picture, smooth."""
    return Image.fromarray(np.ascontiguousarray(frame)).resize(
        (size, size), Image.Resampling.BICUBIC
    )


def compose_board(
    columns: Sequence[Column],
    views: Sequence[str],
    tile: int = 256,
    title: str = "",
    footer: str = "",
) -> np.ndarray:
    """Tiles in a grid, one row per view, with a title above and a footer below.

    Args:
        columns: left to right; a column without frames, or with another number of views, is drawn
            empty.
        views: row labels, in the order of the frames.
        tile: edge of a tile, px.
        title: one line; cut to the width.
        footer: one line; cut to the width.

    Returns:
        (H, W, 3) uint8 RGB; both sides are even, as video encoders want.
    """
    text = max(14, tile // 10)  # px; in proportion, because a page shrinks the board to its width
    head = 30 if title else 0
    label = text + 8
    foot = 26 if footer else 0
    width = len(columns) * (tile + _GAP) + _GAP
    height = head + label + len(views) * (tile + _GAP) + _GAP + foot
    board = Image.new("RGB", (width + width % 2, height + height % 2), _BACKGROUND)
    draw = ImageDraw.Draw(board)
    if title:
        draw.text((_GAP, 6), fit_text(title, width - 2 * _GAP, 18), _INK, font(18))
    for c, column in enumerate(columns):
        x = _GAP + c * (tile + _GAP)
        draw.text((x, head + 3), fit_text(column.label, tile, text), _FAINT, font(text))
        for v in range(len(views)):
            y = head + label + v * (tile + _GAP)
            if column.frames is not None and len(column.frames) == len(views):
                board.paste(enlarge(column.frames[v], tile), (x, y))
            else:
                draw.rectangle((x, y, x + tile - 1, y + tile - 1), outline=(50, 54, 60))
    for v, view in enumerate(views):
        y = head + label + v * (tile + _GAP) + 4
        draw.text((2 * _GAP, y), view, _INK, font(text), stroke_width=2, stroke_fill=_BACKGROUND)
    if footer:
        draw.text(
            (_GAP, height - foot + 2), fit_text(footer, width - 2 * _GAP, 14), _FAINT, font(14)
        )
    return np.asarray(board)


@functools.lru_cache(maxsize=256)
def fit_text(text: str, width: int, size: int) -> str:
    """`text` on one line, shortened with an ellipsis until it is at most `width` px wide."""
    line = " ".join(text.split())[:300]
    length = font(size).getlength
    if length(line) <= width:
        return line

    def wide(n: int) -> int:
        return math.ceil(length(f"{line[:n]}..."))

    # a line is measured few times: that of a board is fitted ten times a second
    fits = bisect.bisect_right(range(len(line)), width, key=wide)
    return line[: fits - 1].rstrip() + "..." if fits > 1 else ""


def pick_evenly(n: int, k: int) -> list[int]:
    """At most `k` distinct indices below `n`, evenly spread, first and last included."""
    if n <= 0 or k <= 0:
        return []
    if k == 1 or n == 1:
        return [0]
    return sorted({round(i * (n - 1) / (min(n, k) - 1)) for i in range(min(n, k))})


def compose_strip(
    moments: Sequence[tuple[str, Sequence[tuple[str, np.ndarray]]]],
    views: Sequence[str],
    tile: int = 128,
) -> np.ndarray:
    """Moments from left to right; under each, per view, the observed frame and what had been
    imagined for it.

    Args:
        moments: (time label, [(row label, frames (V, H, W, 3))]); all moments have the same rows.
        views: names, in the order of the frames.
        tile: edge of a tile, px.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    rows = [label for label, _ in moments[0][1]]
    margin = 150
    head = 24
    gap = 3
    width = margin + len(moments) * (tile + gap)
    height = head + len(views) * (len(rows) * (tile + gap) + 8)
    strip = Image.new("RGB", (width, height), (255, 255, 255))
    draw = ImageDraw.Draw(strip)
    for v, view in enumerate(views):
        for r, row in enumerate(rows):
            y = head + v * (len(rows) * (tile + gap) + 8) + r * (tile + gap)
            draw.text((6, y + tile // 2 - 16), f"{view}\n{row}", (30, 30, 30), font(14))
            for m, (_, frames) in enumerate(moments):
                strip.paste(enlarge(frames[r][1][v], tile), (margin + m * (tile + gap), y))
    for m, (label, _) in enumerate(moments):
        draw.text((margin + m * (tile + gap) + 2, 4), label, (30, 30, 30), font(14))
    return np.asarray(strip)
