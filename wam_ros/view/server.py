"""The server of the page, in a thread of its own. Every request goes through one door.

Measures against whoever may not, or does not behave: `access` judges each request before anything
of it is used; `protocol` reads what a page says; answers end their connection, so that nothing can
be queued behind them; connections, pages, messages and buffers are bounded, and the newest takes
the place of what waits. A stop needs none of that to go well: it is taken from any page that may
talk at all, by socket or by POST, however many messages it has sent before.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web

from wam_ros.view.access import OPEN, Access
from wam_ros.view.assets import Asset, page_assets, policy
from wam_ros.view.client import Client
from wam_ros.view.history import Past
from wam_ros.view.protocol import (
    MOST_BYTES,
    PRESSED,
    Ask,
    Confirm,
    Instruct,
    MessageError,
    Perform,
    Press,
    read_message,
)
from wam_ros.view.wire import to_json
from wam_ros.web.server import WebServer

SOCKET = "/socket"
PRESS = "/press/"
TIMELINE = "/timeline.json"
MOMENT = "/moment/"
MOST_CLIENTS = 12  # pages at a time
MOST_CONNECTIONS = 64  # requests under way; the oldest leaves for a new one
BEAT_S = 10.0  # a page that answers no ping for half as long is gone
RECORDED = "this is a recording: nothing can be commanded"
_TEXT = "text/plain; charset=utf-8"
_HTML = "text/html; charset=utf-8"
_WELCOME = (
    '<!doctype html><meta http-equiv="refresh" content="0; url=/"><title>wam</title>'
    '<link rel="icon" href="/icon.svg">'
)


@dataclass(frozen=True)
class Action:
    """What a person wants: one of `PRESSED`, one of `HELD`, or `instruct` or `task` with its
    text.
    """

    name: str
    text: str = ""


class Actions:
    """What was pressed and not done yet: of each the newest, stops first. Two threads use it."""

    def __init__(self, on_action: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, Action] = {}
        self._on_action = on_action

    def put(self, action: Action) -> None:
        """Let it wait, and wake whoever does it."""
        with self._lock:
            self._waiting.pop(action.name, None)
            self._waiting[action.name] = action
        self._on_action()

    def take(self) -> list[Action]:
        """All that waits, what stops before what moves."""
        with self._lock:
            taken = list(self._waiting.values())
            self._waiting.clear()
        return sorted(taken, key=lambda a: PRESSED.index(a.name) if a.name in PRESSED else 99)


class PageServer:
    """Serves the page. What is shown comes by `show`, what is pressed is fetched by `take_actions`.

    Args:
        access: who may talk.
        listening: bound and listening socket; belongs to the server from now on.
        assets: files of this robot, by path, beside those of the page.
        history: the last minute, or a recording.
        on_action: called in the server's thread when something was pressed; must not wait. None:
            what is shown is a recording, of which nobody can ask anything.
        on_change: likewise when the first page has come, the last one has left, or there is
            `trouble`.
        tls: context of a server that speaks TLS.

    Raises:
        WamError: the server cannot be started.
    """

    def __init__(
        self,
        access: Access,
        listening: socket.socket,
        assets: Mapping[str, Asset],
        history: Past,
        on_action: Callable[[], None] | None,
        *,
        on_change: Callable[[], None] = lambda: None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._access = access
        self._assets = {**page_assets(), **assets}
        self._headers = {**policy(self._assets["/"].body), "Server": "wam", "Connection": "close"}
        self._history = history
        self._recorded = on_action is None
        self._actions = Actions(on_action or (lambda: None))
        self._on_change = on_change
        self._clients: set[Client] = set()
        self._newest: dict[str, str | bytes] = {}  # what a new page is told first
        self._lock = threading.Lock()
        self._shown: dict[str, str | bytes] = {}  # on its way to the server's thread
        self.trouble = ""  # newest error of the server itself
        self._server = WebServer(
            "page",
            listening,
            self._answer,
            kept=lambda: [client.transport for client in self._clients],
            most=MOST_CONNECTIONS,
            tls=tls,
        )

    # of any thread

    @property
    def watched(self) -> bool:
        """Whether a page is connected; nobody else needs updates."""
        return bool(self._clients)

    def take_actions(self) -> list[Action]:
        """What was pressed since the last call, what stops first."""
        return self._actions.take()

    def show(self, kind: str, message: str | bytes) -> None:
        """Send a message to every page, in the place of an older one of its kind that still waits.

        A page that connects later is told the newest of each kind.
        """
        with self._lock:
            first = not self._shown
            self._shown[kind] = message
        if first:
            self._server.call_soon(self._broadcast)

    def close(self) -> None:
        """Stop serving; pages that do not read are not waited for."""
        self._server.close()

    # of the server's thread

    def _broadcast(self) -> None:
        with self._lock:
            shown = self._shown
            self._shown = {}
        if self._clients:  # else the last one has left meanwhile
            self._newest.update(shown)
        for client in self._clients:
            for kind, message in shown.items():
                client.offer(kind, message)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The one door: an error in it is an answer, too."""
        try:
            why = self._access.why_not_admitted(
                request.method, request.path, list(request.headers.items()), request.cookies
            )
            if why:
                return self._text(why, 403)
            return await self._admitted(request)
        except web.HTTPException as error:
            return self._text(error.reason, error.status)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            self.trouble = f"{request.method} {request.path[:40]}: {type(error).__name__}: {error}"
            self._on_change()
            return self._text("an error in the server; view_node has logged it", 500)

    async def _admitted(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if self._recorded and (request.method == "POST" or path == SOCKET):
            return self._text(RECORDED, 403)
        if request.method == "POST":
            action = path[len(PRESS) :] if path.startswith(PRESS) else ""
            if action not in PRESSED:
                return self._text(f"only {', '.join(PRESS + a for a in PRESSED)}", 404)
            self._actions.put(Action(action))
            return self._text(f"{action}: asked for", 202)
        if request.method != "GET":
            return self._text("GET, or POST for what stops", 405)
        if path == OPEN:
            return self._open(request)
        if path == SOCKET:
            return await self._talk(request)
        if path == TIMELINE:
            return self._timeline()
        if path.startswith(MOMENT):
            return self._moment(path[len(MOMENT) :])
        asset = self._assets.get(path)
        if asset is None:
            return self._text("there is no such file", 404)
        return self._response(200, asset, "gzip" in request.headers.get("Accept-Encoding", ""))

    def _open(self, request: web.BaseRequest) -> web.Response:
        """Token for cookie. Without a redirect: a browser would not send the cookie behind a link
        of another page to it, as it is `SameSite=Strict`.
        """
        if not self._access.takes_token(request.query.get("token", "")):
            return self._text("this is not the link that view_node printed when it started", 403)
        response = self._response(200, Asset(_HTML, _WELCOME.encode()))
        response.set_cookie(
            self._access.cookie_name,
            self._access.cookie,
            httponly=True,
            samesite="Strict",
            secure=self._access.secure,
            path="/",
        )
        return response

    def _timeline(self) -> web.Response:
        moments = [
            {"n": m.number, "t": round(m.t_s, 3), **m.figures}
            for m in self._history.moments(time.monotonic())
        ]
        return self._response(200, Asset("application/json", to_json(moments).encode()))

    def _moment(self, number: str) -> web.Response:
        known = number.isascii() and number.isdigit() and len(number) < 12
        frames = self._history.frames(int(number)) if known else None
        if frames is None:
            return self._text("this moment is gone", 404)
        return self._response(200, Asset("application/octet-stream", frames))

    def _text(self, words: str, status: int) -> web.Response:
        return self._response(status, Asset(_TEXT, f"{words}\n".encode()))

    def _response(self, status: int, asset: Asset, packed: bool = False) -> web.Response:
        headers = {**self._headers, "Content-Type": asset.kind}
        packed = packed and asset.packed is not None
        if packed:
            headers["Content-Encoding"] = "gzip"
        body = asset.packed if packed else asset.body
        response = web.Response(status=status, body=body, headers=headers)
        response.force_close()
        return response

    async def _talk(self, request: web.BaseRequest) -> web.StreamResponse:
        if len(self._clients) >= MOST_CLIENTS:
            return self._text(f"{MOST_CLIENTS} pages are open; close one", 503)
        page = web.WebSocketResponse(
            max_msg_size=MOST_BYTES, heartbeat=BEAT_S, autoping=False, compress=False, timeout=1.0
        )
        await page.prepare(request)
        assert isinstance(request.transport, asyncio.Transport)
        client = Client(page, request.transport)
        first = not self._clients
        if first:
            self._newest.clear()  # nobody watched: it may be long past
        self._clients.add(client)
        if first:
            self._on_change()
        for kind, message in self._newest.items():
            client.offer(kind, message)
        writing = asyncio.ensure_future(client.write())
        try:
            await self._listen(client)
        finally:
            self._clients.discard(client)
            if not self._clients:
                self._on_change()
            writing.cancel()
            client.drop()
        return page

    async def _listen(self, client: Client) -> None:
        """Until it leaves, or says more than it may."""
        while True:
            message = await client.socket.receive()
            if message.type not in (WSMsgType.TEXT, WSMsgType.PING, WSMsgType.PONG):
                return
            text = message.data if message.type is WSMsgType.TEXT else ""
            if not client.allowance.take(time.monotonic()):
                with contextlib.suppress(MessageError):
                    if text and isinstance(said := read_message(text), Press):
                        self._actions.put(Action(said.action))
                return
            if message.type is WSMsgType.PING:
                await client.socket.pong(message.data)
            elif text:
                self._hear(client, text)
            await asyncio.sleep(0)  # the turn of the others, however much is waiting here

    def _hear(self, client: Client, text: str) -> None:
        now_s = time.monotonic()
        try:
            said = read_message(text)
        except MessageError as error:
            return self._tell(client, str(error))
        if isinstance(said, Press):
            self._actions.put(Action(said.action))
        elif isinstance(said, Instruct):
            self._actions.put(Action("instruct", said.text))
        elif isinstance(said, Perform):
            self._actions.put(Action("task", said.text))
        elif isinstance(said, Ask):
            question = client.confirmation.ask(said.action, now_s)
            reply: dict[str, Any] = {
                "type": "question",
                "action": question.action,
                "nonce": question.nonce,
                "seconds": client.confirmation.LATEST_S,
            }
            client.offer("question", to_json(reply))
        elif isinstance(said, Confirm):
            if why := client.confirmation.why_not_confirmed(said.action, said.nonce, now_s):
                return self._tell(client, why)
            self._actions.put(Action(said.action))
        return None

    def _tell(self, client: Client, words: str) -> None:
        client.offer("answer", to_json({"type": "answer", "text": words}))
