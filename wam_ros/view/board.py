"""The board for RViz: one row per view, and in a row what the camera sees, what had been imagined
for now, what is imagined for the next seconds, and how far the first two are apart.

It is 720 pixels wide: RViz shows it in a dock of that width pixel by pixel, so that its captions
stay sharp.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from PIL import Image, ImageDraw

from wam_ros.core import palette
from wam_ros.core.images import mse
from wam_ros.core.types import NS, Observation, SafetyState
from wam_ros.core.words import STATES
from wam_ros.view.model import ViewModel
from wam_ros.view.pictures import fit_text, font
from wam_ros.view.words import describe_decision, describe_mode, describe_nearest, describe_status

WIDTH = 720  # px
MOST_HEIGHT = 620  # px
SPAN_S = 60.0  # of the curve of surprise
LATE_S = 1.0  # a picture that is older is no picture of now
_SURPRISED = (80, 200, 255)  # the edge of a cell; no colour of the heat
LEAST_SURPRISE = 1.0  # top of the curve at least: what is smaller than this is calm

_NOW_S = 0.05  # what is this close to the picture of now is for now
_COLUMNS = 5
_FUTURES = 2  # columns of the next seconds
_CELL = WIDTH // _COLUMNS  # px, with the gap
_TILE = 128  # px at most
_HEAD = 80  # px of the lines above
_CAPTION = 20
_BAR = 3  # px that one figure is wide
_CURVE = 62  # px of the curve below
_EDGE = 8
_STRONGER = 3.0  # a difference of a third of the full scale is as bright as it gets

RGB8 = tuple[int, int, int]

_BACKGROUND = (18, 20, 24)
_PANEL = (28, 31, 37)
_INK = (236, 238, 241)
_FAINT = (160, 166, 174)


def draw_board(model: ViewModel, views: Sequence[str], now_ns: int) -> np.ndarray:
    """The board of this moment, (H, `WIDTH`, 3) uint8 RGB, of one size for a number of views.

    Args:
        model: the newest of everything.
        views: names, in the order of the frames.
        now_ns: ROS time.
    """
    tile = _tile_of(len(views))
    height = _HEAD + _CAPTION + len(views) * (tile + _EDGE) + _CURVE
    board = _blank(height, WIDTH, _BACKGROUND).copy()
    _draw_words(board, model, now_ns)
    for c, place in enumerate(places_of(model, now_ns)):
        x = c * _CELL + (_CELL - tile) // 2
        _write(board, (x, _HEAD), fit_text(place.caption, _CELL - 4, 14), 14, place.colour)
        fits = place.frames is not None and len(place.frames) == len(views)
        for v, view in enumerate(views):
            y = _HEAD + _CAPTION + v * (tile + _EDGE)
            if place.frames is None or not fits:
                board[y : y + tile, x : x + tile] = _PANEL
                _write(board, (x + 8, y + 24), place.empty, 13, _FAINT, _PANEL)
            else:
                picture = _sharp(place.frames[v], tile)
                down, across = picture.shape[:2]
                top = y + (tile - down) // 2
                left = x + (tile - across) // 2
                board[top : top + down, left : left + across] = picture
            if c == 0:
                _label(board, (x + 4, y + 3), fit_text(view, tile - 8, 13))
            elif fits and place.errors:
                _label(board, (x + 4, y + 3), f"{place.errors[v]:.4f}")
    _draw_curve(board, model, height - _CURVE, now_ns)
    return board


@dataclass(frozen=True)
class Place:
    """One of the five columns."""

    caption: str
    frames: np.ndarray | None = None  # (V, H, W, 3) uint8 RGB
    empty: str = "nothing imagined"
    colour: RGB8 = _INK
    errors: tuple[float, ...] = ()  # mean squared, pixels in [0, 1]; one per view, written on it


def places_of(model: ViewModel, now_ns: int) -> list[Place]:
    """The columns from left to right."""
    seen = model.observation
    found = [c for c in model.columns() if c.kind == "imagined" and c.ahead_s >= _NOW_S]
    # the half of what is imagined, and its end
    futures = [found[(len(found) - 1) // 2], found[-1]] if len(found) > 1 else found
    nexts = [Place(f"imagined in {c.ahead_s:.1f} s", c.frames) for c in futures]
    nexts += [Place("next")] * (_FUTURES - len(futures))
    expected, difference = _compared(model)
    return [_now(seen, now_ns), expected, *nexts, difference]


def _now(seen: Observation | None, now_ns: int) -> Place:
    if seen is None:
        return Place("camera", empty="no picture yet")
    age_s = (now_ns - seen.stamp_ns) / NS
    if abs(age_s) > LATE_S:
        return Place(f"camera, {age_s:.1f} s ago", seen.frames, colour=_of(palette.RED))
    return Place("camera, now", seen.frames)


def _compared(model: ViewModel) -> tuple[Place, Place]:
    """What had been imagined for the newest instant that it can be told of, and how far it is from
    what came.
    """
    seen = model.observation
    nothing = Place("imagined for now"), Place("difference", empty="nothing to compare")
    if seen is None or model.compared is None:
        return nothing
    came, comparison = model.compared
    ago_s = (seen.stamp_ns - came.stamp_ns) / NS
    if ago_s > LATE_S:
        return nothing
    when = "now" if ago_s < _NOW_S else f"{ago_s:.1f} s ago"
    errors = tuple(mse(a, b) for a, b in zip(came.frames, comparison.imagined, strict=True))
    heat = heat_of(came.frames, comparison.imagined)
    told = model.appraisal
    if told is not None and abs(told.stamp_ns - came.stamp_ns) <= LATE_S * NS:
        heat = with_surprises(heat, told.heat)
    return (
        Place(f"imagined for {when}", comparison.imagined),
        Place("difference", heat, errors=errors),
    )


def with_surprises(pictures: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Pictures (V, H, W, 3) uint8 with an edge around each cell of (V, R, C) that shows more than
    calm runs ever did.
    """
    if len(heat) != len(pictures) or not heat.size:
        return pictures
    marked = pictures.copy()
    height = pictures.shape[1] // heat.shape[1]
    width = pictures.shape[2] // heat.shape[2]
    for view, row, column in np.argwhere(heat > 1.0):
        y = row * height
        x = column * width
        cell = marked[view, y : y + height, x : x + width]
        cell[0] = cell[-1] = _SURPRISED
        cell[:, 0] = cell[:, -1] = _SURPRISED
    return marked


