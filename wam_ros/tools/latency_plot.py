"""Latencies as a picture: where the median goes, then one row per stage with every sample and its
percentiles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from wam_ros.core.files import write_whole
from wam_ros.core.trace import TOTALS, percentiles_ms

# px
WIDTH = 960
LEFT = 200
RIGHT = 190
ROW = 40
TOP = 100
STROKES = 400  # samples drawn per row at most
PERCENTILES = {"p50_ms": "#0b7285", "p95_ms": "#e67700", "p99_ms": "#c92a2a"}
STAGE_COLOURS = ("#4263eb", "#f08c00", "#2b8a3e", "#ae3ec9", "#868e96")
TICKS = 6  # on the axis, at most about


def write_plot(values: Mapping[str, Sequence[float]], file: Path) -> None:
    """Write an SVG of samples in ms by stage, the totals last."""
    found = {name: percentiles_ms(samples) for name, samples in values.items()}
    longest = max(max(samples) for samples in values.values()) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / longest
    bottom = TOP + ROW * len(values)
    rows = [
        _row(TOP + ROW * k, name, values[name], found[name], scale) for k, name in enumerate(values)
    ]
    medians = {name: p["p50_ms"] for name, p in found.items() if name not in TOTALS}
    write_whole(
        file,
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{bottom + 40}" '
        'font-family="sans-serif" '
        f'font-size="13"><rect width="100%" height="100%" fill="white"/>{_stack(medians)}'
        f"{_axis(longest, scale, bottom)}{''.join(rows)}</svg>\n",
    )


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y}" {more}>{escape(words)}</text>'


def _stack(medians: Mapping[str, float]) -> str:
    """The medians of the stages behind each other, over the whole width, with their names below."""
    whole = sum(medians.values()) or 1.0
    x = 10.0
    parts = []
    slot = (WIDTH - 20) / max(1, len(medians))
    for k, (name, ms) in enumerate(medians.items()):
        colour = STAGE_COLOURS[k % len(STAGE_COLOURS)]
        width = ms / whole * (WIDTH - 20)
        parts.append(f'<rect x="{x:.1f}" y="24" width="{width:.1f}" height="22" fill="{colour}"/>')
        parts.append(f'<rect x="{10 + k * slot:.1f}" y="56" width="9" height="9" fill="{colour}"/>')
        parts.append(_text(23 + k * slot, 65, name, 'font-size="11"'))
        x += width
    return _text(10, 17, f"where the median goes: {whole:.0f} ms in all stages together") + "".join(
        parts
    )


def _axis(longest: float, scale: float, bottom: float) -> str:
    """Lines at round times through all rows."""
    power = 10 ** math.floor(math.log10(longest / TICKS))
    step = next(power * m for m in (1, 2, 5, 10) if longest <= TICKS * power * m)
    parts = []
    for k in range(int(longest / step + 1e-9) + 1):
        x = LEFT + k * step * scale
        words = f"{k * step:g}" + (" ms" if k else "")
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}" stroke="#dee2e6"/>')
        parts.append(_text(x, bottom + 18, words, 'text-anchor="middle" fill="#495057"'))
    return "".join(parts)


def _row(
    y: float, name: str, samples: Sequence[float], found: Mapping[str, float], scale: float
) -> str:
    every = max(1, len(samples) // STROKES)
    strokes = "".join(
        f'<line x1="{LEFT + v * scale:.1f}" x2="{LEFT + v * scale:.1f}" y1="{y + 9}" '
        f'y2="{y + 31}"/>'
        for v in samples[::every]
    )
    marks = []
    numbers = []
    for k, (key, colour) in enumerate(PERCENTILES.items()):
        x = LEFT + found[key] * scale - 1.5
        marks.append(f'<rect x="{x:.1f}" y="{y + 5}" width="3" height="30" fill="{colour}"/>')
        place = WIDTH - RIGHT + 70 + 55 * k
        numbers.append(
            _text(place, y + 25, f"{found[key]:.1f}", f'text-anchor="end" fill="{colour}"')
        )
        if y == TOP:
            numbers.append(_text(place, y - 4, key[:-3], f'text-anchor="end" fill="{colour}"'))
    bold = 'text-anchor="end"' + (' font-weight="bold"' if name in TOTALS else "")
    label = _text(LEFT - 10, y + 25, name, bold)
    lines = f'<g stroke="#495057" stroke-opacity="0.15">{strokes}</g>'
    return f"{label}{lines}{''.join(marks)}{''.join(numbers)}"
