"""Pages that stand in one file: no network, no script; what was recorded is text in them, never
markup.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from PIL import Image

_STYLE = """
body { margin: 0 auto; max-width: 1240px; padding: 18px; color: #1c2430;
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 22px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 30px 0 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: #5b6675; font-size: 13px; }
th, td { padding: 4px 14px 4px 0; border-bottom: 1px solid #e3e7ec; vertical-align: top; }
.wide { overflow-x: auto; } .faint { color: #5b6675; } figure { margin: 14px 0; }
figcaption { margin-bottom: 4px; } img, svg { max-width: 100%; height: auto; }
.bad { color: #b42318; font-weight: 600; } .good { color: #12733f; font-weight: 600; }
"""
# nothing is fetched and nothing runs, whatever stands in a recording
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(title: str, parts: Iterable[str]) -> str:
    """A whole document; `parts` are markup."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; a cell that is '' or None stays empty."""
    told = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = [
        "<tr>" + "".join(f"<td>{escape(str('' if c is None else c))}</td>" for c in row) + "</tr>"
        for row in rows
    ]
    return (
        f'<div class="wide"><table><thead><tr>{told}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def text(words: str, kind: str = "p", style: str = "") -> str:
    """An element of text."""
    marked = f' class="{style}"' if style else ""
    return f"<{kind}{marked}>{escape(words)}</{kind}>"


def picture(pixels: np.ndarray, caption: str) -> str:
    """Pixels (H, W, 3) uint8 RGB under their caption."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", optimize=True)
    data = base64.b64encode(out.getvalue()).decode()
    return (
        f"<figure>{text(caption, 'figcaption')}"
        f'<img alt="{escape(caption)}" src="data:image/png;base64,{data}"></figure>'
    )
