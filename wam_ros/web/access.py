"""Who may talk to a server: tokens, and by which names it is known.

A name that an attacker lets point here (DNS rebinding) makes a page of his one of the same origin,
for which a browser sends neither Origin nor a warning; it shows in the header Host, which no page
can choose (Fetch standard).
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import socket
from collections.abc import Sequence

from wam_ros.core.errors import WamError
from wam_ros.core.listening import is_loopback

LOOPBACK = ("localhost", "127.0.0.1", "::1")
UNKNOWN_NAME = "this server is not known by that name; use localhost or its IP address"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,128}")  # 22 characters of base64 are 128 bits
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")


def require_token(token: str, where: str) -> str:
    """A token that cannot be guessed and may stand in an address.

    Raises:
        WamError: it names where the token comes from.
    """
    if not _TOKEN.fullmatch(token):
        raise WamError(f"{where}: a token is 22 to 128 letters, digits, - or _")
    return token


def is_same(given: str, wanted: str) -> bool:
    """Whether a secret is the one that is wanted; takes as long for every one that is not."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())


def by_name(headers: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """All values of each header, by its name in small letters."""
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(value)
    return found


def is_known_as(host: str, listening: str) -> bool:
    """Whether a Host header names a server that listens on an address.

    A name that anybody may let point here does not. The port is not compared, because a tunnel may
    have another one.

    Args:
        host: the header.
        listening: address that is listened on.
    """
    if not (match := _HOST.fullmatch(host)):
        return False
    name = match[1].strip("[]").lower()
    if name in LOOPBACK:
        return True
    if is_loopback(listening):
        return False
    own = socket.gethostname().lower()
    return name in (listening.lower(), own, f"{own}.local") or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
