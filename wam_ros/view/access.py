"""Who may talk to the page's server. Judged from a request's head before anything of it is used.

What a foreign page in the operator's browser can do is send requests, with the browser's cookies
where their rules allow it (RFC 6265bis), but not choose the headers Host, Origin and Sec-Fetch-Site
(Fetch standard): those tell which page asks.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

from wam_ros.core.listening import is_loopback
from wam_ros.web.access import UNKNOWN_NAME, by_name, is_known_as, is_same, require_token

TOKEN_VARIABLE = "WAM_VIEW_TOKEN"
OPEN = "/open"  # where the token becomes a cookie
_LINK = "open the link that view_node printed when it started"


def make_token() -> str:
    """The token of this start: the environment's `WAM_VIEW_TOKEN`, else a new one of 256 bits.

    Raises:
        WamError: the environment's is short enough to be guessed, or cannot stand in an address.
    """
    token = os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(32)
    return require_token(token, TOKEN_VARIABLE)


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
        return is_same(token, self.token)

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
        found = by_name(headers)
        if twice := [n for n in ("host", "origin", "sec-fetch-site") if len(found.get(n, ())) > 1]:
            return f"header {twice[0]} came twice"
        host, origin, site = (
            found.get(name, [""])[0] for name in ("host", "origin", "sec-fetch-site")
        )
        if not is_known_as(host, self.host):
            return UNKNOWN_NAME
        # all of Host must be there, the port too
        if origin and origin != f"{self.scheme}://{host}":
            return "asked for by a page of another origin"
        if not origin and "upgrade" in found:
            return "a socket is opened by the page only: there is no Origin"
        if path == OPEN:  # a link to it may stand in any page: the token decides
            return "" if method == "GET" else "open the page with GET"
        if site not in ("", "same-origin", "none"):
            return f"asked for by another page: {_LINK}"
        if not is_same(cookies.get(self.cookie_name, ""), self.cookie):
            return _LINK
        return ""


def page_address(host: str, port: int, token: str, secure: bool = False) -> str:
    """What a person opens, with the token in it."""
    if is_loopback(host):
        name = "localhost"
    else:
        name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    name = f"[{name}]" if ":" in name else name
    scheme = "https" if secure else "http"
    return f"{scheme}://{name}:{port}{OPEN}?{urlencode({'token': token})}"
