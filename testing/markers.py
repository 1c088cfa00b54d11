"""What RViz needs of a marker to draw it, as seen with the real one and read in its sources."""

from __future__ import annotations

import math
from typing import Any

from visualization_msgs.msg import Marker, MarkerArray

_LINES = (Marker.LINE_STRIP, Marker.LINE_LIST)
_SOLIDS = (Marker.CUBE, Marker.SPHERE, Marker.CYLINDER, Marker.CUBE_LIST, Marker.MESH_RESOURCE)


def why_not_drawable(message: MarkerArray, frames: set[str], lasting: bool = False) -> list[str]:
    """Everything in a message that RViz would refuse, warn of or draw wrongly; empty: all is well.

    Args:
        message: markers.
        frames: that tf knows.
        lasting: whether they may stand until they are taken away; otherwise each has a lifetime.
    """
    found = []
    keys = [(m.ns, m.id) for m in message.markers if m.action != Marker.DELETEALL]
    if len(set(keys)) != len(keys):
        found.append("a namespace and id came twice: RViz' duplicate check complains")
    for m in message.markers:
        if m.action == Marker.ADD:
            found += [f"{m.ns} {m.id}: {why}" for why in _wrong(m, frames, lasting)]
    return found


def _wrong(m: Marker, frames: set[str], lasting: bool) -> list[str]:
    """What is wrong with one marker that is shown."""
    o = m.pose.orientation
    p = m.pose.position
    numbers = [p.x, p.y, p.z, o.x, o.y, o.z, o.w, m.scale.x, m.scale.y, m.scale.z]
    numbers += [m.color.r, m.color.g, m.color.b, m.color.a]
    numbers += [v for q in m.points for v in (q.x, q.y, q.z)]
    has_life = m.lifetime.sec or m.lifetime.nanosec
    n_colours = len(m.colors)
    return [
        why
        for why, wrong in (
            ("a number that is none", not all(map(math.isfinite, numbers))),
            (f"frame '{m.header.frame_id}' is unknown", m.header.frame_id not in frames),
            ("no rotation", abs(math.hypot(o.x, o.y, o.z, o.w) - 1.0) > 1e-3),
            ("it cannot be seen through to", m.color.a <= 0.0),
            ("no lifetime", not (lasting or has_life)),
            *_shape(m, m.scale),
            # RViz keeps the texture of every marker that is gone
            ("a texture", bool(m.texture_resource)),
            ("colours of no points", n_colours not in (0, len(m.points), len(m.points) // 3)),
        )
        if wrong
    ]


def _shape(m: Marker, scale: Any) -> list[tuple[str, bool]]:
    if m.type in _LINES:
        return [("a line without width", scale.x <= 0), ("one point", len(m.points) < 2)]
    if m.type in _SOLIDS:
        flat = min(scale.x, scale.y, scale.z) <= 0
        return [("no extent", flat), ("no file", m.type == m.MESH_RESOURCE and not m.mesh_resource)]
    if m.type == Marker.TRIANGLE_LIST:
        return [("not whole triangles", len(m.points) % 3 != 0 or not m.points)]
    if m.type == Marker.TEXT_VIEW_FACING:
        return [
            ("words that fly apart: scale.x is twice a space", not 0.3 < scale.x / scale.z < 0.7),
            ("no words", not m.text.strip()),
            # one line: RViz centres several by the sum of their widths
            ("more than printable ASCII", not (m.text.isascii() and m.text.isprintable())),
        ]
    return [(f"type {m.type} is not looked into", True)]
