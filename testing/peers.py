"""Who talks to the page's server in tests and benchmarks: a browser that is well, and worse."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import aiohttp

DEADLINE_S = 20.0


_reserved: list[socket.socket] = []


def free_port() -> int:
    """A TCP port that nobody listens on, and that is given to nobody else while this process lives:
    on a busy machine another connection would take it before it is listened on.
    """
    s = socket.socket()
    # whoever listens sets the same, and may then share it with one that does not
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    _reserved.append(s)
    return int(s.getsockname()[1])


async def until(condition: Callable[[], Any], seconds: float = DEADLINE_S) -> Any:
    """Wait for a condition; fail when it does not come true in time."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "the condition did not come true in time"
        await asyncio.sleep(0.005)
    return value


def raw_head(port: int, cookie: str = "", method: str = "GET", path: str = "/socket") -> bytes:
    """The head of a request that opens a socket, as bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: localhost:{port}"]
    if cookie:
        lines.append(f"Cookie: {cookie}")
    if path == "/socket":
        lines += [
            f"Origin: http://localhost:{port}",
            *("Upgrade: websocket", "Connection: Upgrade"),
            *("Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Deaf:
    """A page that connects and never reads, with the smallest buffer there is."""

    def __init__(self, port: int, cookie: str) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(raw_head(port, cookie))
        assert b" 101 " in self.socket.recv(20)

    def close(self) -> None:
        self.socket.close()


class Peer:
    """One client of the page's server that says what it likes; an async context manager."""

    def __init__(self, port: int, token: str = "") -> None:
        self.port = port
        self.origin = f"http://localhost:{port}"
        self._token = token
        self.cookie = ""

    async def __aenter__(self) -> Peer:
        jar = aiohttp.DummyCookieJar()
        self.session = aiohttp.ClientSession(cookie_jar=jar)
        if self._token:
            async with self.ask(f"/open?token={self._token}") as answer:
                assert answer.status == 200, await answer.text()
                name, morsel = next(iter(answer.cookies.items()))
                self.cookie = f"{name}={morsel.value}"
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.session.close()

    def ask(self, path: str, method: str = "GET", **headers: str) -> Any:
        """A request; headers with _ for -."""
        sent = {"Host": f"localhost:{self.port}"} | ({"Cookie": self.cookie} if self.cookie else {})
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"http://127.0.0.1:{self.port}{path}"
        return self.session.request(method, url, headers=sent, allow_redirects=False)

    async def status(self, path: str, method: str = "GET", **headers: str) -> int:
        """Status of a request's answer."""
        async with self.ask(path, method, **headers) as answer:
            await answer.read()
            return int(answer.status)

    async def open(self, **headers: str) -> aiohttp.ClientWebSocketResponse:
        """The page's socket."""
        sent = {"Host": f"localhost:{self.port}", "Origin": self.origin, "Cookie": self.cookie}
        sent |= headers
        return await self.session.ws_connect(
            f"http://127.0.0.1:{self.port}/socket", headers=sent, max_msg_size=0
        )


async def hear(page: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """The next message of a type."""
    while True:
        message = await asyncio.wait_for(page.receive(), DEADLINE_S)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        told = json.loads(message.data)
        if told["type"] == kind:
            return dict(told)


async def left(page: aiohttp.ClientWebSocketResponse) -> bool:
    """Wait until the server has ended the connection."""
    while True:
        message = await asyncio.wait_for(page.receive(), DEADLINE_S)
        if message.type in (
            aiohttp.WSMsgType.CLOSE,
            aiohttp.WSMsgType.CLOSED,
            aiohttp.WSMsgType.CLOSING,
            aiohttp.WSMsgType.ERROR,
        ):
            return True
