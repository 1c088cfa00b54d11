"""The files that the page is made of, and what a browser is told about them."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from wam_ros.core.errors import WamError

FOLDER = Path(__file__).parent / "page"
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_WORTH_PACKING = 2000  # bytes


@dataclass(frozen=True)
class Asset:
    """What a path is answered with."""

    kind: str  # MIME type
    body: bytes
    packed: bytes | None = None  # by gzip, for who accepts it


def make_asset(kind: str, body: bytes) -> Asset:
    """An asset that is packed once, where that is worth it."""
    return Asset(kind, body, gzip.compress(body, 6) if len(body) > _WORTH_PACKING else None)


@functools.cache
def page_assets() -> dict[str, Asset]:
    """All files of the page by their path; nothing else of the disk is ever served.

    Raises:
        WamError: they were not installed.
    """
    files = [f for f in FOLDER.rglob("*") if f.is_file() and f.suffix in _KINDS]
    found = {
        f"/{f.relative_to(FOLDER).as_posix()}": make_asset(_KINDS[f.suffix], f.read_bytes())
        for f in files
    }
    if "/index.html" not in found:
        raise WamError(f"no page in {FOLDER}; reinstall with `pip install .`")
    found["/"] = found.pop("/index.html")
    return found


def policy(index: bytes) -> dict[str, str]:
    """Headers of every answer: nothing from elsewhere, in no frame, to no other page.

    Args:
        index: the page; the import map in it is the only script that may stand inside, by its hash.
    """
    maps = re.findall(rb'<script type="importmap">(.*?)</script>', index, re.DOTALL)
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in maps
    )
    rules = {
        "default-src": "'none'",
        "script-src": f"'self' {hashes}".strip(),
        "style-src": "'self'",
        "img-src": "'self' blob: data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{key} {value}" for key, value in rules.items()),
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
