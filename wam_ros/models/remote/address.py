"""The name of a model that is a server: `ws://HOST:PORT`, or `CONTRACT@ws://HOST:PORT`;
`CONTRACT@http://HOST:PORT/act` is one that is asked by HTTP, `CONTRACT@tcp://HOST:PORT` one that
speaks ZeroMQ as GR00T's.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from wam_ros.core.errors import WamError
from wam_ros.core.listening import is_loopback

SOCKETS = ("ws://", "wss://")
REST = ("http://", "https://")
ZMQ = ("tcp://",)
TOKEN_VARIABLE = "WAM_POLICY_TOKEN"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}")


@dataclass(frozen=True)
class Address:
    """Where a server is, and by which contract it is asked."""

    url: str
    contract: str = ""  # '' the server describes itself

    @property
    def health(self) -> str:
        """Where a server says whether it is ready."""
        parts = urlsplit(self.url)
        return f"http{'s' if parts.scheme == 'wss' else ''}://{parts.netloc}/healthz"

    @property
    def risk(self) -> str:
        """What others can do, '' where they cannot."""
        host = urlsplit(self.url).hostname or ""
        if self.url.startswith(("wss://", "https://")) or is_loopback(host):
            return ""
        return "without TLS: whoever is between can see and change what is said"


def is_address(model: str) -> bool:
    """Whether the name of a model is a server's address."""
    return _parts(model)[1].startswith(SOCKETS + REST + ZMQ)


def read_address(model: str) -> Address:
    """The parts of such a name.

    Raises:
        WamError: it is no address, or has a password, a query or the like.
    """
    contract, url = _parts(model)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise WamError(f"'{model}' is no address: {error}") from error
    if parts.query or parts.fragment or parts.username or port == 0:  # and nothing secret is told
        raise WamError(f"an address is ws://HOST:PORT; a token is in {TOKEN_VARIABLE}")
    if not url.startswith(SOCKETS + REST + ZMQ) or not parts.hostname:
        raise WamError(f"'{model}' is no address like ws://HOST:PORT or CONTRACT@ws://HOST:PORT")
    if url.startswith(REST + ZMQ) and not contract:
        raise WamError(f"such a server does not say which robot it is for: CONTRACT@{url}")
    if url.startswith(ZMQ) and (not port or parts.path):
        raise WamError(f"an address of ZeroMQ is tcp://HOST:PORT, found '{url}'")
    return Address(url, contract)


def read_token() -> str:
    """The token that a server is shown, of the environment: a command line is everybody's to read.

    Raises:
        WamError: it cannot stand in a header.
    """
    token = os.environ.get(TOKEN_VARIABLE, "")
    if token and not _TOKEN.fullmatch(token):
        raise WamError(f"{TOKEN_VARIABLE} has characters that cannot stand in a header")
    return token


def _parts(model: str) -> tuple[str, str]:
    """Contract and address."""
    if model.startswith(SOCKETS + REST + ZMQ):
        return "", model
    contract, at, url = model.partition("@")
    return (contract, url) if at else ("", "")
