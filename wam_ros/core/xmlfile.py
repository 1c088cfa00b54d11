"""XML files, as strangers write them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from wam_ros.core.errors import WamError

ENCODING = re.compile(rb"""\s*<\?xml[^>]*\bencoding=["']([\w.-]+)["']""")


def read_xml(path: Path) -> ET.Element:
    """The root element of a file.

    Raises:
        WamError: it cannot be read, or is no XML.
    """
    try:
        return _parse(path.read_bytes())
    except (OSError, ET.ParseError, LookupError, ValueError) as error:
        raise WamError(f"{path}: {error}") from error


def _parse(data: bytes) -> ET.Element:
    try:
        return ET.fromstring(data)
    except ValueError:  # of expat, which knows no encoding of several bytes, GB 2312 say
        told = ENCODING.match(data)
        if told is None:
            raise
        return ET.fromstring(data.decode(told[1].decode()))
