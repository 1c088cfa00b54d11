"""A server of HTTP in a thread of its own. Whoever opens connections and sends nothing keeps nobody
out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from wam_ros.core.errors import WamError

AT_ONCE = 8  # connections that are let in before the others have their turn
WAITING = 128  # connections that the kernel lets wait
LONGEST_LINE = 4096  # bytes of a line of a request's head
HANDSHAKE_S = 5.0  # of TLS
CLOSE_S = 0.5  # for handlers to end
# what a peer sends must not fill a log; what goes wrong is told by whoever answers
_QUIET = logging.Logger("wam_ros.web", logging.CRITICAL)


class WebServer:
    """Lets every request through one door, in the server's thread.

    Args:
        name: of the thread.
        listening: bound and listening socket; belongs to the server from now on.
        answer: answers one request.
        kept: transports that are not closed to make room for newcomers.
        most: connections beside those; the oldest leaves for a new one.
        tls: context of a server that speaks TLS.

    Raises:
        WamError: the server cannot be started.
    """

    def __init__(
        self,
        name: str,
        listening: socket.socket,
        answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        kept: Callable[[], Iterable[asyncio.BaseTransport]],
        most: int,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._listening = listening
        self._answer = answer
        self._kept = kept
        self._most = most
        self._tls = tls
        self._closing = asyncio.Event()
        self._ready = threading.Event()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise WamError(f"{name} cannot be served: {self._failure}") from self._failure

    # of any thread

    def call_soon(self, function: Callable[[], object]) -> None:
        """Let the server's thread call a function, unless it is closing."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def close(self) -> None:
        """Stop serving; peers that do not read are not waited for."""
        self.call_soon(self._closing.set)
        self._thread.join(4 * CLOSE_S)

    # of the server's thread

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except OSError as error:
            self._failure = error
        finally:
            self._ready.set()
            self._listening.close()
            self._loop.close()

    async def _serve(self) -> None:
        http = web.Server(
            self._answer,  # type: ignore[arg-type]
            access_log=None,
            logger=_QUIET,
            lingering_time=0.0,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
        )

        def door() -> asyncio.Protocol:
            self._make_room(http)
            return http()

        server = await self._loop.create_server(
            door,
            sock=self._listening,
            backlog=AT_ONCE,
            ssl=self._tls,
            ssl_handshake_timeout=HANDSHAKE_S if self._tls else None,
        )
        # few are let in at a time, between which the others have their turn; more may wait
        self._listening.listen(WAITING)
        self._ready.set()
        await self._closing.wait()
        server.close()
        for connection in http.connections:
            if connection.transport is not None:
                connection.transport.abort()  # type: ignore[attr-defined]
        me = asyncio.current_task()
        if others := [task for task in asyncio.all_tasks() if task is not me]:
            for task in others:
                task.cancel()
            await asyncio.wait(others, timeout=CLOSE_S)

    def _make_room(self, http: web.Server) -> None:
        kept = {id(transport) for transport in self._kept()}
        open_ = [c for c in http.connections if c.transport is not None]
        others = [c for c in open_ if id(c.transport) not in kept]
        for connection in others[: max(0, len(others) - self._most + 1)]:
            connection.transport.abort()  # type: ignore[union-attr,attr-defined]
