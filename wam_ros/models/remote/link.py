"""One connection to a policy server. The library's own thread answers the server's pings."""

from __future__ import annotations

import contextlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from wam_ros.core.errors import WamError
from wam_ros.models.remote.address import TOKEN_VARIABLE, Address
from wam_ros.wire.exchange import SUBPROTOCOL
from wam_ros.wire.packing import MOST_BYTES, WireError, pack, unpack

CONNECT_S = 3.0  # until a server takes a connection
GREETING_S = 5.0  # until it says what it is, or that it is still loading
LOOK_S = 1.0  # between two looks at how far it is


class UnreachedError(WamError):
    """Nobody is there who takes a connection."""


class ConnectionGoneError(WamError):
    """The server ended the connection, or the network did."""


class Link:
    """Asks one message at a time. Of one thread at a time.

    Args:
        address: of the server.
        token: that it is shown; '' none.
    """

    tells_reset = False

    def __init__(self, address: Address, token: str) -> None:
        self._socket: ClientConnection | None = None
        self._held = contextlib.ExitStack()  # the library's connections are contexts
        self._address = address
        self._headers = {"Authorization": f"Api-Key {token}"} if token else {}

    @property
    def open(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._socket is not None

    def connect(self, patience_s: float, on_wait: Callable[[str], None]) -> Any:
        """Open a connection; what the server says of itself.

        Args:
            patience_s: how long a server that says that it is still loading is waited for.
            on_wait: told now and then what it says meanwhile.

        Raises:
            WamError: it cannot be reached, refuses, says nothing, or nothing that can be read.
        """
        self.close()
        try:
            connection = connect(
                self._address.url,
                additional_headers=self._headers,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                compression=None,
                open_timeout=CONNECT_S,
                close_timeout=0.2,
                # a server may compute in the thread that would answer a ping: `ask` has a limit
                ping_interval=None,
                max_size=MOST_BYTES,
                proxy=None,
            )
            self._socket = self._held.enter_context(connection)
        except InvalidStatus as error:
            raise WamError(self._words(_of_status(error))) from error
        except (OSError, InvalidHandshake, TimeoutError, ValueError) as error:
            words = self._words(f"cannot be reached: {line_of(error)}")
            raise UnreachedError(words) from error
        greeting = self._greeting(patience_s, on_wait)
        try:
            return unpack(greeting)
        except WireError as error:
            self.close()
            raise WamError(
                self._words(f"what it says of itself cannot be read: {error}")
            ) from error

    def ask(self, message: Mapping[str, Any], timeout_s: float) -> Any:
        """The answer to a message; a text where the server sent text.

        Whatever goes wrong, the connection is closed: an answer that comes late must not be taken
        for the next one.

        Raises:
            WamError: in words, with the server's address.
        """
        if self._socket is None:
            raise WamError(self._words("is not connected"))
        try:
            self._socket.send(pack(message))
            answer = self._socket.recv(timeout=timeout_s)
            return printable(answer) if isinstance(answer, str) else unpack(answer)
        except TimeoutError as error:
            self.close()
            raise WamError(self._words(f"has not answered for {timeout_s:g} s")) from error
        except (ConnectionClosed, OSError) as error:
            self.close()
            words = self._words(f"the connection is gone: {line_of(error)}")
            raise ConnectionGoneError(words) from error
        except WireError as error:
            self.close()
            raise WamError(self._words(f"its answer cannot be read: {error}")) from error

    def close(self) -> None:
        """End the connection, if there is one."""
        self._socket = None
        with contextlib.suppress(OSError, ConnectionClosed):
            self._held.close()

    def __del__(self) -> None:
        # the library's thread keeps a connection open that nobody holds any more
        self.close()

    def _greeting(self, patience_s: float, on_wait: Callable[[str], None]) -> bytes:
        """The first message, which a server that loads its model sends when that is done."""
        assert self._socket is not None
        began_s = time.monotonic()
        while True:
            try:
                waited_s = time.monotonic() - began_s
                told = self._socket.recv(timeout=LOOK_S)
                if isinstance(told, bytes):
                    return told
                self.close()
                raise WamError(self._words(f"says: {printable(told)}"))
            except TimeoutError:
                progress = self._progress()
                if not progress and waited_s > GREETING_S:
                    self.close()
                    raise WamError(self._words("takes a connection and says nothing")) from None
                if waited_s > patience_s:
                    self.close()
                    words = f"is not ready after {patience_s:g} s: {progress}"
                    raise WamError(self._words(words)) from None
                if progress:
                    on_wait(self._words(progress))
            except (ConnectionClosed, OSError) as error:
                self.close()
                raise WamError(self._words(f"closed the connection: {line_of(error)}")) from error

    def _progress(self) -> str:
        """What a server that is not ready says of itself; '' where it says nothing of the kind."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            asked = urllib.request.Request(self._address.health, headers=self._headers)
            opener.open(asked, timeout=LOOK_S).close()
        except urllib.error.HTTPError as error:
            with error:
                words = error.read(300).decode("utf-8", "replace")
            return printable(words) if error.code == 503 else ""
        except (OSError, ValueError, http.client.HTTPException):
            return ""
        return ""

    def _words(self, what: str) -> str:
        return f"the policy server {self._address.url}: {what}"


def line_of(error: Exception) -> str:
    """What an error says, as one line of a log."""
    return printable(str(error)) or type(error).__name__


def printable(words: str) -> str:
    """The end of what a stranger says, as one line of a log: an error is told last."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(words.split())[-300:])


def _of_status(error: InvalidStatus) -> str:
    status = error.response.status_code
    body = (error.response.body or b"")[:200].decode("utf-8", "replace")
    hint = f" (the environment's {TOKEN_VARIABLE})" if status == 401 else ""
    return f"refuses with {status}: {printable(body)}{hint}"
