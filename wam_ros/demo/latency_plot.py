"""Latencies as a picture: one row per stage, every sample as a stroke, percentiles marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from wam_ros.core.trace import percentiles_ms

WIDTH, LEFT, ROW, TOP = 900, 210, 46, 30  # px
STROKES = 400  # samples drawn per row at most
COLOURS = {"p50_ms": "#0b7285", "p95_ms": "#e67700", "p99_ms": "#c92a2a"}


def write_plot(values: dict[str, list[float]], file: Path) -> None:
    """Write an SVG of samples in ms by stage."""
    longest = max(max(v) for v in values.values()) or 1.0
    scale = (WIDTH - LEFT - 20) / longest
    rows = [_row(k, name, samples, scale) for k, (name, samples) in enumerate(values.items())]
    height = TOP + ROW * len(values) + 30
    legend = "".join(
        f'<text x="{LEFT + 90 * k}" y="18" fill="{colour}">{name[:-3]}</text>'
        for k, (name, colour) in enumerate(COLOURS.items())
    )
    file.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" '
        f'font-size="13"><rect width="100%" height="100%" fill="white"/>{legend}{"".join(rows)}'
        f'<text x="{LEFT}" y="{height - 8}">0</text>'
        f'<text x="{WIDTH - 20}" y="{height - 8}" text-anchor="end">{longest:.0f} ms</text></svg>\n',
        encoding="utf-8",
    )


def _row(index: int, name: str, samples: Sequence[float], scale: float) -> str:
    y = TOP + ROW * index
    every = max(1, len(samples) // STROKES)
    strokes = "".join(
        f'<line x1="{LEFT + v * scale:.1f}" x2="{LEFT + v * scale:.1f}" y1="{y + 10}" y2="{y + 34}"/>'
        for v in samples[::every]
    )
    marks = "".join(
        f'<rect x="{LEFT + value * scale - 1.5:.1f}" y="{y + 6}" width="3" height="32" fill="{COLOURS[key]}">'
        f"<title>{key[:-3]} {value:.1f} ms</title></rect>"
        for key, value in percentiles_ms(samples).items()
        if key in COLOURS
    )
    label = f'<text x="{LEFT - 10}" y="{y + 26}" text-anchor="end">{escape(name)}</text>'
    base = f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y + 22}" y2="{y + 22}" stroke="#dee2e6"/>'
    return f'{label}{base}<g stroke="#495057" stroke-opacity="0.15">{strokes}</g>{marks}'
