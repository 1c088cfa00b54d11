"""One browser that is connected: what waits to be sent to it, and how much it may say."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp import web

from wam_ros.view.confirmation import Confirmation

PATIENCE_S = 3.0  # for one message to leave; a browser that does not read is dropped then


class Allowance:
    """How many messages a client may send: `burst` at once, `per_s` in the long run."""

    def __init__(self, burst: int = 30, per_s: float = 10.0) -> None:
        self.burst = burst
        self._per_s = per_s
        self._left = float(burst)
        self._since_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Whether one more is allowed now."""
        if self._since_s is not None:
            self._left = min(self.burst, self._left + (now_s - self._since_s) * self._per_s)
        self._since_s = now_s
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Client:
    """A connected page. Belongs to the server's loop.

    Of each kind of message only the newest waits: a slow browser misses frames, and never holds
    more than one of each.
    """

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self.socket = socket
        self.allowance = Allowance()
        self.confirmation = Confirmation()
        self.transport = transport
        self._waiting: dict[str, str | bytes] = {}
        self._news = asyncio.Event()

    def offer(self, kind: str, message: str | bytes) -> None:
        """Let a message wait in the place of an older one of its kind."""
        self._waiting[kind] = message
        self._news.set()

    async def write(self) -> None:
        """Send what waits, for ever; drops a browser that does not take a message in time."""
        loop = asyncio.get_running_loop()
        try:
            # whatever the end, what is still in the buffers is of no use
            with contextlib.suppress(ConnectionError, RuntimeError):
                while True:
                    await self._news.wait()
                    self._news.clear()
                    while self._waiting:
                        late = loop.call_later(PATIENCE_S, self.drop)
                        try:
                            await self._send(self._waiting.pop(next(iter(self._waiting))))
                        finally:
                            late.cancel()
        finally:
            self.drop()

    async def _send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            await self.socket.send_str(message)
        else:
            await self.socket.send_bytes(message)

    def drop(self) -> None:
        """End the connection without a word: whoever does not read would not hear one."""
        self.transport.abort()
