"""Who may ask the policy server. Judged from a request's head before anything of it is used."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wam_ros.core.errors import WamError
from wam_ros.core.listening import is_loopback
from wam_ros.web.access import UNKNOWN_NAME, by_name, is_known_as, is_same, require_token

_SCHEMES = ("api-key", "bearer")  # what openpi's client says, and what RFC 6750 says


def read_token(file: str) -> str:
    """The token of a file; '' without a file.

    Raises:
        WamError: it cannot be read, others of this machine can read it, or it can be guessed.
    """
    if not file:
        return ""
    path = Path(file)
    try:
        others = stat.S_IMODE(path.stat().st_mode) & 0o077
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise WamError(f"token file '{file}' cannot be read: {error}") from error
    if others:
        raise WamError(f"token file '{file}' is open to other users: chmod 600 {file}")
    return require_token(token, f"token file '{file}'")


@dataclass(frozen=True)
class Access:
    """The rules of one start.

    Args:
        host: address that is listened on.
        token: whoever has it may ask; '' lets everybody of this machine ask.

    Raises:
        WamError: others than this machine can reach it, and there is no token.
    """

    host: str
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not is_loopback(self.host) and not self.token:
            raise WamError(
                f"--host {self.host} lets other machines ask: name a secret with --token-file, or "
                "leave out --host for this machine alone"
            )

    def why_not_admitted(self, headers: Sequence[tuple[str, str]], tokenless: bool = False) -> str:
        """Why a request is refused, in a sentence; empty when it may be answered.

        Args:
            headers: all of them.
            tokenless: what is asked for may be known without the token, as a load balancer has
                none.
        """
        found = by_name(headers)
        # a browser says one of them with every socket, and a page cannot leave it out
        if "origin" in found or "sec-fetch-site" in found:
            return "this server answers programs, no web pages"
        if self._is_proven(found.get("authorization", [])):
            return ""
        if self.token and not tokenless:
            return "a token is wanted: header Authorization: Api-Key TOKEN"
        # where no token tells them apart, a page whose name was made to point here is no program
        hosts = found.get("host", [])
        return "" if len(hosts) == 1 and is_known_as(hosts[0], self.host) else UNKNOWN_NAME

    def _is_proven(self, given: list[str]) -> bool:
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        same = is_same(token.strip(), self.token)
        return bool(self.token) and scheme.lower() in _SCHEMES and same
