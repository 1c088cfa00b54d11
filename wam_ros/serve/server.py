"""The network side of the policy server, in a thread of its own; the model runs in another.

One connection has one message under way at a time, so that a flood waits in its own buffers and
everybody else has a turn. What cannot be answered is answered in words, as openpi's clients expect
it: text instead of bytes. Connections, sizes, silences and the wait for a slow reader are bounded.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from wam_ros.core.errors import WamError
from wam_ros.runtime.prediction import describe
from wam_ros.serve.access import Access
from wam_ros.serve.dialogue import Dialogue, begin
from wam_ros.serve.service import PolicyService, Query
from wam_ros.web.server import WebServer
from wam_ros.wire.exchange import SUBPROTOCOL
from wam_ros.wire.packing import MOST_BYTES

HEALTH = "/healthz"
STATUS = "/status"
MOST_CONNECTIONS = 32  # the oldest that is no socket leaves for a new one
MOST_SOCKETS = 24
MOST_REFUSED = 20  # messages in a row that could not be answered
REFUSED_S = 0.02  # a wait after each of them
CLOSE_S = 0.5  # in which one that is broken off can read why
# What is larger than the first is read at the second, bytes and bytes/s, from each connection: who
# sends the largest messages without end would have the others wait while they are taken in.
AT_ONCE = 2 << 20
RATE = 50e6
SEND_S = 10.0  # for one answer to leave; a client that does not read is dropped then
QUIET_S = 600.0  # a connection that says nothing for so long is closed
BUFFER = 1 << 20  # bytes of the kernel: an observation is large, and its sender waits


class PolicyServer:
    """Serves one model. Clients that come while it is loaded wait for it.

    Args:
        access: who may ask.
        listening: bound and listening socket; belongs to the server from now on.
        load: makes the service, on the model's thread; it is given a function that takes words on
            how far it is.
        tls: context of a server that speaks TLS.
    """

    def __init__(
        self,
        access: Access,
        listening: socket.socket,
        load: Callable[[Callable[[str], None]], PolicyService],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._access = access
        self._service: PolicyService | None = None
        self._began_s = time.monotonic()
        self._progress = "loading"
        self._waiting = 0  # messages that wait for the model, or are with it
        # queries in the order of arrival, when each came, and where its answer goes
        self._queue: deque[tuple[Query, float, Future[Any]]] = deque()
        self._count = 0
        self._sockets: dict[int, asyncio.Transport] = {}
        self.trouble = ""  # newest error of the server itself
        self._ready = asyncio.Event()
        self._model = ThreadPoolExecutor(1, "model")
        self._pictures = ThreadPoolExecutor(1, "pictures")
        self._server = WebServer(
            "serve",
            listening,
            self._answer,
            kept=lambda: self._sockets.values(),
            most=MOST_CONNECTIONS - MOST_SOCKETS,
            tls=tls,
        )
        self.loaded: Future[None] = self._model.submit(self._load, load)

    @property
    def progress(self) -> str:
        """Any thread: what is done before the model answers, '' when it does."""
        if self._service is not None:
            return ""
        return f"{self._progress} since {time.monotonic() - self._began_s:.0f} s"

    def close(self) -> None:
        """Stop serving; what the model computes is waited for, clients are not."""
        self._server.close()
        for threads in (self._pictures, self._model):
            threads.shutdown(wait=True, cancel_futures=True)

    # of the model's thread

    def _load(self, load: Callable[[Callable[[str], None]], PolicyService]) -> None:
        try:
            self._service = load(self._say)
        except Exception as error:
            self._progress = f"could not be loaded: {describe(error)}"
            raise
        finally:
            self._server.call_soon(self._ready.set)

    def _say(self, words: str) -> None:
        self._progress = words

    def _answer_queue(self, service: PolicyService) -> None:
        """Answer those that wait, as many as are answered at once; there may be none any more."""
        waiting: list[tuple[Query, float, Future[Any]]] = []
        while self._queue and len(waiting) < service.sessions.most_together:
            waiting.append(self._queue.popleft())
        # one that is gone while it waited, and with it its answer
        waiting = [one for one in waiting if one[2].set_running_or_notify_cancel()]
        if not waiting:
            return
        try:
            answers = service.answer([(query, arrived_s) for query, arrived_s, _ in waiting])
        except Exception as error:
            answers = [error] * len(waiting)
        for (_, _, answer), found in zip(waiting, answers, strict=True):
            if isinstance(found, Exception):
                answer.set_exception(found)
            else:
                answer.set_result(found)

    # of the server's thread

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The one door: an error in it is an answer, too."""
        try:
            return await self._admitted(request)
        except web.HTTPException as error:
            return _text(error.reason, error.status)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            self.trouble = f"{request.path[:40]}: {describe(error)}"
            return _text("an error in the server", 500)

    async def _admitted(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method != "GET":
            return _text("GET only", 405)
        health = request.path == HEALTH
        if why := self._access.why_not_admitted(list(request.headers.items()), tokenless=health):
            return _text(why, 401 if "token" in why else 403)
        if health:
            return _text("OK", 200) if self._service else _text(self.progress, 503)
        if request.path == STATUS:
            return self._status()
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return _text(f"a policy: open a websocket, or look at {HEALTH} and {STATUS}", 404)
        if len(self._sockets) >= MOST_SOCKETS:
            return _text(f"{MOST_SOCKETS} clients are connected", 503)
        return await self._talk(request)

    def _status(self) -> web.Response:
        found: dict[str, Any] = {"loading": self.progress, "trouble": self.trouble}
        found |= {"waiting": self._waiting, "connections": len(self._sockets)}
        if self._service is not None:
            found |= self._service.sessions.status()
        return _text(json.dumps(found), 200, "application/json")

    async def _talk(self, request: web.BaseRequest) -> web.StreamResponse:
        # what is somewhat too large is read and answered in words; beyond, the connection ends: its
        # sender, who is still sending, may not see why
        ws = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,), max_msg_size=2 * MOST_BYTES, compress=False, timeout=1.0
        )
        self._count += 1
        number = self._count
        assert isinstance(request.transport, asyncio.Transport)
        self._sockets[number] = request.transport
        try:
            await ws.prepare(request)
            if (service := await self._wait_for_model(ws)) is not None:
                ours = bool(ws.ws_protocol)
                dialogue = begin(request.path, ours, service, f"connection {number}")
                await self._send(ws, request.transport, dialogue.greeting)
                await self._listen(ws, request.transport, service, dialogue)
        finally:
            del self._sockets[number]
            if self._service is not None:
                self._service.sessions.release(f"connection {number}")
        return ws

    async def _wait_for_model(self, ws: web.WebSocketResponse) -> PolicyService | None:
        """A client waits for its first message while the model is loaded."""
        await self._ready.wait()
        if self._service is None:
            await ws.close(code=WSCloseCode.INTERNAL_ERROR, message=_reason(self._progress))
        return self._service

    async def _listen(
        self,
        ws: web.WebSocketResponse,
        transport: asyncio.Transport,
        service: PolicyService,
        dialogue: Dialogue,
    ) -> None:
        """Until it leaves, is silent for long, or says too much that cannot be answered."""
        refused = 0
        while refused < MOST_REFUSED:
            try:
                message = await asyncio.wait_for(ws.receive(), QUIET_S)
            except asyncio.TimeoutError:
                await ws.close(message=_reason(f"nothing was asked for {QUIET_S:g} s"))
                return
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                return
            try:
                if message.type is WSMsgType.TEXT:
                    raise WamError("a message is bytes of MessagePack, not text")
                answer = dialogue.reply(await self._ask(service, dialogue, message.data))
                refused = 0
            except WamError as error:
                answer = dialogue.refuse(str(error))
                refused += 1
            except Exception as error:  # whatever is wrong in here must not end a connection
                self.trouble = describe(error)
                answer = dialogue.refuse("an error in the server")
                refused += 1
            await self._send(ws, transport, answer)
            rest_s = max(0.0, (len(message.data) - AT_ONCE) / RATE)
            await asyncio.sleep(max(rest_s, REFUSED_S if refused else 0.0))
        words = f"{MOST_REFUSED} messages in a row could not be answered"
        await _break_off(transport, WSCloseCode.POLICY_VIOLATION, _reason(words))

    async def _ask(self, service: PolicyService, dialogue: Dialogue, data: bytes) -> Any:
        """Let the model answer, in the order of arrival; None where it is not asked.

        Raises:
            WamError: in words for whoever asked.
        """
        loop = asyncio.get_running_loop()
        arrived_s = time.monotonic()
        if dialogue.slow:  # nobody else waits for it
            query = await loop.run_in_executor(self._pictures, dialogue.read, data)
        else:
            query = dialogue.read(data)
        if query is None:
            return None
        if why := service.why_not_in_time(query, self._waiting):
            raise WamError(why)
        answer: Future[Any] = Future()
        self._waiting += 1
        self._queue.append((query, arrived_s, answer))
        try:
            self._model.submit(self._answer_queue, service)
            return await asyncio.wrap_future(answer)
        finally:
            self._waiting -= 1

    async def _send(
        self, ws: web.WebSocketResponse, transport: asyncio.Transport, answer: str | bytes
    ) -> None:
        if not answer:
            return
        late = asyncio.get_running_loop().call_later(SEND_S, transport.abort)
        try:
            if isinstance(answer, str):
                await ws.send_str(answer)
            else:
                await ws.send_bytes(answer)
        finally:
            late.cancel()


async def _break_off(transport: asyncio.Transport, code: int, reason: bytes) -> None:
    """Say why (RFC 6455, 5.5.1), and leave unread what else came: to read thousands of small
    messages for the closing handshake takes time of all others.
    """
    transport.pause_reading()
    said = code.to_bytes(2, "big") + reason
    transport.write(bytes((0x88, len(said))) + said)
    await asyncio.sleep(CLOSE_S)
    transport.close()


def _reason(words: str) -> bytes:
    """Of a closing frame, which has room for 123 bytes."""
    return words.encode()[:120].decode("utf-8", "ignore").encode()


def _text(words: str, status: int, kind: str = "text/plain") -> web.Response:
    response = web.Response(
        status=status, text=f"{words}\n", content_type=kind, headers={"Server": "wam"}
    )
    response.force_close()
    return response