def heat_of(seen: np.ndarray, imagined: np.ndarray) -> np.ndarray:
    """How far two sets of frames (..., H, W, 3) uint8 are apart, as heat of the same shape: black
    where they agree, over red and yellow to white.
    """
    apart = np.maximum(seen, imagined) - np.minimum(seen, imagined)
    r, g, b = np.moveaxis(apart, -1, 0)
    return _heat().take(np.maximum(np.maximum(r, g), b), 0)


@functools.cache
def _heat() -> np.ndarray:
    """(256, 3) uint8 of a difference, as brightness and as hue readable by whoever sees few
    colours.
    """
    at = np.array([0, 64, 128, 192, 255])
    colours = np.array([[0, 0, 0], [90, 16, 110], [215, 60, 50], [250, 170, 40], [255, 255, 235]])
    shade = np.floor(np.minimum(np.arange(256) * _STRONGER, 255))
    return np.stack([np.interp(shade, at, c) for c in colours.T], axis=-1).astype(np.uint8)


@functools.cache
def _blank(height: int, width: int, ground: RGB8) -> np.ndarray:
    """A picture with nothing on it."""
    return np.full((height, width, 3), ground, np.uint8)


def _tile_of(n_views: int) -> int:
    """Edge of a tile, px: as large as the board allows."""
    room = MOST_HEIGHT - _HEAD - _CAPTION - _CURVE
    return min(_TILE, room // max(1, n_views) - _EDGE)


def _sharp(frame: np.ndarray, tile: int) -> np.ndarray:
    """A frame (H, W, 3) as large as fits into a tile: enlarged in whole steps, so that a pixel of
    the model stays a square; what is larger is made smaller.
    """
    height, width = frame.shape[:2]
    whole = tile // max(height, width)
    if whole:
        return frame.repeat(whole, 1).repeat(whole, 0)
    scale = tile / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = Image.fromarray(np.ascontiguousarray(frame)).resize(size, Image.Resampling.BOX)
    return np.asarray(small)


def _draw_words(board: np.ndarray, model: ViewModel, now_ns: int) -> None:
    """Instruction and state of safety, what the model does, what became of its last chunk."""
    report = model.report
    colour = _of(palette.GREY if report is None else palette.OF_STATE[report.state])
    state = STATES[SafetyState.UNKNOWN if report is None else report.state].label
    wide = round(font(18).getlength(state))
    _write(board, (WIDTH - _EDGE - wide, 6), state, 18, colour)
    room = WIDTH - 3 * _EDGE - wide
    _write(board, (_EDGE, 6), fit_text(model.instruction or "no instruction", room, 18), 18, _INK)
    mode = "" if model.status is None else f", {describe_mode(model.status.mode)}"
    running = describe_status(model.status, model.chunk_rate_hz) + mode
    _write(board, (_EDGE, 32), fit_text(running, WIDTH - 2 * _EDGE, 14), 14, _FAINT)
    judged = model.fresh_verdict()
    if judged is None:
        words = "no chunk judged in the last second"
        colour = _FAINT
    else:
        nearest = describe_nearest(judged)
        words = describe_decision(judged) + (f", nearest: {nearest}" if nearest else "")
        colour = _of(palette.OF_DECISION[judged.decision])
    _write(board, (_EDGE, 54), fit_text(words, WIDTH - 2 * _EDGE, 14), 14, colour)


def _write(
    board: np.ndarray,
    at: tuple[int, int],
    words: str,
    size: int,
    colour: RGB8,
    ground: RGB8 = _BACKGROUND,
) -> None:
    """Words from the left, on their ground."""
    x, y = at
    line = _line(words, size, colour, ground)[:, : WIDTH - x]
    board[y : y + line.shape[0], x : x + line.shape[1]] = line


@functools.lru_cache(maxsize=256)
def _line(words: str, size: int, colour: RGB8, ground: RGB8) -> np.ndarray:
    """A line as a picture (H, W, 3): of ten boards a second most have been drawn before, and of the
    others most words.
    """
    parts = [_mask(word, size) for word in words.split(" ")]
    wide = sum(advance for _, _, advance in parts)
    line = Image.new("RGB", (wide, round(1.25 * size)), ground)
    x = 0
    for mask, top, advance in parts:
        if mask is not None:
            line.paste(colour, (x, top), mask)
        x += advance
    return np.asarray(line)


@functools.lru_cache(maxsize=1024)
def _mask(word: str, size: int) -> tuple[Image.Image | None, int, int]:
    """A word as a mask, how far below its line it begins, and where the next word begins, px."""
    left, top, right, bottom = (round(v) for v in font(size).getbbox(word))
    advance = round(font(size).getlength(f"{word} "))
    if right <= left or bottom <= top:
        return None, 0, advance
    mask = Image.new("L", (right, bottom - top))
    ImageDraw.Draw(mask).text((0, -top), word, 255, font(size))
    return mask, top, advance


def _label(board: np.ndarray, at: tuple[int, int], words: str) -> None:
    """Words on a picture, on a ground of their own."""
    x, y = at
    ground = _blank(18, WIDTH, _BACKGROUND)[:, : _length(words) + 6]
    board[y - 2 : y + 16, x - 3 : x + _length(words) + 3] = ground
    _write(board, at, words, 13, _INK)


@functools.lru_cache(maxsize=256)
def _length(words: str) -> int:
    """Of a label, px."""
    return round(font(13).getlength(words))


def _draw_curve(board: np.ndarray, model: ViewModel, top: int, now_ns: int) -> None:
    """Surprise over the last minute, the newest at the right edge."""
    now = model.figures()["surprise"]
    words = f"surprise {now:.2f}" if math.isfinite(now) else "surprise unknown"
    left = _CELL + 2 * _EDGE
    wide = WIDTH - _EDGE - left
    high = _CURVE - _EDGE
    told = model.surprises
    stamps_ns = np.fromiter(map(itemgetter(0), told), np.int64, len(told))
    values = np.fromiter(map(itemgetter(1), told), float, len(told))
    columns = wide - 1 - np.floor((now_ns - stamps_ns) / NS * wide / SPAN_S).astype(int)
    shown = np.isfinite(values) & (columns >= 0) & (columns < wide)
    told_at = np.zeros(wide + _BAR - 1)
    np.maximum.at(told_at, columns[shown], values[shown])
    most = max(LEAST_SURPRISE, float(told_at.max()))
    highest = np.maximum.reduce([told_at[k : k + wide] for k in range(_BAR)])
    rows = (high * highest / most).astype(int)
    curve = board[top : top + high, left : left + wide]
    curve[:] = _blank(high, wide, _PANEL)
    filled = np.arange(high, 0, -1)[:, None] <= rows
    curve.view("V3")[..., 0][filled] = bytes(_of(palette.ORANGE))
    _write(board, (_EDGE, top), words, 14, _INK)
    _write(board, (_EDGE, top + 20), f"top {most:.2f}", 13, _FAINT)
    _write(board, (_EDGE, top + 38), f"last {SPAN_S:.0f} s", 13, _FAINT)


def _of(colour: palette.RGB) -> RGB8:
    r, g, b = (round(255 * v) for v in colour)
    return r, g, b
