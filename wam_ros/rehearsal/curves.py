"""The joints of a rehearsal as curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from wam_ros.core.files import whole_file
from wam_ros.rehearsal.findings import WRONG, Finding

# px
WIDTH = 460
HEIGHT = 150
MARGIN = 46
HEAD = 30
COLOURS = {"commanded": (230, 119, 0), "measured": (11, 114, 133), "predicted": (174, 62, 201)}
PALE = (222, 226, 230)
GREY = (73, 80, 87)
RED = (201, 42, 42)

# (N,) s and (N, A) rad or m
Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]


def draw_curves(
    names: tuple[str, ...], units: tuple[str, ...], curves: Curves, findings: list[Finding]
) -> Image.Image:
    """One panel for each joint, in two columns; what is wrong is written in red above its own.

    Args:
        names: of the joints.
        units: rad or m of each.
        curves: by what they are: commanded, measured, predicted.
        findings: about joints and views.
    """
    rows = -(-len(names) // 2)
    picture = Image.new("RGB", (2 * WIDTH, HEAD + rows * HEIGHT), "white")
    pen = ImageDraw.Draw(picture)
    font = ImageFont.load_default(13)
    x = 12.0
    for name in curves:
        pen.line([(x, 15), (x + 22, 15)], fill=COLOURS[name], width=3)
        pen.text((x + 28, 6), name, fill=GREY, font=font)
        x += 48 + pen.textlength(name, font=font)
    longest = max(float(t[-1]) for t, _ in curves.values())
    for k, name in enumerate(names):
        left = (k % 2) * WIDTH + MARGIN
        top = HEAD + (k // 2) * HEIGHT + 24
        wide = WIDTH - MARGIN - 14
        high = HEIGHT - 24 - 22
        wrong = [f for f in findings if f.level == WRONG and f.subject.split(" ")[0] == name]
        words = f"{name}: {', '.join(f.mistake for f in wrong)}" if wrong else name
        pen.text((left, top - 18), words, fill=RED if wrong else GREY, font=font)
        pen.rectangle((left, top, left + wide, top + high), outline=RED if wrong else PALE)
        shown = [v[:, k] for _, v in curves.values() if not np.isnan(v[:, k]).all()]
        low = min(float(np.nanmin(v)) for v in shown)
        span = max(max(float(np.nanmax(v)) for v in shown) - low, 1e-3)
        for value, y in ((low + span, top - 2), (low, top + high - 12)):
            pen.text((left - MARGIN + 4, y), f"{value:.3g}", fill=GREY, font=font)
        pen.text((left - MARGIN + 4, top + high / 2 - 8), units[k], fill=GREY, font=font)
        for kind, (t, values) in curves.items():
            good = ~np.isnan(values[:, k])
            xs = left + wide * t[good] / longest
            ys = top + high - 3 - (high - 6) * (values[good, k] - low) / span
            if good.sum() > 1:
                pen.line(list(zip(xs, ys, strict=True)), fill=COLOURS[kind], width=2)
        pen.text((left + wide - 34, top + high + 2), f"{longest:.1f} s", fill=GREY, font=font)
    return picture


def save(picture: Image.Image, path: Path) -> None:
    """Write a picture, as PNG.

    Raises:
        WamError: it cannot be written.
    """
    with whole_file(path) as part:
        picture.save(part, format="PNG")
