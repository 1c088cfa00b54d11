"""Who may talk to the page's server. Judged from a request's head before anything of it is used.

What a foreign page in the operator's browser can do is send requests, with the browser's cookies
where their rules allow it (RFC 6265bis), but not choose the headers Host, Origin and Sec-Fetch-Site
(Fetch standard): those tell which page asks. A name that an attacker lets point here (DNS
rebinding) shows in Host.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from wam_ros.core.errors import WamError
from wam_ros.core.listening import is_loopback

TOKEN_VARIABLE = "WAM_VIEW_TOKEN"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
OPEN = "/open"  # where the token becomes a cookie
_LINK = "open the link that view_node printed when it started"
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,128}")  # 22 characters of base64 are 128 bits
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")


def make_token() -> str:
    """The token of this start: the environment's `WAM_VIEW_TOKEN`, else a new one of 256 bits.

    Raises:
        WamError: the environment's is short enough to be guessed, or cannot stand in an address.
    """
    token = os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(32)
    if not _TOKEN.fullmatch(token):
        raise WamError(f"{TOKEN_VARIABLE} must be 22 to 128 letters, digits, - or _")
    return token


@dataclass(frozen=True)
class Access:
    """The rules of one start.

    Args:
        host: address that is listened on.
        port: TCP port.
        token: of this start; whoever has it may open the page.
        secure: whether TLS is spoken.
    """

    host: str
    port: int
    token: str
    secure: bool = False
    cookie: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def cookie_name(self) -> str:
        """Of this port: cookies do not know ports."""
        return f"wam_{self.port}"

    @property
    def scheme(self) -> str:
        """Of the page's address."""
        return "https" if self.secure else "http"

    @property
    def address(self) -> str:
        """What a person opens."""
        return page_address(self.host, self.port, self.token, self.secure)

    def takes_token(self, token: str) -> bool:
        """Whether `token` is that of this start; takes as long for every one that is not."""
        return _same(token, self.token)

    def why_not_admitted(
        self, method: str, path: str, headers: Sequence[tuple[str, str]], cookies: Mapping[str, str]
    ) -> str:
        """Why a request is refused, in a sentence; empty when it may be answered.

        Args:
            method: of HTTP.
            path: without query.
            headers: all of them; one that decides and comes twice is refused.
            cookies: by name.
        """
        found: dict[str, list[str]] = {}
        for name, value in headers:
            found.setdefault(name.lower(), []).append(value)
        if twice := [n for n in ("host", "origin", "sec-fetch-site") if len(found.get(n, ())) > 1]:
            return f"header {twice[0]} came twice"
        host, origin, site = (
            found.get(name, [""])[0] for name in ("host", "origin", "sec-fetch-site")
        )
        if not self._knows(host):
            return "this server is not known by that name; use localhost or its IP address"
        if origin and origin != f"{self.scheme}://{host}":
            return "asked for by a page of another origin"
        if not origin and "upgrade" in found:
            return "a socket is opened by the page only: there is no Origin"
        if path == OPEN:  # a link to it may stand in any page: the token decides
            return "" if method == "GET" else "open the page with GET"
        if site not in ("", "same-origin", "none"):
            return f"asked for by another page: {_LINK}"
        if not _same(cookies.get(self.cookie_name, ""), self.cookie):
            return _LINK
        return ""

    def _knows(self, host: str) -> bool:
        """Whether a Host header names this server: a name that anybody may let point here does not.

        The port is not compared, because a tunnel may have another one; Origin must equal all of
        it.
        """
        if not (match := _HOST.fullmatch(host)):
            return False
        name = match[1].strip("[]").lower()
        if name in LOOPBACK:
            return True
        if is_loopback(self.host):
            return False
        own = socket.gethostname().lower()
        return name in (self.host.lower(), own, f"{own}.local") or _is_address(name)


def page_address(host: str, port: int, token: str, secure: bool = False) -> str:
    """What a person opens, with the token in it."""
    if is_loopback(host):
        name = "localhost"
    else:
        name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    name = f"[{name}]" if ":" in name else name
    scheme = "https" if secure else "http"
    return f"{scheme}://{name}:{port}{OPEN}?{urlencode({'token': token})}"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode())
