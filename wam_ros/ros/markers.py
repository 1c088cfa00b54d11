"""What every marker for RViz shares: its colour, how long it is good for, and words that it can
draw.
"""

from __future__ import annotations

from collections.abc import Iterable

from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker

from wam_ros.core import palette
from wam_ros.core.types import NS

_LONGEST = 120  # characters of a text


def colour_msg(colour: palette.RGB, alpha: float = 1.0) -> ColorRGBA:
    """A colour in [0, 1] as a message."""
    r, g, b = colour
    return ColorRGBA(r=r, g=g, b=b, a=alpha)


def lifetime_msg(seconds: float) -> Duration:
    """After so long a marker that nobody told again is gone, and so is one of a node that died."""
    whole_ns = round(seconds * NS)
    return Duration(sec=whole_ns // NS, nanosec=whole_ns % NS)


def text_marker(
    header: Header,
    name: str,
    number: int,
    *,
    text: str,
    position: Iterable[float],
    height: float,
    colour: palette.RGB,
    lifetime_s: float,
) -> Marker:
    """One line of words that faces the viewer; without words it takes the last ones away.

    RViz' font has printable ASCII only, and a space is drawn twice `scale.x` wide: at the default
    of 1 m or 0 its words fly apart.

    Args:
        header: stamp and frame.
        name: namespace.
        number: id in it.
        text: one line.
        position: (3,) m, its middle.
        height: of a capital letter, m.
        colour: in [0, 1].
        lifetime_s: until it vanishes.
    """
    words = " ".join(text.split()).encode("ascii", "replace").decode()[:_LONGEST]
    plain = "".join(c if c.isprintable() else "?" for c in words).strip()
    marker = Marker(header=header, ns=name, id=number, type=Marker.TEXT_VIEW_FACING, text=plain)
    marker.action = Marker.ADD if plain else Marker.DELETE
    marker.pose.orientation.w = 1.0
    x, y, z = (float(v) for v in position)
    marker.pose.position = Point(x=x, y=y, z=z)
    marker.scale.x = height / 2
    marker.scale.z = height
    marker.color = colour_msg(colour)
    marker.lifetime = lifetime_msg(lifetime_s)
    return marker
